/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who listens where: the owners of listening sockets by their addresses, for
 * packets that are dropped before they get to a socket (by a firewall). Of
 * several with one address (SO_REUSEPORT) the newest that still listens.
 */
#ifndef NW_LISTENERS_BPF_H
#define NW_LISTENERS_BPF_H

#include "socket_life.bpf.h"

/*
 * Where several listen, seat 0 has a copy of the newest, for whoever asks, and
 * each has a seat of its own from 1 on, from which seat 0 is filled again when
 * the newest ends. Of more than this, the rest is known only as long as it is
 * the newest.
 */
#define NW_LAST_SEAT 64

struct nw_listening_place {
	nw_ip_t addr; /* its own; all zero but for IPv4's mark: any */
	__u32 netns;
	__u16 port;
	__u16 family; /* of addr: AF_INET, or AF_INET6, which takes IPv4 too */
	__u32 seat;
};

struct nw_listener {
	__u64 sock;
	struct nw_owner owner;
	__u64 only_ipv6;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct nw_listening_place);
	__type(value, struct nw_listener);
} shared_listeners SEC(".maps");

/* What is said of a socket in each seat that it has. */
struct nw_listening {
	struct nw_listening_place place; /* seat 0 */
	struct nw_listener listener;
};

/* By socket, from listen() to its end. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct nw_listening);
} shared_listening SEC(".maps");

static __always_inline void nw_place_of(struct nw_listening_place *place,
					struct sock *sk)
{
	struct nw_tuple tuple = {};

	nw_probe_tuple(&tuple, sk);
	__builtin_memcpy(place->addr, tuple.local_addr, sizeof(place->addr));
	place->netns = nw_probe_netns(sk);
	place->port = tuple.local_port;
	place->family = tuple.family;
}

/*
 * What is done in a seat, and the walks over them, are global functions, which
 * take numbers alone: the verifier goes through each once, and not once per seat
 * on each path of each program that listens or ends (tcpdrop: 203 to 52 ms).
 */
enum nw_seating {
	NW_SEAT_TAKEN = 0,
	NW_SEAT_NEW = 1,
	NW_SEAT_OWN = 2
};

/* Who has a seat at the socket's place, which is told too. */
static __always_inline struct nw_listener *
nw_in_seat(const struct nw_listening *own, __u32 seat,
	   struct nw_listening_place *place)
{
	*place = own->place;
	place->seat = seat;
	return bpf_map_lookup_elem(&shared_listeners, place);
}

/* enum nw_seating, which the socket has found or made of this seat. */
__noinline int nw_seat_at(__u64 sock, __u32 seat)
{
	struct nw_listening *own =
		bpf_map_lookup_elem(&shared_listening, &sock);
	struct nw_listening_place place;
	struct nw_listener *there;

	if (!own)
		return NW_SEAT_OWN;
	there = nw_in_seat(own, seat, &place);
	if (there)
		return there->sock == sock ? NW_SEAT_OWN : NW_SEAT_TAKEN;
	return nw_table_add(&shared_listeners, &place, &own->listener) ?
		       NW_SEAT_NEW :
		       NW_SEAT_TAKEN;
}

/* Gives it the first seat that is free, unless it has one. 1 if it is new there. */
__noinline int nw_seat(__u64 sock)
{
	int seating = NW_SEAT_TAKEN;

	for (__u32 seat = 1; seat <= NW_LAST_SEAT; seat++) {
		seating = nw_seat_at(sock, seat);
		if (seating)
			break;
	}
	return seating == NW_SEAT_NEW;
}

/* Frees this seat if it is the socket's: 1. */
__noinline int nw_leaves(__u64 sock, __u32 seat)
{
	struct nw_listening *own =
		bpf_map_lookup_elem(&shared_listening, &sock);
	struct nw_listening_place place;
	struct nw_listener *there;

	if (!own)
		return 0;
	there = nw_in_seat(own, seat, &place);
	if (!there || there->sock != sock)
		return 0;
	bpf_map_delete_elem(&shared_listeners, &place);
	return 1;
}

/* 1 if seat 0, which the socket has left, is taken, by who has this seat or began meanwhile. */
__noinline int nw_moves_up(__u64 left, __u32 seat)
{
	struct nw_listening *own =
		bpf_map_lookup_elem(&shared_listening, &left);
	struct nw_listening_place place;
	struct nw_listener *there;
	__u64 sock;

	if (!own)
		return 1;
	there = nw_in_seat(own, seat, &place);
	if (!there)
		return 0;
	sock = there->sock;
	if (nw_probe_state(sock) != TCP_LISTEN)
		return 0;
	place.seat = 0;
	if (!nw_table_add(&shared_listeners, &place, there))
		return 1;
	place.seat = seat;
	there = bpf_map_lookup_elem(&shared_listeners, &place);
	if (there && there->sock == sock)
		return 1;
	/* it ended meanwhile, and may have looked at seat 0 before */
	place.seat = 0;
	bpf_map_delete_elem(&shared_listeners, &place);
	return 0;
}

/* It listens no more; was it the newest, another that listens there takes seat 0. */
__noinline int nw_leave_seats(__u64 sock)
{
	for (__u32 seat = NW_LAST_SEAT; seat; seat--)
		nw_leaves(sock, seat);
	if (nw_leaves(sock, 0)) {
		for (__u32 seat = NW_LAST_SEAT; seat; seat--)
			if (nw_moves_up(sock, seat))
				break;
	}
	bpf_map_delete_elem(&shared_listening, &sock);
	return 0;
}

/*
 * Seats a socket that shared_listening has. `known`: who has seat 0 stays there.
 * 1 if it is new in one.
 */
__noinline int nw_take_seats(__u64 sock, __u32 known, __u32 shares)
{
	struct nw_listening *own =
		bpf_map_lookup_elem(&shared_listening, &sock);
	struct nw_listener *there;
	__u64 other = 0;
	int is_new = 0;

	if (!own)
		return 0;
	there = bpf_map_lookup_elem(&shared_listeners, &own->place);
	if (there && there->sock != sock)
		other = there->sock;
	/* also without SO_REUSEPORT: a listen() that fails has been here too */
	if (other && !known)
		nw_seat(other);
	if (other || shares)
		is_new = nw_seat(sock);
	/* told before the socket has its state */
	if (!known)
		nw_table_set(&shared_listeners, &own->place, &own->listener);
	else if (nw_table_add(&shared_listeners, &own->place, &own->listener))
		is_new = 1;
	return is_new;
}

/*
 * A listening socket, to be read field by field; `known`: what is noted there
 * already stays. False if listen() has yet to find a port for it.
 */
static __always_inline bool
nw_note_listening(struct sock *sk, const struct nw_owner *owner, bool known)
{
	struct nw_listening listening = {
		.listener = {.sock = (__u64)sk, .owner = *owner}};
	struct nw_listening *own;
	__u64 key = (__u64)sk, sock;
	bool shares;

	nw_place_of(&listening.place, sk);
	if (!listening.place.port)
		return false;
	listening.listener.only_ipv6 =
		BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	shares = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport);
	if (known)
		nw_table_add(&shared_listening, &key, &listening);
	else
		nw_table_set(&shared_listening, &key, &listening);
	own = bpf_map_lookup_elem(&shared_listening, &key);
	if (!own)
		return true;
	/* its address as a number, for global functions */
	sock = own->listener.sock;
	/* the hook of its end may have run since it was found to listen */
	if (nw_take_seats(sock, known, shares) && known &&
	    nw_probe_state(sock) == TCP_CLOSE)
		nw_leave_seats(sock);
	return true;
}

/* Sockets without a port, by the thread that is in listen(), which finds one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} shared_portless SEC(".maps");

static __always_inline void nw_begin_listening(struct sock *sk,
					       const struct nw_owner *owner)
{
	__u64 thread = bpf_get_current_pid_tgid(), sock = (__u64)sk;

	if (!nw_note_listening(sk, owner, false))
		nw_table_set(&shared_portless, &thread, &sock);
}

/* The body of sys_exit_listen. */
static __always_inline int nw_listen_returned(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *found = bpf_map_lookup_elem(&shared_portless, &thread);
	struct nw_owner owner = {};
	struct sock *sk;

	if (!found)
		return 0;
	sk = (struct sock *)*found;
	bpf_map_delete_elem(&shared_portless, &thread);
	if (nw_probe_state((__u64)sk) != TCP_LISTEN)
		return 0;
	nw_current_owner(&owner);
	nw_note_listening(sk, &owner, true);
	return 0;
}

#define NW_LISTEN_PROGRAM                                         \
	SEC("?tracepoint/syscalls/sys_exit_listen")               \
	int sys_exit_listen(struct trace_event_raw_sys_exit *ctx) \
	{                                                         \
		return nw_listen_returned();                      \
	}

static __always_inline void nw_forget_listening(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct nw_listening *own = bpf_map_lookup_elem(&shared_listening, &key);

	if (own)
		nw_leave_seats(own->listener.sock);
}

/* A socket begins or ends to listen; behind nw_socket_turn(), which finds its owner. */
static __always_inline void nw_listener_turn(const struct nw_turn *turn,
					     struct sock *sk, int old_state,
					     int state)
{
	if (!turn->tp)
		return;
	if (state == TCP_LISTEN && turn->s &&
	    turn->s->owner_source != NW_OWNER_NONE)
		nw_begin_listening(sk, &turn->s->owner);
	else if (old_state == TCP_LISTEN && state == TCP_CLOSE)
		nw_forget_listening(sk);
}

#endif /* NW_LISTENERS_BPF_H */

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
 * The walks over seats have bodies of their own: clang would put the end of such
 * a loop before its head, which 6.1 refuses as a back-edge.
 */
enum nw_seating {
	NW_SEAT_TAKEN = 0,
	NW_SEAT_NEW = 1,
	NW_SEAT_OWN = 2
};

static __noinline int nw_seat_at(struct nw_listening_place *place,
				 const struct nw_listener *listener)
{
	struct nw_listener *there =
		bpf_map_lookup_elem(&shared_listeners, place);

	if (there)
		return there->sock == listener->sock ? NW_SEAT_OWN :
						       NW_SEAT_TAKEN;
	return nw_table_add(&shared_listeners, place, listener) ? NW_SEAT_NEW :
								  NW_SEAT_TAKEN;
}

/* Gives it the first seat that is free, unless it has one. True if it is new there. */
static __noinline bool nw_seat(struct nw_listening_place *place,
			       const struct nw_listener *listener)
{
	int seating = NW_SEAT_TAKEN;

	for (__u32 seat = 1; seat <= NW_LAST_SEAT; seat++) {
		place->seat = seat;
		seating = nw_seat_at(place, listener);
		if (seating)
			break;
	}
	return seating == NW_SEAT_NEW;
}

/* True if seat 0 is taken, by who has this one or began meanwhile. */
static __noinline bool nw_moves_up(struct nw_listening_place *place)
{
	struct nw_listener *there =
		bpf_map_lookup_elem(&shared_listeners, place);
	__u32 seat = place->seat;
	__u64 sock;

	if (!there)
		return false;
	sock = there->sock;
	if (nw_probe_state(sock) != TCP_LISTEN)
		return false;
	place->seat = 0;
	if (!nw_table_add(&shared_listeners, place, there))
		return true;
	place->seat = seat;
	there = bpf_map_lookup_elem(&shared_listeners, place);
	if (there && there->sock == sock)
		return true;
	/* it ended meanwhile, and may have looked at seat 0 before */
	place->seat = 0;
	bpf_map_delete_elem(&shared_listeners, place);
	return false;
}

/* The newest has ended: another that listens at the same place takes seat 0. */
static __noinline void nw_seat_next(struct nw_listening_place *place)
{
	for (__u32 seat = NW_LAST_SEAT; seat; seat--) {
		place->seat = seat;
		if (nw_moves_up(place))
			break;
	}
}

/* It listens there no more. */
static __noinline void nw_leave_seats(struct nw_listening_place *place,
				      __u64 sock)
{
	struct nw_listener *there;

	for (__u32 seat = NW_LAST_SEAT; seat; seat--) {
		place->seat = seat;
		there = bpf_map_lookup_elem(&shared_listeners, place);
		if (there && there->sock == sock)
			bpf_map_delete_elem(&shared_listeners, place);
	}
	place->seat = 0;
	there = bpf_map_lookup_elem(&shared_listeners, place);
	if (!there || there->sock != sock)
		return;
	bpf_map_delete_elem(&shared_listeners, place);
	nw_seat_next(place);
}

/*
 * A listening socket, to be read field by field; `known`: what is noted there
 * already stays. False if listen() has yet to find a port for it.
 */
static __always_inline bool
nw_note_listening(struct sock *sk, const struct nw_owner *owner, bool known)
{
	struct nw_listening_place place = {};
	struct nw_listener listener = {.sock = (__u64)sk, .owner = *owner};
	struct nw_listener *there;
	bool is_new = false;

	nw_place_of(&place, sk);
	if (!place.port)
		return false;
	listener.only_ipv6 =
		BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	there = bpf_map_lookup_elem(&shared_listeners, &place);
	if (there && there->sock == listener.sock)
		there = NULL;
	/* also without SO_REUSEPORT: a listen() that fails has been here too */
	if (there && !known)
		nw_seat(&place, there);
	if (there ||
	    BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport))
		is_new = nw_seat(&place, &listener);
	place.seat = 0;
	/* told before the socket has its state */
	if (!known)
		nw_table_set(&shared_listeners, &place, &listener);
	else if (nw_table_add(&shared_listeners, &place, &listener))
		is_new = true;
	/* the hook of its end may have run since it was found to listen */
	if (known && is_new && nw_probe_state((__u64)sk) == TCP_CLOSE)
		nw_leave_seats(&place, (__u64)sk);
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
	struct nw_listening_place place = {};

	nw_place_of(&place, sk);
	nw_leave_seats(&place, (__u64)sk);
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

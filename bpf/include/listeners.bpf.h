/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who listens where: the owners of listening sockets by their addresses, for
 * packets that are dropped before they get to a socket (by a firewall). Of
 * several with one address (SO_REUSEPORT) the newest.
 */
#ifndef NW_LISTENERS_BPF_H
#define NW_LISTENERS_BPF_H

#include "socket_life.bpf.h"

struct nw_listening_place {
	nw_ip_t addr; /* its own; all zero but for IPv4's mark: any */
	__u32 netns;
	__u16 port;
	__u16 family; /* of addr: AF_INET, or AF_INET6, which takes IPv4 too */
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
 * A listening socket, to be read field by field; `known`: what is noted there
 * already stays. One that listen() has yet to find a port for is noted when all
 * sockets are walked.
 */
static __always_inline void
nw_note_listening(struct sock *sk, const struct nw_owner *owner, bool known)
{
	struct nw_listening_place place = {};
	struct nw_listener listener = {.sock = (__u64)sk, .owner = *owner};

	nw_place_of(&place, sk);
	if (!place.port)
		return;
	listener.only_ipv6 =
		BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	/* told before the socket has its state */
	if (!known)
		nw_table_set(&shared_listeners, &place, &listener);
	/* the hook of its end may have run since it was found to listen */
	else if (nw_table_add(&shared_listeners, &place, &listener) &&
		 nw_probe_state((__u64)sk) == TCP_CLOSE)
		bpf_map_delete_elem(&shared_listeners, &place);
}

static __always_inline void nw_forget_listening(struct sock *sk)
{
	struct nw_listening_place place = {};
	struct nw_listener *listener;

	nw_place_of(&place, sk);
	listener = bpf_map_lookup_elem(&shared_listeners, &place);
	if (listener && listener->sock == (__u64)sk)
		bpf_map_delete_elem(&shared_listeners, &place);
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
		nw_note_listening(sk, &turn->s->owner, false);
	else if (old_state == TCP_LISTEN && state == TCP_CLOSE)
		nw_forget_listening(sk);
}

#endif /* NW_LISTENERS_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls of tcp_sendmsg() and its kin by kprobes, where there is neither a
 * tracepoint for what they move (before 6.3) nor fexit (arm64 before 6.4): the
 * begin knows the socket, the end the bytes. The kernel watches so many calls
 * at a time and no more (maxactive of kretprobes); an end that it did not
 * watch is noticed when the thread calls again.
 */
#ifndef NW_CALLS_BPF_H
#define NW_CALLS_BPF_H

#include "probe.bpf.h"

/* The sockets that threads are in a call with. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct sock *);
} calls SEC(".maps");

static __always_inline bool nw_current_allowed(struct sock *sk)
{
	struct nw_owner owner = {};

	if (!nw_owner_filtered())
		return true;
	nw_current_owner(&owner);
	return nw_owner_allowed(&owner, sk);
}

/*
 * False if a call is not seen: the one that this thread made before, or this
 * one. One whose end was not watched is forgotten even if nobody wants to know
 * of this one, whose end would else be taken for its.
 */
static __always_inline bool nw_call_begins(struct sock *sk, bool is_wanted)
{
	__u64 thread = bpf_get_current_pid_tgid();
	bool is_seen = bpf_map_delete_elem(&calls, &thread) != 0;

	if (is_wanted && nw_netns_allowed(nw_probe_netns(sk)) &&
	    nw_current_allowed(sk) &&
	    bpf_map_update_elem(&calls, &thread, &sk, BPF_ANY))
		is_seen = false;
	return is_seen;
}

/* The socket of the call that ends; NULL if its begin was not seen. */
static __always_inline struct sock *nw_call_ended(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct sock **found = bpf_map_lookup_elem(&calls, &thread);
	struct sock *sk;

	if (!found)
		return NULL;
	sk = *found;
	bpf_map_delete_elem(&calls, &thread);
	return sk;
}

#endif /* NW_CALLS_BPF_H */

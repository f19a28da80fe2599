/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who was to get a packet that was dropped before it got to a socket. */
#ifndef NW_LISTENER_OF_BPF_H
#define NW_LISTENER_OF_BPF_H

#include "listeners.bpf.h"

/*
 * SKB_DROP_REASON_NO_SOCKET: nobody listened as it came, whoever may have before.
 * Set by the reader; a number that no drop has where the kernel has none.
 */
const volatile __u32 nw_no_socket_reason = 0;

static __always_inline struct nw_listener *
nw_listener_of(const struct nw_tuple *tuple, __u32 netns, __u32 reason)
{
	struct nw_listening_place place = {
		.netns = netns,
		.port = tuple->local_port,
		.family = tuple->family,
	};
	struct nw_listener *found;

	if (reason == nw_no_socket_reason)
		return NULL;
	__builtin_memcpy(place.addr, tuple->local_addr, sizeof(place.addr));
	found = bpf_map_lookup_elem(&shared_listeners, &place);
	if (found)
		return found;
	if (tuple->family == AF_INET) {
		nw_map_ipv4(place.addr, 0);
		found = bpf_map_lookup_elem(&shared_listeners, &place);
		if (found)
			return found;
		place.family = AF_INET6;
	}
	__builtin_memset(place.addr, 0, sizeof(place.addr));
	found = bpf_map_lookup_elem(&shared_listeners, &place);
	if (found && found->only_ipv6 && tuple->family == AF_INET)
		return NULL;
	return found;
}

#endif /* NW_LISTENER_OF_BPF_H */

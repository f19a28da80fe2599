/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * splice() from a TCP socket into a pipe: the one way to read for which the
 * kernel has no tracepoint with a socket. The call's begin knows the
 * descriptor, its end the bytes.
 */
#ifndef NW_SPLICE_BPF_H
#define NW_SPLICE_BPF_H

#include "descriptor.bpf.h"

/* Descriptors that threads are reading from. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __s32);
} splicing SEC(".maps");

/* False if there is no room to remember the call. */
static __always_inline bool nw_splice_begins(__s32 fd)
{
	__u64 thread = bpf_get_current_pid_tgid();

	return !nw_tcp_of_fd(fd) ||
	       !bpf_map_update_elem(&splicing, &thread, &fd, BPF_ANY);
}

/* The socket that the current call has read from; NULL if it was none. */
static __always_inline struct sock *nw_splice_ended(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__s32 *fd = bpf_map_lookup_elem(&splicing, &thread);
	struct sock *sk;

	if (!fd)
		return NULL;
	sk = nw_tcp_of_fd(*fd);
	bpf_map_delete_elem(&splicing, &thread);
	return sk;
}

#endif /* NW_SPLICE_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * splice() from a TCP socket into a pipe: the one way to read for which the
 * kernel has no tracepoint with a socket. The call's begin knows the
 * descriptor, its end the bytes.
 */
#ifndef NW_SPLICE_BPF_H
#define NW_SPLICE_BPF_H

#include "owner.bpf.h"

#define IPPROTO_TCP 6

/* Descriptors that threads are reading from. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __s32);
} splicing SEC(".maps");

extern const void socket_file_ops __ksym __weak;

/* The TCP socket behind a descriptor of the current task; NULL if it is none. */
static __always_inline struct sock *nw_tcp_sock_of_fd(__s32 fd)
{
	struct file *file = NULL;
	struct socket *socket;
	struct sock *sk;
	__u16 family;

	if (fd < 0)
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), nw_current_files() + fd);
	if (!file || BPF_CORE_READ(file, f_op) != &socket_file_ops)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (!sk || BPF_CORE_READ(socket, type) != SOCK_STREAM ||
	    (family != AF_INET && family != AF_INET6))
		return NULL;
	return sk;
}

/* nw_sock_tuple() for a socket that the verifier does not know. */
static __always_inline void nw_unchecked_tuple(struct sock *sk,
					       struct nw_tuple *t)
{
	struct inet_sock *inet = (struct inet_sock *)sk;

	t->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	t->local_port = bpf_ntohs(BPF_CORE_READ(inet, inet_sport));
	t->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (t->family == AF_INET) {
		nw_map_ipv4(t->local_addr,
			    BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		nw_map_ipv4(t->peer_addr,
			    BPF_CORE_READ(sk, __sk_common.skc_daddr));
		return;
	}
	BPF_CORE_READ_INTO((struct in6_addr *)t->local_addr, sk,
			   __sk_common.skc_v6_rcv_saddr);
	BPF_CORE_READ_INTO((struct in6_addr *)t->peer_addr, sk,
			   __sk_common.skc_v6_daddr);
	if (nw_is_mapped(t->local_addr))
		t->family = AF_INET;
}

static __always_inline void nw_splice_begins(__s32 fd)
{
	__u64 thread = bpf_get_current_pid_tgid();

	if (nw_tcp_sock_of_fd(fd))
		bpf_map_update_elem(&splicing, &thread, &fd, BPF_ANY);
}

/* The socket that the current call has read from; NULL if it was none. */
static __always_inline struct sock *nw_splice_ended(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__s32 *fd = bpf_map_lookup_elem(&splicing, &thread);
	struct sock *sk;

	if (!fd)
		return NULL;
	sk = nw_tcp_sock_of_fd(*fd);
	bpf_map_delete_elem(&splicing, &thread);
	return sk;
}

#endif /* NW_SPLICE_BPF_H */

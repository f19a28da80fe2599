/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The processes behind sockets: who has one open already (iter/task_file, once
 * at start), which socket a descriptor of the current task is, and what can be
 * read of it there.
 */
#ifndef NW_OWNER_BPF_H
#define NW_OWNER_BPF_H

#include "socket.bpf.h"

static __always_inline struct file **nw_current_files(void)
{
	struct task_struct *task;

	if (nw_has_task_btf())
		return bpf_get_current_task_btf()->files->fdt->fd;
	task = (struct task_struct *)bpf_get_current_task();
	return BPF_CORE_READ(task, files, fdt, fd);
}

/* The socket behind a descriptor of the current task. */
static __always_inline struct sock *nw_sock_of_fd(long fd)
{
	struct file *file = NULL;
	struct socket *socket;

	bpf_probe_read_kernel(&file, sizeof(file), nw_current_files() + fd);
	if (!file)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline void nw_hold(struct nw_socket *s,
				    struct task_struct *task, __u8 state)
{
	if (!s || s->owner_source != NW_OWNER_NONE)
		return;
	nw_task_of(&s->task, task);
	s->owner_source = NW_OWNER_FILE;
	s->verdict = NW_VERDICT_NONE;
	if (state == TCP_LISTEN)
		s->role = NW_ROLE_LISTENER;
}

extern const void socket_file_ops __ksym __weak;

/* The same where bpf_sock_from_file is missing: field by field. */
static __always_inline void nw_hold_unchecked(struct task_struct *task,
					      struct file *file)
{
	struct socket *socket;
	struct sock *sk;
	__u16 family;

	if ((const void *)file->f_op != &socket_file_ops)
		return;
	socket = file->private_data;
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ(socket, type) != SOCK_STREAM)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if ((family != AF_INET && family != AF_INET6) ||
	    !nw_netns_allowed(
		    BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum)))
		return;
	nw_hold(nw_socket_by_address((__u64)sk), task,
		BPF_CORE_READ(sk, __sk_common.skc_state));
}

/* The body of iter/task_file: notes the holder of a TCP socket in it. */
static __always_inline void nw_hold_file(struct task_struct *task,
					 struct file *file)
{
	struct socket *socket;
	struct sock *sk;

	if (!nw_has_socket_storage()) {
		nw_hold_unchecked(task, file);
		return;
	}
	socket = bpf_sock_from_file(file);
	if (!socket)
		return;
	sk = socket->sk;
	if (!sk)
		return;
	if (!bpf_skc_to_tcp_sock(sk) || !nw_netns_allowed(nw_sock_netns(sk)))
		return;
	nw_hold(nw_socket_make(sk), task, sk->__sk_common.skc_state);
}

/* A connection begins, or a listener. */
static __always_inline void nw_begin_socket(struct nw_socket *s, __u64 now,
					    __u8 role, __u8 owner_source)
{
	s->open_ns = now;
	s->role = role;
	s->owner_source = owner_source;
	s->verdict = NW_VERDICT_NONE;
}

/* Addresses of a socket that cannot be read but field by field. */
static __always_inline void nw_probe_tuple(struct nw_tuple *t, struct sock *sk)
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

static __always_inline bool nw_is_tcp(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) &&
	       BPF_CORE_READ(sk, sk_type) == SOCK_STREAM &&
	       BPF_CORE_READ(sk, sk_protocol) == NW_IPPROTO_TCP;
}

#endif /* NW_OWNER_BPF_H */

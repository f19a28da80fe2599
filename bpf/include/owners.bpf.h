/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps the owner of every TCP socket in its storage, for a source whose own
 * hooks run where nobody's process does. The bodies of four programs:
 * inet_sock_set_state, sys_exit_accept, sys_exit_accept4, task_file.
 */
#ifndef NW_OWNERS_BPF_H
#define NW_OWNERS_BPF_H

#include "owner.bpf.h"

/* connect() and listen() run in the process that owns the socket. */
static __always_inline int nw_note_state(struct sock *sk, int old_state,
					 int state)
{
	__u64 key = (__u64)sk;
	struct nw_socket *s;

	if (!nw_netns_allowed(nw_sock_netns(sk)) || !bpf_skc_to_tcp_sock(sk))
		return 0;
	if (state == TCP_SYN_SENT || state == TCP_LISTEN) {
		s = nw_socket_make(sk);
		if (!s)
			return 0;
		nw_current_task(&s->task);
		s->owner_source = NW_OWNER_CONNECT;
	} else if (state == TCP_SYN_RECV && old_state != TCP_SYN_SENT) {
		/* told of a socket that had this address before */
		bpf_map_delete_elem(&shared_accepted, &key);
		s = nw_socket_find(sk);
		if (s)
			s->owner_source =
				s->task.pid ? NW_OWNER_LISTENER : NW_OWNER_NONE;
	}
	return 0;
}

/* accept() has returned a descriptor. */
static __always_inline int nw_note_accept(long fd)
{
	struct nw_task task = {};
	struct sock *sk;
	__u64 key;

	if (fd < 0)
		return 0;
	sk = nw_sock_of_fd(fd);
	if (!sk || !nw_is_tcp(sk) ||
	    !nw_netns_allowed(
		    BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum)))
		return 0;
	key = (__u64)sk;
	nw_current_task(&task);
	bpf_map_update_elem(&shared_accepted, &key, &task, BPF_ANY);
	return 0;
}

/* Once, at start. */
static __always_inline int nw_note_file(struct bpf_iter__task_file *ctx)
{
	/* read once: older verifiers do not know that a second read is not NULL either */
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (task && file)
		nw_hold_file(task, file);
	return 0;
}

/* Before 5.11: what storage in the socket would forget by itself. */
static __always_inline int nw_forget_owner(struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&shared_socket_table, &key);
	return 0;
}

/* Who owns a socket, as far as it is known. */
static __always_inline void nw_fill_owner(struct nw_task *task, struct sock *sk)
{
	struct nw_socket *s = nw_socket_find(sk);

	if (!s)
		return;
	nw_adopt_owner(s, (__u64)sk);
	if (s->owner_source != NW_OWNER_NONE)
		*task = s->task;
}

#endif /* NW_OWNERS_BPF_H */

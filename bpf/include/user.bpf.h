/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose a connection is: the process that has read from it or written to it
 * last. Until one has, the process that connected or accepted it, else one that
 * has it open. So a worker that is forked after accept() owns what it serves,
 * whenever netwatch was started. A kernel thread owns nothing.
 *
 *   NONE      nothing is known                      nw_socket_begin()
 *   LISTENER  a child of a listener, not accepted   nw_socket_begin()
 *   FILE      open when netwatch started, or        nw_hold(),
 *             closed by it                          nw_note_closer()
 *   CONNECT   connect(), listen()                   nw_begin_owner()
 *   ACCEPT    accept() has returned it              nw_adopt_owner()
 *   USER      it has sent or received data          nw_take_over()
 *
 * From above to below, and from one USER to the next; connect() begins anew.
 * Who accepted stays with the owner (`accepted_by`).
 */
#ifndef NW_USER_BPF_H
#define NW_USER_BPF_H

#include "probe.bpf.h"

/* What a process that reads or writes is to a connection. */
enum nw_use {
	NW_USE_NONE = 0, /* nothing new */
	NW_USE_FIRST = 1, /* the first that is known since it was accepted */
	NW_USE_HANDOVER = 2, /* another one than before */
};

/* True of the process that runs: by its pid and, where that is cheap, its start. */
static __always_inline bool nw_is_current(const struct nw_task *task)
{
	return task->pid == bpf_get_current_pid_tgid() >> 32 &&
	       (!nw_has_task_btf() || task->start_ns == nw_current_start_ns());
}

/*
 * The process that runs owns the connection from now on. One that did so before
 * keeps the name that it had then, also through an exec().
 */
static __always_inline __u32 nw_own(struct nw_socket *s, __u8 source)
{
	__u32 accepted_by = s->owner.accepted_by, pid = s->owner.task.pid;
	__u8 before = s->owner_source;

	if (before > NW_OWNER_LISTENER && nw_is_current(&s->owner.task)) {
		s->owner_source = source;
		return NW_USE_NONE;
	}
	nw_current_owner(&s->owner);
	s->owner.accepted_by = before > NW_OWNER_LISTENER ? accepted_by : 0;
	s->owner_source = source;
	s->verdict = NW_VERDICT_NONE;
	if (before <= NW_OWNER_LISTENER && s->role == NW_ROLE_SERVER &&
	    s->open_ns)
		return NW_USE_FIRST;
	return pid == s->owner.task.pid ? NW_USE_NONE : NW_USE_HANDOVER;
}

/* RCV_SHUTDOWN | SEND_SHUTDOWN: what close() sets first. */
#define NW_SHUTDOWN_BOTH 3

/*
 * True where close() resets a connection in the process that calls it (data
 * unread, no lingering). Not where a reset arrives, which runs in nobody's
 * process, nor where an administrator ends it. A function of its own: older
 * verifiers lose sight of what its caller knows.
 */
static __noinline bool nw_is_reset_by_close(__u64 sock, int old_state,
					    int state)
{
	struct sock *sk = (struct sock *)sock;

	return state == TCP_CLOSE &&
	       (old_state == TCP_ESTABLISHED || old_state == TCP_CLOSE_WAIT) &&
	       BPF_CORE_READ(sk, sk_lock.owned) &&
	       BPF_CORE_READ(sk, sk_shutdown) == NW_SHUTDOWN_BOTH;
}

/* Who closes or shuts down a connection that nobody has used holds it. */
static __always_inline void nw_note_closer(struct nw_socket *s, struct sock *sk,
					   int old_state, int state)
{
	__u8 source = s->owner_source;

	if (source >= NW_OWNER_USER || !s->given_ms)
		return;
	if (state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK &&
	    !nw_is_reset_by_close((__u64)sk, old_state, state))
		return;
	if (nw_is_kernel_thread())
		return;
	nw_own(s, source > NW_OWNER_FILE ? source : NW_OWNER_FILE);
}

/* The socket of an MPTCP connection has been accepted: its subflows take that over at their next hooks. */
static __always_inline void nw_mptcp_accepted(__u64 key,
					      const struct nw_owner *owner)
{
	/* it has ended: nobody would take the entry away again */
	if (nw_probe_state(key) != TCP_CLOSE)
		nw_table_set(&shared_mptcp, &key, owner);
}

/* nw_own() for MPTCP. */
static __noinline void nw_own_mptcp(__u64 key)
{
	struct nw_owner *known = bpf_map_lookup_elem(&shared_mptcp, &key);
	struct nw_owner now = {};

	if (known && nw_is_current(&known->task))
		return;
	/* it has ended: nobody would take the entry away again */
	if (!known && nw_probe_state(key) == TCP_CLOSE)
		return;
	if (known)
		now = *known;
	nw_current_owner(&now);
	if (known)
		now.accepted_by = known->accepted_by;
	nw_table_set(&shared_mptcp, &key, &now);
}

/*
 * What is remembered of the connection that the current process has used, if
 * the process is new to it: nw_take_over() makes it its own.
 */
static __always_inline struct nw_socket *nw_new_user(struct sock *sk, int bytes)
{
	struct nw_socket *s;

	if (bytes <= 0)
		return NULL;
	s = nw_socket_find(sk);
	if (!s) {
		if (sk->sk_protocol == NW_IPPROTO_MPTCP &&
		    nw_netns_allowed(nw_sock_netns(sk)) &&
		    !nw_is_kernel_thread())
			nw_own_mptcp((__u64)sk);
		return NULL;
	}
	if (s->owner_source == NW_OWNER_USER && nw_is_current(&s->owner.task))
		return NULL;
	if (s->role == NW_ROLE_LISTENER || nw_is_kernel_thread())
		return NULL;
	nw_adopt_owner(s, sk);
	return s;
}

/* enum nw_use */
static __always_inline __u32 nw_take_over(struct nw_socket *s)
{
	return nw_own(s, NW_OWNER_USER);
}

/*
 * For kernels before 6.3: not where a soft interrupt takes the data, which holds
 * the socket's lock without owning it.
 */
static __always_inline struct nw_socket *nw_new_reader(struct sock *sk)
{
	return sk->sk_lock.owned ? nw_new_user(sk, 1) : NULL;
}

/*
 * `body`: of a socket and what nw_new_user() has found. What a look ahead
 * (MSG_PEEK) sees stays for another process.
 */
#define NW_USER_PROGRAMS(body)                                               \
	SEC("?tp_btf/sock_send_length")                                      \
	int BPF_PROG(user_sends, struct sock *sk, int bytes, int flags)      \
	{                                                                    \
		struct nw_socket *s = nw_new_user(sk, bytes);                \
		return s ? body(sk, s) : 0;                                  \
	}                                                                    \
	SEC("?tp_btf/sock_recv_length")                                      \
	int BPF_PROG(user_receives, struct sock *sk, int bytes, int flags)   \
	{                                                                    \
		struct nw_socket *s =                                        \
			flags & NW_MSG_PEEK ? NULL : nw_new_user(sk, bytes); \
		return s ? body(sk, s) : 0;                                  \
	}                                                                    \
	SEC("?tp_btf/tcp_rcv_space_adjust")                                  \
	int BPF_PROG(user_reads, struct sock *sk)                            \
	{                                                                    \
		struct nw_socket *s = nw_new_reader(sk);                     \
		return s ? body(sk, s) : 0;                                  \
	}

#endif /* NW_USER_BPF_H */

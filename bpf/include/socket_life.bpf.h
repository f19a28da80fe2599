/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One life of a socket, the same for every source: how it begins, is used
 * again, is accepted and ends, and whose it is. A source asks here first and
 * adds what it is there for.
 *
 *   hook                     what it is                      body
 *   inet_sock_set_state      connect(), listen(), a child    nw_socket_turn()
 *                            of a listener, any other state
 *   sys_exit_accept{,4}      accept() has returned           nw_accepted_by()
 *   io_uring_complete        io_uring has accepted               the same, uring.bpf.h
 *   iter/task_file, once     who has it open already         nw_hold_file()
 *   sock_{send,recv}_length  who reads and writes it         nw_new_user(), user.bpf.h
 *   tcp_destroy_sock         before 5.11: forgets it         nw_socket_forget()
 *
 * A child of a listener begins as LISTEN -> SYN_RECV, however it came to be (the
 * last ACK, data with TCP_DEFER_ACCEPT, fast open, a SYN cookie), on a copy of
 * the listener's storage. SYN_SENT -> SYN_RECV is a simultaneous open: both ends
 * are clients. connect() on a socket that has been one (AF_UNSPEC in between)
 * begins anew. A socket that is being repaired (TCP_REPAIR) has no life: nothing
 * it says has happened.
 */
#ifndef NW_SOCKET_LIFE_BPF_H
#define NW_SOCKET_LIFE_BPF_H

#include "descriptor.bpf.h"
#include "uring.bpf.h"
#include "user.bpf.h"

/* What a change of state is to a socket. */
enum nw_turn_kind {
	NW_TURN_NONE = 0, /* not watched, or no memory to remember it */
	NW_TURN_BEGIN =
		1, /* connect() or listen(), in the process that calls */
	NW_TURN_CHILD = 2, /* made by a listener; its ports are not set yet */
	NW_TURN_STATE = 3, /* from one state to another */
};

struct nw_turn {
	struct tcp_sock *tp;
	struct nw_socket *s;
	__u64 now_ns;
	__u64 since_ns; /* when it entered the state it leaves; 0 = not seen */
	__u32 subflow; /* enum nw_subflow */
};

static __always_inline void nw_socket_begin(struct nw_socket *s, __u64 now_ns,
					    __u8 role, __u8 owner_source)
{
	s->open_ns = now_ns;
	s->state_ns = now_ns;
	s->handshake_ns = 0;
	s->given_ms = 0;
	__builtin_memset(s->retransmits, 0, sizeof(s->retransmits));
	s->retrans_known = 0;
	s->loss_cause = 0;
	s->role = role;
	s->owner.accepted_by = 0;
	s->owner_source = owner_source;
	s->verdict = NW_VERDICT_NONE;
	s->uncounted = 0;
}

/* connect() or listen(), of which the kernel calls the former for MPTCP too. */
static __always_inline void nw_begin_owner(struct nw_turn *t, struct sock *sk)
{
	struct nw_socket *s = t->s;
	__u64 key;

	if (nw_is_kernel_thread()) {
		__builtin_memset(&s->owner, 0, sizeof(s->owner));
		s->owner_source = NW_OWNER_NONE;
		nw_adopt_owner(s, sk);
		return;
	}
	nw_current_owner(&s->owner);
	key = nw_mptcp_of((__u64)sk);
	if (key)
		nw_table_set(&shared_mptcp, &key, &s->owner);
}

/* An MPTCP connection begins where another had its socket. */
static __noinline void nw_forget_mptcp(__u64 sock)
{
	__u64 key = nw_mptcp_of(sock);

	bpf_map_delete_elem(&shared_mptcp, &key);
}

/* A connection's own subflows are fewer. */
#define NW_MPTCP_SUBFLOWS 16

/*
 * The socket of an MPTCP connection closes: its subflows, which close later,
 * still ask whose it was. Where none is left nobody will.
 */
static __noinline void nw_mptcp_closes(__u64 sock)
{
	struct mptcp_sock *msk = (struct mptcp_sock *)sock;
	struct mptcp_subflow_context *subflow;
	struct list_head *node;

	if (!nw_has_mptcp())
		return;
	node = BPF_CORE_READ(msk, conn_list.next);
	for (int i = 0; i < NW_MPTCP_SUBFLOWS; i++) {
		if ((__u64)node == sock + bpf_core_field_offset(msk->conn_list))
			break;
		subflow = (void *)node - bpf_core_field_offset(subflow->node);
		if (nw_probe_state((__u64)BPF_CORE_READ(subflow, tcp_sock)) !=
		    TCP_CLOSE)
			return;
		node = BPF_CORE_READ(node, next);
	}
	bpf_map_delete_elem(&shared_mptcp, &sock);
}

/* A subflow of a connection that has closed before. */
static __noinline void nw_subflow_closes(__u64 sock)
{
	__u64 key = nw_mptcp_of(sock);

	if (key && nw_probe_state(key) == TCP_CLOSE)
		bpf_map_delete_elem(&shared_mptcp, &key);
}

/* What tables have of a socket that closes, by its address. */
static __always_inline void nw_socket_closes(const struct nw_turn *t,
					     struct sock *sk)
{
	__u64 key = (__u64)sk;

	if (!t->tp) {
		if (sk->sk_protocol == NW_IPPROTO_MPTCP)
			nw_mptcp_closes(key);
		return;
	}
	if (!t->s || t->s->role != NW_ROLE_CLIENT)
		bpf_map_delete_elem(&shared_accepted, &key);
	if (t->subflow)
		nw_subflow_closes(key);
}

/* enum nw_turn_kind */
static __always_inline __u32 nw_turn(struct nw_turn *t, struct sock *sk,
				     int old_state, int state)
{
	__u64 key = (__u64)sk;

	t->s = NULL;
	t->subflow = NW_SUBFLOW_NONE;
	t->tp = nw_watched(sk);
	if (!t->tp || BPF_CORE_READ_BITFIELD(t->tp, repair))
		return NW_TURN_NONE;
	t->s = nw_socket_make(sk);
	if (!t->s)
		return NW_TURN_NONE;
	t->subflow = nw_subflow_kind(t->tp);
	t->now_ns = bpf_ktime_get_ns();
	t->since_ns = 0;
	if (state == TCP_SYN_SENT || state == TCP_LISTEN) {
		nw_socket_begin(t->s, t->now_ns,
				state == TCP_LISTEN ? NW_ROLE_LISTENER :
						      NW_ROLE_CLIENT,
				NW_OWNER_CONNECT);
		nw_begin_owner(t, sk);
		return NW_TURN_BEGIN;
	}
	if (state == TCP_SYN_RECV && old_state == TCP_LISTEN) {
		/* told of a socket that had this address before */
		bpf_map_delete_elem(&shared_accepted, &key);
		nw_socket_begin(t->s, t->now_ns, NW_ROLE_SERVER,
				t->s->owner.task.pid ? NW_OWNER_LISTENER :
						       NW_OWNER_NONE);
		return NW_TURN_CHILD;
	}
	t->since_ns = t->s->state_ns;
	t->s->state_ns = state == TCP_CLOSE ? 0 : t->now_ns;
	if (state == TCP_ESTABLISHED && t->s->open_ns)
		t->s->handshake_ns = t->now_ns - t->s->open_ns;
	if (old_state == TCP_SYN_RECV && t->subflow == NW_SUBFLOW_FIRST &&
	    t->s->role == NW_ROLE_SERVER)
		nw_forget_mptcp(key);
	if (t->subflow)
		nw_adopt_mptcp(t->s, key);
	nw_adopt_accepted(t->s, key);
	if (nw_plain(sk)->sk_socket && !t->s->given_ms)
		t->s->given_ms = nw_clock_ms(t->now_ns);
	nw_note_closer(t->s, sk, old_state, state);
	return NW_TURN_STATE;
}

/* The body of inet_sock_set_state: enum nw_turn_kind. */
static __always_inline __u32 nw_socket_turn(struct nw_turn *t, struct sock *sk,
					    int old_state, int state)
{
	__u32 kind = nw_turn(t, sk, old_state, state);

	if (state == TCP_CLOSE)
		nw_socket_closes(t, sk);
	return kind;
}

/* True of the end that called connect(), also if both did. */
static __always_inline bool nw_is_client(const struct nw_socket *s,
					 int old_state)
{
	/* begun before netwatch: SYN_SENT is a client's */
	return s->role == NW_ROLE_CLIENT ||
	       (s->role == NW_ROLE_UNKNOWN && old_state == TCP_SYN_SENT);
}

/* Noted for the hook that can reach the socket's storage. */
static __always_inline void nw_note_acceptor(struct sock *sk,
					     const struct nw_owner *owner)
{
	__u64 key = (__u64)sk;

	/* reset before it was accepted: no hook will take it over any more */
	if (nw_probe_state(key) == TCP_CLOSE ||
	    !nw_table_set(&shared_accepted, &key, owner))
		return;
	/* its last hook may have run between the two looks */
	if (nw_probe_state(key) == TCP_CLOSE)
		bpf_map_delete_elem(&shared_accepted, &key);
}

/*
 * accept() has returned a descriptor to the current process: its socket, NULL
 * if it is none that is watched; to be read field by field. `noted`: `owner` is
 * told to all sources, which a source does that sees sockets close.
 */
static __always_inline struct sock *nw_accepted_by(struct nw_owner *owner,
						   long fd, bool noted)
{
	struct sock *own = nw_sock_of_fd(fd);
	struct sock *sk = own ? nw_tcp_of(own) : NULL;

	if (!sk || !nw_netns_allowed(nw_probe_netns(sk)))
		return NULL;
	nw_current_owner(owner);
	nw_accepts(owner);
	if (noted && own != sk)
		nw_mptcp_accepted((__u64)own, owner);
	if (noted)
		nw_note_acceptor(sk, owner);
	return sk;
}

#define NW_ACCEPT_PROGRAMS(body)                                   \
	SEC("?tracepoint/syscalls/sys_exit_accept")                \
	int sys_exit_accept(struct trace_event_raw_sys_exit *ctx)  \
	{                                                          \
		return body(ctx->ret);                             \
	}                                                          \
	SEC("?tracepoint/syscalls/sys_exit_accept4")               \
	int sys_exit_accept4(struct trace_event_raw_sys_exit *ctx) \
	{                                                          \
		return body(ctx->ret);                             \
	}                                                          \
	NW_RING_PROGRAMS(body)

static __always_inline void nw_hold(struct nw_socket *s,
				    struct task_struct *task, __u8 state)
{
	if (!s || s->owner_source != NW_OWNER_NONE)
		return;
	nw_owner_of(&s->owner, task);
	s->owner_source = NW_OWNER_FILE;
	s->verdict = NW_VERDICT_NONE;
	if (state == TCP_LISTEN)
		s->role = NW_ROLE_LISTENER;
}

/*
 * The address of the kernel's socket_file_ops where bpf_sock_from_file is missing;
 * else 0. No __ksym: libbpf would read all of /proc/kallsyms at every start, also
 * where this is ruled out (60 ms of 174).
 */
const volatile __u64 nw_socket_file_ops = 0;

/* The same where bpf_sock_from_file is missing: field by field. */
static __always_inline void nw_hold_unchecked(struct task_struct *task,
					      struct file *file)
{
	struct socket *socket;
	struct sock *sk;

	if ((__u64)file->f_op != nw_socket_file_ops)
		return;
	socket = file->private_data;
	sk = BPF_CORE_READ(socket, sk);
	sk = sk ? nw_tcp_of(sk) : NULL;
	if (sk && nw_netns_allowed(nw_probe_netns(sk)))
		nw_hold(nw_socket_by_address((__u64)sk), task,
			BPF_CORE_READ(sk, __sk_common.skc_state));
}

/* MPTCP's: its subflows, which have no file, find it by their socket. */
static __always_inline void nw_hold_mptcp(struct task_struct *task,
					  struct sock *sk)
{
	struct nw_owner known = {};
	__u64 key = (__u64)sk;

	if (nw_probe_state(key) == TCP_CLOSE)
		return;
	nw_owner_of(&known, task);
	nw_table_add(&shared_mptcp, &key, &known);
}

/* The body of iter/task_file: notes the holder of a TCP socket in it. */
static __always_inline int nw_hold_file(struct bpf_iter__task_file *ctx)
{
	/* read once: older verifiers do not know that a second read is not NULL either */
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	if (!nw_has_socket_storage()) {
		nw_hold_unchecked(task, file);
		return 0;
	}
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	if (!nw_netns_allowed(nw_sock_netns(sk)))
		return 0;
	if (bpf_skc_to_tcp_sock(sk))
		nw_hold(nw_socket_make(sk), task, sk->__sk_common.skc_state);
	else if (nw_is_mptcp(sk))
		nw_hold_mptcp(task, sk);
	return 0;
}

/* Before 5.11: what storage in the socket would forget by itself. */
static __always_inline int nw_socket_forget(struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&shared_socket_table, &key);
	return 0;
}

#define NW_FORGET_PROGRAM                            \
	SEC("?tp_btf/tcp_destroy_sock")              \
	int BPF_PROG(forget_socket, struct sock *sk) \
	{                                            \
		return nw_socket_forget(sk);         \
	}

/* Once, at start. */
#define NW_HOLDER_PROGRAM                              \
	SEC("?iter/task_file")                         \
	int task_file(struct bpf_iter__task_file *ctx) \
	{                                              \
		return nw_hold_file(ctx);              \
	}

static __always_inline int nw_note_accepted(long fd)
{
	struct nw_owner owner = {};

	nw_accepted_by(&owner, fd, true);
	return 0;
}

static __always_inline int nw_note_used(struct sock *sk, struct nw_socket *s)
{
	nw_take_over(s);
	return 0;
}

/* For sources that only want to know whose a socket is. */
#define NW_OWNER_PROGRAMS                    \
	NW_ACCEPT_PROGRAMS(nw_note_accepted) \
	NW_USER_PROGRAMS(nw_note_used)       \
	NW_HOLDER_PROGRAM                    \
	NW_FORGET_PROGRAM

#endif /* NW_SOCKET_LIFE_BPF_H */

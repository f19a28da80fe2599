/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes as owners of sockets: what is remembered of one, the one that runs,
 * and what is told by the address of a socket where its storage is out of reach.
 */
#ifndef NW_OWNER_BPF_H
#define NW_OWNER_BPF_H

#include "filter.bpf.h"
#include "storage.bpf.h"

/* Whether a process is in the cgroup that the filter names. */
enum nw_inside {
	NW_INSIDE_UNKNOWN = 0,
	NW_INSIDE = 1,
	NW_OUTSIDE = 2,
};

struct nw_owner {
	struct nw_task task;
	__u32 inside; /* enum nw_inside */
	__u32 accepted_by; /* pid; 0 = not known, or nobody had to */
	nw_comm_t accepted_by_comm; /* if accepted_by */
};

/*
 * Who accepted a socket, by the socket's address: the syscall tracepoint that
 * knows the process cannot reach socket storage. Taken over at the next hook
 * that can; leaves with the connection.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct nw_owner);
} shared_accepted SEC(".maps");

/*
 * Whose an MPTCP connection is, by the address of the socket that the process
 * has: the kernel makes and ends its subflows, each a TCP socket, by itself.
 * Leaves when the connection has ended and its subflows begin to.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct nw_owner);
} shared_mptcp SEC(".maps");

#define NW_PF_KTHREAD 0x00200000

/* A subflow's owner is that of the whole MPTCP connection. */
enum nw_subflow {
	NW_SUBFLOW_NONE = 0, /* plain TCP */
	NW_SUBFLOW_FIRST = 1,
	NW_SUBFLOW_JOINED = 2, /* made by the kernel, not by a process */
};

static __always_inline struct mptcp_subflow_context *nw_subflow_of(__u64 sock)
{
	struct inet_connection_sock *icsk = (void *)sock;

	return BPF_CORE_READ(icsk, icsk_ulp_data);
}

static __always_inline bool nw_has_mptcp(void)
{
	struct tcp_sock *tp = NULL;

	return bpf_core_type_exists(struct mptcp_subflow_context) &&
	       bpf_core_field_exists(tp->is_mptcp);
}

/* Of a subflow: whether the kernel has made it by itself, 1 or 0. */
static __noinline __u32 nw_subflow_joins(__u64 sock)
{
	struct mptcp_subflow_context *subflow = nw_subflow_of(sock);

	return BPF_CORE_READ_BITFIELD_PROBED(subflow, request_join) |
	       BPF_CORE_READ_BITFIELD_PROBED(subflow, mp_join);
}

/* enum nw_subflow; plain TCP, which nearly all is, costs one load. */
static __always_inline __u32 nw_subflow_kind(struct tcp_sock *tp)
{
	if (!nw_has_mptcp() || !(tp->is_mptcp & 1))
		return NW_SUBFLOW_NONE;
	return nw_subflow_joins((__u64)tp) ? NW_SUBFLOW_JOINED :
					     NW_SUBFLOW_FIRST;
}

/* The address of the socket that a subflow belongs to; 0 = it is none. */
static __always_inline __u64 nw_mptcp_of(__u64 sock)
{
	struct tcp_sock *tp = (struct tcp_sock *)sock;
	struct mptcp_subflow_context *subflow;

	if (!nw_has_mptcp() || !(nw_read(tp, is_mptcp) & 1))
		return 0;
	subflow = nw_subflow_of(sock);
	return (__u64)nw_read(subflow, conn);
}

/* True of a subflow that the kernel has made by itself, by its address. */
static __always_inline bool nw_is_joined(__u64 sock)
{
	return nw_mptcp_of(sock) && nw_subflow_joins(sock);
}

/* The kernel's TCP_… state of the socket at this address. */
static __always_inline __u8 nw_probe_state(__u64 sock)
{
	struct sock *sk = (struct sock *)sock;

	return nw_read(sk, __sk_common.skc_state);
}

/*
 * The pid of the process that accepted it, if that is not its owner; else 0.
 * Without a branch, as nw_subflow_kind().
 */
static __always_inline __u32 nw_acceptor_of(const struct nw_owner *owner)
{
	__u32 other = owner->accepted_by ^ owner->task.pid;

	other = (other | -other) >> 31;
	barrier_var(other);
	return owner->accepted_by & -other;
}

/* Fills what a record has of the acceptor. */
#define nw_fill_acceptor(record, owner)                               \
	do {                                                          \
		(record)->accepted_by = nw_acceptor_of(owner);        \
		__builtin_memcpy((record)->accepted_by_comm,          \
				 (owner)->accepted_by_comm,           \
				 sizeof((record)->accepted_by_comm)); \
	} while (0)

/* The process that `owner` is of accepts. */
static __always_inline void nw_accepts(struct nw_owner *owner)
{
	owner->accepted_by = owner->task.pid;
	__builtin_memcpy(owner->accepted_by_comm, owner->task.comm,
			 sizeof(owner->accepted_by_comm));
}

static __always_inline void nw_task_of(struct nw_task *to,
				       struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	to->pid = task->tgid;
	to->start_ns = leader->start_boottime;
	to->uid = task->cred->uid.val;
	to->cgroup = task->cgroups->dfl_cgrp->kn->id;
	__builtin_memcpy(to->comm, leader->comm, sizeof(to->comm));
}

/* Since 5.11 the current task can be read without a call per field. */
static __always_inline bool nw_has_task_btf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id,
					  BPF_FUNC_get_current_task_btf);
}

/*
 * What the process that runs has, a value a call. Global functions: the verifier
 * walks those once, what is inlined once per use and path, and the pointers that
 * they read are dear to it, see nw_plain().
 */
__noinline __u64 nw_current_start_ns(void)
{
	struct task_struct *task;

	if (nw_has_task_btf()) {
		task = bpf_get_current_task_btf();
		return task->group_leader->start_boottime;
	}
	task = (struct task_struct *)bpf_get_current_task();
	return BPF_CORE_READ(task, group_leader, start_boottime);
}

/* Half of the process's name: 0 or 1. A thread may carry one of its own. */
__noinline __u64 nw_half_comm(__u32 half)
{
	struct task_struct *task;
	__u64 comm[2];

	if (nw_has_task_btf()) {
		task = bpf_get_current_task_btf();
		__builtin_memcpy(comm, task->group_leader->comm, sizeof(comm));
	} else {
		task = (struct task_struct *)bpf_get_current_task();
		BPF_CORE_READ_STR_INTO(&comm, task, group_leader, comm);
	}
	return half ? comm[1] : comm[0];
}

static __always_inline void nw_current_comm(__u8 *to)
{
	__u64 comm[2] = {nw_half_comm(0), nw_half_comm(1)};

	__builtin_memcpy(to, comm, sizeof(comm));
}

static __always_inline void nw_current_task(struct nw_task *to)
{
	to->pid = bpf_get_current_pid_tgid() >> 32;
	to->start_ns = nw_current_start_ns();
	to->uid = (__u32)bpf_get_current_uid_gid();
	to->cgroup = bpf_get_current_cgroup_id();
	nw_current_comm(to->comm);
}

/* The same, and whether the cgroup that the filter asks for holds it. */
static __always_inline void nw_fill_inside(struct nw_owner *to,
					   struct task_struct *task)
{
	struct cgroup *cgroup;

	to->inside = NW_INSIDE_UNKNOWN;
	to->accepted_by = 0;
	if (!nw_cgroup_filtered())
		return;
	cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	to->inside = nw_cgroup_inside(cgroup) ? NW_INSIDE : NW_OUTSIDE;
}

static __always_inline void nw_owner_of(struct nw_owner *to,
					struct task_struct *task)
{
	nw_task_of(&to->task, task);
	nw_fill_inside(to, task);
}

static __always_inline void nw_current_owner(struct nw_owner *to)
{
	nw_current_task(&to->task);
	nw_fill_inside(to, (struct task_struct *)bpf_get_current_task());
}

/* Work that the kernel does by itself, in nobody's name. */
static __always_inline bool nw_is_kernel_thread(void)
{
	struct task_struct *task;

	if (nw_has_task_btf())
		return bpf_get_current_task_btf()->flags & NW_PF_KTHREAD;
	task = (struct task_struct *)bpf_get_current_task();
	return BPF_CORE_READ(task, flags) & NW_PF_KTHREAD;
}

#endif /* NW_OWNER_BPF_H */

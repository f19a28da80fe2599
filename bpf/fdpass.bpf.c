// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * fdpass: open files that processes pass to each other through unix sockets
 * (SCM_RIGHTS).
 *
 * Traces  the entry to and the return from sendmsg(), recvmsg(), sendmmsg()
 *         and recvmmsg(). The control message is read out of the process's
 *         memory when the call returns: then the kernel has read or written it.
 * Emits   nw_fd_pass per descriptor of a call that succeeded.
 * Cost    a look at the descriptor for each of these calls; for those on unix
 *         sockets also one at the message, 1.5 us in all.
 */
#include "descriptor.bpf.h"
#include "ring.bpf.h"
#include "socket.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_UNIX 1
#define NW_SOL_SOCKET 1
#define NW_SCM_RIGHTS 1
#define NW_MAX_DESCRIPTORS 253 /* SCM_MAX_FD: the kernel takes no more */
#define NW_MAX_CONTROLS 254 /* one for each of them, and credentials */
#define NW_MAX_MESSAGES 1024 /* UIO_MAXIOV: the kernel takes no more */
/*
 * Messages, control messages and descriptors that are looked at in one call,
 * all together: eight full messages, about 2 ms. The call's memory is the
 * process's own, which may say what it likes by now.
 */
#define NW_MAX_STEPS 2048
#define NW_NAME_LEN 256

enum nw_fd_action {
	NW_FD_SEND = 0,
	NW_FD_RECV = 1,
};

struct nw_fd_pass {
	struct nw_head head; /* sock: the unix socket */
	struct nw_task task;
	__u64 socket_inode;
	__u64 inode; /* of the file that is passed; 0 = it is closed already */
	__u32 tid;
	__u32 socket_fd;
	__u32 fd; /* as the process of this record numbers it */
	__u32 mode; /* of the file */
	nw_comm_t thread_comm;
	__u8 name[NW_NAME_LEN]; /* last part of the file's path, with its NUL */
	__u8 action; /* enum nw_fd_action */
	__u8 pad[7];
};

NW_RECORD(nw_fd_pass);
NW_ENUM(nw_fd_action);

/* Threads; none = any. */
const volatile __u32 nw_tid_count = 0;
const volatile __u32 nw_tids[NW_FILTER_MAX] = {};

/* The process's own structs, of 64-bit processes. */
struct nw_user_message {
	__u64 name;
	__u64 name_length;
	__u64 vector;
	__u64 vector_length;
	__u64 control;
	__u64 control_length;
	__u64 flags;
};

struct nw_user_messages {
	struct nw_user_message message;
	__u64 length;
};

struct nw_user_control {
	__u64 length; /* this header included */
	__u32 level;
	__u32 type;
};

struct nw_fd_call {
	__u64 message; /* in the process's memory */
	__u64 sock;
	__u64 socket_inode;
	__u32 netns;
	__u32 fd;
	__u32 action;
	__u32 steps; /* NW_MAX_STEPS and more: nothing is looked at any more */
};

/* Calls on unix sockets that have not returned, by pid and tid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct nw_fd_call);
} fd_calls SEC(".maps");

static __always_inline struct nw_fd_call *nw_current_call(void)
{
	__u64 caller = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&fd_calls, &caller);
}

static __always_inline bool nw_fd_call_allowed(struct sock *sk, __u32 netns,
					       __u64 caller)
{
	struct nw_owner owner = {};

	if (!nw_netns_allowed(netns) ||
	    !nw_any_u32(nw_tids, nw_tid_count, caller))
		return false;
	if (!nw_owner_filtered())
		return true;
	nw_current_owner(&owner);
	return nw_owner_allowed(&owner, sk);
}

static __always_inline int nw_call_begins(struct trace_event_raw_sys_enter *ctx,
					  __u32 action)
{
	__u64 caller = bpf_get_current_pid_tgid();
	struct file *file = nw_file_of(ctx->args[0]);
	struct nw_fd_call call = {
		.message = ctx->args[1],
		.fd = ctx->args[0],
		.action = action,
	};
	struct sock *sk = nw_sock_of(file);

	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX)
		return 0;
	call.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (!nw_fd_call_allowed(sk, call.netns, caller))
		return 0;
	call.sock = (__u64)sk;
	call.socket_inode = BPF_CORE_READ(file, f_inode, i_ino);
	if (bpf_map_update_elem(&fd_calls, &caller, &call, BPF_ANY))
		nw_lose_record();
	return 0;
}

static __always_inline void nw_fill_file(struct nw_fd_pass *e,
					 struct file *file)
{
	const unsigned char *name;

	name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	e->inode = BPF_CORE_READ(file, f_inode, i_ino);
	e->mode = BPF_CORE_READ(file, f_inode, i_mode);
	bpf_probe_read_kernel_str(e->name, sizeof(e->name), name);
}

/*
 * The functions that are not inlined are global: the verifier looks at each
 * once, not once for each way to it.
 */

/* Descriptors, or messages with an unknown number of them, are not told of. */
__noinline int nw_leave_out(__u32 count)
{
	for (int i = 0; i < NW_MAX_MESSAGES; i++) {
		if (i >= count)
			break;
		nw_lose_record();
	}
	return 0;
}

/* The call that runs, if it may take one step more; NULL if not. */
static __always_inline struct nw_fd_call *nw_step(void)
{
	struct nw_fd_call *call = nw_current_call();

	if (!call || call->steps >= NW_MAX_STEPS)
		return NULL;
	call->steps++;
	return call;
}

/* One descriptor of a control message; 1 if there is no step left for it. */
__noinline int nw_passed(__u32 fd)
{
	struct nw_fd_call *call = nw_step();
	struct nw_fd_pass *e;

	if (!call)
		return 1;
	e = nw_reserve(sizeof(*e));
	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e));
	e->head.ts_ns = bpf_ktime_get_ns();
	e->head.sock = call->sock;
	e->head.kind = NW_KIND_FD_PASS;
	e->head.netns = call->netns;
	nw_current_task(&e->task);
	bpf_get_current_comm(e->thread_comm, sizeof(e->thread_comm));
	e->tid = bpf_get_current_pid_tgid();
	e->socket_fd = call->fd;
	e->socket_inode = call->socket_inode;
	e->action = call->action;
	e->fd = fd;
	nw_fill_file(e, nw_file_of(fd));
	nw_submit(e);
	return 0;
}

__noinline int nw_read_rights(__u64 numbers, __u32 count)
{
	if (count > NW_MAX_DESCRIPTORS)
		count = NW_MAX_DESCRIPTORS;
	for (int i = 0; i < NW_MAX_DESCRIPTORS; i++) {
		__u32 fd;

		if (i >= count)
			break;
		if (bpf_probe_read_user(&fd, sizeof(fd),
					(void *)(numbers + i * sizeof(fd))) ||
		    nw_passed(fd)) {
			nw_leave_out(count - i);
			break;
		}
	}
	return 0;
}

/* 1 if it is not looked at to its end. */
__noinline int nw_read_message(__u64 message)
{
	struct nw_user_message m = {};
	__u64 at, end;

	if (!nw_step() || bpf_probe_read_user(&m, sizeof(m), (void *)message))
		return 1;
	at = m.control;
	end = m.control + m.control_length;
	for (int i = 0; i < NW_MAX_CONTROLS; i++) {
		struct nw_user_control c = {};

		if (at + sizeof(c) > end)
			return 0;
		if (!nw_step() ||
		    bpf_probe_read_user(&c, sizeof(c), (void *)at))
			return 1;
		if (c.length < sizeof(c) || c.length > end - at)
			return 0;
		if (c.level == NW_SOL_SOCKET && c.type == NW_SCM_RIGHTS)
			nw_read_rights(at + sizeof(c),
				       (c.length - sizeof(c)) / sizeof(__u32));
		at += (c.length + 7) & ~7ULL;
	}
	return at + sizeof(struct nw_user_control) <= end;
}

static __always_inline int nw_call_ends(long messages)
{
	__u64 caller = bpf_get_current_pid_tgid();
	struct nw_fd_call *call = nw_current_call();
	__u64 message;

	if (!call)
		return 0;
	message = call->message;
	for (int i = 0; i < NW_MAX_MESSAGES; i++) {
		if (i >= messages)
			break;
		if (nw_read_message(message +
				    i * sizeof(struct nw_user_messages)))
			nw_leave_out(1);
	}
	bpf_map_delete_elem(&fd_calls, &caller);
	return 0;
}

SEC("?tracepoint/syscalls/sys_enter_sendmsg")
int sys_enter_sendmsg(struct trace_event_raw_sys_enter *ctx)
{
	return nw_call_begins(ctx, NW_FD_SEND);
}

SEC("?tracepoint/syscalls/sys_exit_sendmsg")
int sys_exit_sendmsg(struct trace_event_raw_sys_exit *ctx)
{
	return nw_call_ends(ctx->ret < 0 ? 0 : 1);
}

SEC("?tracepoint/syscalls/sys_enter_recvmsg")
int sys_enter_recvmsg(struct trace_event_raw_sys_enter *ctx)
{
	return nw_call_begins(ctx, NW_FD_RECV);
}

SEC("?tracepoint/syscalls/sys_exit_recvmsg")
int sys_exit_recvmsg(struct trace_event_raw_sys_exit *ctx)
{
	return nw_call_ends(ctx->ret < 0 ? 0 : 1);
}

SEC("?tracepoint/syscalls/sys_enter_sendmmsg")
int sys_enter_sendmmsg(struct trace_event_raw_sys_enter *ctx)
{
	return nw_call_begins(ctx, NW_FD_SEND);
}

SEC("?tracepoint/syscalls/sys_exit_sendmmsg")
int sys_exit_sendmmsg(struct trace_event_raw_sys_exit *ctx)
{
	return nw_call_ends(ctx->ret);
}

SEC("?tracepoint/syscalls/sys_enter_recvmmsg")
int sys_enter_recvmmsg(struct trace_event_raw_sys_enter *ctx)
{
	return nw_call_begins(ctx, NW_FD_RECV);
}

SEC("?tracepoint/syscalls/sys_exit_recvmmsg")
int sys_exit_recvmmsg(struct trace_event_raw_sys_exit *ctx)
{
	return nw_call_ends(ctx->ret);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Data that leaves a socket without recvmsg(), for which the kernel has no
 * tracepoint with a socket: by splice() into a pipe, and by
 * getsockopt(TCP_ZEROCOPY_RECEIVE), which maps pages and copies the rest. The
 * call's begin knows the descriptor, its end the bytes.
 */
#ifndef NW_TAKEN_BPF_H
#define NW_TAKEN_BPF_H

#include "descriptor.bpf.h"

#define NW_TCP_ZEROCOPY_RECEIVE 35

struct nw_taking {
	__u64 option; /* where the option's value and its length are; 0 = splice() */
	__u64 option_bytes;
	__s32 fd;
	__u32 pad;
};

/* Calls that threads are in. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct nw_taking);
} taking SEC(".maps");

/* The kernel's struct tcp_zerocopy_receive, as far as it is needed. */
struct nw_zerocopy {
	__u64 address;
	__u32 mapped_bytes;
	__u32 skip_hint;
	__u32 inq;
	__s32 error;
	__u64 copy_address;
	__s32 copied_bytes; /* since 5.11 */
	__u32 pad;
};

#define NW_ZEROCOPY_WITH_COPY \
	(offsetof(struct nw_zerocopy, copied_bytes) + sizeof(__s32))

/* False if there is no room to remember the call. */
static __always_inline bool nw_taking_begins(const struct nw_taking *call)
{
	__u64 thread = bpf_get_current_pid_tgid();

	return !nw_tcp_of_fd(call->fd) ||
	       !bpf_map_update_elem(&taking, &thread, call, BPF_ANY);
}

static __always_inline bool
nw_splice_begins(struct trace_event_raw_sys_enter *ctx)
{
	struct nw_taking call = {.fd = ctx->args[0]};

	return nw_taking_begins(&call);
}

static __always_inline bool
nw_zerocopy_begins(struct trace_event_raw_sys_enter *ctx)
{
	struct nw_taking call = {.fd = ctx->args[0],
				 .option = ctx->args[3],
				 .option_bytes = ctx->args[4]};

	if (ctx->args[1] != NW_IPPROTO_TCP ||
	    ctx->args[2] != NW_TCP_ZEROCOPY_RECEIVE)
		return true;
	return nw_taking_begins(&call);
}

/* What the kernel has just written where the process reads it. */
static __always_inline __s64 nw_zerocopy_bytes(const struct nw_taking *call)
{
	struct nw_zerocopy answer = {};
	__u32 bytes = 0;

	if (bpf_probe_read_user(&bytes, sizeof(bytes),
				(void *)call->option_bytes) ||
	    bpf_probe_read_user(&answer,
				bytes < NW_ZEROCOPY_WITH_COPY ?
					offsetof(struct nw_zerocopy,
						 skip_hint) :
					sizeof(answer),
				(void *)call->option))
		return 0;
	return (__s64)answer.mapped_bytes +
	       (answer.copied_bytes > 0 ? answer.copied_bytes : 0);
}

/* The socket that the current call has taken `bytes` from; NULL if none. */
static __always_inline struct sock *nw_taking_ended(long result, __s64 *bytes)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct nw_taking *call = bpf_map_lookup_elem(&taking, &thread);
	struct sock *sk;

	if (!call)
		return NULL;
	*bytes = result;
	if (call->option)
		*bytes = result ? 0 : nw_zerocopy_bytes(call);
	sk = nw_tcp_of_fd(call->fd);
	bpf_map_delete_elem(&taking, &thread);
	return sk;
}

/* `body`: of a socket, or NULL, and bytes; `lost`: where a call is not seen. */
#define NW_TAKEN_PROGRAMS(body, lost)                                   \
	SEC("?tracepoint/syscalls/sys_enter_splice")                    \
	int sys_enter_splice(struct trace_event_raw_sys_enter *ctx)     \
	{                                                               \
		if (!nw_splice_begins(ctx))                             \
			lost();                                         \
		return 0;                                               \
	}                                                               \
	SEC("?tracepoint/syscalls/sys_enter_getsockopt")                \
	int sys_enter_getsockopt(struct trace_event_raw_sys_enter *ctx) \
	{                                                               \
		if (!nw_zerocopy_begins(ctx))                           \
			lost();                                         \
		return 0;                                               \
	}                                                               \
	SEC("?tracepoint/syscalls/sys_exit_splice")                     \
	int sys_exit_splice(struct trace_event_raw_sys_exit *ctx)       \
	{                                                               \
		__s64 bytes = 0;                                        \
		struct sock *sk = nw_taking_ended(ctx->ret, &bytes);    \
		return body(sk, bytes);                                 \
	}                                                               \
	SEC("?tracepoint/syscalls/sys_exit_getsockopt")                 \
	int sys_exit_getsockopt(struct trace_event_raw_sys_exit *ctx)   \
	{                                                               \
		__s64 bytes = 0;                                        \
		struct sock *sk = nw_taking_ended(ctx->ret, &bytes);    \
		return body(sk, bytes);                                 \
	}

#endif /* NW_TAKEN_BPF_H */

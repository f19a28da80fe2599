// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * listen: calls of listen() on TCP sockets, also those that fail and those on a
 * socket that listens already.
 *
 * Traces  syscalls:sys_enter_listen, syscalls:sys_exit_listen
 * Emits   nw_listen per call.
 * Cost    none on packets; about 1 us per call of listen().
 */
#include "descriptor.bpf.h"
#include "probe.bpf.h"
#include "ring.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct nw_listen {
	struct nw_head head;
	struct nw_task task;
	struct nw_tuple tuple; /* of the socket; it has no peer */
	__u32 backlog; /* as the kernel applies it */
	__u32 requested; /* as it was asked for */
	__u32 error; /* errno; 0 = it listens */
	__u32 pad;
};

NW_RECORD(nw_listen);

struct nw_listen_call {
	__u32 fd;
	__u32 backlog;
};

/* Calls that have not returned, by pid and tid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct nw_listen_call);
} listen_calls SEC(".maps");

/* MPTCP listens for TCP and speaks it with all who know nothing else. */
static __always_inline bool nw_listens_for_tcp(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	return (family == AF_INET || family == AF_INET6) &&
	       BPF_CORE_READ(sk, sk_type) == SOCK_STREAM &&
	       (protocol == NW_IPPROTO_TCP || protocol == NW_IPPROTO_MPTCP);
}

/* As __sys_listen() does before it asks the protocol. */
static __always_inline __u32 nw_applied_backlog(struct sock *sk, __u32 asked)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	__u32 most = BPF_CORE_READ(net, core.sysctl_somaxconn);

	return asked > most ? most : asked;
}

static __always_inline void nw_listened(const struct nw_listen_call *call,
					long result)
{
	struct nw_listen e = {}, *record;
	struct nw_owner owner = {};
	struct sock *sk = nw_sock_of(nw_file_of(call->fd));

	if (!sk || !nw_listens_for_tcp(sk))
		return;
	e.head.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (!nw_netns_allowed(e.head.netns))
		return;
	e.head.ts_ns = bpf_ktime_get_ns();
	e.head.sock = (__u64)sk;
	e.head.kind = NW_KIND_LISTEN;
	nw_current_owner(&owner);
	e.task = owner.task;
	nw_probe_tuple(&e.tuple, sk);
	e.backlog = nw_applied_backlog(sk, call->backlog);
	e.requested = call->backlog;
	e.error = -result;
	if (!nw_allowed(&e.tuple, &owner, sk))
		return;
	record = nw_reserve(sizeof(*record));
	if (!record)
		return;
	*record = e;
	nw_submit(record);
}

SEC("?tracepoint/syscalls/sys_enter_listen")
int sys_enter_listen(struct trace_event_raw_sys_enter *ctx)
{
	struct nw_listen_call call = {.fd = ctx->args[0],
				      .backlog = ctx->args[1]};
	__u64 caller = bpf_get_current_pid_tgid();

	if (bpf_map_update_elem(&listen_calls, &caller, &call, BPF_ANY))
		nw_lose_record();
	return 0;
}

SEC("?tracepoint/syscalls/sys_exit_listen")
int sys_exit_listen(struct trace_event_raw_sys_exit *ctx)
{
	__u64 caller = bpf_get_current_pid_tgid();
	struct nw_listen_call *call =
		bpf_map_lookup_elem(&listen_calls, &caller);

	if (!call)
		return 0;
	nw_listened(call, ctx->ret);
	bpf_map_delete_elem(&listen_calls, &caller);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bytes: what each process gives to a TCP connection and takes from it.
 *
 * Traces  sock_send_length, sock_recv_length; where these are missing (before
 *         6.3) the return from tcp_sendmsg(), tcp_sendpage() and tcp_recvmsg(),
 *         by fexit or, where that is refused, by kprobes; splice() out of a
 *         socket and TCP_ZEROCOPY_RECEIVE, which none of them sees.
 * Emits   nothing. Counts in `traffic`, a pair of maps that the reader swaps.
 * Cost    per call that sends or receives: two lookups and the reading of
 *         addresses and process, 110 ns; on other than TCP sockets two loads.
 */
#include "calls.bpf.h"
#include "pinned.bpf.h"
#include "swapped.bpf.h"
#include "taken.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Two processes with one connection are two keys, as are two names of one. */
struct nw_traffic_key {
	struct nw_tuple tuple;
	__u64 cgroup;
	__u32 pid;
	__u32 netns;
	nw_comm_t comm;
};

struct nw_traffic {
	__u64 sent;
	__u64 received;
};

NW_RECORD(nw_traffic_key);
NW_RECORD(nw_traffic);

NW_SWAPPED_MAP_AT_ONCE(traffic, struct nw_traffic_key, struct nw_traffic,
		       32768);

/* Adds what the current process has moved; key->tuple and key->netns are there. */
static __always_inline int nw_add(struct nw_traffic_key *key, struct sock *sk,
				  __u64 sent, __u64 received)
{
	struct nw_traffic none = {}, *moved;
	struct nw_owner owner = {};

	if (!nw_current_in_pinned_maps())
		return 0;
	nw_current_owner(&owner);
	if (!nw_allowed(&key->tuple, &owner, sk))
		return 0;
	key->cgroup = owner.task.cgroup;
	key->pid = owner.task.pid;
	__builtin_memcpy(key->comm, owner.task.comm, sizeof(key->comm));
	moved = nw_counted(&traffic, key, &none);
	if (!moved)
		return 0;
	if (sent)
		__sync_fetch_and_add(&moved->sent, sent);
	if (received)
		__sync_fetch_and_add(&moved->received, received);
	return 0;
}

/* By a hook that has to read the socket field by field; sk may be NULL. */
static __always_inline int nw_probe_bytes_moved(struct sock *sk, __s64 sent,
						__s64 received)
{
	struct nw_traffic_key key = {};

	if (!sk || (sent <= 0 && received <= 0))
		return 0;
	key.netns = nw_probe_netns(sk);
	if (!nw_netns_allowed(key.netns))
		return 0;
	nw_probe_tuple(&key.tuple, sk);
	return nw_add(&key, sk, sent, received);
}

static __always_inline int nw_bytes_moved(struct sock *sk, __s64 sent,
					  __s64 received)
{
	struct nw_traffic_key key = {};
	struct tcp_sock *tp;

	/* an error, or the end of the stream */
	if (sent <= 0 && received <= 0)
		return 0;
	key.netns = nw_sock_netns(sk);
	if (!nw_netns_allowed(key.netns))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		/* MPTCP's socket has the ends of its first subflow */
		return nw_is_mptcp(sk) ?
			       nw_probe_bytes_moved(sk, sent, received) :
			       0;
	nw_sock_tuple(tp, &key.tuple);
	return nw_add(&key, sk, sent, received);
}

/* A look ahead (MSG_PEEK) takes nothing. */
static __always_inline int nw_bytes_received(struct sock *sk, int bytes,
					     int flags)
{
	return flags & NW_MSG_PEEK ? 0 : nw_bytes_moved(sk, 0, bytes);
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int bytes, int flags)
{
	return nw_bytes_moved(sk, bytes, 0);
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int bytes, int flags)
{
	return nw_bytes_received(sk, bytes, flags);
}

SEC("?fexit/tcp_sendmsg")
int BPF_PROG(tcp_sendmsg, struct sock *sk, struct msghdr *msg, size_t size,
	     int bytes)
{
	return nw_bytes_moved(sk, bytes, 0);
}

/* sendfile(), until 6.5 made it use tcp_sendmsg() too. */
SEC("?fexit/tcp_sendpage")
int BPF_PROG(tcp_sendpage, struct sock *sk, struct page *page, int offset,
	     size_t size, int flags, int bytes)
{
	return nw_bytes_moved(sk, bytes, 0);
}

SEC("?fexit/tcp_recvmsg")
int BPF_PROG(tcp_recvmsg, struct sock *sk, struct msghdr *msg, size_t size,
	     int flags, int *address_bytes, int bytes)
{
	return nw_bytes_received(sk, bytes, flags);
}

/* Before 5.19 it had one more parameter. */
SEC("?fexit/tcp_recvmsg")
int BPF_PROG(tcp_recvmsg_noblock, struct sock *sk, struct msghdr *msg,
	     size_t size, int noblock, int flags, int *address_bytes, int bytes)
{
	return nw_bytes_received(sk, bytes, flags);
}

static __always_inline int nw_bytes_taken(struct sock *sk, __s64 bytes)
{
	return nw_probe_bytes_moved(sk, 0, bytes);
}

NW_TAKEN_PROGRAMS(nw_bytes_taken, nw_lose_count)

static __always_inline int nw_bytes_begin(struct sock *sk, bool is_wanted)
{
	if (!nw_call_begins(sk, is_wanted))
		nw_lose_count();
	return 0;
}

SEC("?kprobe/tcp_sendmsg")
int BPF_KPROBE(sendmsg_begin, struct sock *sk)
{
	return nw_bytes_begin(sk, true);
}

SEC("?kretprobe/tcp_sendmsg")
int BPF_KRETPROBE(sendmsg_end, int bytes)
{
	return nw_probe_bytes_moved(nw_call_ended(), bytes, 0);
}

SEC("?kprobe/tcp_sendpage")
int BPF_KPROBE(sendpage_begin, struct sock *sk)
{
	return nw_bytes_begin(sk, true);
}

SEC("?kretprobe/tcp_sendpage")
int BPF_KRETPROBE(sendpage_end, int bytes)
{
	return nw_probe_bytes_moved(nw_call_ended(), bytes, 0);
}

SEC("?kprobe/tcp_recvmsg")
int BPF_KPROBE(recvmsg_begin, struct sock *sk, struct msghdr *msg, size_t size,
	       int flags)
{
	return nw_bytes_begin(sk, !(flags & NW_MSG_PEEK));
}

SEC("?kprobe/tcp_recvmsg")
int BPF_KPROBE(recvmsg_begin_noblock, struct sock *sk, struct msghdr *msg,
	       size_t size, int noblock, int flags)
{
	return nw_bytes_begin(sk, !(flags & NW_MSG_PEEK));
}

SEC("?kretprobe/tcp_recvmsg")
int BPF_KRETPROBE(recvmsg_end, int bytes)
{
	return nw_probe_bytes_moved(nw_call_ended(), 0, bytes);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CONNECT, ACCEPT and CLOSE: how a connection begins and ends. */
#ifndef NW_INSIGHT_LIFE_BPF_H
#define NW_INSIGHT_LIFE_BPF_H

#include "owner.bpf.h"
#include "volume.bpf.h"
#include "insight/changes.bpf.h"

/*
 * When a socket that waits to be accepted was made, by its address: where
 * accept() returns, its storage is out of reach.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} insight_waiting SEC(".maps");

/* connect() or listen(): by the process that runs. */
static __always_inline void nw_begin_active(struct nw_socket *s,
					    struct nw_seen *seen, int state)
{
	nw_begin_socket(s, bpf_ktime_get_ns(),
			state == TCP_LISTEN ? NW_ROLE_LISTENER : NW_ROLE_CLIENT,
			NW_OWNER_CONNECT);
	nw_current_task(&s->task);
	nw_seen_begin(seen);
	if (state == TCP_LISTEN)
		return;
	seen->connecting = 1;
	seen->connect_tid = (__u32)bpf_get_current_pid_tgid();
}

/* A child of a listener: its storage is a copy of the listener's. */
static __always_inline void
nw_begin_passive(struct sock *sk, struct nw_socket *s, struct nw_seen *seen)
{
	__u64 key = (__u64)sk, now = bpf_ktime_get_ns();

	/* told of a socket that had this address before */
	bpf_map_delete_elem(&shared_accepted, &key);
	nw_begin_socket(s, now, NW_ROLE_SERVER,
			s->task.pid ? NW_OWNER_LISTENER : NW_OWNER_NONE);
	nw_seen_begin(seen);
	if (nw_wants(NW_EVENT_ACCEPT))
		bpf_map_update_elem(&insight_waiting, &key, &now, BPF_ANY);
}

/*
 * connect() gives a socket its state before its port, so CONNECT is told at the
 * next hook, with the time of connect(): when the handshake ends, or when the
 * SYN is sent again.
 */
static __always_inline void
nw_tell_connect(struct nw_insight *e, struct sock *sk, struct tcp_sock *tp,
		struct nw_socket *s, struct nw_seen *seen)
{
	if (!seen->connecting)
		return;
	seen->connecting = 0;
	if (!nw_wants(NW_EVENT_CONNECT))
		return;
	nw_clear(e);
	nw_fill(e, sk, tp, s);
	e->head.ts_ns = s->open_ns;
	e->age_ns = 0;
	e->srtt_us = 0;
	e->tid = seen->connect_tid;
	e->old_state = TCP_CLOSE;
	e->state = TCP_SYN_SENT;
	if (nw_insight_allowed(e, sk))
		nw_emit(e, NW_EVENT_CONNECT);
}

static __always_inline void nw_tell_close(struct nw_insight *e, struct sock *sk,
					  struct tcp_sock *tp,
					  struct nw_socket *s, int old_state)
{
	if (!nw_wants(NW_EVENT_CLOSE))
		return;
	nw_clear(e);
	nw_fill(e, sk, tp, s);
	e->state = TCP_CLOSE;
	e->old_state = old_state;
	e->error = sk->sk_err;
	nw_data_volume(sk, tp, s, old_state, &e->bytes_sent,
		       &e->bytes_received);
	e->bytes = e->bytes_sent + e->bytes_received;
	if (nw_insight_allowed(e, sk))
		nw_emit(e, NW_EVENT_CLOSE);
}

static __always_inline int nw_state_changed(struct sock *sk, int old_state,
					    int state)
{
	struct nw_insight e;
	struct nw_socket *s;
	struct nw_seen *seen;
	struct tcp_sock *tp;

	tp = nw_watched(sk);
	if (!tp)
		return 0;
	s = nw_socket_make(sk);
	seen = nw_seen_of(sk);
	if (!s || !seen)
		return 0;
	if (state == TCP_SYN_SENT || state == TCP_LISTEN) {
		nw_begin_active(s, seen, state);
		return 0;
	}
	if (state == TCP_SYN_RECV && old_state != TCP_SYN_SENT) {
		nw_begin_passive(sk, s, seen);
		return 0;
	}
	if (old_state == TCP_LISTEN || old_state == TCP_CLOSE)
		return 0;
	nw_adopt_owner(s, (__u64)sk);
	nw_tell_connect(&e, sk, tp, s, seen);
	/* before ESTABLISHED there is nothing to compare with */
	if (state == TCP_ESTABLISHED || old_state > TCP_SYN_RECV ||
	    old_state == TCP_ESTABLISHED)
		nw_tell_changes(&e, sk, tp, seen);
	if (state == TCP_CLOSE)
		nw_tell_close(&e, sk, tp, s, old_state);
	return 0;
}

/* The same values as nw_fill_values(), field by field. */
static __always_inline void nw_probe_values(struct nw_insight *e,
					    struct tcp_sock *tp)
{
	e->srtt_us = BPF_CORE_READ(tp, srtt_us);
	e->mdev_us = BPF_CORE_READ(tp, mdev_us);
	e->cwnd = BPF_CORE_READ(tp, snd_cwnd);
	e->ssthresh = BPF_CORE_READ(tp, snd_ssthresh);
	e->rcv_wnd = BPF_CORE_READ(tp, rcv_wnd);
	e->snd_wnd = BPF_CORE_READ(tp, snd_wnd);
	e->has_sock = 1;
}

/* accept() has returned a descriptor. */
static __always_inline int nw_accept_returned(long fd)
{
	struct nw_insight e = {};
	__u64 key, *made;
	struct sock *sk;

	if (fd < 0)
		return 0;
	sk = nw_sock_of_fd(fd);
	if (!sk || !nw_is_tcp(sk))
		return 0;
	e.head.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (!nw_netns_allowed(e.head.netns))
		return 0;
	nw_fill_current(&e);
	key = (__u64)sk;
	e.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	/* reset before it was accepted: no hook will take it over any more */
	if (e.state != TCP_CLOSE)
		bpf_map_update_elem(&shared_accepted, &key, &e.task, BPF_ANY);
	if (!nw_wants(NW_EVENT_ACCEPT))
		return 0;
	e.head.ts_ns = bpf_ktime_get_ns();
	e.head.sock = key;
	e.head.kind = NW_KIND_INSIGHT;
	e.age_ns = NW_UNKNOWN;
	made = bpf_map_lookup_elem(&insight_waiting, &key);
	if (made)
		e.age_ns = e.head.ts_ns - *made;
	bpf_map_delete_elem(&insight_waiting, &key);
	nw_probe_tuple(&e.tuple, sk);
	nw_probe_values(&e, (struct tcp_sock *)sk);
	if (nw_insight_allowed(&e, sk))
		nw_emit(&e, NW_EVENT_ACCEPT);
	return 0;
}

#endif /* NW_INSIGHT_LIFE_BPF_H */

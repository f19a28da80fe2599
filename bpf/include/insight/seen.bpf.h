/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was seen of a socket when we last looked, in its storage, and what has
 * changed since. The kernel has no hook for most of these changes, but looks at
 * a socket for every segment: a change is found at the next look, which is the
 * next segment, read, retransmission or change of state. All of them hold the
 * socket's lock.
 */
#ifndef NW_INSIGHT_SEEN_BPF_H
#define NW_INSIGHT_SEEN_BPF_H

#include "socket.bpf.h"
#include "insight/record.h"

enum nw_phase {
	NW_PHASE_NONE = 0,
	NW_PHASE_SLOW_START = 1,
	NW_PHASE_CONG_AVOID = 2,
};

struct nw_seen {
	__u32 cwnd;
	__u32 srtt_us;
	__u32 rcv_wnd;
	__u32 snd_wnd;
	__u32 connect_tid;
	__u8 known; /* looked at before, or from its beginning */
	__u8 connecting; /* CONNECT has not been told yet: its port was missing */
	__u8 phase;
	__u8 ca_state;
	__u8 timeouts; /* in a row, since timeout_una was acknowledged */
	__u8 pad[3];
	/* these three only where timeouts and recoveries are found by looking */
	__u32 timeout_una;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nw_seen);
} insight_seen SEC(".maps");

/* Before 5.11, as shared_socket_table. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct nw_seen);
} insight_seen_table SEC(".maps");

static __always_inline struct nw_seen *nw_seen_of(void *sk)
{
	struct nw_seen none = {};
	__u64 key = (__u64)sk;

	return nw_has_socket_storage() ?
		       nw_storage_make(&insight_seen, sk) :
		       nw_table_make(&insight_seen_table, &key, &none);
}

/* Slow start or congestion avoidance; as before while a loss is repaired. */
static __always_inline __u8 nw_phase(const struct nw_seen *seen,
				     struct tcp_sock *tp)
{
	if (nw_congestion_state(tp) != TCP_CA_Open)
		return seen->phase;
	return tp->snd_cwnd < tp->snd_ssthresh ? NW_PHASE_SLOW_START :
						 NW_PHASE_CONG_AVOID;
}

/*
 * Which events have happened since the last look: a mask. The old values go
 * into the record. An established socket that is looked at for the first time
 * shows where it starts; one that is older than netwatch is only noted.
 */
static __always_inline __u32 nw_look(struct nw_insight *e, struct nw_seen *seen,
				     struct tcp_sock *tp)
{
	__u32 changed = 0, cwnd = tp->snd_cwnd, srtt_us = tp->srtt_us;
	__u32 rcv_wnd = tp->rcv_wnd, snd_wnd = tp->snd_wnd;
	__u8 phase = nw_phase(seen, tp);

	e->old_cwnd = seen->cwnd;
	e->old_srtt_us = seen->srtt_us;
	e->old_rcv_wnd = seen->rcv_wnd;
	e->old_snd_wnd = seen->snd_wnd;
	if (seen->known) {
		if (cwnd != seen->cwnd && seen->cwnd)
			changed |= NW_BIT(NW_EVENT_CWND_CHANGE);
		if (srtt_us != seen->srtt_us)
			changed |= NW_BIT(NW_EVENT_RTT_UPDATE);
		if (phase != seen->phase)
			changed |= phase == NW_PHASE_SLOW_START ?
					   NW_BIT(NW_EVENT_SLOW_START) :
					   NW_BIT(NW_EVENT_CONG_AVOID);
		/* cwnd is 0 until the first look */
		if (seen->cwnd &&
		    (rcv_wnd != seen->rcv_wnd || snd_wnd != seen->snd_wnd))
			changed |= NW_BIT(NW_EVENT_WINDOW_UPDATE);
	}
	seen->cwnd = cwnd;
	seen->srtt_us = srtt_us;
	seen->rcv_wnd = rcv_wnd;
	seen->snd_wnd = snd_wnd;
	seen->phase = phase;
	seen->known = 1;
	return changed;
}

/* A connection begins: everything that follows is a change. */
static __always_inline void nw_seen_begin(struct nw_seen *seen)
{
	__builtin_memset(seen, 0, sizeof(*seen));
	seen->known = 1;
}

#endif /* NW_INSIGHT_SEEN_BPF_H */

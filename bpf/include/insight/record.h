/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire of the source insight: its fifteen events, the one record that all
 * of them share, what the user filters by, and the totals counted in the
 * kernel. The bits and their order are tcp-insight's (0x63, 0x1C, 0x1180 …).
 */
#ifndef NW_INSIGHT_RECORD_H
#define NW_INSIGHT_RECORD_H

#include "compat.bpf.h"

/* The bit of an event in a mask. */
enum nw_event {
	NW_EVENT_CONNECT = 0,
	NW_EVENT_ACCEPT = 1,
	NW_EVENT_SEND = 2,
	NW_EVENT_RECEIVE = 3,
	NW_EVENT_RETRANSMIT = 4,
	NW_EVENT_CLOSE = 5,
	NW_EVENT_RESET = 6,
	NW_EVENT_CWND_CHANGE = 7,
	NW_EVENT_RTT_UPDATE = 8,
	NW_EVENT_SLOW_START = 9,
	NW_EVENT_CONG_AVOID = 10,
	NW_EVENT_FAST_RECOVERY = 11,
	NW_EVENT_WINDOW_UPDATE = 12,
	NW_EVENT_SACK = 13,
	NW_EVENT_TIMEOUT = 14,
	NW_EVENTS = 15,
};

#define NW_BIT(event) (1U << (event))

/* Events that have a number of bytes. */
#define NW_EVENTS_WITH_BYTES                                    \
	(NW_BIT(NW_EVENT_SEND) | NW_BIT(NW_EVENT_RECEIVE) |     \
	 NW_BIT(NW_EVENT_RETRANSMIT) | NW_BIT(NW_EVENT_CLOSE) | \
	 NW_BIT(NW_EVENT_SACK))

/* One event. What does not belong to it, or is not known, is 0. */
struct nw_insight {
	struct nw_head head;
	nw_duration_t
		age_ns; /* of the connection; NW_UNKNOWN = not seen opening */
	__u64 bytes; /* of NW_EVENTS_WITH_BYTES */
	__u64 bytes_sent; /* CLOSE: of data that the peer has acknowledged */
	__u64 bytes_received; /* CLOSE: of data */
	struct nw_task task; /* pid 0 = not known */
	struct nw_tuple tuple;
	__u32 tid; /* the thread that caused it; 0 = it came from the network */
	__u32 srtt_us; /* kernel's value << 3, as old_srtt_us */
	__u32 old_srtt_us;
	__u32 mdev_us; /* kernel's value << 2 */
	__u32 min_rtt_us;
	__u32 cwnd;
	__u32 old_cwnd;
	__u32 ssthresh;
	__u32 rcv_wnd; /* offered to the peer */
	__u32 old_rcv_wnd;
	__u32 snd_wnd; /* offered by the peer */
	__u32 old_snd_wnd;
	__u32 cause; /* RETRANSMIT: nw_retransmit_type; RESET: sk_rst_reason */
	__u32 segments; /* RETRANSMIT: sent again; SACK: blocks */
	__u32 seq; /* RETRANSMIT: the first one */
	__u32 queued; /* SEND: bytes not sent yet; RECEIVE: bytes not read yet */
	__u32 error; /* CLOSE: errno */
	__u32 lost_out;
	__u32 sacked_out;
	__u32 rto; /* jiffies */
	__u32 accepted_by; /* pid of another process than task; 0 = none */
	nw_comm_t accepted_by_comm;
	__u8 event; /* enum nw_event */
	__u8 state; /* the kernel's TCP_… state; 0 = no socket */
	__u8 old_state; /* of a state change; 0 = none */
	__u8 ca_state;
	__u8 old_ca_state;
	__u8 received; /* RESET: by us */
	__u8 dsack; /* SACK: the first block tells of a duplicate */
	__u8 has_sock; /* cwnd and the rest of the socket's values are set */
	__u8 marks; /* enum nw_mark */
	__u8 pad[7];
};

/* What nw_filter does not cover. Nothing is left out: 0 and the largest. */
struct nw_insight_filter {
	__u64 min_age_ns;
	__u64 max_age_ns;
	__u64 min_bytes;
	__u64 max_bytes;
	__u32 min_rtt_us;
	__u32 max_rtt_us;
	__u32 events; /* mask of NW_BIT */
	__u32 state; /* 0 = any */
	__u32 age_asked; /* only events whose age is known */
	__u32 bytes_asked;
	__u32 rtt_asked;
	__u32 pad;
};

/*
 * Round-trip times by their logarithm, 16 buckets for each doubling: values up
 * to 15 us have one each, then b = 16 * (bits - 4) + the four bits below the
 * highest. A quantile is true to 6 %.
 */
#define NW_RTT_BUCKETS 416

/*
 * Counted per CPU, but for what NW_MARK_UNJUDGED marks: that the reader counts
 * when it shows whose it is (src/sources/insight-totals.ts). u64 only, so that they
 * can be added up.
 */
struct nw_insight_totals {
	__u64 events[NW_EVENTS];
	__u64 bytes_sent; /* by SEND events */
	__u64 bytes_received; /* by RECEIVE events */
	__u64 segments_retransmitted;
	__u64 rtt_us; /* sum over RTT_UPDATE events */
	__u64 cwnd; /* the same */
	__u64 rtt[NW_RTT_BUCKETS];
};

#endif /* NW_INSIGHT_RECORD_H */

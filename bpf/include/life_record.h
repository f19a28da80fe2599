/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The wire of the source life: its events, their record, what it filters by. */
#ifndef NW_LIFE_RECORD_H
#define NW_LIFE_RECORD_H

#include "compat.bpf.h"

/* The bit of an event in a mask. */
enum nw_life_event {
	NW_LIFE_STATE = 0, /* from one state to another */
	NW_LIFE_CONNECT = 1, /* connect() has sent a SYN */
	NW_LIFE_ESTABLISHED = 2, /* the answer to it */
	NW_LIFE_REFUSED = 3, /* the other answer */
	NW_LIFE_ACCEPT = 4, /* accept() has returned */
	NW_LIFE_END = 5, /* closed, shut down or reset; not when CLOSE comes */
	NW_LIFE_CLOSE = 6, /* CLOSE: what it was, all in all */
};

/* One event. What does not belong to it, or is not known, is 0. */
struct nw_life {
	struct nw_head head;
	/*
	 * STATE: in the old state. ESTABLISHED, REFUSED: since connect(). CLOSE:
	 * since it was established, else since it began. NW_UNKNOWN = not seen.
	 */
	nw_duration_t duration_ns;
	nw_duration_t handshake_ns; /* NW_UNKNOWN = not seen, or not yet */
	__u64 bytes_acked; /* CLOSE: as the kernel counts, with SYN and FIN */
	__u64 bytes_received; /* CLOSE: the same */
	__u64 data_sent; /* CLOSE: of data that the peer has acknowledged */
	__u64 data_received; /* CLOSE: of data */
	struct nw_task task; /* pid 0 = not known */
	struct nw_tuple tuple;
	__u32 error; /* errno of the socket */
	__u32 accepted_by; /* pid of another process than task; 0 = none */
	nw_comm_t accepted_by_comm;
	__u8 event; /* enum nw_life_event */
	__u8 state; /* the kernel's TCP_… state */
	__u8 old_state; /* 0 = no change */
	__u8 role; /* enum nw_role */
	__u8 marks; /* enum nw_mark */
	__u8 pad[3];
};

/* What nw_filter does not cover. */
struct nw_life_filter {
	__u64 min_latency_ns; /* of ESTABLISHED and REFUSED */
	__u32 events; /* mask */
	__u32 uid_asked;
	__u32 uid;
	__u32 pad;
};

#endif /* NW_LIFE_RECORD_H */

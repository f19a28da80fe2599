/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What held a socket's sending up, as the kernel counts it: in jiffies.
 */
#ifndef NW_CHRONO_BPF_H
#define NW_CHRONO_BPF_H

#include "compat.bpf.h"
#include "duration.h"

/* CONFIG_HZ; 0 = not known. */
const volatile __u32 nw_jiffies_per_second = 0;

static __always_inline nw_duration_t nw_jiffies_ns(__u64 jiffies)
{
	__u32 hz = nw_jiffies_per_second;

	return hz ? jiffies * 1000000000 / hz : NW_UNKNOWN;
}

/* For how long the peer's receive window had no room for more, in all. */
static __always_inline __u32 nw_window_jiffies(const struct tcp_sock *tp)
{
	__u32 jiffies = tp->chrono_stat[TCP_CHRONO_RWND_LIMITED - 1];

	if (BPF_CORE_READ_BITFIELD(tp, chrono_type) == TCP_CHRONO_RWND_LIMITED)
		jiffies += (__u32)bpf_jiffies64() - tp->chrono_start;
	return jiffies;
}

#endif /* NW_CHRONO_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The distance of two clock readings, for everything that puts a duration into
 * a record. Parses alone, as record.h.
 */
#ifndef NW_DURATION_H
#define NW_DURATION_H

#include "record.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/*
 * From one reading to a later one. NW_UNKNOWN if the first was not taken (0),
 * or is later: never a negative time, which would read as 584 years.
 */
static __always_inline nw_duration_t nw_between(__u64 from_ns, __u64 to_ns)
{
	return from_ns && from_ns <= to_ns ? to_ns - from_ns : NW_UNKNOWN;
}

#endif /* NW_DURATION_H */

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * twin: an empty program at every hook that netwatch uses, so that the bench
 * can take off what the kernel's own statistics cost (two clock reads per run).
 * The bench writes hooks.h from the sections of netwatch's objects, one line
 * per program: CGROUP_HOOK(name, section) lets every packet through,
 * HOOK(name, section) is all others.
 */
#define SEC(name) __attribute__((section(name), used))

#define HOOK(name, section)              \
	SEC(section) int name(void *ctx) \
	{                                \
		return 0;                \
	}
#define CGROUP_HOOK(name, section)       \
	SEC(section) int name(void *ctx) \
	{                                \
		return 1;                \
	}

#include "hooks.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

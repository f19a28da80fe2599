/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's types for the target that is being compiled. Pinned in the
 * tree, so that a build needs no kernel and gives the same objects everywhere;
 * scripts/vmlinux makes them again from a newer kernel.
 */
#ifndef NETWATCH_VMLINUX_H
#define NETWATCH_VMLINUX_H

#if defined(__TARGET_ARCH_x86)
#include "x86_64/vmlinux.h"
#elif defined(__TARGET_ARCH_arm64)
#include "arm64/vmlinux.h"
#else
#error "compile with -D__TARGET_ARCH_x86 or -D__TARGET_ARCH_arm64"
#endif

#endif /* NETWATCH_VMLINUX_H */

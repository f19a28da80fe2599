/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every BPF source includes first: kernel types, libbpf's helpers, the
 * few constants BTF does not carry, and readers for fields that moved between
 * kernel versions. The kernel is asked (CO-RE), never its version number.
 */
#ifndef NW_COMPAT_BPF_H
#define NW_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>
#include "record.h"

#define AF_INET 2
#define AF_INET6 10
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define SOCK_STREAM 1
#define NW_IPPROTO_TCP 6
#define NW_IPPROTO_MPTCP 262
#define NW_MSG_PEEK 2

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#endif

/* Keeps the compiler from merging or reordering what the verifier tracks. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/*
 * 6.2 and newer: gives a cgroup_skb program the kernel's own struct sk_buff.
 * Weak: where it is missing the object still loads.
 */
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
const volatile bool nw_has_kernel_context = false;

/*
 * As bpf_cast_to_kern_ctx: kernel memory of a known type, read without the call
 * of a helper, which costs as much as some twenty loads.
 */
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

#define nw_cast(type, pointer) \
	((type *)bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(type)))

/*
 * The same pointer as one that is not trusted, for reading another pointer: for
 * each that is read through a trusted one the verifier of such kernels searches
 * all types of the kernel by name, on every path (0.7 to 1.4 ms in 6.18).
 */
#define nw_plain(pointer)                                               \
	(nw_has_kernel_context ? nw_cast(typeof(*(pointer)), pointer) : \
				 (pointer))

/* One field of kernel memory that a hook knows only the address of; 0 at NULL. */
#define nw_read(pointer, field)                                                \
	(nw_has_kernel_context ? nw_cast(typeof(*(pointer)), pointer)->field : \
				 BPF_CORE_READ(pointer, field))

/* 5.17 and newer: a loop whose body the verifier looks at once. */
const volatile bool nw_has_loop = false;

/* Calls step(i, context) for i from 0 until it returns 1, at most count times. */
#define nw_loop(count, step, context)                          \
	do {                                                   \
		if (nw_has_loop) {                             \
			bpf_loop(count, step, context, 0);     \
		} else {                                       \
			for (__u32 _i = 0; _i < (count); _i++) \
				if (step(_i, context))         \
					break;                 \
		}                                              \
	} while (0)

#endif /* NW_COMPAT_BPF_H */

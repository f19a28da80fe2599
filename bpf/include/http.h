/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP/1.0 and 1.1 framing (RFC 9112), fed with TCP segments as they pass.
 *
 * Says where each message head begins and when each response is complete, and
 * never takes body bytes for a head: while a connection is in step, framing
 * decides, not looks. Portable C: a cgroup_skb program and a native test
 * harness compile the same text. Parses alone: whoever includes it has defined
 * the __u types and NW_HTTP_CTX (the type of the context, struct __sk_buff)
 * and defines the functions declared at the end of http/types.h
 * (test/http-framing/framing.bpf.c is the smallest example).
 *
 *   nw_http_segment()      one segment with payload, from either side
 *   nw_http_close()        a FIN has passed
 *   nw_http_end_all()      the connection has ended
 *   nw_http_midstream()    the connection is older than its state
 *   nw_http_expect()       the sequence number the next payload begins with
 *   nw_http_outstanding()  requests without a complete response
 *   nw_http_resyncs()      times the framing was lost
 *
 * A PROXY protocol header (v1, v2) in front of a connection's first request is
 * shown to a hook of its own and skipped.
 *
 * A request lasts from the first byte of its head to the last byte of its
 * response. A 1xx response is interim; 101, and 2xx to CONNECT, end the
 * exchange and turn the connection into a tunnel that is not looked at again.
 * Values in a query and credentials before a host never reach a hook.
 *
 * Segments seen before are skipped. A gap is harmless within a body whose end
 * is known. Before or within a head the missing bytes are waited for if TCP
 * does not have them either; what has passed meanwhile must turn out to be body.
 * Anywhere else the direction waits (RESYNC, counted) for a segment that begins with a
 * plausible start line: method, target and version, or a status line while a
 * request is outstanding. In a connection that is older than its state a
 * request is plausible only where the other end has spoken last. Two CPUs that handle segments of the same direction
 * at once look like a gap.
 *
 * Made for the verifiers of 5.10 and newer: every step is a global function
 * with scalar arguments (verified once), indices come from memory and are
 * masked (so that paths join), no helper newer than bpf_sk_storage_get is
 * needed. At most NW_HTTP_BURSTS * NW_HTTP_BURST = 16,384 steps are spent on a
 * segment, two per chunk or head at most; what is left then is given up
 * (RESYNC), so even 64 KiB of 1-byte chunks pass. Little-endian only.
 */
#ifndef NW_HTTP_H
#define NW_HTTP_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#ifdef __bpf__
#define NW_HTTP_FN __attribute__((noinline))
#else
#define NW_HTTP_FN static __attribute__((noinline, unused))
#endif

#ifdef __clang__
#define NW_HTTP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define NW_HTTP_LOOP
#endif

#define NW_HTTP_LINE_MAX 256 /* bytes of a first line shown to a hook */
#define NW_HTTP_SAVE 48 /* bytes of an unfinished line kept between segments */
#define NW_HTTP_WINDOW 512 /* bytes looked at at once; a power of two */
#define NW_HTTP_HEADROOM 16 /* before it: the tail of a short line */
#define NW_HTTP_QUEUE 4 /* outstanding requests in a connection's state */
#define NW_HTTP_DEPTH 1024 /* in all: where there are more they lie outside */
#define NW_HTTP_SLOTS 4 /* nested or preempted programs on one CPU */
#define NW_HTTP_BURSTS 32 /* few: the verifier walks them on many paths */
#define NW_HTTP_BURST 512
#define NW_HTTP_METHOD_MAX 32
#define NW_HTTP_HIDE_BYTES 16 /* of a line, read at once */
#define NW_HTTP_VERSION_BYTES 9 /* of " HTTP/1.1" */
#define NW_HTTP_LINE_LIMIT 65536 /* longer first lines are not HTTP */
#define NW_HTTP_PLAUSIBLE_MIN 16 /* bytes, of a segment to resynchronize at */
#define NW_HTTP_SIZE_LIMIT (1ULL << 59)

#include "http/types.h"
#include "http/word.h"
#include "http/work.h"
#include "http/queue.h"
#include "http/window.h"
#include "http/hide.h"
#include "http/proxy.h"
#include "http/line.h"
#include "http/message.h"
#include "http/header.h"
#include "http/body.h"
#include "http/segment.h"

#endif /* NW_HTTP_H */

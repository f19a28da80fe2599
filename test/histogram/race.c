// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/histogram.bpf.h as a program of its own.
 *
 *   race count STEPS   two threads on two CPUs, each interrupted at any
 *                      instruction by a signal, as by a soft interrupt, count
 *                      in one histogram; prints "steps N interrupts N wrong N"
 *   race KIND          reads durations, one a line; prints the bucket of each,
 *                      and the sum of all in ns. KIND is wide, short or long
 *                      (durations in ns), or fine (in us)
 *
 * Build: cc -O2 -pthread -I bpf/include -o race race.c
 */
#define _GNU_SOURCE
#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What the header takes from there. */
#define NW_COMPAT_BPF_H
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define likely(x) __builtin_expect(!!(x), 1)
#define barrier_var(var) asm volatile("" : "+r"(var))
#include "histogram.bpf.h"

#define INTERRUPT_NS 50000
#define DURATION_NS 1000 /* in one bucket, so that all meet there */

static struct nw_histogram histogram;
static atomic_long interrupts;
static pthread_barrier_t begin;
static long wanted;

static void count_one(void)
{
	nw_histogram_add(&histogram, DURATION_NS);
}

static void soft_interrupt(int signal)
{
	(void)signal;
	count_one();
	atomic_fetch_add(&interrupts, 1);
}

static void *count_many(void *cpu)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = gettid(),
	};
	struct itimerspec every = {
		.it_interval.tv_nsec = INTERRUPT_NS,
		.it_value.tv_nsec = INTERRUPT_NS,
	};
	timer_t timer;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((long)cpu, &set);
	/* on a single CPU they take turns */
	sched_setaffinity(0, sizeof(set), &set);
	pthread_barrier_wait(&begin);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &every, NULL))
		exit(1);
	for (long i = 0; i < wanted; i++)
		count_one();
	timer_delete(timer);
	return NULL;
}

static int race(long steps)
{
	struct sigaction action = {.sa_handler = soft_interrupt};
	pthread_t threads[2];
	__u64 counted = 0;
	long all, wrong;

	wanted = steps / 2;
	sigaction(SIGUSR1, &action, NULL);
	pthread_barrier_init(&begin, NULL, 2);
	for (long i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, count_many, (void *)i))
			return 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < NW_HISTOGRAM_BUCKETS; i++)
		counted += histogram.buckets[i];
	all = wanted * 2 + interrupts;
	wrong = labs(all - (long)counted) +
		labs(all * DURATION_NS - (long)histogram.sum_ns);
	printf("steps %ld interrupts %ld wrong %ld\n", wanted * 2,
	       (long)interrupts, wrong);
	return wrong != 0;
}

#define PRINT_BUCKETS(kind, add)                                \
	static int print_##kind(void)                           \
	{                                                       \
		struct kind h;                                  \
		__u64 sum_ns = 0, last = sizeof(h.buckets) / 8; \
		unsigned long long value;                       \
                                                                \
		while (scanf("%llu", &value) == 1) {            \
			memset(&h, 0, sizeof(h));               \
			add(&h, value);                         \
			sum_ns += h.sum_ns;                     \
			for (__u64 i = 0; i < last; i++)        \
				if (h.buckets[i])               \
					printf("%d\n", (int)i); \
		}                                               \
		printf("%llu\n", (unsigned long long)sum_ns);   \
		return 0;                                       \
	}

PRINT_BUCKETS(nw_histogram, nw_histogram_add)
PRINT_BUCKETS(nw_fine_histogram, nw_fine_histogram_add)
PRINT_BUCKETS(nw_short_histogram, nw_short_histogram_add)
PRINT_BUCKETS(nw_long_histogram, nw_long_histogram_add)

int main(int argc, char **argv)
{
	if (argc == 3)
		return race(atol(argv[2]));
	if (argc == 2 && !strcmp(argv[1], "wide"))
		return print_nw_histogram();
	if (argc == 2 && !strcmp(argv[1], "fine"))
		return print_nw_fine_histogram();
	if (argc == 2 && !strcmp(argv[1], "short"))
		return print_nw_short_histogram();
	if (argc == 2 && !strcmp(argv[1], "long"))
		return print_nw_long_histogram();
	return 2;
}

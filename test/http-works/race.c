// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/http/work.h as a program of its own: who has a work, first step
 * by step, then all at once.
 *
 *   race STEPS
 *
 * Two threads take works and give them back, each interrupted at any
 * instruction by a signal that does the same, as a soft interrupt does; first
 * both on one CPU, where the scheduler switches between them, then on two.
 * Whoever has a work writes its own number all over it and must find nothing
 * else there until it gives the work back. In the end no work may be taken.
 *
 * Prints "steps N interrupts N passed-by N refused N wrong N": passed by are
 * works that somebody had, refused are those who found all of them taken.
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
#include <time.h>
#include <unistd.h>
#include "http/work.h"

#define SLOTS 4 /* as NW_HTTP_SLOTS */
#define WORDS 8
#define INTERRUPT_NS 50000

struct work {
	__u32 busy;
	volatile __u32 text[WORDS];
};

static struct work works[SLOTS];
static atomic_long interrupts, passed_by, refused, wrong;
static pthread_barrier_t begin;
static long wanted;

static void expect(int is_so, const char *what, long value)
{
	if (!is_so && atomic_fetch_add(&wrong, 1) < 5)
		printf("wrong: %s: %ld\n", what, value);
}

/* As nw_http_acquire() does. */
static struct work *acquire(void)
{
	for (int i = 0; i < SLOTS; i++) {
		if (nw_http_work_take(&works[i].busy))
			return &works[i];
		atomic_fetch_add(&passed_by, 1);
	}
	atomic_fetch_add(&refused, 1);
	return NULL;
}

/* One segment, read by `who`. */
static void read_segment(__u32 who)
{
	struct work *w = acquire();

	if (!w)
		return;
	for (int i = 0; i < WORDS; i++)
		w->text[i] = who;
	for (int i = 0; i < WORDS; i++)
		expect(w->text[i] == who, "somebody else's text", i);
	nw_http_work_give(&w->busy);
}

static __thread __u32 me;

static void soft_interrupt(int signal)
{
	(void)signal;
	read_segment(me + 1);
	atomic_fetch_add(&interrupts, 1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* on a single CPU they take turns */
	sched_setaffinity(0, sizeof(set), &set);
}

/* Interrupts this thread every few microseconds. */
static timer_t start_timer(void)
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

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &every, NULL))
		exit(1);
	return timer;
}

static void *run(void *cpu)
{
	timer_t timer;

	me = 16 * (1 + (__u32)(long)cpu);
	pin((long)cpu & 1);
	pthread_barrier_wait(&begin);
	timer = start_timer();
	for (long i = 0; i < wanted; i++)
		read_segment(me);
	timer_delete(timer);
	return NULL;
}

static void race(const long cpus[2])
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)cpus[i]))
			exit(1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < SLOTS; i++)
		expect(works[i].busy == 0, "a work stays taken", i);
}

/* The orders that matter, of those who take a work between others' steps. */
static void check_steps(void)
{
	__u32 busy = 0;

	expect(nw_http_work_take(&busy), "a free work not taken", busy);
	expect(!nw_http_work_take(&busy), "taken twice", busy);
	expect(busy == 1, "a try that stays counted", busy);
	/* a task switch between another one's two instructions */
	nw_http_work_give(&busy);
	busy++;
	expect(!nw_http_work_take(&busy), "taken while another one tries",
	       busy);
	expect(busy == 1, "the other one is not counted any more", busy);
	nw_http_work_give(&busy);
	expect(nw_http_work_take(&busy), "not free again", busy);
	nw_http_work_give(&busy);
}

int main(int argc, char **argv)
{
	/* even, then odd: the CPU is the lowest bit */
	static const long one_cpu[2] = {0, 2}, two_cpus[2] = {0, 1};
	struct sigaction action = {.sa_handler = soft_interrupt};

	if (argc != 2)
		return 2;
	wanted = atol(argv[1]) / 4;
	pthread_barrier_init(&begin, NULL, 2);
	sigaction(SIGUSR1, &action, NULL);
	check_steps();
	race(one_cpu);
	race(two_cpus);
	printf("steps %ld interrupts %ld passed-by %ld refused %ld wrong %ld\n",
	       wanted * 4, (long)interrupts, (long)passed_by, (long)refused,
	       (long)wrong);
	return wrong != 0;
}

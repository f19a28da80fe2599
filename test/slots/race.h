/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the races of sent.c and received.c share: two threads, each on a CPU of
 * its own where there are two. A timer's signal interrupts them at any
 * instruction, as a soft interrupt does.
 */
#ifndef NW_TEST_RACE_H
#define NW_TEST_RACE_H

#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CPUS 2
#define INTERRUPT_NS 29989

static long wrong, interrupts[CPUS];
static pthread_t threads[CPUS];
static pthread_barrier_t begin;
static __thread unsigned int cpu;

static void expect(int is_so, const char *what, unsigned long value)
{
	if (is_so)
		return;
	if (__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST) <= 5)
		printf("wrong: %s: %lu\n", what, value);
}

/* One step on this CPU, or of an interrupt of it; false if none is left. */
static int step(unsigned int random);

static void soft_interrupt(int signal)
{
	(void)signal;
	step(++interrupts[cpu] * 2654435761U);
}

static void start_interrupts(void)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = gettid(),
	};
	/* no multiple of what a step takes */
	struct itimerspec times = {{0, INTERRUPT_NS}, {0, INTERRUPT_NS}};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &times, NULL))
		exit(2);
}

static void *run(void *which)
{
	unsigned int random;
	sigset_t none;
	cpu_set_t set;

	cpu = (unsigned long)which;
	random = (cpu + 1) * 88172645U;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* on a single CPU they take turns */
	sched_setaffinity(0, sizeof(set), &set);
	/* nobody is interrupted before both are there */
	pthread_barrier_wait(&begin);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	start_interrupts();
	do {
		random = random * 1664525 + 1013904223;
	} while (step(random));
	return NULL;
}

/* Lets both run until their steps are done, and waits for both. */
static void race(void)
{
	struct sigaction action = {.sa_handler = soft_interrupt};
	sigset_t all;

	sigaction(SIGUSR1, &action, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_barrier_init(&begin, NULL, CPUS);
	for (unsigned long i = 0; i < CPUS; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)i))
			exit(2);
	for (unsigned int i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
}

#endif /* NW_TEST_RACE_H */

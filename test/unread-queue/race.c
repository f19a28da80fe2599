// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/unread.h as a program of its own: what may happen at once to a
 * socket's unread queue, first step by step, then all at once.
 *
 *   race STEPS SEED
 *
 * One thread pushes on a CPU; another reads on a second one, where a signal
 * interrupts it at any instruction, as a soft interrupt does, and pushes as
 * well. From time to time the socket ends while packets still come. Each
 * packet must leave the queue once or be refused once, whole, and none may be
 * called read that has not been pushed to its end. Between two rounds nobody
 * pushes: the queue must then be empty and take as many as it has places.
 *
 * Prints "packets N refused N interrupts N met N taken-back N wrong N": met are
 * places that a walk found drawn and not yet filled.
 * Build: cc -O2 -pthread -I bpf/include -o race race.c
 */
#define _GNU_SOURCE
#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct user {
	int unused;
};

#define NW_UNREAD_USER struct user
#include "unread.h"

/* Packets of a round; sequence numbers count them. */
#define ROUND 8000
#define FIRST_SEQ 0xfffffc00U /* they go round in each round */

static struct nw_unread queue;
/* Of each packet: how often it left the queue or was refused; TCP has it. */
static unsigned char left[ROUND], pushed[ROUND];
static __u32 next, copied; /* packets */
static int closed, ends_early, over, ended;
static long wrong, refused, interrupts, met, taken_back;
static pthread_t reader;
static pthread_barrier_t begin, end;

static void expect(int is_so, const char *what, long value)
{
	if (is_so)
		return;
	if (__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST) <= 5)
		printf("wrong: %s: %ld\n", what, value);
}

static void count_left(__u32 n)
{
	expect(n < ROUND, "no such packet", n);
	if (n < ROUND)
		__atomic_add_fetch(&left[n], 1, __ATOMIC_SEQ_CST);
}

static __always_inline void nw_unread_taken(const struct nw_unread_walk *walk,
					    const struct nw_pending *packet,
					    _Bool read)
{
	__u32 n = packet->seq - FIRST_SEQ;

	(void)walk;
	expect(packet->ns == n * 3ULL && packet->mac_ns == n + 1 &&
		       packet->ip_ns == n + 2 && packet->ack == ~n &&
		       packet->payload_bytes == 1 && packet->skb_bytes == n + 4,
	       "a torn packet", n);
	if (read && n < ROUND)
		expect(__atomic_load_n(&pushed[n], __ATOMIC_SEQ_CST),
		       "read before it came", n);
	count_left(n);
}

static void linger(unsigned int steps)
{
	for (volatile unsigned int i = steps; i; i--)
		;
}

static void fill(struct nw_pending *place, __u32 n)
{
	/* an interrupt, or a neighbour of the virtual machine */
	if (!(n & 63))
		linger(n & 1023);
	place->ns = n * 3ULL;
	place->mac_ns = n + 1;
	place->ip_ns = n + 2;
	place->seq = FIRST_SEQ + n;
	place->ack = ~n;
	place->payload_bytes = 1;
	place->skb_bytes = n + 4;
}

/* As the receiving hook does; false if the packet found no place. */
static int push(__u32 n)
{
	__u32 ticket = 0;
	struct nw_pending *place = nw_unread_draw(&queue, &ticket);

	if (!place)
		return 0;
	fill(place, n);
	nw_unread_publish(place, ticket);
	if (!__atomic_load_n(&closed, __ATOMIC_RELAXED) ||
	    !nw_unread_take(place, ticket))
		return 1;
	nw_unread_free(place, ticket);
	__atomic_add_fetch(&taken_back, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* One packet from its arrival to TCP's hands; false if the round has no more. */
static int receive(void)
{
	__u32 n = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);

	if (n >= ROUND)
		return 0;
	if (!push(n)) {
		__atomic_add_fetch(&refused, 1, __ATOMIC_SEQ_CST);
		count_left(n);
	}
	__atomic_store_n(&pushed[n], 1, __ATOMIC_SEQ_CST);
	return 1;
}

static void walk_queue(__u32 copied_seq, int all)
{
	struct nw_unread_walk walk = {
		.queue = &queue,
		.copied_seq = copied_seq,
		.all = all,
	};

	nw_unread_begin(&walk);
	for (__u32 k = walk.head; k != walk.tail; k++)
		met += nw_unread_look(&nw_unread_place(&queue, k)->state) ==
		       nw_unread_base(k);
	for (__u32 i = 0; i < NW_PENDING; i++)
		if (nw_unread_step(i, &walk))
			break;
}

/* Spins; on a single CPU the other needs it. */
static void wait_a_little(int no_need, unsigned int *spins)
{
	if (!no_need && !(++*spins & 1023))
		sched_yield();
}

static void read_some(void)
{
	static unsigned int idle;
	__u32 n = copied;

	wait_a_little(__atomic_load_n(&pushed[n], __ATOMIC_SEQ_CST), &idle);
	while (n < ROUND && __atomic_load_n(&pushed[n], __ATOMIC_SEQ_CST))
		n++;
	__atomic_store_n(&copied, n, __ATOMIC_SEQ_CST);
	walk_queue(FIRST_SEQ + n, 0);
}

static void soft_interrupt(int signal)
{
	(void)signal;
	interrupts++;
	if (!__atomic_load_n(&ended, __ATOMIC_SEQ_CST))
		receive();
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* on a single CPU they take turns */
	sched_setaffinity(0, sizeof(set), &set);
}

static void check_round(void)
{
	__u32 from = queue.tail, ticket;

	walk_queue(FIRST_SEQ + ROUND, 1);
	for (__u32 n = 0; n < ROUND; n++)
		expect(left[n] == 1, "packets that left not once", n);
	expect(queue.head == queue.tail, "packets in an empty queue",
	       (__s32)(queue.tail - queue.head));
	for (int i = 0; i < NW_PENDING; i++)
		expect(nw_unread_draw(&queue, &ticket) != 0, "a place wedged",
		       i);
	expect(!nw_unread_draw(&queue, &ticket), "room for too many", 0);
	for (__u32 i = 0; i < NW_PENDING; i++)
		nw_unread_free(nw_unread_place(&queue, from + i), from + i);
	queue.head = queue.tail;
}

/* The socket ends: nothing is read any more, yet packets are on their way. */
static void end_socket(void)
{
	__atomic_store_n(&closed, 1, __ATOMIC_RELAXED);
	nw_unread_fence(&queue);
	walk_queue(FIRST_SEQ + copied, 1);
}

static void *read_rounds(void *unused)
{
	(void)unused;
	pin(1);
	while (pthread_barrier_wait(&begin), !over) {
		__u32 last = ends_early ? ROUND / 8 * 7 : ROUND;

		while (copied < last)
			read_some();
		if (ends_early)
			end_socket();
		__atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static void start_round(unsigned int round)
{
	memset(left, 0, sizeof(left));
	memset(pushed, 0, sizeof(pushed));
	next = copied = 0;
	ended = 0;
	closed = 0;
	ends_early = round & 1;
	pthread_barrier_wait(&begin);
}

static int is_ahead(void)
{
	__u32 sent = __atomic_load_n(&next, __ATOMIC_SEQ_CST);

	return sent - __atomic_load_n(&copied, __ATOMIC_SEQ_CST) > 100 &&
	       !__atomic_load_n(&closed, __ATOMIC_SEQ_CST);
}

static void push_round(unsigned int *random)
{
	int more = 1;

	while (more) {
		unsigned int spins = *random & 0xffff;

		/* seldom more than there are places for */
		while (is_ahead() && spins & 0xffff)
			wait_a_little(0, &spins);
		*random = *random * 1664525 + 1013904223;
		if (*random >> 24 < 64)
			pthread_kill(reader, SIGUSR1);
		linger(*random >> 26);
		more = receive();
	}
	pthread_barrier_wait(&end);
}

/* The order of steps that lost packets: a read between draw and publish. */
static void check_steps(void)
{
	__u32 first = 0, second = 0;
	struct nw_pending *a = nw_unread_draw(&queue, &first);
	struct nw_pending *b = nw_unread_draw(&queue, &second);

	pushed[1] = 1;
	fill(b, 1);
	nw_unread_publish(b, second);
	walk_queue(FIRST_SEQ, 0);
	expect(left[1] == 0, "what was not read left", left[1]);
	walk_queue(FIRST_SEQ + 2, 0);
	expect(left[1] == 1, "the later one did not leave", left[1]);
	expect(queue.head == first, "passed by", queue.head);
	fill(a, 0);
	pushed[0] = 1;
	nw_unread_publish(a, first);
	walk_queue(FIRST_SEQ + 2, 0);
	expect(left[0] == 1, "the earlier one did not leave", left[0]);
	expect(queue.head == queue.tail, "something is left", queue.head);
	/* who takes a packet back and a walk that takes all: only one has it */
	left[2] = 0;
	pushed[2] = 1;
	a = nw_unread_draw(&queue, &first);
	fill(a, 2);
	nw_unread_publish(a, first);
	expect(nw_unread_take(a, first), "not taken back", first);
	walk_queue(FIRST_SEQ, 1);
	expect(left[2] == 0, "taken twice", left[2]);
	expect(!nw_unread_take(a, first), "taken back twice", first);
	nw_unread_free(a, first);
	walk_queue(FIRST_SEQ, 1);
	expect(queue.head == queue.tail, "not passed", queue.head);
	/* twice round, so that each place has been used */
	for (__u32 i = 0; i < 2 * NW_PENDING; i++) {
		left[0] = 0;
		expect(push(0), "refused", i);
		walk_queue(FIRST_SEQ + 1, 0);
		expect(left[0] == 1, "did not leave", i);
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = soft_interrupt};
	unsigned int random;
	long rounds;

	if (argc != 3)
		return 2;
	rounds = atol(argv[1]) / ROUND;
	random = strtoul(argv[2], NULL, 10);
	check_steps();
	pthread_barrier_init(&begin, NULL, 2);
	pthread_barrier_init(&end, NULL, 2);
	sigaction(SIGUSR1, &action, NULL);
	if (pthread_create(&reader, NULL, read_rounds, NULL))
		return 1;
	pin(0);
	for (long i = 0; i < rounds; i++) {
		start_round(i);
		push_round(&random);
		check_round();
	}
	over = 1;
	pthread_barrier_wait(&begin);
	pthread_join(reader, NULL);
	printf("packets %ld refused %ld interrupts %ld met %ld taken-back %ld wrong %ld\n",
	       rounds * ROUND, refused, interrupts, met, taken_back, wrong);
	return wrong != 0;
}

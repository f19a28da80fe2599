// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/unread_socket.h as a program of its own: what may happen at once
 * to the unread packets of sockets, first step by step, then all at once.
 *
 *   race STEPS SEED
 *
 * One thread pushes on a CPU, by turns into two sockets that share the blocks;
 * another reads on a second one, where a signal interrupts it at any
 * instruction, as a soft interrupt does, and pushes as well. From time to time
 * a socket begins another connection or ends while packets still come. Each
 * packet must leave its queue once or be refused once, whole, of the connection
 * that the socket has then, and none may be called read that has not been
 * pushed to its end. Between two rounds nobody pushes: the queues must then be
 * empty, all blocks back, and each take as many as it has places.
 *
 * Prints "packets N refused N interrupts N met N small N large N wrong N": met
 * are places that a walk found drawn and not yet filled, small and large the
 * blocks that were taken.
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
	int socket;
};

struct packet {
	__u32 n;
	__u32 connection;
};

#define NW_UNREAD_USER struct user
#define NW_UNREAD_PACKET const struct packet *
#include "unread_socket.h"

/* Packets of a round; sequence numbers count them. */
#define ROUND 8000
#define FIRST_SEQ 0xfffffc00U /* they go round in each round */
#define FIRST_TICKET 0xfffff000U /* and so do these */
#define SOCKETS 2
#define BLOCKS 4 /* of each size: two that are in use, two on their way */
#define NO_BLOCK 0xffffffffU

static struct nw_unread_socket sockets[SOCKETS];
static __u32 connections[SOCKETS]; /* the ends of its packets */
static struct nw_unread_small smalls[BLOCKS + 1];
static struct nw_unread_large larges[BLOCKS + 1];
/* A stack: the upper half counts, so that a number that is back is seen. */
static __u64 top[NW_UNREAD_SIZES];
static __u32 below[NW_UNREAD_SIZES][BLOCKS + 1];
/* Of each packet: how often it left the queue or was refused; TCP has it. */
static unsigned char left[ROUND], pushed[ROUND];
static __u32 next, copied; /* packets */
static int ends_early, over, ended;
/* A second walk begins while the first one has taken a packet out. */
static int meets;
/* Another connection begins while a pusher takes a block. */
static int overtaken;
static long wrong, refused, interrupts, met, acquired[NW_UNREAD_SIZES];
static pthread_t reader;
static pthread_barrier_t begin, end;

static void leave(int socket, __u32 copied_seq, int all);
static void restart(int socket, __u32 copied_seq);

static void expect(int is_so, const char *what, long value)
{
	if (is_so)
		return;
	if (__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST) <= 5)
		printf("wrong: %s: %ld\n", what, value);
}

static void linger(unsigned int steps)
{
	for (volatile unsigned int i = steps; i; i--)
		;
}

static __always_inline struct nw_unread *
nw_unread_block(enum nw_unread_size size, __u32 index)
{
	return size == NW_UNREAD_SIZE_SMALL ? &smalls[index].queue :
					      &larges[index].queue;
}

static __always_inline __u32 nw_unread_acquire(enum nw_unread_size size)
{
	__u64 old = __atomic_load_n(&top[size], __ATOMIC_SEQ_CST), new;

	do {
		if (!(__u32)old)
			return 0;
		new = ((old >> 32) + 1) << 32 |
		      __atomic_load_n(&below[size][(__u32)old],
				      __ATOMIC_SEQ_CST);
	} while (!__atomic_compare_exchange_n(
		&top[size], &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	__atomic_add_fetch(&acquired[size], 1, __ATOMIC_SEQ_CST);
	/* as long as it takes to make one */
	linger(old >> 32 & 1023);
	if (overtaken) {
		overtaken = 0;
		restart(0, FIRST_SEQ);
	}
	return old;
}

static __always_inline void nw_unread_release(enum nw_unread_size size,
					      __u32 index)
{
	__u64 old = __atomic_load_n(&top[size], __ATOMIC_SEQ_CST), new;

	do {
		__atomic_store_n(&below[size][index], (__u32)old,
				 __ATOMIC_SEQ_CST);
		new = ((old >> 32) + 1) << 32 | index;
	} while (!__atomic_compare_exchange_n(
		&top[size], &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

static __always_inline void nw_unread_fill(struct nw_pending *place,
					   const struct packet *packet)
{
	__u32 n = packet->n;

	/* an interrupt, or a neighbour of the virtual machine */
	if (!(n & 63))
		linger(n & 1023);
	place->ns = n * 3ULL;
	place->mac_ns = n + 1;
	place->ip_ns = packet->connection;
	place->seq = FIRST_SEQ + n;
	place->ack = ~n;
	place->payload_bytes = 1;
	place->header_bytes = n + 4;
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
	int socket = walk->user.socket;

	expect(packet->ns == n * 3ULL && packet->mac_ns == n + 1 &&
		       packet->ack == ~n && packet->payload_bytes == 1 &&
		       packet->header_bytes == (__u16)(n + 4),
	       "a torn packet", n);
	expect(n % SOCKETS == (__u32)socket, "of another socket", n);
	expect(packet->ip_ns == connections[socket], "of another connection",
	       n);
	if (read && n < ROUND)
		expect(__atomic_load_n(&pushed[n], __ATOMIC_SEQ_CST),
		       "read before it came", n);
	count_left(n);
	if (meets) {
		meets = 0;
		leave(socket, walk->copied_seq, 1);
	}
}

static __always_inline void nw_unread_loop(struct nw_unread_walk *walk,
					   __u32 places)
{
	for (__u32 i = 0; i < places; i++)
		if (nw_unread_step(i, walk, places))
			return;
}

/* As the receiving hook does; false if the packet found no place. */
static int push(const struct packet *packet)
{
	int socket = packet->n % SOCKETS;
	struct nw_unread_socket *to = &sockets[socket];
	__u32 generation = nw_unread_generation(&to->queue);

	if (!generation)
		generation = nw_unread_open(to);
	if (!nw_unread_is_open(generation) ||
	    __atomic_load_n(&connections[socket], __ATOMIC_SEQ_CST) !=
		    packet->connection)
		return 0;
	return nw_unread_push(&to->queue, NW_UNREAD_INLINE, generation,
			      packet) ||
	       nw_unread_push_block(to, generation, NW_UNREAD_SIZE_SMALL,
				    packet) ||
	       nw_unread_push_block(to, generation, NW_UNREAD_SIZE_LARGE,
				    packet);
}

/* One packet from its arrival to TCP's hands; false if the round has no more. */
static int receive(void)
{
	struct packet packet = {
		.n = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST)};

	if (packet.n >= ROUND)
		return 0;
	packet.connection = __atomic_load_n(&connections[packet.n % SOCKETS],
					    __ATOMIC_SEQ_CST);
	if (!push(&packet)) {
		__atomic_add_fetch(&refused, 1, __ATOMIC_SEQ_CST);
		count_left(packet.n);
	}
	__atomic_store_n(&pushed[packet.n], 1, __ATOMIC_SEQ_CST);
	return 1;
}

static void count_unfilled(struct nw_unread *queue, __u32 places)
{
	__u32 tail = nw_unread_tail(queue);

	for (__u32 k = nw_unread_look(&queue->head);
	     k != tail && tail - k <= places; k++)
		met += nw_unread_look(
			       &nw_unread_place(queue, k, places)->state) ==
		       nw_unread_base(k, places);
}

static void leave(int socket, __u32 copied_seq, int all)
{
	struct nw_unread_walk walk = {
		.user = {.socket = socket},
		.copied_seq = copied_seq,
		.all = all,
	};

	count_unfilled(&sockets[socket].queue, NW_UNREAD_INLINE);
	nw_unread_leave(&sockets[socket], &walk);
}

static void restart(int socket, __u32 copied_seq)
{
	if (!nw_unread_pause(&sockets[socket]))
		return;
	leave(socket, copied_seq, 1);
	__atomic_add_fetch(&connections[socket], 1, __ATOMIC_SEQ_CST);
	nw_unread_resume(&sockets[socket]);
}

/* The socket ends: nothing is read any more, yet packets are on their way. */
static void end_socket(int socket, __u32 copied_seq)
{
	nw_unread_close(&sockets[socket]);
	leave(socket, copied_seq, 1);
}

/* Spins; on a single CPU the other needs it. */
static void wait_a_little(int no_need, unsigned int *spins)
{
	if (!no_need && !(++*spins & 1023))
		sched_yield();
}

/* Sometimes the reader sleeps, so that many packets wait. */
static void read_some(void)
{
	static unsigned int idle, reads;
	__u32 n = copied;

	reads++;
	wait_a_little(__atomic_load_n(&pushed[n], __ATOMIC_SEQ_CST), &idle);
	if (!(reads & 255))
		linger(1 << 15);
	while (n < ROUND && __atomic_load_n(&pushed[n], __ATOMIC_SEQ_CST))
		n++;
	__atomic_store_n(&copied, n, __ATOMIC_SEQ_CST);
	for (int i = 0; i < SOCKETS; i++) {
		if (!(reads & 127))
			restart(i, FIRST_SEQ + n);
		else
			leave(i, FIRST_SEQ + n, 0);
	}
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

/* As if so many packets had gone through already. */
static void age_queue(struct nw_unread *queue, __u32 places)
{
	queue->tail = FIRST_TICKET;
	queue->head = FIRST_TICKET;
	for (__u32 i = 0; i < places; i++)
		nw_unread_place(queue, i, places)->state =
			nw_unread_base(FIRST_TICKET + i, places);
}

static void check_room(struct nw_unread *queue, __u32 places, __u32 generation)
{
	__u32 from = queue->tail, ticket;

	for (__u32 i = 0; i < places; i++)
		expect(nw_unread_draw(queue, places, generation, &ticket) != 0,
		       "a place wedged", i);
	expect(!nw_unread_draw(queue, places, generation, &ticket),
	       "room for too many", 0);
	for (__u32 i = 0; i < places; i++)
		nw_unread_free(nw_unread_place(queue, from + i, places),
			       nw_unread_base(from + i, places), places);
	queue->head = (__u32)queue->tail;
}

/* Each block is there once, with all its places. */
static void check_blocks(enum nw_unread_size size)
{
	__u32 places = nw_unread_places(size), found[BLOCKS], count = 0;

	while (count < BLOCKS && (found[count] = nw_unread_acquire(size))) {
		struct nw_unread *block = nw_unread_block(size, found[count]);

		acquired[size]--;
		check_room(block, places, nw_unread_generation(block));
		count++;
	}
	expect(count == BLOCKS && !nw_unread_acquire(size), "blocks there",
	       count);
	while (count)
		nw_unread_release(size, found[--count]);
}

static void check_round(void)
{
	for (int i = 0; i < SOCKETS; i++) {
		struct nw_unread *queue = &sockets[i].queue;

		restart(i, FIRST_SEQ + ROUND);
		expect(nw_unread_socket_is_empty(&sockets[i]), "not empty", i);
		check_room(queue, NW_UNREAD_INLINE,
			   nw_unread_generation(queue));
	}
	for (__u32 n = 0; n < ROUND; n++)
		expect(left[n] == 1, "packets that left not once", n);
	check_blocks(NW_UNREAD_SIZE_SMALL);
	check_blocks(NW_UNREAD_SIZE_LARGE);
}

static void *read_rounds(void *unused)
{
	(void)unused;
	pin(1);
	while (pthread_barrier_wait(&begin), !over) {
		__u32 last = ends_early ? ROUND / 8 * 7 : ROUND;

		/* as the first ones, at the same time as the other */
		for (int i = 0; i < SOCKETS; i++)
			receive();
		while (copied < last)
			read_some();
		for (int i = 0; ends_early && i < SOCKETS; i++)
			end_socket(i, FIRST_SEQ + copied);
		__atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static void start_round(unsigned int round)
{
	memset(left, 0, sizeof(left));
	memset(pushed, 0, sizeof(pushed));
	/* storage that the kernel has made for another socket */
	memset(sockets, 0, sizeof(sockets));
	next = copied = 0;
	ended = 0;
	ends_early = round & 1;
	pthread_barrier_wait(&begin);
}

static int is_ahead(void)
{
	__u32 sent = __atomic_load_n(&next, __ATOMIC_SEQ_CST);

	return sent - __atomic_load_n(&copied, __ATOMIC_SEQ_CST) > 400 &&
	       !__atomic_load_n(&ended, __ATOMIC_SEQ_CST);
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

static void prepare_blocks(void)
{
	for (__u32 i = 1; i <= BLOCKS; i++) {
		age_queue(&smalls[i].queue, NW_UNREAD_SMALL);
		age_queue(&larges[i].queue, NW_UNREAD_LARGE);
		nw_unread_release(NW_UNREAD_SIZE_SMALL, i);
		nw_unread_release(NW_UNREAD_SIZE_LARGE, i);
	}
}

static struct packet packet_of(__u32 n)
{
	struct packet packet = {.n = n, .connection = connections[n % SOCKETS]};

	left[n] = 0;
	pushed[n] = 1;
	return packet;
}

/* The order of steps that lost packets: a read between draw and publish. */
static void check_late_fill(void)
{
	struct nw_unread *queue = &sockets[0].queue;
	struct packet early = packet_of(0), late = packet_of(2);
	__u32 generation = nw_unread_open(&sockets[0]), first = 0, second = 0;
	struct nw_pending *a =
		nw_unread_draw(queue, NW_UNREAD_INLINE, generation, &first);
	struct nw_pending *b =
		nw_unread_draw(queue, NW_UNREAD_INLINE, generation, &second);

	nw_unread_fill(b, &late);
	nw_unread_publish(b, second, NW_UNREAD_INLINE);
	leave(0, FIRST_SEQ, 0);
	expect(left[2] == 0, "what was not read left", left[2]);
	leave(0, FIRST_SEQ + 3, 0);
	expect(left[2] == 1, "the later one did not leave", left[2]);
	expect(queue->head == first, "passed by", queue->head);
	nw_unread_fill(a, &early);
	nw_unread_publish(a, first, NW_UNREAD_INLINE);
	leave(0, FIRST_SEQ + 3, 0);
	expect(left[0] == 1, "the earlier one did not leave", left[0]);
	expect(nw_unread_is_empty(queue), "something is left", queue->head);
}

/* The socket begins another connection between draw and publish. */
static void check_late_end(void)
{
	struct nw_unread *queue = &sockets[0].queue;
	struct packet packet = packet_of(4);
	__u32 generation = nw_unread_generation(queue), ticket = 0;
	struct nw_pending *place =
		nw_unread_draw(queue, NW_UNREAD_INLINE, generation, &ticket);

	restart(0, FIRST_SEQ + ROUND);
	nw_unread_fill(place, &packet);
	expect(!nw_unread_publish(place, ticket, NW_UNREAD_INLINE),
	       "published after the end", ticket);
	expect(!nw_unread_push(queue, NW_UNREAD_INLINE, generation, &packet),
	       "pushed after the end", generation);
	expect(!nw_unread_push_block(&sockets[0], generation,
				     NW_UNREAD_SIZE_SMALL, &packet),
	       "a block after the end", generation);
	leave(0, FIRST_SEQ + ROUND, 0);
	expect(left[4] == 0, "left", left[4]);
	expect(nw_unread_is_empty(queue), "not passed", queue->head);
}

/* A flush that does not wait for a read, as before 5.15. */
static void check_two_walks(void)
{
	struct packet packet = packet_of(6);

	expect(push(&packet), "refused", 6);
	meets = 1;
	leave(0, FIRST_SEQ + 7, 0);
	expect(left[6] == 1, "left twice", left[6]);
}

/* The socket begins another connection before a block is put in. */
static void check_late_block(void)
{
	struct packet packet;

	for (__u32 n = 0; n < NW_UNREAD_INLINE; n++) {
		packet = packet_of(n * SOCKETS);
		expect(push(&packet), "refused", n);
	}
	overtaken = 1;
	packet = packet_of(8);
	expect(!push(&packet), "a block of the connection before", 8);
	leave(0, FIRST_SEQ + ROUND, 0);
	expect(left[0] == 1 && left[8] == 0, "left", left[8]);
}

/* A sleeping reader: as many wait as there are places, then all leave. */
static void check_sleeper(void)
{
	__u32 most = NW_UNREAD_INLINE + NW_UNREAD_SMALL + NW_UNREAD_LARGE;
	__u32 n;

	for (n = 0; n <= most; n++) {
		struct packet packet = packet_of(n * SOCKETS);

		expect(push(&packet) == (n < most), "room", n);
	}
	for (__u32 i = 0; i < 3; i++)
		leave(0, FIRST_SEQ + n * SOCKETS, 0);
	for (n = 0; n < most; n++)
		expect(left[n * SOCKETS] == 1, "left", n);
	check_blocks(NW_UNREAD_SIZE_SMALL);
	check_blocks(NW_UNREAD_SIZE_LARGE);
	/* twice round, so that each place has been used */
	for (n = 0; n < 2 * most; n++) {
		struct packet packet = packet_of(0);

		expect(push(&packet), "refused", n);
		leave(0, FIRST_SEQ + 1, 0);
		expect(left[0] == 1, "did not leave", n);
	}
}

/* A SYN with data: it has a number of its own before these. */
static void check_syn(void)
{
	struct nw_pending packet = {
		.seq = 100, .payload_bytes = 10, .tcp_flags = NW_UNREAD_SYN};

	expect(!nw_unread_was_read(&packet, 110), "read too early", 110);
	expect(nw_unread_was_read(&packet, 111), "not read", 111);
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
	prepare_blocks();
	check_late_fill();
	check_late_end();
	check_late_block();
	check_two_walks();
	check_sleeper();
	check_syn();
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
	printf("packets %ld refused %ld interrupts %ld met %ld small %ld large %ld wrong %ld\n",
	       rounds * ROUND, refused, interrupts, met,
	       acquired[NW_UNREAD_SIZE_SMALL], acquired[NW_UNREAD_SIZE_LARGE],
	       wrong);
	return wrong != 0;
}

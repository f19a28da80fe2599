// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/sent.h as a program of its own: what may happen at once to the
 * slots of sent packets, first step by step, then all at once.
 *
 *   sent PACKETS
 *
 * Two CPUs hand packets over, and interrupts of both do in between. A packet is
 * sent by the same CPU, or put into a queue that the other CPU empties, or is
 * dropped on the way; two at a time are transmissions of one segment, some are
 * cut into segments. Each record must leave once, whole, with the times of its
 * own packet or none.
 *
 * Prints "packets N timed N untimed N unsent N interrupts N wrong N".
 * Build: cc -O2 -pthread -I bpf/include -o sent sent.c
 */
#define _GNU_SOURCE
#include "race.h"

/*
 * Takes the place of the compare-and-swap in sent.h, where what has been
 * looked at may be another's by the time it is taken: now and then a soft
 * interrupt, or a whole burst of them, comes in between.
 */
static __u32 interrupted_swap(__u32 *word, __u32 before, __u32 after)
{
	static __thread unsigned int swaps, depth;

	if (!depth && ++swaps % 61 == 0) {
		unsigned int steps = swaps % 7 ? 1 : 200;

		depth++;
		for (unsigned int i = 0; i < steps; i++)
			step((swaps + i) * 2654435761U);
		depth--;
	}
	__atomic_compare_exchange_n(word, &before, after, 0, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	return before;
}

#define __sync_val_compare_and_swap interrupted_swap
#include "sent.h"

#define STEP_NS 40000000ULL /* so a packet is stale after 100 others */
#define IP_NS 3
#define MAC_NS 4
#define SETS 8
#define QUEUE 64

static struct nw_sent_set sets[SETS];
static struct nw_sent_slot last_sent[CPUS];
/* Number + 1 of packets that wait for a CPU to send them. */
static __u32 queues[CPUS][QUEUE];
static unsigned char *left;
static __u32 packets, next;
static long timed, untimed, unsent;

static __u64 handed_ns(__u32 n)
{
	return (n + 1) * STEP_NS;
}

static void fill_id(struct nw_sent_id *id, __u32 n)
{
	__u32 segment = n / 2;

	id->ports = 0x10000 + segment % 7;
	id->seq = segment * 3;
	id->ack = segment * 5;
	id->payload = segment % 3 != 0;
	/* pacing gives two that are empty the same */
	id->stamp = id->payload ? handed_ns(n) : handed_ns(segment * 2);
	id->skb = 0xffff888000000000ULL + ((__u64)n << 8);
}

static void fill_packet(struct nw_packet *p, const struct nw_sent_id *id,
			__u32 n)
{
	memset(p, 0, sizeof(*p));
	p->head.ts_ns = handed_ns(n);
	p->head.sock = 1 + id->ports;
	p->mac_ns = NW_UNKNOWN;
	p->ip_ns = NW_UNKNOWN;
	p->tcp_ns = n * 3ULL;
	p->seq = id->seq;
	p->ack = id->ack;
	p->payload_bytes = ~n;
	p->skb_bytes = n;
	p->pid = n + 7;
}

static void check_left(const struct nw_packet *p)
{
	__u32 n = p->skb_bytes;
	struct nw_sent_id id;

	expect(n < packets, "no such packet", n);
	if (n >= packets)
		return;
	fill_id(&id, n);
	expect(p->seq == id.seq && p->ack == id.ack && p->pid == n + 7 &&
		       p->tcp_ns == n * 3ULL && p->payload_bytes == ~n &&
		       p->head.sock == 1 + id.ports,
	       "a torn packet", n);
	expect(p->ip_ns == NW_UNKNOWN || p->ip_ns == IP_NS,
	       "IP time of another packet", n);
	expect(p->mac_ns == NW_UNKNOWN || p->mac_ns == MAC_NS,
	       "MAC time of another packet", n);
	expect(__atomic_add_fetch(&left[n], 1, __ATOMIC_SEQ_CST) == 1,
	       "left not once", n);
	__atomic_add_fetch(p->mac_ns == NW_UNKNOWN ? &untimed : &timed, 1,
			   __ATOMIC_SEQ_CST);
}

static __always_inline void nw_sent_evict(const struct nw_sent_slot *slot)
{
	check_left(&slot->packet);
}

static __always_inline struct nw_sent_set *
nw_sent_set_of(const struct nw_sent_id *id)
{
	return &sets[nw_sent_index(id, SETS)];
}

static __always_inline void nw_sent_put_away(const struct nw_packet *packet,
					     const struct nw_sent_id *id,
					     __u64 queue_ns)
{
	if (!nw_sent_store(nw_sent_set_of(id), packet, id, queue_ns))
		check_left(packet);
}

static struct nw_sent_slot *search(__u32 n)
{
	struct nw_sent_slot *last = &last_sent[cpu];
	struct nw_sent_id id;

	fill_id(&id, n);
	if (id.payload && n % 5 == 0)
		id.skb++; /* cut: the segment has an address of its own */
	if (nw_sent_find_here(last, id.skb, id.stamp, 1 + id.ports))
		return last;
	return nw_sent_search(last, nw_sent_set_of(&id), &id);
}

/* As the device hooks do. */
static struct nw_sent_slot *take_out(__u32 n)
{
	struct nw_sent_slot *slot = search(n);

	expect(!slot || slot->packet.skb_bytes == n, "the slot of another", n);
	return slot;
}

static void leave(__u32 n)
{
	struct nw_sent_slot *slot = take_out(n);

	if (!slot)
		return;
	nw_sent_leave(slot, handed_ns(n) + IP_NS + MAC_NS);
	check_left(&slot->packet);
	nw_sent_free(slot, &last_sent[cpu]);
}

static void hand_over(__u32 n)
{
	struct nw_sent_slot *last = &last_sent[cpu], *slot;
	struct nw_packet packet;
	struct nw_sent_id id;

	fill_id(&id, n);
	slot = nw_sent_reserve(last, &id, handed_ns(n));
	fill_packet(slot ? &slot->packet : &packet, &id, n);
	if (slot)
		nw_sent_publish(slot, last);
	else
		check_left(&packet);
}

static void enter_queue(__u32 n, int waits)
{
	struct nw_sent_slot *slot = take_out(n);

	if (slot)
		nw_sent_enter_queue(slot, &last_sent[cpu], handed_ns(n) + IP_NS,
				    waits);
}

static void empty_queue(unsigned int from)
{
	for (unsigned int i = from; i < from + 4; i++) {
		__u32 waits = __atomic_exchange_n(&queues[cpu][i % QUEUE], 0,
						  __ATOMIC_SEQ_CST);

		if (waits)
			leave(waits - 1);
	}
}

static int step(unsigned int random)
{
	__u32 n = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);
	int waits = random >> 20 & 1;

	if (n >= packets)
		return 0;
	hand_over(n);
	if ((random >> 16) % 8 == 0)
		return 1; /* dropped in front of the queue */
	enter_queue(n, waits);
	if ((random >> 12) % 8 == 0)
		return 1; /* by the queue itself, or by the device */
	/* what lies there already is dropped by the queue */
	if (waits)
		__atomic_exchange_n(&queues[random >> 21 & 1][n % QUEUE], n + 1,
				    __ATOMIC_SEQ_CST);
	else
		leave(n);
	empty_queue(random >> 8);
	return 1;
}

static void count_unsent(struct nw_sent_slot *slot)
{
	expect(slot->state != NW_SENT_BUSY, "a slot is left busy", 0);
	if (slot->state != NW_SENT_WAITING)
		return;
	unsent++;
	check_left(&slot->packet);
	slot->state = NW_SENT_FREE;
}

static void check_end(void)
{
	for (int i = 0; i < SETS * NW_SENT_WAYS; i++)
		count_unsent(&sets[i / NW_SENT_WAYS].way[i % NW_SENT_WAYS]);
	for (int i = 0; i < CPUS; i++)
		count_unsent(&last_sent[i]);
	for (__u32 n = 0; n < packets; n++)
		expect(left[n] == 1, "packets that left not once", n);
}

static _Bool store_at(__u32 n, __u64 ns)
{
	struct nw_packet packet;
	struct nw_sent_id id;

	fill_id(&id, n);
	fill_packet(&packet, &id, n);
	packet.head.ts_ns = ns;
	return nw_sent_store(&sets[0], &packet, &id, 0);
}

static void forget(void)
{
	memset(sets, 0, sizeof(sets));
	memset(last_sent, 0, sizeof(last_sent));
	memset(left, 0, packets);
	timed = untimed = 0;
}

/* One after the other: what two transmissions and old packets come to. */
static void check_steps(void)
{
	const __u64 now = 100 * NW_SENT_STALE_NS;

	for (__u32 n = 0; n < NW_SENT_WAYS; n++)
		expect(store_at(n, now), "no room", n);
	/* stamps of pacing were in the future; clocks are read before and after */
	expect(!store_at(4, now - 1), "a later one gave way", 4);
	expect(!store_at(4, now + NW_SENT_STALE_NS - 1), "gave way early", 4);
	expect(untimed == 0, "left", untimed);
	expect(store_at(4, now + NW_SENT_STALE_NS), "an old one stayed", 4);
	expect(untimed == 1 && left[0] == 1, "it had no record", untimed);
	forget();
	/* interrupted while it had the CPU's own slot */
	last_sent[0].state = NW_SENT_BUSY;
	hand_over(8);
	last_sent[0].state = NW_SENT_FREE;
	enter_queue(8, 0);
	leave(8);
	expect(timed == 1 && left[8] == 1, "not found elsewhere", timed);
	forget();
	/* the first of two transmissions was dropped, the second one is sent */
	for (__u32 first = 0; first < 4; first += 2) {
		hand_over(first);
		enter_queue(first, 1);
		hand_over(first + 1);
		enter_queue(first + 1, 1);
		leave(first + 1);
		expect(!left[first] && left[first + 1], "mixed up", first);
	}
	forget();
	/* readings of two clocks, and one that was not taken */
	expect(nw_between(3, 5) == 2 && nw_between(3, 3) == 0, "duration", 2);
	expect(nw_between(5, 3) == NW_UNKNOWN && nw_between(0, 5) == NW_UNKNOWN,
	       "a duration that is none", 5);
	hand_over(8);
	leave(8);
	expect(untimed == 1 && left[8] == 1, "a time without a queue", 8);
	forget();
	/* one before the other, though it is later's turn */
	hand_over(2);
	enter_queue(2, 1);
	hand_over(3);
	leave(2);
	expect(left[2] == 1 && timed == 1 && !left[3], "mixed up", 2);
	forget();
}

int main(int argc, char **argv)
{
	packets = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	left = calloc(packets, 1);
	if (packets < 16 || !left)
		return 2;
	check_steps();
	race();
	check_end();
	printf("packets %u timed %ld untimed %ld unsent %ld interrupts %ld wrong %ld\n",
	       packets, timed, untimed, unsent, interrupts[0] + interrupts[1],
	       wrong);
	return wrong != 0;
}

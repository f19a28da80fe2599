// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/include/received.h as a program of its own: what may happen at once to
 * the slots of received packets, first step by step, then all at once.
 *
 *   received PACKETS
 *
 * Two CPUs see packets arrive, and interrupts of both do in between. A packet
 * goes up on the same CPU, or is handed to the other one, or is dropped at any
 * stage and leaves its slot behind. There are twice as many addresses as slots,
 * and each is used again and again by both CPUs. A packet must find its own
 * times or none, never those of another or of an earlier life of its address.
 *
 * Prints "packets N timed N untimed N interrupts N wrong N".
 * Build: cc -O2 -pthread -I bpf/include -o received received.c
 */
#define _GNU_SOURCE
#include "race.h"
#include "received.h"

#define SETS 2
#define ADDRESSES 16
#define QUEUE 8

/* Clock readings of packet n; as close together as readings of two CPUs are. */
#define ARRIVED(n) ((n)*16ULL + 1)
#define AT_IP(n) ((n)*16ULL + 5)

static struct nw_received_set sets[SETS];
static __u32 used[ADDRESSES];
static __u64 queues[CPUS][QUEUE];
static __u32 packets, next;
static long timed, untimed;

/* Neighbours of one slab. */
static __u64 mark_of(__u32 address)
{
	return nw_received_mark(0xffff888012340000ULL + ((__u64)address << 8));
}

static struct nw_received_set *set_of(__u64 mark)
{
	return &sets[nw_received_index(mark, SETS)];
}

static void arrive(__u32 address, __u32 n)
{
	__u64 mark = mark_of(address);

	nw_received_arrive(set_of(mark), mark, ARRIVED(n));
}

static void reach_ip(__u32 address, __u32 n)
{
	__u64 mark = mark_of(address);
	struct nw_received_slot *slot = nw_received_find(set_of(mark), mark);

	if (slot)
		nw_received_ip(slot, mark, AT_IP(n));
}

static void reach_tcp(__u32 address, __u32 n, int saw_ip)
{
	__u64 mark = mark_of(address);
	struct nw_received_slot *slot = nw_received_find(set_of(mark), mark);
	struct nw_received_times times = {0, 0};

	if (slot) {
		times = nw_received_times(slot, mark);
		nw_received_free(slot);
	}
	expect(!times.mac_ns || times.mac_ns == ARRIVED(n),
	       "arrival of another packet", n);
	expect(!times.ip_ns || (saw_ip && times.ip_ns == AT_IP(n)),
	       "IP of another packet", n);
	__atomic_add_fetch(times.mac_ns && times.ip_ns ? &timed : &untimed, 1,
			   __ATOMIC_SEQ_CST);
}

/* The rest of a packet's way; its address is free then. */
static void go_up(__u32 address, __u32 n)
{
	int saw_ip = n % 7 != 0;

	if (saw_ip)
		reach_ip(address, n);
	if (n % 5 != 0)
		reach_tcp(address, n, saw_ip);
	__atomic_store_n(&used[address], 0, __ATOMIC_RELEASE);
}

static void hand_to(unsigned int other, __u32 address, __u32 n)
{
	__u64 packet = (address + 1ULL) << 32 | n;
	__u64 dropped = __atomic_exchange_n(&queues[other][n % QUEUE], packet,
					    __ATOMIC_SEQ_CST);

	if (dropped)
		__atomic_store_n(&used[(dropped >> 32) - 1], 0,
				 __ATOMIC_RELEASE);
}

static void take_handed(unsigned int from)
{
	__u64 packet = __atomic_exchange_n(&queues[cpu][from % QUEUE], 0,
					   __ATOMIC_SEQ_CST);

	if (packet)
		go_up((packet >> 32) - 1, packet);
}

static int step(unsigned int random)
{
	__u32 n, address = (random >> 8) % ADDRESSES, nobody = 0;

	take_handed(random >> 24);
	take_handed(random >> 27);
	if (!__atomic_compare_exchange_n(&used[address], &nobody, 1, 0,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return __atomic_load_n(&next, __ATOMIC_SEQ_CST) < packets;
	n = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);
	if (n >= packets)
		return 0;
	arrive(address, n);
	if (random >> 20 & 1)
		hand_to(!cpu, address, n);
	else
		go_up(address, n);
	return 1;
}

/* One after the other: a foreign IP, a torn slot, an address used again. */
static void check_steps(void)
{
	struct nw_received_slot *slot;
	__u64 a = mark_of(0), b = mark_of(1);
	struct nw_received_set *set = &sets[0];

	nw_received_arrive(set, a, ARRIVED(1));
	slot = nw_received_find(set, a);
	expect(slot == &set->way[0], "not found", 1);
	nw_received_ip(slot, b, AT_IP(2));
	expect(nw_received_times(slot, a).ip_ns == 0, "IP of another", 1);
	nw_received_ip(slot, a, AT_IP(1));
	expect(nw_received_times(slot, a).ip_ns == AT_IP(1), "no IP", 1);
	/* two clock readings that differ by what the addresses differ by */
	slot->mac_ns = ARRIVED(1) ^ 0x100;
	expect(!nw_received_find(set, a) && !nw_received_find(set, b),
	       "somebody's", 1);
	nw_received_put(&slot->mac_ns, &slot->mac_check, 0, 0);
	/* dropped; then a free slot in front of its own */
	nw_received_arrive(set, b, ARRIVED(3));
	nw_received_arrive(set, a, ARRIVED(4));
	nw_received_free(&set->way[0]);
	nw_received_arrive(set, a, ARRIVED(5));
	expect(nw_received_find(set, a) == &set->way[1], "not its own", 5);
	expect(nw_received_times(&set->way[1], a).mac_ns == ARRIVED(5), "old",
	       5);
	/* the oldest gives way when there is no other */
	for (__u32 i = 2; i < 6; i++)
		nw_received_arrive(set, mark_of(i), ARRIVED(4 + i));
	expect(!nw_received_find(set, a), "the oldest stayed", 5);
	for (__u32 i = 2; i < 6; i++)
		expect(nw_received_find(set, mark_of(i)) != 0, "a young one",
		       i);
	memset(sets, 0, sizeof(sets));
}

int main(int argc, char **argv)
{
	packets = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	if (!packets)
		return 2;
	check_steps();
	race();
	printf("packets %u timed %ld untimed %ld interrupts %ld wrong %ld\n",
	       packets, timed, untimed, interrupts[0] + interrupts[1], wrong);
	return wrong != 0;
}

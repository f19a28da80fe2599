// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One byte after the other over one loopback connection, as fast as it goes:
 * the sender on one CPU, whose soft interrupts receive the segments, and the
 * reader on another, so that a read often meets a segment on its way.
 *
 *   traffic PORT BYTES
 *
 * Prints the segments with data that the receiving socket has counted, and how
 * many the sending one has sent again.
 * Build: cc -O2 -pthread -o traffic traffic.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Fewer than packets can wait to be read: each has its place. */
#define MOST_UNREAD 64

static long bytes;
static long bytes_read;
static int listener;

static void check(long result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* on a single CPU they take turns */
	sched_setaffinity(0, sizeof(set), &set);
}

static struct tcp_info tell(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
	return info;
}

/* A while that differs, so that reads meet segments at any point of their way. */
static void linger(void)
{
	static unsigned int state = 1;

	state = state * 1664525 + 1013904223;
	for (volatile unsigned int i = state >> 17; i; i--)
		;
}

static void *read_all(void *unused)
{
	char buffer[4096];
	int one = 1, fd;

	(void)unused;
	pin(1);
	fd = accept(listener, NULL, NULL);
	check(fd, "accept");
	while (bytes_read < bytes) {
		long n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		linger();
		if (n <= 0)
			continue;
		__atomic_add_fetch(&bytes_read, n, __ATOMIC_SEQ_CST);
		/* an answer to each segment keeps the window open */
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
	}
	printf("%u ", tell(fd).tcpi_data_segs_in);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	pthread_t reader;
	int one = 1, fd;

	if (argc != 3)
		return 2;
	address.sin_port = htons(atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bytes = atol(argv[2]);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	check(bind(listener, (void *)&address, sizeof(address)), "bind");
	check(listen(listener, 1), "listen");
	if (pthread_create(&reader, NULL, read_all, NULL))
		return 1;
	pin(0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	check(connect(fd, (void *)&address, sizeof(address)), "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (long sent = 0; sent < bytes; sent++) {
		while (sent - __atomic_load_n(&bytes_read, __ATOMIC_SEQ_CST) >=
		       MOST_UNREAD)
			sched_yield();
		check(send(fd, "x", 1, 0), "send");
	}
	pthread_join(reader, NULL);
	printf("%u\n", tell(fd).tcpi_total_retrans);
	close(fd);
	return 0;
}

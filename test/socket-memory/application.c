// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An application that uses the memory of its sockets (net.core.optmem_max): a
 * socket filter of 1,500 instructions, and a send of 64 KB without copying,
 * each after an HTTP request and while packets wait to be read.
 *
 *   application PORT WAITING
 *
 * WAITING segments of one byte are sent each way before the first is read.
 * Prints a line per call that takes memory, with what it gave, and at the end
 * "segments N optmem N filled N": what the receiving socket has counted, and
 * the memory taken in it before and while they wait.
 * Build: cc -O2 -o application application.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INSTRUCTIONS 1500
#define ZERO_COPY_BYTES (64 << 10)
#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static char buffer[ZERO_COPY_BYTES];

static void check(long result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

static void tell(const char *what, long result)
{
	printf("%s %s\n", what, result < 0 ? strerror(errno) : "ok");
}

/* Bytes of net.core.optmem_max that are in use. */
static unsigned int optmem(int fd)
{
	unsigned int memory[SK_MEMINFO_VARS];
	socklen_t size = sizeof(memory);

	check(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size),
	      "SO_MEMINFO");
	return memory[SK_MEMINFO_OPTMEM];
}

/* A byte, seen to have arrived: the next one becomes a segment of its own. */
static void send_byte(int from, int to, int already)
{
	int unread;

	check(send(from, "x", 1, 0), "send");
	do {
		sched_yield();
		check(ioctl(to, FIONREAD, &unread), "FIONREAD");
	} while (unread <= already);
}

static void read_all(int fd, long bytes)
{
	while (bytes > 0) {
		long got = recv(fd, buffer, sizeof(buffer), 0);

		check(got - 1, "recv");
		bytes -= got;
	}
}

/* Lets everything through. */
static void filter(int fd)
{
	static struct sock_filter lines[INSTRUCTIONS];
	struct sock_fprog program = {.len = INSTRUCTIONS, .filter = lines};

	for (int i = 0; i < INSTRUCTIONS - 1; i++)
		lines[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 1);
	lines[INSTRUCTIONS - 1] =
		(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, ~0U);
	tell("filter", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
				  sizeof(program)));
}

static void send_zero_copy(int from, int to)
{
	int one = 1;
	long sent;

	check(setsockopt(from, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)),
	      "SO_ZEROCOPY");
	sent = send(from, buffer, sizeof(buffer), MSG_ZEROCOPY);
	tell("zero-copy", sent);
	read_all(to, sent);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	int client = socket(AF_INET, SOCK_STREAM, 0), server, waiting;
	unsigned int before, filled;
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (argc != 3)
		return 2;
	address.sin_port = htons(atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	waiting = atoi(argv[2]);
	check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)),
	      "SO_REUSEADDR");
	check(bind(listener, (void *)&address, sizeof(address)), "bind");
	check(listen(listener, 1), "listen");
	check(connect(client, (void *)&address, sizeof(address)), "connect");
	server = accept(listener, NULL, NULL);
	check(server, "accept");
	check(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)),
	      "TCP_NODELAY");
	for (int i = 0; i < 5; i++) {
		check(send(client, REQUEST, strlen(REQUEST), 0), "send");
		read_all(server, strlen(REQUEST));
		check(send(server, RESPONSE, strlen(RESPONSE), 0), "send");
		read_all(client, strlen(RESPONSE));
	}
	before = optmem(server);
	for (int i = 0; i < waiting; i++) {
		send_byte(client, server, i);
		/* brings the acknowledgement, which would be delayed */
		send_byte(server, client, i);
	}
	filled = optmem(server);
	filter(server);
	filter(client);
	read_all(server, waiting);
	read_all(client, waiting);
	check(getsockopt(server, IPPROTO_TCP, TCP_INFO, &info, &size),
	      "TCP_INFO");
	send_zero_copy(client, server);
	printf("segments %u optmem %u filled %u\n", info.tcpi_data_segs_in,
	       before, filled);
	return 0;
}

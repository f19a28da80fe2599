// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Small segments back and forth over loopback on two CPUs at once, as fast as
 * it goes, both ends in one process: whoever sends is interrupted by what the
 * other CPU sends, if one of them handles what all receive (rps_cpus).
 *
 *   traffic PORT EXCHANGES
 *
 * Listens on PORT and PORT + 1. Prints "done" once both connections are closed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* on a single CPU they take turns */
	sched_setaffinity(0, sizeof(set), &set);
}

static void pass(int from, int to)
{
	char byte = 'x';

	must(send(from, &byte, 1, 0) - 1, "send");
	must(recv(to, &byte, 1, 0) - 1, "recv");
}

static void exchange(int port, long count)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr *name = (struct sockaddr *)&address;
	int listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	int client = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	int server, on = 1;

	must(bind(listener, name, sizeof(address)), "bind");
	must(listen(listener, 1), "listen");
	must(connect(client, name, sizeof(address)), "connect");
	server = must(accept(listener, NULL, NULL), "accept");
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (long i = 0; i < count; i++) {
		pass(client, server);
		pass(server, client);
	}
	close(client);
	must(recv(server, &on, 1, 0), "the end");
}

int main(int argc, char **argv)
{
	int status, failed = 0;

	if (argc != 3)
		return 2;
	for (int cpu = 0; cpu < 2; cpu++) {
		if (must(fork(), "fork"))
			continue;
		pin(cpu);
		exchange(atoi(argv[1]) + cpu, atol(argv[2]));
		exit(0);
	}
	while (wait(&status) > 0)
		failed |= status;
	if (!failed)
		printf("done\n");
	return failed != 0;
}

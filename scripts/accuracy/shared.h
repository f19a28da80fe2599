/*
 * What the application of the accuracy suite stands on: the stamps that both of its sides share, calls that
 * end the program where they fail, and a CPU that is kept busy.
 */
#ifndef NW_ACCURACY_SHARED_H
#define NW_ACCURACY_SHARED_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of an exchange; of the last one of a pipeline. */
struct stamps {
	uint64_t delay; /* what was injected */
	uint64_t client_write; /* before the first write of the request */
	uint64_t client_last_write;
	uint64_t client_written; /* behind it */
	uint64_t server_first_read;
	uint64_t server_read; /* its last byte */
	uint64_t server_write;
	uint64_t server_last_write;
	uint64_t server_written;
	uint64_t client_first_read;
	uint64_t client_read;
	uint64_t client_connect; /* of a connection that is made for it */
	uint64_t client_connected;
};

static struct shared {
	pthread_barrier_t listens, begins, ends;
	/* numbers of exchanges: the CPU is to be kept busy, and is */
	volatile uint64_t burn, burns;
	struct stamps at;
} *shared;

static const char *injection;
static unsigned count;
static struct sockaddr_in address = { .sin_family = AF_INET };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int is(const char *name)
{
	return !strcmp(injection, name);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void wait_ns(uint64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&t, NULL);
}

static void set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		fail("setsockopt");
}

static void write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0)
			fail("send");
		data += n;
		size -= n;
	}
}

static size_t read_some(int fd, char *to, size_t size)
{
	ssize_t n = recv(fd, to, size, 0);

	if (n <= 0)
		fail("recv");
	return n;
}

/* This process runs on that one of its CPUs only: 0 is the client's, 1 the server's and the burner's. */
static void stay_on(int which)
{
	cpu_set_t all, set;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(all), &all))
		fail("sched_getaffinity");
	while (cpu < CPU_SETSIZE && !(CPU_ISSET(cpu, &all) && !which--))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

/* Ahead of all others: nothing else on the machine makes it wait for a CPU. */
static void go_first(void)
{
	struct sched_param first = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &first))
		fail("sched_setscheduler");
}

/* Keeps the server's CPU busy until the delay behind the request's last byte. */
static void burn(void)
{
	stay_on(1);
	go_first();
	for (uint64_t i = 1;; i++) {
		while (shared->burn != i)
			wait_ns(100000);
		shared->burns = i;
		while (!*(volatile uint64_t *)&shared->at.client_written ||
		       now() < shared->at.client_written + shared->at.delay)
			;
	}
}

/* Returns when the CPU is busy and the server, which waits to read, cannot get it. */
static void start_burning(void)
{
	wait_ns(1000000);
	shared->burn++;
	while (shared->burns != shared->burn)
		;
}

#endif /* NW_ACCURACY_SHARED_H */

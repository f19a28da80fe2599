// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * load: TCP traffic of a known amount on loopback, for scripts/bench.ts.
 *
 *   load rr    PORT SECONDS RATE COUNT FILE   1 byte there, 1 byte back
 *   load bulk  PORT SECONDS 0 0 FILE          one stream at full speed
 *   load churn PORT SECONDS RATE COUNT FILE   connections of 5 exchanges each
 *   load hold  PORT SECONDS 0 COUNT FILE      so many connections, kept open
 *   load http  PORT SECONDS RATE COUNT FILE   GET and its answer, keep-alive
 *
 * RATE per second (0 = as fast as it goes), COUNT in all (0 = until SECONDS are
 * over). FILE holds a 64-bit counter that the bench reads meanwhile: round
 * trips, bytes, or connections. Prints `ready`, at the end `done COUNT NS`.
 * Client and server are two processes, both on the CPU that taskset gave.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ULL
#define SLICE_NS 1000000ULL /* pacing: a burst every millisecond */
#define BULK_BYTES (64 << 10)
#define EXCHANGES 5 /* per connection of churn: 10 packets */
#define BACKLOG 4096
/* Destinations 127.0.0.1 to .200, so that client ports do not run out. */
#define DESTINATIONS 200
#define ITEMS 100003 /* different paths of http */
#define BODY "{\"name\":\"item\",\"count\":42}"
#define ANSWER                                                  \
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" \
	"Content-Length: 26\r\n\r\n" BODY

/* With one more each answer would take the next one's first byte for its last. */
_Static_assert(sizeof(BODY) - 1 == 26, "as its Content-Length says");

struct load {
	uint16_t port;
	uint64_t seconds;
	uint64_t rate;
	uint64_t count;
	volatile uint64_t *counter;
	uint64_t start;
	int listener;
};

static void check(int failed, const char *what)
{
	if (!failed)
		return;
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = {ns / NS_PER_S, ns % NS_PER_S};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* One more of RATE per second; false when the load is over. */
static int next(const struct load *l, uint64_t done)
{
	uint64_t now = now_ns();

	if (l->count && done >= l->count)
		return 0;
	if (now - l->start >= l->seconds * NS_PER_S)
		return 0;
	if (l->rate) {
		uint64_t due = l->start + done * NS_PER_S / l->rate;

		if (due > now)
			sleep_until(now - now % SLICE_NS + SLICE_NS);
	}
	return 1;
}

static void address(struct sockaddr_in *a, uint16_t port, uint32_t number)
{
	memset(a, 0, sizeof(*a));
	a->sin_family = AF_INET;
	a->sin_port = htons(port);
	a->sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % DESTINATIONS);
}

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	check(fd < 0, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	address(&a, port, 0);
	a.sin_addr.s_addr = htonl(INADDR_ANY);
	check(bind(fd, (struct sockaddr *)&a, sizeof(a)), "bind");
	check(listen(fd, BACKLOG), "listen");
	return fd;
}

static int connect_to(uint16_t port, uint32_t number)
{
	struct sockaddr_in a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	check(fd < 0, "socket");
	address(&a, port, number);
	check(connect(fd, (struct sockaddr *)&a, sizeof(a)), "connect");
	no_delay(fd);
	return fd;
}

/* Sends back what comes, one byte at a time, until the other end closes. */
static void echo(int fd)
{
	char byte;

	no_delay(fd);
	while (read(fd, &byte, 1) == 1)
		if (write(fd, &byte, 1) != 1)
			break;
	close(fd);
}

static int exchange(int fd)
{
	char byte = 'x';

	return write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1;
}

static void serve_echo(const struct load *l)
{
	for (;;)
		echo(accept(l->listener, NULL, NULL));
}

static uint64_t rr(const struct load *l)
{
	int fd = connect_to(l->port, 0);
	uint64_t done = 0;

	while (next(l, done) && exchange(fd))
		*l->counter = ++done;
	close(fd);
	return done;
}

/* A request that is not like the one before, in one segment. */
static uint64_t http(const struct load *l)
{
	int fd = connect_to(l->port, 0);
	char request[512], answer[sizeof(ANSWER)];
	uint64_t done = 0;

	while (next(l, done)) {
		int length =
			snprintf(request, sizeof(request),
				 "GET /api/v1/items/%u?page=%u HTTP/1.1\r\n"
				 "Host: items.example\r\n"
				 "User-Agent: load/1.0\r\n"
				 "Accept: application/json\r\n\r\n",
				 (unsigned)(done * 7919 % ITEMS),
				 (unsigned)(done % 10));

		if (write(fd, request, length) != length ||
		    read(fd, answer, sizeof(answer)) != sizeof(ANSWER) - 1)
			break;
		*l->counter = ++done;
	}
	close(fd);
	return done;
}

static void serve_http(const struct load *l)
{
	int fd = accept(l->listener, NULL, NULL);
	char request[512];

	no_delay(fd);
	while (read(fd, request, sizeof(request)) > 0)
		if (write(fd, ANSWER, sizeof(ANSWER) - 1) < 0)
			break;
	exit(0);
}

static uint64_t churn(const struct load *l)
{
	uint64_t done = 0;

	while (next(l, done)) {
		int fd = connect_to(l->port, done);

		for (int i = 0; i < EXCHANGES; i++)
			check(!exchange(fd), "exchange");
		close(fd);
		*l->counter = ++done;
	}
	return done;
}

static void serve_bulk(const struct load *l)
{
	static char buffer[BULK_BYTES];
	int fd = accept(l->listener, NULL, NULL);
	ssize_t got;

	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		*l->counter += got;
	exit(0);
}

static uint64_t bulk(const struct load *l)
{
	static char buffer[BULK_BYTES];
	int fd = connect_to(l->port, 0);

	while (next(l, 0) && write(fd, buffer, sizeof(buffer)) > 0)
		;
	close(fd);
	return *l->counter;
}

static void serve_hold(const struct load *l)
{
	for (;;)
		check(accept(l->listener, NULL, NULL) < 0, "accept");
}

static uint64_t hold(const struct load *l)
{
	for (uint64_t i = 0; i < l->count; i++) {
		connect_to(l->port, 0);
		*l->counter = i + 1;
	}
	printf("held\n");
	fflush(stdout);
	sleep_until(l->start + l->seconds * NS_PER_S);
	return l->count;
}

static const struct {
	const char *name;
	uint64_t (*client)(const struct load *);
	void (*server)(const struct load *);
} loads[] = {
	{"rr", rr, serve_echo},	      {"bulk", bulk, serve_bulk},
	{"churn", churn, serve_echo}, {"hold", hold, serve_hold},
	{"http", http, serve_http},
};

static volatile uint64_t *map_counter(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	void *at;

	check(fd < 0 || ftruncate(fd, sizeof(uint64_t)), path);
	at = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
		  fd, 0);
	check(at == MAP_FAILED, "mmap");
	*(uint64_t *)at = 0;
	return at;
}

static int run(struct load *l, uint64_t (*client)(const struct load *),
	       void (*server)(const struct load *))
{
	struct rlimit files = {1 << 20, 1 << 20};
	uint64_t done;
	pid_t child;

	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	l->listener = listen_on(l->port);
	child = fork();
	check(child < 0, "fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		server(l);
	}
	close(l->listener);
	printf("ready\n");
	fflush(stdout);
	l->start = now_ns();
	done = client(l);
	printf("done %llu %llu\n", (unsigned long long)done,
	       (unsigned long long)(now_ns() - l->start));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	struct load l = {};

	if (argc != 7) {
		fprintf(stderr,
			"usage: load KIND PORT SECONDS RATE COUNT FILE\n");
		return 2;
	}
	l.port = atoi(argv[2]);
	l.seconds = strtoull(argv[3], NULL, 10);
	l.rate = strtoull(argv[4], NULL, 10);
	l.count = strtoull(argv[5], NULL, 10);
	l.counter = map_counter(argv[6]);
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (!strcmp(argv[1], loads[i].name))
			return run(&l, loads[i].client, loads[i].server);
	fprintf(stderr, "load: no load %s\n", argv[1]);
	return 2;
}

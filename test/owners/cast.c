/*
 * One connection over loopback whose server takes it in one of many ways, step by step:
 *
 *   cast KIND PORT      KIND: plain, fork, exec, reset, mptcp, mptcp-fork, ring, multishot, zerocopy
 *
 * It prints the pids of who accepts, serves and connects, then obeys the lines on its standard input:
 * `data`: the client sends REQUEST bytes (zerocopy: PAGES pages), the server answers with ANSWER;
 * `close`: the server closes (reset: without lingering), then the client. After each it prints `done`. Exit code 77: this kernel
 * has no such thing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST 3000
#define ANSWER 5000
#define PAGES 480
#define PAGE_BYTES 4096
#define CHUNK_PAGES 15
#define MOST (PAGES * PAGE_BYTES)
#define MPTCP 262
#define LACKING 77

static char buffer[MOST];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void need(long result, const char *what)
{
	if (result < 0)
		fail(what);
}

static bool is(const char *kind, const char *one)
{
	return !strcmp(kind, one);
}

/* ---- io_uring, without a library: one request at a time ---- */

static struct {
	int fd;
	unsigned *sq_tail, *sq_array, *sq_mask, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *requests;
	struct io_uring_cqe *answers;
} ring;

static void *ring_map(size_t bytes, long offset)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, ring.fd, offset);

	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

static void ring_open(void)
{
	struct io_uring_params p = {};
	char *sq, *cq;

	ring.fd = syscall(__NR_io_uring_setup, 8, &p);
	if (ring.fd < 0 && (errno == ENOSYS || errno == EPERM)) {
		perror("io_uring_setup");
		exit(LACKING);
	}
	need(ring.fd, "io_uring_setup");
	sq = ring_map(p.sq_off.array + p.sq_entries * sizeof(unsigned),
		      IORING_OFF_SQ_RING);
	cq = ring_map(p.cq_off.cqes +
			      p.cq_entries * sizeof(struct io_uring_cqe),
		      IORING_OFF_CQ_RING);
	ring.requests = ring_map(p.sq_entries * sizeof(struct io_uring_sqe),
				 IORING_OFF_SQES);
	ring.sq_tail = (unsigned *)(sq + p.sq_off.tail);
	ring.sq_array = (unsigned *)(sq + p.sq_off.array);
	ring.sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	ring.cq_head = (unsigned *)(cq + p.cq_off.head);
	ring.cq_tail = (unsigned *)(cq + p.cq_off.tail);
	ring.cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	ring.answers = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

/* What the request has come to. */
static int ring_do(const struct io_uring_sqe *request)
{
	unsigned tail = *ring.sq_tail, place = tail & *ring.sq_mask,
		 head = *ring.cq_head;
	int result;

	ring.requests[place] = *request;
	ring.sq_array[place] = place;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	do {
		need(syscall(__NR_io_uring_enter, ring.fd,
			     *ring.sq_tail != tail, 1, IORING_ENTER_GETEVENTS,
			     NULL, 0),
		     "io_uring_enter");
		tail = *ring.sq_tail;
	} while (__atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == head);
	result = ring.answers[head & *ring.cq_mask].res;
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	if (result < 0) {
		errno = -result;
		fail("io_uring");
	}
	return result;
}

static int ring_accept(int listener, bool multishot)
{
	struct io_uring_sqe request = {.opcode = IORING_OP_ACCEPT,
				       .fd = listener};

	if (multishot)
		request.ioprio = IORING_ACCEPT_MULTISHOT;
	request.user_data = 1;
	return ring_do(&request);
}

static long ring_move(int opcode, int fd, char *at, size_t bytes)
{
	struct io_uring_sqe request = {.opcode = opcode, .fd = fd};

	request.addr = (unsigned long)at;
	request.len = bytes;
	request.user_data = 2;
	return ring_do(&request);
}

/* ---- the two ends ---- */

typedef long (*mover)(int fd, char *at, size_t bytes);

static long plain_read(int fd, char *at, size_t bytes)
{
	return read(fd, at, bytes);
}

static long plain_write(int fd, char *at, size_t bytes)
{
	return write(fd, at, bytes);
}

static long ring_read(int fd, char *at, size_t bytes)
{
	return ring_move(IORING_OP_RECV, fd, at, bytes);
}

static long ring_write(int fd, char *at, size_t bytes)
{
	return ring_move(IORING_OP_SEND, fd, at, bytes);
}

static void move(mover move_some, int fd, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		long some = move_some(fd, buffer + at, bytes - at);

		need(some, "move");
		if (!some)
			exit(2);
		at += some;
	}
}

/* Takes pages by mapping them, the rest by reading; says how much was mapped. */
static void take_pages(int fd)
{
	char *pages = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
	size_t taken = 0, mapped = 0;

	if (pages == MAP_FAILED)
		fail("mmap of a socket");
	while (taken < MOST) {
		struct tcp_zerocopy_receive z = {
			.address = (unsigned long)pages, .length = 1 << 20};
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		socklen_t length = sizeof(z);

		need(poll(&wait, 1, -1), "poll");
		need(getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &z,
				&length),
		     "TCP_ZEROCOPY_RECEIVE");
		mapped += z.length;
		taken += z.length;
		if (z.length)
			madvise(pages, z.length, MADV_DONTNEED);
		if (z.recv_skip_hint) {
			size_t rest = z.recv_skip_hint < MOST ?
					      z.recv_skip_hint :
					      MOST;
			long some = read(fd, buffer, rest);

			need(some, "read");
			taken += some;
		}
	}
	/* a mapping keeps the socket open */
	munmap(pages, 1 << 20);
	printf("mapped %zu\n", mapped);
	fflush(stdout);
}

/* Whole pages, each of which stays one in the receiver's queue. */
static void give_pages(int fd)
{
	char *pages = mmap(NULL, MOST, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int one = 1;

	if (pages == MAP_FAILED)
		fail("mmap");
	memset(pages, 'Z', MOST);
	need(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)),
	     "SO_ZEROCOPY");
	for (size_t at = 0; at < MOST;) {
		size_t most = CHUNK_PAGES * PAGE_BYTES;
		long some =
			send(fd, pages + at,
			     most < MOST - at ? most : MOST - at, MSG_ZEROCOPY);

		need(some, "send");
		at += some;
	}
}

static void serve(const char *kind, int fd)
{
	bool by_ring = is(kind, "ring") || is(kind, "multishot");

	if (is(kind, "zerocopy"))
		take_pages(fd);
	else
		move(by_ring ? ring_read : plain_read, fd, REQUEST);
	move(by_ring ? ring_write : plain_write, fd, ANSWER);
}

/* A worker: each byte from the pipe is a step. */
static void work(int fd, int steps)
{
	char step;

	while (read(steps, &step, 1) == 1 && step == 'd')
		serve("plain", fd);
	exit(0);
}

static int open_socket(const char *kind)
{
	int fd = socket(AF_INET, SOCK_STREAM,
			strncmp(kind, "mptcp", 5) ? 0 : MPTCP);

	if (fd < 0 && errno == EPROTONOSUPPORT) {
		perror("socket");
		exit(LACKING);
	}
	need(fd, "socket");
	return fd;
}

static struct sockaddr_in address(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void be_client(const char *kind, int port, int steps, int done)
{
	struct sockaddr_in to = address(port);
	int fd = open_socket(kind);
	char step;

	need(connect(fd, (struct sockaddr *)&to, sizeof(to)), "connect");
	while (read(steps, &step, 1) == 1 && step == 'd') {
		if (is(kind, "zerocopy"))
			give_pages(fd);
		else
			move(plain_write, fd, REQUEST);
		move(plain_read, fd, ANSWER);
		need(write(done, "d", 1), "pipe");
	}
	while (read(fd, buffer, 1) > 0)
		;
	exit(0);
}

static int listen_at(const char *kind, int port)
{
	/* with its options a segment of loopback holds a page of data */
	int fd = open_socket(kind), one = 1, segment = PAGE_BYTES + 12;
	struct sockaddr_in at = address(port);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (is(kind, "zerocopy"))
		setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment,
			   sizeof(segment));
	need(bind(fd, (struct sockaddr *)&at, sizeof(at)), "bind");
	need(listen(fd, 5), "listen");
	return fd;
}

/* The last close() resets the connection. */
static void never_linger(int fd)
{
	struct linger none = {.l_onoff = 1};

	need(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)),
	     "SO_LINGER");
}

static int hand_over(const char *kind, const char *self, int fd, int steps)
{
	char worker[4096], number[16];
	int pid = fork();

	if (pid)
		return pid;
	if (!is(kind, "exec"))
		work(fd, steps);
	snprintf(worker, sizeof(worker), "%s-worker", self);
	snprintf(number, sizeof(number), "%d", steps);
	dup2(fd, 0);
	execl(worker, worker, "work", number, NULL);
	fail(worker);
	return -1;
}

int main(int count, char **arguments)
{
	const char *kind = arguments[1];
	bool by_ring = is(kind, "ring") || is(kind, "multishot");
	int to_client[2], to_worker[2], from_client[2], client, worker,
		listener, fd;
	char line[16], byte;

	if (is(kind, "work"))
		work(0, atoi(arguments[2]));
	if (count != 3)
		return 1;
	if (by_ring)
		ring_open();
	need(pipe(to_client) | pipe(to_worker) | pipe(from_client), "pipe");
	listener = listen_at(kind, atoi(arguments[2]));
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	client = fork();
	if (!client)
		be_client(kind, atoi(arguments[2]), to_client[0],
			  from_client[1]);
	fd = by_ring ? ring_accept(listener, is(kind, "multishot")) :
		       accept(listener, NULL, NULL);
	need(fd, "accept");
	worker = getpid();
	if (is(kind, "reset"))
		never_linger(fd);
	if (is(kind, "fork") || is(kind, "reset") || is(kind, "exec") ||
	    is(kind, "mptcp-fork")) {
		worker = hand_over(kind, arguments[0], fd, to_worker[0]);
		close(fd);
	}
	printf("{\"acceptor\":%d,\"worker\":%d,\"client\":%d}\n", getpid(),
	       worker, client);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		need(write(to_client[1], line, 1), "pipe");
		if (worker != getpid())
			need(write(to_worker[1], line, 1), "pipe");
		else if (line[0] == 'd')
			serve(kind, fd);
		if (line[0] == 'd') {
			need(read(from_client[0], &byte, 1), "pipe");
		} else {
			close(fd);
			if (worker != getpid())
				waitpid(worker, NULL, 0);
			waitpid(client, NULL, 0);
		}
		puts("done");
		fflush(stdout);
	}
	return 0;
}

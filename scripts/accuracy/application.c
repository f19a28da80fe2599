/*
 * A server and a client of HTTP/1.1 that take the time of what they do themselves: CLOCK_MONOTONIC
 * right before each call that writes and right after each that reads. One exchange after another on
 * one connection; what is slow in it is slow on purpose.
 *
 *   application INJECTION COUNT SEED ADDRESS [NETNS-OF-SERVER NETNS-OF-CLIENT]
 *
 * Prints READY, waits for a line on its standard input, then prints a line per exchange: the stamps
 * of struct stamps in this order, in nanoseconds.
 */
#include "shared.h"

#define PORT 8080
#define LARGE 200000
#define PIPELINED 8

/* Waits from the moment at which there is something to read. */
static void wait_before_read(int fd, uint64_t ns)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	if (poll(&readable, 1, -1) != 1)
		fail("poll");
	wait_ns(ns);
}

static void join(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fail(path);
	close(fd);
}

static const char GET[] = "GET /orders/1 HTTP/1.1\r\nHost: a\r\n\r\n";
static const char POST[] = "POST /orders HTTP/1.1\r\nContent-Length: 4000\r\n\r\n";
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhelloworld";
static const char MIDDLE[] = "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n";
static const char LONG_POST[] = "POST /orders HTTP/1.1\r\nContent-Length: 200000\r\n\r\n";
static const char LONG[] = "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n";
static char buffer[LARGE + 65536];

static int is_long(void)
{
	return is("send buffer") || is("slow reader") || is("full window");
}

static size_t request_size(void)
{
	/* read in pieces: the wait for the CPU is before the first one */
	if (is("request segment lost") || is("CPU busy"))
		return strlen(POST) + 4000;
	if (is("small receive buffer"))
		return strlen(LONG_POST) + LARGE;
	return strlen(GET) * (is("pipelining") ? PIPELINED : 1);
}

static size_t response_size(void)
{
	if (is_long())
		return strlen(LONG) + LARGE;
	if (is("response segment lost"))
		return strlen(MIDDLE) + 4000;
	return strlen(ANSWER) * (is("pipelining") ? PIPELINED : 1);
}

static void answer(int fd, struct stamps *at)
{
	size_t half = strlen(ANSWER) - 5;

	at->server_write = now();
	at->server_last_write = at->server_write;
	if (is("response in two writes")) {
		write_all(fd, ANSWER, half);
		wait_ns(at->delay);
		at->server_last_write = now();
		write_all(fd, ANSWER + half, 5);
	} else if (is_long() || is("response segment lost")) {
		const char *head = is_long() ? LONG : MIDDLE;

		memset(buffer, 'x', sizeof(buffer));
		memcpy(buffer, head, strlen(head));
		write_all(fd, buffer, response_size());
	} else {
		write_all(fd, ANSWER, strlen(ANSWER));
	}
	at->server_written = now();
}

static void serve(int fd, struct stamps *at)
{
	size_t got = 0, most = is("small receive buffer") ? 8192 :
			       is("CPU busy")		  ? 1000 :
							    sizeof(buffer);

	if (is("late read"))
		wait_before_read(fd, at->delay);
	while (got < request_size()) {
		if (is("small receive buffer"))
			wait_ns(at->delay / 50);
		got += read_some(fd, buffer, most);
		at->server_read = now();
		if (!at->server_first_read)
			at->server_first_read = at->server_read;
	}
	if (is("application") || is("older connection"))
		wait_ns(at->delay);
	if (is("pipelining")) {
		for (int i = 0; i < PIPELINED - 2; i++)
			write_all(fd, ANSWER, strlen(ANSWER));
		/* the one before the last takes its time: the last is behind it */
		wait_ns(at->delay);
		write_all(fd, ANSWER, strlen(ANSWER));
	}
	answer(fd, at);
}

/* Nothing takes longer than what is injected: no other process, and no page that is touched first. */
static void prepare(void)
{
	if (!is("CPU busy"))
		go_first();
	memset(buffer, 'z', sizeof(buffer));
	buffer[0] = 0;
}

static int accepted(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		fail("accept");
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

static int server(void)
{
	int fd = -1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	prepare();
	if (listener < 0)
		fail("socket");
	set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (is("send buffer"))
		set(listener, SOL_SOCKET, SO_SNDBUF, 4096);
	if (is("full window"))
		set(listener, SOL_SOCKET, SO_SNDBUFFORCE, 4 * LARGE);
	if (is("small receive buffer"))
		set(listener, SOL_SOCKET, SO_RCVBUF, 4096);
	if (is("CPU busy"))
		stay_on(1);
	if (bind(listener, (void *)&address, sizeof(address)) || listen(listener, 8))
		fail("listen");
	pthread_barrier_wait(&shared->listens);
	for (unsigned i = 0; i < count; i++) {
		if (!i && !is("SYN lost"))
			fd = accepted(listener);
		pthread_barrier_wait(&shared->begins);
		if (is("SYN lost")) {
			close(fd);
			fd = accepted(listener);
		}
		serve(fd, &shared->at);
		pthread_barrier_wait(&shared->ends);
	}
	close(fd);
	return 0;
}

static void ask(int fd, struct stamps *at)
{
	size_t half = strlen(GET) / 2;

	at->client_write = now();
	at->client_last_write = at->client_write;
	if (is("request in two halves")) {
		write_all(fd, GET, half);
		wait_ns(at->delay);
		at->client_last_write = now();
		write_all(fd, GET + half, strlen(GET) - half);
	} else {
		memset(buffer, 'y', request_size());
		if (is("request segment lost") || is("CPU busy"))
			memcpy(buffer, POST, strlen(POST));
		if (is("small receive buffer"))
			memcpy(buffer, LONG_POST, strlen(LONG_POST));
		for (int i = 0; i < (is("pipelining") ? PIPELINED : 1) && buffer[0] != 'P'; i++)
			memcpy(buffer + i * strlen(GET), GET, strlen(GET));
		write_all(fd, buffer, request_size());
		buffer[0] = 0;
	}
	at->client_written = now();
}

static void take(int fd, struct stamps *at)
{
	size_t got = 0, most = is("slow reader") || is("full window") ?
			       8192 : sizeof(buffer);

	if (is("late client"))
		wait_before_read(fd, at->delay);
	while (got < response_size()) {
		if (is_long())
			wait_ns(at->delay / (is("full window") ? 10 : 50));
		got += read_some(fd, buffer, most);
		at->client_read = now();
		if (!at->client_first_read)
			at->client_first_read = at->client_read;
	}
	buffer[0] = 0;
}

static int connected(struct stamps *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	if (is_long())
		set(fd, SOL_SOCKET, SO_RCVBUF, 4096);
	at->client_connect = now();
	if (connect(fd, (void *)&address, sizeof(address)))
		fail("connect");
	at->client_connected = now();
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

static void print(const struct stamps *at)
{
	const uint64_t *stamp = (const uint64_t *)at;

	for (size_t i = 0; i < sizeof(*at) / sizeof(*stamp); i++)
		printf("%s%llu", i ? " " : "", (unsigned long long)stamp[i]);
	putchar('\n');
}

static int client(unsigned seed)
{
	int fd = -1;

	prepare();
	pthread_barrier_wait(&shared->listens);
	if (is("older connection"))
		fd = connected(&shared->at);
	puts("READY");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	if (fd < 0 && !is("SYN lost"))
		fd = connected(&shared->at);
	srand(seed);
	for (unsigned i = 0; i < count; i++) {
		memset(&shared->at, 0, sizeof(shared->at));
		shared->at.delay = 2000000 + (uint64_t)rand() % 48000000;
		pthread_barrier_wait(&shared->begins);
		if (is("SYN lost")) {
			close(fd);
			fd = connected(&shared->at);
		}
		if (is("CPU busy"))
			start_burning();
		ask(fd, &shared->at);
		take(fd, &shared->at);
		pthread_barrier_wait(&shared->ends);
		print(&shared->at);
	}
	close(fd);
	return 0;
}

/* A process of its own that ends with this one. */
static pid_t start(const char *name)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void share(pthread_barrier_t *barrier)
{
	pthread_barrierattr_t attributes;

	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(barrier, &attributes, 2);
}

int main(int argc, char **argv)
{
	pid_t pid, burner = 0;
	int status = 0;

	if (argc != 5 && argc != 7)
		return 2;
	injection = argv[1];
	count = atoi(argv[2]);
	address.sin_port = htons(PORT);
	if (inet_pton(AF_INET, argv[4], &address.sin_addr) != 1)
		return 2;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap");
	share(&shared->listens);
	share(&shared->begins);
	share(&shared->ends);
	pid = start("server");
	if (!pid) {
		if (argc == 7)
			join(argv[5]);
		return server();
	}
	if (is("CPU busy")) {
		burner = start("burner");
		if (!burner)
			burn();
		stay_on(0);
	}
	if (argc == 7)
		join(argv[6]);
	status = client(atoi(argv[3]));
	end(pid);
	if (burner)
		end(burner);
	return status;
}

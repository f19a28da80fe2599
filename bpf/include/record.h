/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire records: what a program writes and the reader in src/sources
 * decodes. The decoders in src/generated come from these structs (through the
 * BTF of the built objects), so a change here is a `make generate` away.
 *
 * Every record begins with struct nw_head. Fields go from large to small and
 * padding is explicit. A time that was not measured is NW_UNKNOWN, never 0.
 */
#ifndef NW_RECORD_H
#define NW_RECORD_H

#define NW_UNKNOWN (~0ULL)
#define NW_COMM_LEN 16
#define NW_LINE_LEN 256

/* What a field means decides how it is decoded (scripts/generate.mjs). */
typedef __u64 nw_address_t; /* kernel address: an identifier */
typedef __u64 nw_duration_t; /* nanoseconds; NW_UNKNOWN = not measured */
typedef __u8 nw_comm_t[NW_COMM_LEN]; /* text up to the first NUL */
typedef __u8 nw_ip_t[16]; /* IPv6, or IPv4-mapped */

/* Puts a record's layout into the object's BTF, for the generator. */
#define NW_RECORD(type) struct type *const volatile nw_layout_##type = 0
#define NW_ENUM(type) enum type *const volatile nw_layout_##type = 0

/* Of such records the reader keeps many: they get a class that does. */
#define NW_KEPT(type) struct type *const volatile nw_kept_##type = 0

enum nw_kind {
	NW_KIND_NONE = 0,
	NW_KIND_CONNECTION_OPEN = 1,
	NW_KIND_CONNECTION_CLOSE = 2,
	NW_KIND_CONNECTION_SAMPLE = 3,
	NW_KIND_CONNECTION_OWNER = 4,
	NW_KIND_PACKET = 5,
	NW_KIND_HTTP_HEAD = 6,
	NW_KIND_DROP = 7,
	NW_KIND_RESET = 8,
	NW_KIND_INSIGHT = 9,
	NW_KIND_LIFE = 10,
	NW_KIND_TCP_DROP = 11,
	NW_KIND_LISTEN = 12,
	NW_KIND_FD_PASS = 13,
	NW_KIND_DNS = 14,
	NW_KIND_PACKET_LATENCY = 15,
	NW_KIND_CONNECTION_UNACCEPTED = 16,
	NW_KIND_HTTP_EXCHANGE = 17,
	NW_KIND_HTTP_PROXY = 18,
	NW_KIND_CONNECTION_HANDOVER = 19,
	NW_KIND_CGROUP = 20,
	NW_KIND_KEEPALIVE = 21,
	NW_KIND_LISTENER_CLOSE = 22, /* one that has overflowed */
};

/* What is to be known of a record beside its values; a mask. */
enum nw_mark {
	NW_MARK_NONE = 0,
	NW_MARK_RETRANSMITTED = 1, /* a packet that was sent before */
	/*
	 * The filter asks for a process and nobody has accepted the connection
	 * yet: to be kept until somebody does (nw_connection_owner).
	 */
	NW_MARK_UNJUDGED = 2,
	NW_MARK_LISTENER_ALLOWED = 4, /* if nobody does, it counts */
	/*
	 * Times enum nw_outcome: at the close of a connection whose handshake
	 * failed, which the totals count as that.
	 */
	NW_MARK_OUTCOME = 8,
};

/* Which packets the reader gets; the first two: of HTTP heads, those of requests. */
enum nw_told {
	NW_TOLD_NONE = 0,
	NW_TOLD_UNJUDGED = 1, /* of which it shows later whether they count */
	NW_TOLD_HTTP = 2, /* and those with HTTP heads */
	NW_TOLD_ALL = 3,
};

enum nw_role {
	NW_ROLE_UNKNOWN = 0,
	NW_ROLE_CLIENT = 1,
	NW_ROLE_SERVER = 2,
	NW_ROLE_LISTENER = 3,
};

/* Where a socket's pid and comm come from, weakest first. */
enum nw_owner_source {
	NW_OWNER_NONE = 0,
	NW_OWNER_LISTENER = 1, /* inherited from the listening socket */
	NW_OWNER_FILE = 2, /* iter/task_file: who holds the descriptor */
	NW_OWNER_CONNECT = 3,
	NW_OWNER_ACCEPT = 4,
	NW_OWNER_USER = 5, /* it has read or written last */
};

/*
 * Causes of a retransmission (retransmit.bpf.h says how they are told apart).
 * The first NW_SOCKET_RETRANSMITS are counted per connection as well.
 */
enum nw_retransmit_type {
	NW_RETRANSMIT_FAST = 0,
	NW_RETRANSMIT_TIMEOUT = 1,
	NW_RETRANSMIT_TAIL_LOSS_PROBE = 2,
	NW_RETRANSMIT_SYN = 3,
	NW_RETRANSMIT_SYNACK = 4,
	NW_RETRANSMIT_PATH_MTU = 5,
	NW_RETRANSMIT_FAST_OPEN = 6,
	NW_RETRANSMIT_ZERO_WINDOW = 7,
	NW_RETRANSMIT_TYPES = 8,
};

#define NW_SOCKET_RETRANSMITS 2

/*
 * What the kernel's byte counts of a connection hold beside data, as each takes
 * a sequence number; a mask.
 */
enum nw_counted {
	NW_COUNTED_NONE = 0,
	NW_COUNTED_SYN = 1, /* in bytes_acked: the SYN that connect() sent */
	NW_COUNTED_FIN = 2, /* in bytes_acked */
	NW_COUNTED_PEER_FIN = 4, /* in bytes_received */
};

/* Explicit congestion notification; a mask. */
enum nw_ecn {
	NW_ECN_NONE = 0,
	NW_ECN_NEGOTIATED = 1, /* both ends do it */
	NW_ECN_SEEN = 2, /* a packet that may be marked has arrived */
};

struct nw_head {
	__u64 ts_ns; /* CLOCK_MONOTONIC */
	nw_address_t sock; /* 0 = none */
	enum nw_kind kind;
	__u32 netns; /* inode number of the network namespace */
};

/* IPv4 addresses are IPv4-mapped (::ffff:a.b.c.d), ports in host order. */
struct nw_tuple {
	nw_ip_t local_addr;
	nw_ip_t peer_addr;
	__u16 local_port;
	__u16 peer_port;
	__u8 family; /* AF_INET or AF_INET6 */
	__u8 pad[3];
};

struct nw_task {
	__u64 start_ns; /* of the thread group leader; with pid = identity */
	__u64 cgroup; /* its id when it was seen; 0 = not known */
	__u32 pid;
	__u32 uid;
	nw_comm_t comm;
};

/* One connection, whole: at open, at close and at every pull of iter/tcp. */
struct nw_connection {
	struct nw_head head;
	__u64 cookie; /* 0 = the kernel has not generated one */
	nw_duration_t open_ns; /* clock; NW_UNKNOWN = before netwatch started */
	nw_duration_t handshake_ns;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 pacing_rate; /* bytes per second */
	/* NW_UNKNOWN = the reader does not know how long a jiffy is */
	nw_duration_t rto_ns;
	nw_duration_t
		busy_ns; /* with something to send, the next two included */
	nw_duration_t rwnd_limited_ns;
	nw_duration_t sndbuf_limited_ns;
	struct nw_task task;
	struct nw_tuple tuple;
	__u32 srtt_us; /* kernel's value << 3 */
	__u32 mdev_us; /* kernel's value << 2 */
	__u32 rttvar_us; /* kernel's value << 2 */
	__u32 min_rtt_us;
	__u32 backlog;
	__u32 max_backlog;
	__u32 rwnd;
	__u32 snd_wnd;
	__u32 cwnd;
	__u32 ssthresh;
	__u32 sndbuf;
	__u32 rcvbuf;
	__u32 wmem_queued;
	__u32 rmem_alloc;
	__u32 total_retrans; /* segments, the socket's own counter */
	__u32 packets_out;
	__u32 sacked_out;
	__u32 lost_out;
	__u32 retrans_out;
	__u32 reordering;
	__u32 delivered;
	__u32 delivered_ce;
	__u32 segs_in;
	__u32 segs_out;
	__u32 unacked; /* bytes: snd_nxt - snd_una */
	__u32 notsent; /* bytes: write_seq - snd_nxt */
	__u32 unread; /* bytes: rcv_nxt - copied_seq */
	__u32 mss;
	__u32 rcv_ooopack;
	__u32 retransmits[NW_SOCKET_RETRANSMITS]; /* segments, by cause */
	__u32 error; /* errno of a failed or broken connection */
	__u32 accepted_by; /* pid of another process than task; 0 = none */
	nw_comm_t accepted_by_comm;
	nw_comm_t ca_name;
	__u8 ecn; /* enum nw_ecn */
	__u8 ca_state;
	__u8 state; /* the kernel's TCP_… state */
	__u8 old_state; /* at close: the state it left */
	__u8 role; /* enum nw_role */
	__u8 owner_source; /* enum nw_owner_source */
	__u8 marks; /* enum nw_mark */
	__u8 counted; /* enum nw_counted */
	/* of a listener: segments that found its accept queue full, with -e */
	__u32 overflows;
	/* clock: since when it is in its state; NW_UNKNOWN = not seen */
	nw_duration_t state_ns;
};

/*
 * The process that accept() gave a connection to. NW_KIND_CONNECTION_UNACCEPTED:
 * it has ended before, and counts as its listener's. NW_KIND_CONNECTION_HANDOVER:
 * another process reads or writes it now.
 */
struct nw_connection_owner {
	struct nw_head head;
	struct nw_tuple tuple;
	struct nw_task task;
	__u32 accepted_by; /* as in nw_connection */
	nw_comm_t accepted_by_comm;
	__u8 allowed; /* the filter lets the process through */
	__u8 pad[3];
};

/* One TCP packet as IP sees it (before segmentation, after merging). */
struct nw_packet {
	struct nw_head head; /* ts_ns: the last hook that saw it */
	struct nw_tuple tuple;
	nw_duration_t mac_ns;
	nw_duration_t ip_ns;
	nw_duration_t tcp_ns;
	/* of a received packet's tcp_ns: an earlier segment was missing */
	nw_duration_t reorder_ns;
	__u32 seq;
	__u32 ack;
	__u32 payload_bytes;
	__u32 skb_bytes; /* IP header included */
	__u32 pid; /* of the socket's owner, in a SYN; 0 = not known */
	__u8 rx;
	__u8 tcp_flags;
	__u8 http_heads; /* nw_http_head records with this sock, seq, rx */
	__u8 marks; /* enum nw_mark */
};

/* The first line of one HTTP message, query values already taken out. */
struct nw_http_head {
	struct nw_head head;
	__u32 seq; /* of the packet that completed the line */
	__u32 offset; /* of the head in that packet's payload */
	__u16 status; /* 0 in a request */
	__u16 line_bytes;
	__u8 method; /* enum of http.h; 0 in a response */
	__u8 version; /* minor: 0 or 1 */
	__u8 truncated;
	__u8 rx;
	/* of the request in its connection; of a response: the one it answers */
	__u32 number;
	__u32 pad;
	__u8 line[NW_LINE_LEN];
};

/*
 * The parts of an exchange in order of time, by its side; they add up to its
 * duration.
 */
enum nw_server_part {
	NW_SERVER_REQUEST_TRANSFER = 0,
	NW_SERVER_RECEIVE_QUEUE = 1,
	NW_SERVER_BEHIND = 2, /* the answer to an earlier request came first */
	NW_SERVER_APPLICATION = 3,
	NW_SERVER_RESPONSE_WRITE = 4,
	NW_SERVER_SEND_WAIT = 5,
};

enum nw_client_part {
	NW_CLIENT_REQUEST_WRITE = 0,
	NW_CLIENT_SEND_WAIT = 1,
	NW_CLIENT_REMOTE = 2,
	NW_CLIENT_RESPONSE_TRANSFER = 3,
	NW_CLIENT_RECEIVE_QUEUE = 4,
};

#define NW_HTTP_PARTS 6

/* Why parts of an exchange are not known. */
enum nw_unexplained {
	NW_EXPLAINED = 0,
	NW_UNEXPLAINED_KERNEL = 1, /* it lacks a hook */
	NW_UNEXPLAINED_OLD = 2, /* the connection is older than netwatch */
	NW_UNEXPLAINED_NO_ROOM = 3, /* too many at once */
	NW_UNEXPLAINED_NO_READ = 4, /* nobody was seen reading the end */
	NW_UNEXPLAINED_NO_WRITE = 5, /* nobody was seen writing */
	NW_UNEXPLAINED_UNFINISHED = 6, /* it has no end */
	NW_UNEXPLAINED_LOST = 7, /* segments passed unseen */
};

/*
 * One request and its final response, seen from one of its ends. From the first
 * byte of the request: received by a server, written by a client; to the last
 * one of the response: handed to IP by a server, read by a client.
 */
struct nw_http_exchange {
	struct nw_head head; /* ts_ns: its end */
	nw_duration_t duration_ns;
	nw_duration_t first_byte_ns; /* until the first one of the response */
	__u64 request_bytes; /* of its body; NW_UNKNOWN = not known */
	__u64 response_bytes; /* of its body, as far as it has come */
	nw_duration_t part_ns[NW_HTTP_PARTS];
	/* of the transfer: later data was here, an earlier segment was not */
	nw_duration_t reordering_ns;
	/* of the receive queue: the reader could run and had no CPU */
	nw_duration_t run_queue_ns;
	/* of writing: the send buffer was full */
	nw_duration_t send_buffer_ns;
	/* of the send wait: until what was lost was sent again */
	nw_duration_t send_retransmit_ns;
	/* of the send wait: the peer's receive window was full */
	nw_duration_t receive_window_ns;
	/* retransmissions of a client's remote part, of a server's delivery */
	nw_duration_t wait_retransmit_ns;
	/* of the remote part: the connection's smallest round trip */
	nw_duration_t network_ns;
	/* a server's, behind the end: until all was acknowledged */
	nw_duration_t delivery_ns;
	__u64 cgroup; /* of the process; 0 = not known */
	struct nw_tuple tuple;
	nw_comm_t comm; /* of the socket's owner */
	__u32 pid; /* 0 = not known */
	__u32 number; /* of the request in its connection, as in its head */
	__u32 retransmits; /* segments of this end that were sent again */
	__u16 status; /* 0 = no response */
	__u16 server_port;
	__u8 role; /* enum nw_http_role */
	__u8 method; /* enum of http.h */
	__u8 version; /* minor: 0 or 1 */
	__u8 outcome; /* enum of http.h */
	__u8 early; /* the response began before the request was whole */
	__u8 unexplained; /* enum nw_unexplained */
	__u8 pad[2];
};

/* A packet or connection the kernel gave up on, with the kernel's own reason. */
struct nw_fault {
	struct nw_head head; /* kind: NW_KIND_DROP or NW_KIND_RESET */
	struct nw_task task; /* the socket's owner; pid 0 = not known */
	struct nw_tuple tuple;
	__u32 seq;
	__u32 ack;
	__u32 reason; /* enum skb_drop_reason or sk_rst_reason of this kernel */
	__u32 skb_bytes;
	__u8 tcp_flags;
	__u8 rx; /* of a reset: received, not sent */
	__u8 state; /* TCP_… of the socket; 0 = none */
	__u8 marks; /* enum nw_mark */
	__u8 pad[4];
};

#endif /* NW_RECORD_H */

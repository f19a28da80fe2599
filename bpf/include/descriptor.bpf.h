/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a descriptor of the current process is. The number is the process's own
 * word, so it is looked up as the kernel does: within the table.
 */
#ifndef NW_DESCRIPTOR_BPF_H
#define NW_DESCRIPTOR_BPF_H

#include "compat.bpf.h"

#define NW_S_IFMT 0170000
#define NW_S_IFSOCK 0140000

/* The open file behind a descriptor; NULL if there is none. */
static __always_inline struct file *nw_file_of(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct files_struct *files = nw_read(task, files);
	struct fdtable *table = nw_read(files, fdt);
	struct file *file = NULL;

	if (fd < nw_read(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file),
				      nw_read(table, fd) + fd);
	return file;
}

/* The socket of an open file; NULL if it is none. */
static __always_inline struct sock *nw_sock_of(struct file *file)
{
	struct inode *inode = nw_read(file, f_inode);
	struct socket *socket;

	if ((nw_read(inode, i_mode) & NW_S_IFMT) != NW_S_IFSOCK)
		return NULL;
	socket = nw_read(file, private_data);
	return nw_read(socket, sk);
}

static __always_inline bool nw_is_mptcp(struct sock *sk)
{
	__u16 family = nw_read(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) &&
	       nw_read(sk, sk_protocol) == NW_IPPROTO_MPTCP;
}

/*
 * The TCP socket behind a socket that a process has: itself, or the first
 * subflow of MPTCP's, which speaks plain TCP with all who know nothing else.
 * NULL if there is none.
 */
static __always_inline struct sock *nw_tcp_of(struct sock *sk)
{
	__u16 family = nw_read(sk, __sk_common.skc_family);
	__u16 protocol;

	if ((family != AF_INET && family != AF_INET6) ||
	    nw_read(sk, sk_type) != SOCK_STREAM)
		return NULL;
	protocol = nw_read(sk, sk_protocol);
	if (protocol == NW_IPPROTO_TCP)
		return sk;
	if (protocol != NW_IPPROTO_MPTCP ||
	    !bpf_core_type_exists(struct mptcp_sock))
		return NULL;
	return nw_read((struct mptcp_sock *)sk, first);
}

/* The socket behind a descriptor of the current task; NULL if it is none. */
static __always_inline struct sock *nw_sock_of_fd(__s32 fd)
{
	return fd < 0 ? NULL : nw_sock_of(nw_file_of(fd));
}

/* The TCP socket behind it. */
static __always_inline struct sock *nw_tcp_of_fd(__s32 fd)
{
	struct sock *sk = nw_sock_of_fd(fd);

	return sk ? nw_tcp_of(sk) : NULL;
}

#endif /* NW_DESCRIPTOR_BPF_H */

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
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file),
				      BPF_CORE_READ(table, fd) + fd);
	return file;
}

/* The socket of an open file; NULL if it is none. */
static __always_inline struct sock *nw_sock_of(struct file *file)
{
	struct socket *socket;

	if ((BPF_CORE_READ(file, f_inode, i_mode) & NW_S_IFMT) != NW_S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

#endif /* NW_DESCRIPTOR_BPF_H */

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much data a connection has carried, at its end. */
#ifndef NW_VOLUME_BPF_H
#define NW_VOLUME_BPF_H

#include "socket.bpf.h"

#define NW_SOCK_DONE 1 /* enum sock_flags: the peer's FIN has been taken */

/*
 * The kernel counts sequence numbers: a SYN that connect() sent is one, and so
 * is each FIN. What is left is data.
 */
static __always_inline void nw_data_volume(struct sock *sk, struct tcp_sock *tp,
					   const struct nw_socket *s,
					   int old_state, __u64 *bytes_sent,
					   __u64 *bytes_received)
{
	__u64 sent = tp->bytes_acked, received = tp->bytes_received;
	bool fin_sent = old_state == TCP_FIN_WAIT1 ||
			old_state == TCP_FIN_WAIT2 ||
			old_state == TCP_CLOSING || old_state == TCP_LAST_ACK;

	if (sent && s->role == NW_ROLE_CLIENT)
		sent--;
	if (sent && fin_sent && tp->snd_una == tp->write_seq)
		sent--;
	if (received && (sk->__sk_common.skc_flags & (1UL << NW_SOCK_DONE)))
		received--;
	*bytes_sent = sent;
	*bytes_received = received;
}

#endif /* NW_VOLUME_BPF_H */

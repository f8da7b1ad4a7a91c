/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that are sent along with bytes over a unix socket (unix(7), SCM_RIGHTS), for every
 * sender and receiver of the project. What is sent stays the sender's. What is received is
 * O_CLOEXEC, and the receiver closes it.
 */
#ifndef LIB_FDPASS_H
#define LIB_FDPASS_H

#include <sys/types.h>
#include <sys/uio.h>

#define FDS_SEND_MAX 32

/* One sendmsg(2) without SIGPIPE, repeated when a signal has interrupted it. flags: MSG_DONTWAIT,
 * or 0 to wait for room. Returns how many bytes were sent, which on a stream may be fewer than
 * given (the descriptors went with the first of them), or -errno; -EINVAL for more descriptors than
 * FDS_SEND_MAX. */
ssize_t fds_sendv(int sock, const struct iovec *iov, size_t n_iov, const int *fds, unsigned n,
		  int flags);
/* Sends one message; 0 or -errno. */
int fds_send(int sock, const void *buf, size_t len, const int *fds, int n, int flags);

/* One recvmsg(2), repeated as above. *n: for how many descriptors there is room in fds, up to
 * FDS_SEND_MAX; afterwards how many have come. *ret_flags, if not NULL: MSG_TRUNC when bytes were
 * lost, MSG_CTRUNC when descriptors were. Returns the bytes; 0: the other end has closed; or
 * -errno. */
ssize_t fds_recvv(int sock, void *buf, size_t len, int *fds, unsigned *n, int flags,
		  int *ret_flags);
/* The same for a caller that does not care whether anything was lost, because it looks at the
 * number of bytes. */
ssize_t fds_receive(int sock, void *buf, size_t len, int *fds, int *n, int flags);

#endif

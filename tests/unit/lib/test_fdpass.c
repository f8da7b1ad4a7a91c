// SPDX-License-Identifier: Apache-2.0
/* Descriptors over sockets: the receiver gets all that were sent, each O_CLOEXEC, and no other
 * descriptor is left open. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fdpass.h"
#include "tests/unit/rig.h"

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 200; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static ino_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void test_all_come(void **state)
{
	int sk[2], p[2], fds[4] = {-1, -1, -1, -1}, n = 4;
	char text[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sk), 0);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fds_send(sk[0], "word", 4, p, 2, MSG_DONTWAIT), 0);
	assert_int_equal(fds_receive(sk[1], text, sizeof(text), fds, &n, MSG_DONTWAIT), 4);
	assert_memory_equal(text, "word", 4);
	assert_int_equal(n, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(inode(fds[i]), inode(p[i]));
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(close(fds[i]), 0);
	}
	/* A message without a descriptor, and the end of the connection. */
	assert_int_equal(fds_send(sk[0], "x", 1, NULL, 0, 0), 0);
	n = 4;
	assert_int_equal(fds_receive(sk[1], text, sizeof(text), fds, &n, 0), 1);
	assert_int_equal(n, 0);
	assert_int_equal(fds_receive(sk[1], text, sizeof(text), fds, &n, MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(close(sk[0]), 0);
	assert_int_equal(fds_receive(sk[1], text, sizeof(text), fds, &n, 0), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(close(p[i]), 0);
	assert_int_equal(close(sk[1]), 0);
}

/* A message with more descriptors than the receiver has room for: the kernel closes the others, and
 * the receiver gets an error. */
static void test_too_many(void **state)
{
	int sk[2], fds[FDS_SEND_MAX + 1], got[4], flags;
	unsigned before, n;
	struct iovec iov = {(void *)"w", 1};
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sk), 0);
	for (int i = 0; i <= FDS_SEND_MAX; i++)
		fds[i] = sk[0];
	assert_int_equal(fds_sendv(sk[0], &iov, 1, fds, FDS_SEND_MAX + 1, 0), -EINVAL);
	before = open_fds();
	/* Odd numbers too, for which a control buffer of CMSG_SPACE holds one more than was asked for. */
	for (unsigned room = 1; room <= 4; room++) {
		n = room;
		assert_int_equal(fds_sendv(sk[0], &iov, 1, fds, FDS_SEND_MAX, 0), 1);
		assert_int_equal(fds_recvv(sk[1], &c, 1, got, &n, 0, &flags), 1);
		assert_int_equal(n, room);
		assert_true(flags & MSG_CTRUNC);
		assert_int_equal(open_fds(), before + room);
		for (unsigned i = 0; i < room; i++)
			assert_int_equal(close(got[i]), 0);
	}
	/* The same for a receiver that asks for no descriptor. */
	n = 0;
	assert_int_equal(fds_sendv(sk[0], &iov, 1, fds, 3, 0), 1);
	assert_int_equal(fds_recvv(sk[1], &c, 1, NULL, &n, 0, &flags), 1);
	assert_true(flags & MSG_CTRUNC);
	assert_int_equal(open_fds(), before);
	assert_int_equal(close(sk[0]), 0);
	assert_int_equal(close(sk[1]), 0);
}

/* A message that is longer than the receiver's buffer is an error. */
static void test_cut(void **state)
{
	int sk[2], flags;
	unsigned n = 0;
	char text[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sk), 0);
	assert_int_equal(fds_send(sk[0], "word", 4, NULL, 0, 0), 0);
	assert_int_equal(fds_recvv(sk[1], text, sizeof(text), NULL, &n, 0, &flags), 2);
	assert_true(flags & MSG_TRUNC);
	assert_int_equal(close(sk[1]), 0);
	assert_int_equal(fds_send(sk[0], "x", 1, NULL, 0, 0), -EPIPE);
	assert_int_equal(close(sk[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_come),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

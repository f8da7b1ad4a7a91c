// SPDX-License-Identifier: Apache-2.0
/* A channel to another role: nothing is lost, out of order or twice while the other end lives. */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/rig.h"
#include "wire/chan.h"

/* More messages than the socket's buffer of 1 MiB has room for. */
#define MANY 5000

struct seen {
	unsigned n;
	uint32_t tags[MANY];
	struct chan *close; /* closed while a message is taken */
	int refuse;
};

static void message(union proto_msg *m, uint32_t tag)
{
	memset(m, 0, sizeof(*m));
	proto_init(m, MON_TEMPLATES);
	m->templates.tag = tag;
}

/* As chan_take_fn has it. NOLINTNEXTLINE(readability-non-const-parameter) */
static int take(void *arg, const union proto_msg *m, int *fds, unsigned n_fds)
{
	struct seen *seen = arg;

	(void)fds;
	assert_int_equal(m->h.type, MON_TEMPLATES);
	assert_int_equal(n_fds, 0);
	assert_true(seen->n < MANY);
	seen->tags[seen->n++] = m->templates.tag;
	if (seen->close)
		chan_close(seen->close);
	return seen->refuse;
}

static void pair(struct chan *a, struct chan *b, bool keeps)
{
	int sk[2];

	assert_int_equal(proto_socketpair(sk), 0);
	chan_init(a, sk[0], keeps);
	chan_init(b, sk[1], false);
}

static int turn(struct chan *c, struct seen *seen)
{
	return chan_turn(c, ROLE_FRONT, ROLE_MONITOR, EPOLLIN, take, seen);
}

static void test_waits_in_order(void **state)
{
	static struct seen seen;
	struct chan front, monitor;
	union proto_msg m;

	(void)state;
	seen = (struct seen){0};
	pair(&front, &monitor, true);
	for (uint32_t i = 0; i < MANY; i++) {
		message(&m, i + 1);
		assert_int_equal(chan_send(&front, &m, NULL, 0), 0);
	}
	assert_true(front.n_waiting > 0);
	while (seen.n < MANY) {
		assert_int_equal(turn(&monitor, &seen), 0);
		assert_int_equal(chan_turn(&front, ROLE_MONITOR, ROLE_FRONT, EPOLLOUT, take, &seen),
				 0);
	}
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(seen.tags[i], i + 1);
	assert_int_equal(front.n_waiting, 0);
	chan_clear(&front);
	assert_int_equal(turn(&monitor, &seen), -ECONNRESET);
	chan_clear(&monitor);
}

/* A message that waits to be sent has descriptors of its own, so the sender may close its
 * copies. */
static void test_keeps_descriptors(void **state)
{
	struct chan front, monitor;
	struct stat here, there;
	union proto_msg m = {0}, got;
	int p[2], fds[PROTO_FDS_MAX], r;
	unsigned n;

	(void)state;
	pair(&front, &monitor, true);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fstat(p[0], &here), 0);
	proto_init(&m, ROLE_PEER);
	chan_close(&front);
	assert_int_equal(chan_send(&front, &m, p, 1), 0);
	assert_int_equal(close(p[0]), 0);
	/* The role's next process connects. */
	assert_int_equal(proto_socketpair(fds), 0);
	front.sock = fds[0];
	chan_close(&monitor);
	monitor.sock = fds[1];
	assert_int_equal(chan_turn(&front, ROLE_MONITOR, ROLE_FRONT, EPOLLOUT, take, NULL), 0);
	r = proto_recv(monitor.sock, ROLE_MONITOR, ROLE_FRONT, &got, fds, &n);
	assert_int_equal(r, 0);
	assert_int_equal(n, 1);
	assert_int_equal(fstat(fds[0], &there), 0);
	assert_int_equal(there.st_ino, here.st_ino);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(p[1]), 0);
	chan_clear(&front);
	chan_clear(&monitor);
}

/* A channel that does not keep messages drops those that wait when its socket is closed, and says
 * so afterwards. */
static void test_does_not_keep(void **state)
{
	struct chan front, monitor;
	union proto_msg m;

	(void)state;
	pair(&front, &monitor, false);
	message(&m, 1);
	while (front.n_waiting == 0)
		assert_int_equal(chan_send(&front, &m, NULL, 0), 0);
	chan_close(&front);
	assert_int_equal(front.n_waiting, 0);
	assert_int_equal(chan_send(&front, &m, NULL, 0), -ENOTCONN);
	chan_clear(&monitor);
}

/* The turn ends at a message that this role may not send, and where the taker of messages returns
 * an error; a channel that the taker closes is not touched any more. */
static void test_ends(void **state)
{
	struct chan front, monitor;
	struct seen seen = {0};
	union proto_msg m;

	(void)state;
	pair(&front, &monitor, true);
	message(&m, 7);
	assert_int_equal(chan_send(&front, &m, NULL, 0), 0);
	assert_int_equal(chan_turn(&monitor, ROLE_LOGGER, ROLE_MONITOR, EPOLLIN, take, &seen),
			 -EPROTO);
	assert_int_equal(seen.n, 0);
	seen.refuse = -EPROTO;
	for (int i = 0; i < 2; i++)
		assert_int_equal(chan_send(&front, &m, NULL, 0), 0);
	assert_int_equal(turn(&monitor, &seen), -EPROTO);
	assert_int_equal(seen.n, 1);
	seen = (struct seen){.close = &monitor};
	assert_int_equal(turn(&monitor, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(monitor.sock, -1);
	chan_clear(&front);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_in_order),
		cmocka_unit_test(test_keeps_descriptors),
		cmocka_unit_test(test_does_not_keep),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

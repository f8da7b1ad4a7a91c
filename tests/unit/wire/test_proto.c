// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "wire/chan.h"

static const struct {
	enum proto_type type;
	enum proto_role from, to;
	unsigned n_fds;
	size_t size;
} words[] = {
	{MON_START, ROLE_FRONT, ROLE_MONITOR, 1, sizeof(struct mon_start)},
	{MON_WARM, ROLE_FRONT, ROLE_MONITOR, 0, sizeof(struct mon_warm)},
	{MON_KILL, ROLE_FRONT, ROLE_MONITOR, 0, sizeof(struct mon_kill)},
	{MON_FORGET, ROLE_FRONT, ROLE_MONITOR, 0, sizeof(struct mon_forget)},
	{MON_TEMPLATES, ROLE_FRONT, ROLE_MONITOR, 0, sizeof(struct mon_templates)},
	{MON_STARTED, ROLE_MONITOR, ROLE_FRONT, 0, sizeof(struct mon_started)},
	{MON_EXITED, ROLE_MONITOR, ROLE_FRONT, 0, sizeof(struct mon_exited)},
	{MON_WARMED, ROLE_MONITOR, ROLE_FRONT, 0, sizeof(struct mon_warmed)},
	{MON_RUNNING, ROLE_MONITOR, ROLE_FRONT, 0, sizeof(struct mon_running)},
	{MON_TEMPLATE, ROLE_MONITOR, ROLE_FRONT, 0, sizeof(struct mon_template)},
	{MON_READY, ROLE_MONITOR, ROLE_FRONT, 0, sizeof(struct proto_empty)},
	{ROLE_PEER, ROLE_MONITOR, ROLE_FRONT, 1, sizeof(struct proto_empty)},
	{ROLE_PEER, ROLE_MONITOR, ROLE_LOGGER, 1, sizeof(struct proto_empty)},
	{LOG_OPEN, ROLE_MONITOR, ROLE_LOGGER, 2, sizeof(struct log_open)},
	{LOG_FOLLOW, ROLE_FRONT, ROLE_LOGGER, 1, sizeof(struct log_follow)},
	{LOG_FINISH, ROLE_FRONT, ROLE_LOGGER, 0, sizeof(struct log_id)},
	{LOG_DELETE, ROLE_FRONT, ROLE_LOGGER, 0, sizeof(struct log_id)},
	{LOG_END, ROLE_LOGGER, ROLE_FRONT, 0, sizeof(struct log_end)},
};

/* Makes a valid message of this type; in a type that has a task's id, the id follows the head. */
static void word_make(union proto_msg *m, size_t nr)
{
	memset(m, 0, sizeof(*m));
	proto_init(m, words[nr].type);
	switch (words[nr].type) {
	case MON_WARM:
	case MON_WARMED:
	case MON_TEMPLATES:
	case MON_TEMPLATE:
		return;
	default:
		if (words[nr].size > sizeof(m->empty))
			memset(m->log_id.id, 'b', TASK_ID_LEN);
	}
}

static size_t nr_of(enum proto_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].type == type)
			return i;
	fail();
	return 0;
}

static int word_check(const union proto_msg *m, size_t nr)
{
	return proto_check(m, m->h.size, words[nr].from, words[nr].to, words[nr].n_fds);
}

static void test_every_word(void **state)
{
	union proto_msg m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		word_make(&m, i);
		assert_int_equal(m.h.size, words[i].size);
		assert_int_equal(word_check(&m, i), 0);
		/* A message that is cut at any byte, is too long, or has another version. */
		for (size_t len = 0; len <= sizeof(m); len++)
			if (len != words[i].size)
				assert_int_equal(proto_check(&m, len, words[i].from, words[i].to,
							     words[i].n_fds),
						 -EPROTO);
		m.h.version++;
		assert_int_equal(word_check(&m, i), -EPROTO);
		m.h.version--;
		for (unsigned n = 0; n <= PROTO_FDS_MAX; n++)
			if (n != words[i].n_fds)
				assert_int_equal(
					proto_check(&m, m.h.size, words[i].from, words[i].to, n),
					-EPROTO);
	}
}

/* No role may send another role's messages. */
static void test_who_says_what(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		for (int from = ROLE_MONITOR; from <= ROLE_LOGGER; from++) {
			for (int to = ROLE_MONITOR; to <= ROLE_LOGGER; to++) {
				union proto_msg m;
				bool listed = false;

				for (size_t k = 0; k < ARRAY_SIZE(words); k++)
					listed |= words[k].type == words[i].type &&
						  (int)words[k].from == from &&
						  (int)words[k].to == to;
				word_make(&m, i);
				assert_int_equal(proto_check(&m, m.h.size, (enum proto_role)from,
							     (enum proto_role)to, words[i].n_fds),
						 listed ? 0 : -EPROTO);
			}
		}
	}
}

static void test_unknown_types(void **state)
{
	union proto_msg m = {0};

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			known |= words[i].type == type;
		proto_init(&m, (enum proto_type)type);
		assert_int_equal(m.h.size > 0, known);
		if (!known)
			assert_int_equal(proto_send(-1, &m, NULL, 0), -EINVAL);
	}
}

static void test_ids_and_texts(void **state)
{
	union proto_msg m;
	const size_t start = nr_of(MON_START), exited = nr_of(MON_EXITED), warm = nr_of(MON_WARM);

	(void)state;
	for (size_t i = 0; i < TASK_ID_LEN + 1; i++) {
		static const char bad[] = {'\0', 'g', 'A', '/', '.', ' ', (char)0x80};

		for (size_t k = 0; k < sizeof(bad); k++) {
			word_make(&m, start);
			if (i == TASK_ID_LEN && bad[k] == '\0')
				continue;
			m.start.id[i] = bad[k];
			assert_int_equal(word_check(&m, start), -EPROTO);
		}
	}
	word_make(&m, start);
	memset(m.start.warm, 'w', sizeof(m.start.warm));
	assert_int_equal(word_check(&m, start), -EPROTO);
	m.start.warm[sizeof(m.start.warm) - 1] = '\0';
	assert_int_equal(word_check(&m, start), 0);
	word_make(&m, exited);
	memset(m.exited.error, 'e', sizeof(m.exited.error));
	assert_int_equal(word_check(&m, exited), -EPROTO);
	word_make(&m, start);
	m.start.has_package = 1;
	assert_int_equal(word_check(&m, start), -EPROTO);
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 2), 0);
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 3), -EPROTO);
	m.start.has_input = 1;
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 2), -EPROTO);
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 3), 0);
	m.start.has_package = 0;
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 2), 0);
	m.start.has_serve = 1;
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 2), -EPROTO);
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 3), 0);
	m.start.has_package = 1;
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 4), 0);
	m.start.has_package = 0;
	m.start.has_serve = 2;
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 4), -EPROTO);
	m.start.has_serve = 0;
	m.start.has_input = 2;
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 3), -EPROTO);
	m.start.has_input = 0;
	m.start.has_package = 2;
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 3), -EPROTO);
	word_make(&m, warm);
	m.warm.has_package = 1;
	assert_int_equal(word_check(&m, warm), -EPROTO);
	assert_int_equal(proto_check(&m, m.h.size, ROLE_FRONT, ROLE_MONITOR, 1), 0);
}

/* Tells whether any fd was left open since the last time. */
static int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)close(fd);
	return fd;
}

static void test_send_and_receive(void **state)
{
	int pair[2], pipe_fds[2], fds[PROTO_FDS_MAX];
	union proto_msg m, got;
	unsigned n_fds;
	int low;

	(void)state;
	assert_int_equal(proto_socketpair(pair), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	low = lowest_free_fd();
	assert_int_equal(proto_recv(pair[1], ROLE_MONITOR, ROLE_LOGGER, &got, fds, &n_fds),
			 -EAGAIN);
	word_make(&m, nr_of(LOG_OPEN));
	m.log_open.cap = 12345;
	assert_int_equal(proto_send(pair[0], &m, pipe_fds, 2), 0);
	assert_int_equal(proto_recv(pair[1], ROLE_MONITOR, ROLE_LOGGER, &got, fds, &n_fds), 0);
	assert_memory_equal(&m.log_open, &got.log_open, sizeof(m.log_open));
	assert_int_equal(n_fds, 2);
	assert_int_equal(fds[2], -1);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(util_write_all(fds[1], "x", 1), 0);
	assert_int_equal(util_read_all(fds[0], &got, 1), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);

	/* A refused message leaves no descriptor open. */
	assert_int_equal(proto_send(pair[0], &m, pipe_fds, 1), 0);
	assert_int_equal(proto_recv(pair[1], ROLE_MONITOR, ROLE_LOGGER, &got, fds, &n_fds),
			 -EPROTO);
	assert_int_equal(fds[0], -1);
	assert_int_equal(lowest_free_fd(), low);
	(void)close(pair[0]);
	assert_int_equal(proto_recv(pair[1], ROLE_MONITOR, ROLE_LOGGER, &got, fds, &n_fds),
			 -ECONNRESET);
	assert_int_equal(proto_send(pair[1], &m, NULL, 0), -EPIPE);
	(void)close(pair[1]);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

static void test_a_full_socket(void **state)
{
	int pair[2], fds[PROTO_FDS_MAX], r;
	unsigned n_fds, sent = 0, got = 0;
	union proto_msg m;

	(void)state;
	assert_int_equal(proto_socketpair(pair), 0);
	word_make(&m, nr_of(LOG_FINISH));
	while ((r = proto_send(pair[0], &m, NULL, 0)) == 0)
		sent++;
	assert_int_equal(r, -EAGAIN);
	assert_true(sent >= 100);
	while (proto_recv(pair[1], ROLE_FRONT, ROLE_LOGGER, &m, fds, &n_fds) == 0)
		got++;
	assert_int_equal(sent, got);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* A message that is too large, a message with too many descriptors, and a valid message when this
 * process has no room for another descriptor. */
static void test_receive_refuses(void **state)
{
	int pair[2], fds[PROTO_FDS_MAX], many[PROTO_FDS_MAX + 1];
	struct rlimit old, none;
	char big[sizeof(union proto_msg) + 1] = {0};
	union {
		char buf[CMSG_SPACE(sizeof(many))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = big, .iov_len = sizeof(struct proto_empty)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	union proto_msg m;
	unsigned n_fds;
	int low;

	(void)state;
	assert_int_equal(proto_socketpair(pair), 0);
	low = lowest_free_fd();
	assert_int_equal(send(pair[0], big, sizeof(big), 0), sizeof(big));
	assert_int_equal(proto_recv(pair[1], ROLE_MONITOR, ROLE_LOGGER, &m, fds, &n_fds), -EPROTO);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = pair[0];
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(many));
	memcpy(CMSG_DATA(c), many, sizeof(many));
	assert_int_equal(sendmsg(pair[0], &msg, 0), iov.iov_len);
	assert_int_equal(proto_recv(pair[1], ROLE_MONITOR, ROLE_LOGGER, &m, fds, &n_fds), -EPROTO);
	assert_int_equal(lowest_free_fd(), low);

	word_make(&m, nr_of(LOG_OPEN));
	assert_int_equal(proto_send(pair[0], &m, many, 2), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)low + 1; /* one more fits, not two */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(proto_recv(pair[1], ROLE_MONITOR, ROLE_LOGGER, &m, fds, &n_fds), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(lowest_free_fd(), low);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_word),	 cmocka_unit_test(test_who_says_what),
		cmocka_unit_test(test_unknown_types),	 cmocka_unit_test(test_ids_and_texts),
		cmocka_unit_test(test_send_and_receive), cmocka_unit_test(test_a_full_socket),
		cmocka_unit_test(test_receive_refuses),
	};

	return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}

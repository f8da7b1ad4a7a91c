/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real logger in a child process, with real pipes, sockets and files. The test
 * plays the monitor, the front and the clients. As a sandbox's init does, it keeps
 * the read ends of the tasks' pipes, to hand them to the next logger.
 */
#ifndef TESTS_UNIT_LOGGER_RIG_H
#define TESTS_UNIT_LOGGER_RIG_H

#include "tests/unit/logger_capture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/logger/files.h"
#include "supervisor/logger/logger.h"

#define MIB (1ull << 20)

struct rig {
	pid_t pid;
	int monitor, front, logs;
	char dir[64];
};

struct rig_task {
	char id[TASK_ID_LEN + 1];
	uint64_t cap;
	bool ring;
	int read_end[2], write_end[2];
};

static void rig_start(struct rig *r)
{
	int monitor[2];

	assert_int_equal(proto_socketpair(monitor), 0);
	fflush(NULL);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		/* The child must not hold a copy of any descriptor of the test's, or pipes would
		 * not end. */
		for (int fd = 3; fd < 1024; fd++)
			if (fd != monitor[1] && fd != r->logs)
				(void)close(fd);
		_exit(logger_main(monitor[1], r->logs));
	}
	(void)close(monitor[1]);
	r->monitor = monitor[0];
	r->front = -1;
}

/* Has the monitor bring a new front. The old front's socket just closes. */
static void rig_front_new(struct rig *r)
{
	util_close_fd(&r->front);
	r->front = rig_peer_new(r->monitor);
}

static void rig_new(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/test-logger-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->logs = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(r->logs >= 0);
	(void)signal(SIGPIPE, SIG_IGN);
	rig_start(r);
	rig_front_new(r);
}

static int rig_reap(struct rig *r)
{
	int status;

	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	(void)close(r->monitor);
	if (r->front >= 0)
		(void)close(r->front);
	return status;
}

/* The logger must end when the monitor does. */
static void rig_stop(struct rig *r)
{
	int status;

	assert_int_equal(shutdown(r->monitor, SHUT_RDWR), 0);
	status = rig_reap(r);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

RIG_UNUSED static void rig_kill(struct rig *r)
{
	assert_int_equal(kill(r->pid, SIGKILL), 0);
	(void)rig_reap(r);
}

static void rig_free(struct rig *r)
{
	char path[400];
	DIR *d = opendir(r->dir);

	rig_stop(r);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		static const char *const names[] = {"out", "err", "index", "head"};

		if (e->d_name[0] == '.')
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			(void)snprintf(path, sizeof(path), "%s/%s/%s", r->dir, e->d_name, names[i]);
			(void)unlink(path);
		}
		(void)snprintf(path, sizeof(path), "%s/%s", r->dir, e->d_name);
		(void)remove(path);
	}
	(void)closedir(d);
	(void)close(r->logs);
	assert_int_equal(rmdir(r->dir), 0);
}

/* One rig for a whole group of tests. */
static struct rig rig;

static int rig_setup(void **state)
{
	(void)state;
	rig_new(&rig);
	return 0;
}

static int rig_teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static void rig_task_give(struct rig *r, const struct rig_task *t)
{
	union proto_msg m = {0};

	memcpy(m.log_open.id, t->id, sizeof(t->id));
	m.log_open.cap = t->cap;
	m.log_open.ring = t->ring;
	proto_init(&m, LOG_OPEN);
	assert_int_equal(proto_send(r->monitor, &m, t->read_end, 2), 0);
}

/* Makes a task with pipes that the logger has not been given yet. */
static void rig_task_make(struct rig_task *t, uint64_t cap)
{
	util_new_id(t->id);
	t->cap = cap;
	t->ring = false;
	for (int s = 0; s < 2; s++) {
		int fds[2];

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		t->read_end[s] = fds[0];
		t->write_end[s] = fds[1];
	}
}

RIG_UNUSED static void rig_task_new(struct rig *r, struct rig_task *t, uint64_t cap)
{
	rig_task_make(t, cap);
	rig_task_give(r, t);
}

RIG_UNUSED static void rig_ring_new(struct rig *r, struct rig_task *t, uint64_t cap)
{
	rig_task_make(t, cap);
	t->ring = true;
	rig_task_give(r, t);
}

static void rig_task_close(struct rig_task *t)
{
	for (int s = 0; s < 2; s++) {
		util_close_fd(&t->write_end[s]);
		util_close_fd(&t->read_end[s]);
	}
}

RIG_UNUSED static void rig_write(const struct rig_task *t, int stream, const char *text)
{
	assert_int_equal(util_write_all(t->write_end[stream], text, strlen(text)), 0);
}

struct rig_follow {
	const char *id;
	uint8_t streams; /* 0: both */
	bool snapshot, dead;
	uint64_t cursor, since_ns;
};

static int rig_follow_fd(struct rig *r, struct rig_follow f, int fd)
{
	union proto_msg m = {0};

	memcpy(m.log_follow.id, f.id, TASK_ID_LEN + 1);
	m.log_follow.streams = f.streams ? f.streams : LOG_STREAM_OUT | LOG_STREAM_ERR;
	m.log_follow.follow = f.snapshot ? 0 : 1;
	m.log_follow.live = f.dead ? 0 : 1;
	m.log_follow.cursor = f.cursor;
	m.log_follow.since_ns = f.since_ns;
	proto_init(&m, LOG_FOLLOW);
	return proto_send(r->front, &m, &fd, 1);
}

static int rig_follow(struct rig *r, struct rig_follow f)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(rig_follow_fd(r, f, fds[1]), 0);
	(void)close(fds[1]);
	return fds[0];
}

RIG_UNUSED static void rig_send_id(struct rig *r, enum proto_type type, const char *id)
{
	union proto_msg m = {0};

	memcpy(m.log_id.id, id, TASK_ID_LEN + 1);
	proto_init(&m, type);
	assert_int_equal(proto_send(r->front, &m, NULL, 0), 0);
}

/* Waits for a LOG_END, which must be this task's. */
static struct log_end rig_end(struct rig *r, const char *id)
{
	union proto_msg m;
	int fds[PROTO_FDS_MAX];
	unsigned n_fds;

	rig_readable(r->front);
	assert_int_equal(proto_recv(r->front, ROLE_LOGGER, ROLE_FRONT, &m, fds, &n_fds), 0);
	assert_int_equal(m.h.type, LOG_END);
	assert_string_equal(m.log_end.id, id);
	return m.log_end;
}

/* One follower reads to the end, and this stream was these bytes. Is the log complete? */
RIG_UNUSED static bool rig_log_is(struct rig *r, struct rig_follow f, int stream, const void *bytes,
				  size_t len)
{
	struct rig_capture c = {0};
	bool complete;

	capture_all(&c, rig_follow(r, f));
	capture_check(&c, stream, bytes, len);
	complete = c.complete;
	capture_free(&c);
	return complete;
}

RIG_UNUSED static unsigned rig_count_fds(const struct rig *r)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)r->pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* The logger's private memory in KiB, which grows when something is kept. */
RIG_UNUSED static unsigned long rig_memory(const struct rig *r)
{
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)r->pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "RssAnon:", 8) == 0)
			kib = strtoul(line + 8, NULL, 10);
	(void)fclose(f);
	return kib;
}

#endif

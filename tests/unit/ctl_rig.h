/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a verb of sandboxctl in a process of its own, with words, stdin and a daemon that the test
 * plays itself; compares what the verb asks, prints and exits with. Its working folder is a new
 * one.
 */
#ifndef TESTS_UNIT_CTL_RIG_H
#define TESTS_UNIT_CTL_RIG_H

#include "tests/unit/role_rig.h"

#include <endian.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "lib/fdpass.h"
#include "supervisor/ctl/ctl.h"

#define CTL_RIG_SAID_MAX 65536

/* One connection to the daemon: the request that must come, to the letter, and the answer. */
struct ctl_turn {
	const char *request;
	const char *answer; /* NULL: the daemon closes the connection without an answer */
	/* if not 0: the length that is sent before the answer, in place of its own */
	uint32_t announced;
	/* the connection is closed behind the answer, whatever length was announced */
	bool cut;
};

struct ctl_case {
	ctl_verb_fn verb;
	const char *words[16];
	bool json;
	bool one_file; /* stderr goes where stdout goes */
	bool any_out;  /* out is only a part of what has to be on stdout */
	int status;
	const char *in;		  /* for stdin; NULL: nothing */
	const char *out_file;	  /* stdout goes into this file, and is not compared with out */
	struct ctl_turn turns[8]; /* ends with a turn that has no request */
	const char *out, *err;	  /* everything that the verb prints; NULL: nothing */
};

static struct {
	char dir[32];
	int listener; /* the daemon's socket */
	pid_t child;  /* 0: no child is running */
} ctl_rig = {.listener = -1};

/* Each test has a folder, a socket and a child of its own, however the test before has ended. */
#define CTL_TEST(TEST) cmocka_unit_test_setup_teardown(TEST, ctl_rig_setup, ctl_rig_teardown)

struct ctl_child {
	pid_t pid;
	int pidfd, out, err;
	const char *words; /* the words of the command, for messages */
};

static int ctl_rig_unlink(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void ctl_rig_listen(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "control.sock"};

	ctl_rig.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(ctl_rig.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(ctl_rig.listener, 8), 0);
}

static int RIG_UNUSED ctl_rig_setup(void **state)
{
	static const char *const names[] = {
		"SANDBOXD_SOCKET",  "SANDBOXD_STATE", "SANDBOXD_SHARE",
		"SANDBOXD_LIBEXEC", "RUNTIME_DIR",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unsetenv(names[i]);
	strcpy(ctl_rig.dir, "/tmp/ctl-rig-XXXXXX");
	assert_non_null(mkdtemp(ctl_rig.dir));
	assert_int_equal(chdir(ctl_rig.dir), 0);
	opterr = 0;
	ctl_rig_listen();
	return 0;
}

static int RIG_UNUSED ctl_rig_teardown(void **state)
{
	(void)state;
	util_close_fd(&ctl_rig.listener);
	if (ctl_rig.child > 0) {
		(void)kill(ctl_rig.child, SIGKILL);
		(void)waitpid(ctl_rig.child, NULL, 0);
		ctl_rig.child = 0;
	}
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(nftw(ctl_rig.dir, ctl_rig_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	return 0;
}

/* Makes a file in the working folder, and the folders above it. */
static void RIG_UNUSED ctl_rig_file(const char *path, const char *text)
{
	char *copy = strdup(path);
	int fd;

	for (char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdir(copy, 0755);
		*p = '/';
	}
	free(copy);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
	(void)close(fd);
}

static int ctl_rig_memory(const char *text)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Calls the verb as main.c does. */
static void ctl_rig_be(const struct ctl_case *c, int in, int out, int err)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGABRT};
	struct ctl ctl = {.socket_path = "control.sock", .state_dir = "state", .json = c->json};
	char *argv[ARRAY_SIZE(c->words) + 1] = {NULL};
	int argc = 0, status;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A fault in the verb must end the child, where cmocka's handlers would go on with the next
	 * test. */
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		(void)signal(faults[i], SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)dup2(in, STDIN_FILENO);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(err, STDERR_FILENO);
	for (; argc < (int)ARRAY_SIZE(c->words) && c->words[argc]; argc++)
		argv[argc] = strdup(c->words[argc]);
	opterr = 0;
	status = c->verb(&ctl, argc, argv);
	(void)fflush(NULL);
	_exit(status);
}

static void ctl_start(const struct ctl_case *c, struct ctl_child *ret)
{
	int in = ctl_rig_memory(c->in ? c->in : ""), out = ctl_rig_memory(""), to = out;

	if (c->out_file)
		to = open(c->out_file, O_WRONLY | O_CLOEXEC);
	assert_true(to >= 0);
	*ret = (struct ctl_child){.out = out, .err = ctl_rig_memory(""), .words = c->words[1]};
	(void)fflush(NULL);
	ret->pid = fork();
	assert_true(ret->pid >= 0);
	if (ret->pid == 0)
		ctl_rig_be(c, in, to, c->one_file ? to : ret->err);
	ctl_rig.child = ret->pid;
	ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	assert_true(ret->pidfd >= 0);
	(void)close(in);
	if (to != out)
		(void)close(to);
}

/* Everything that was written to a file; the caller frees it. */
static char *ctl_said(int fd)
{
	char *text = calloc(1, CTL_RIG_SAID_MAX + 1);

	assert_non_null(text);
	assert_true(pread(fd, text, CTL_RIG_SAID_MAX, 0) >= 0);
	return text;
}

/* Waits for the child's end, and fails when it asks once more instead. The caller frees what it has
 * printed. */
static void ctl_end(struct ctl_child *child, int *ret_status, char **ret_out, char **ret_err)
{
	struct pollfd p[] = {{child->pidfd, POLLIN, 0}, {ctl_rig.listener, POLLIN, 0}};
	int status = 0;

	if (poll(p, ARRAY_SIZE(p), RIG_WAIT_MS) < 1 || !p[0].revents)
		fail_msg("%s: %s", child->words, p[1].revents ? "asks once more" : "does not end");
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	ctl_rig.child = 0;
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	*ret_out = ctl_said(child->out);
	*ret_err = ctl_said(child->err);
	(void)close(child->pidfd);
	(void)close(child->out);
	(void)close(child->err);
}

/* The verb's next connection. When the verb ends without one, this fails with what it has
 * printed. */
static int ctl_accept(struct ctl_child *child)
{
	struct pollfd p[] = {{ctl_rig.listener, POLLIN, 0}, {child->pidfd, POLLIN, 0}};
	char *said;
	int fd;

	assert_true(poll(p, ARRAY_SIZE(p), RIG_WAIT_MS) > 0);
	if (!p[0].revents) {
		said = ctl_said(child->err);
		fail_msg("%s: ended without asking: %s", child->words, said);
	}
	fd = accept4(ctl_rig.listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* The next request on a connection, which the caller frees, and the descriptors that came with
 * it. */
static char *ctl_request(int conn, int *fds, unsigned *n_fds)
{
	uint32_t len = 0;
	char *text;

	rig_readable(conn);
	assert_int_equal(fds_recvv(conn, &len, sizeof(len), fds, n_fds, 0, NULL), sizeof(len));
	len = le32toh(len);
	assert_in_range(len, 2, CONTROL_FRAME_MAX);
	text = calloc(1, len + 1);
	assert_non_null(text);
	assert_int_equal(util_read_all(conn, text, len), 0);
	return text;
}

static void ctl_expect(int conn, const char *request)
{
	unsigned n = 0;
	char *text = ctl_request(conn, NULL, &n);

	assert_string_equal(text, request);
	free(text);
}

static void ctl_answer_as(int conn, uint32_t announced, const char *text)
{
	uint32_t len = htole32(announced);
	const struct iovec iov[] = {{&len, sizeof(len)}, {(void *)text, strlen(text)}};

	/* In one piece, because a verb that refuses the length may close the connection after
	 * reading it. */
	assert_int_equal(fds_sendv(conn, iov, 2, NULL, 0, 0), sizeof(len) + strlen(text));
}

static void RIG_UNUSED ctl_answer(int conn, const char *text)
{
	ctl_answer_as(conn, (uint32_t)strlen(text), text);
}

static void ctl_rig_take_turn(struct ctl_child *child, const struct ctl_turn *turn)
{
	int conn = ctl_accept(child);

	ctl_expect(conn, turn->request);
	if (turn->answer)
		ctl_answer_as(conn,
			      turn->announced ? turn->announced : (uint32_t)strlen(turn->answer),
			      turn->answer);
	if (turn->answer && !turn->cut) {
		/* Waits until the verb has closed the connection, so that nothing of the answer is
		 * lost. */
		char byte;

		rig_readable(conn);
		assert_true(recv(conn, &byte, 1, 0) <= 0);
	}
	(void)close(conn);
}

static void ctl_rig_compare(const struct ctl_case *c, const char *what, const char *got,
			    const char *wanted, bool part)
{
	wanted = wanted ? wanted : "";
	if (part ? strstr(got, wanted) != NULL : strcmp(got, wanted) == 0)
		return;
	fail_msg("%s %s %s: %s is\n%s\nand should be\n%s", c->words[0],
		 c->words[1] ? c->words[1] : "", c->words[1] && c->words[2] ? c->words[2] : "",
		 what, got, wanted);
}

/* Runs a whole case: words in, the daemon's turns, then a look at what has come out. */
static void RIG_UNUSED ctl_try(const struct ctl_case *c)
{
	struct ctl_child child;
	char *out, *err;
	int status;

	ctl_start(c, &child);
	for (size_t i = 0; i < ARRAY_SIZE(c->turns) && c->turns[i].request; i++)
		ctl_rig_take_turn(&child, &c->turns[i]);
	ctl_end(&child, &status, &out, &err);
	ctl_rig_compare(c, "stderr", err, c->err, false);
	ctl_rig_compare(c, "stdout", out, c->out, c->any_out);
	if (status != c->status)
		fail_msg("%s %s: exits with %d instead of %d", c->words[0],
			 c->words[1] ? c->words[1] : "", status, c->status);
	free(out);
	free(err);
}

static void RIG_UNUSED ctl_try_all(const struct ctl_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ctl_try(&cases[i]);
}

#endif

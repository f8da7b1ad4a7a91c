// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/progress.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/text.h"

/* A build resolves and fetches what is needed, which may take minutes. */
#define WAIT_MS (40 * 60 * 1000)
#define LINE_BYTES 65536

void progress_print(const char *stamp, const char *text)
{
	struct log_text shown = {0};
	const size_t len = strlen(text);

	(void)fflush(stderr);
	(void)log_text_print(STDERR_FILENO, &shown, text, len, true, stamp);
	if (len && text[len - 1] != '\n')
		(void)log_text_print(STDERR_FILENO, &shown, "\n", 1, true, NULL);
}

/* A line of the daemon's about a step. */
static void print_progress(const char *line)
{
	json_auto_t *o = json_loads(line, 0, NULL);
	const char *step = ctl_text(o, "step"), *text = ctl_text(o, "text");
	const json_t *replica = json_object_get(o, "replica");

	/* What the worker's own code has raised. */
	if (*ctl_text(o, "traceback"))
		progress_print(NULL, ctl_text(o, "traceback"));
	if (!*step)
		return;
	if (strcmp(step, "output") == 0) {
		/* The last that a hook has printed. */
		progress_print("  | ", text);
		return;
	}
	fprintf(stderr, "%-10s %9.1f ms", step, json_number_value(json_object_get(o, "ms")));
	if (replica)
		fprintf(stderr, "  %s.%lld", ctl_text(o, "service"),
			(long long)json_integer_value(replica));
	/* Escaped, like all that comes from a sandbox. */
	if (*text) {
		char shown[4096];

		fprintf(stderr, "  %s", util_escape(text, shown, sizeof(shown)));
	}
	fputc('\n', stderr);
}

/* Reads what has come of progress; false: there will be no more. */
static bool read_progress(int fd, char *buf, size_t *n)
{
	const ssize_t got = recv(fd, buf + *n, LINE_BYTES - 1 - *n, MSG_DONTWAIT);
	char *line = buf, *end;

	if (got <= 0)
		return false;
	*n += (size_t)got;
	buf[*n] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		print_progress(line);
		line = end + 1;
	}
	*n -= (size_t)(line - buf);
	memmove(buf, line, *n);
	if (*n == LINE_BYTES - 1) /* no line of ours */
		*n = 0;
	return true;
}

int progress_wait(struct ctl_conn *conn, int progress, const char *where, json_t **ret,
		  struct err *e)
{
	struct pollfd fds[2] = {{.fd = conn->fd, .events = POLLIN},
				{.fd = progress, .events = POLLIN}};
	_cleanup_free_ char *buf = malloc(LINE_BYTES);
	size_t n = 0;

	if (!buf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "progress");
	for (;;) {
		const int ready = poll(fds, 2, WAIT_MS);
		int r;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return err_set(e, ERR_UNAVAILABLE, ready < 0 ? errno : ETIMEDOUT,
				       "the daemon does not answer");
		if (fds[1].revents && !read_progress(progress, buf, &n))
			fds[1].fd = -1;
		if (!fds[0].revents)
			continue;
		r = ctl_read(conn, ret, e);
		if (r == -ECONNRESET)
			return err_set(e, ERR_UNAVAILABLE, 0,
				       "the daemon went away in the middle of it: %s", where);
		if (r == 0)
			continue;
		/* What was told before the answer. */
		while (fds[1].fd >= 0 && read_progress(progress, buf, &n))
			;
		return r < 0 ? r : ctl_reply_check(*ret, e);
	}
}

int progress_call(struct ctl *ctl, json_t *request, int file, struct pip_index *index,
		  const char *where, void (*sent)(void), json_t **ret, struct err *e)
{
	struct ctl_conn conn = CTL_CONN_INIT;
	json_auto_t *ask = request;
	_cleanup_fd_ int ours = -1, theirs = -1;
	int pair[2], fds[3], r;
	unsigned n = 0;

	if (!ask)
		return err_set(e, ERR_INPUT, 0, "what is asked for must be UTF-8 text");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, ERR_SYSTEM, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	if (file >= 0)
		fds[n++] = file;
	fds[n++] = theirs;
	if (index && index->sock >= 0)
		fds[n++] = index->sock;
	r = ctl_connect(ctl, &conn, e);
	if (r == 0)
		r = ctl_send(&conn, ask, fds, n, e);
	util_close_fd(&theirs);
	if (index)
		util_close_fd(&index->sock);
	if (r == 0 && sent)
		sent();
	if (r == 0)
		r = progress_wait(&conn, ours, where, ret, e);
	ctl_close(&conn);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/follow.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ATTACH_TIMEOUT_MS 5000
/* A connection that was not just taken and closed. */
#define LASTED_NS 250000000ULL

int follow_init(struct follow *f, struct ctl *ctl, const char *id,
		const struct log_client_options *opts)
{
	*f = (struct follow){
		.ctl = ctl, .live = true, .streams = LOG_STREAM_OUT | LOG_STREAM_ERR, .sock = -1};
	(void)snprintf(f->id, sizeof(f->id), "%s", id);
	return log_client_init(&f->log, opts);
}

void follow_clear(struct follow *f)
{
	util_close_fd(&f->sock);
	log_client_clear(&f->log);
}

int follow_socket(struct follow *f, int *ret_theirs, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, ERR_SYSTEM, errno, "socketpair");
	util_close_fd(&f->sock);
	f->sock = pair[0];
	f->attached_at = util_monotonic_ns();
	*ret_theirs = pair[1];
	return 0;
}

/* Asks for the rest of the log, from the first record that was not written. */
static int attach(struct follow *f, struct err *e)
{
	_cleanup_fd_ int theirs = -1;
	json_t *request, *reply = NULL;
	int r = follow_socket(f, &theirs, e);

	if (r < 0)
		return r;
	request = json_pack("{s:s, s:s, s:b, s:i, s:I, s:I}", "op", "logs", "id", f->id, "follow",
			    f->live, "streams", f->streams, "since_ns", (json_int_t)f->since_ns,
			    "cursor", (json_int_t)log_client_cursor(&f->log));
	r = ctl_call_once(f->ctl, request, &theirs, 1, ATTACH_TIMEOUT_MS, &reply, e);
	if (r == 0)
		r = ctl_reply_check(reply, e);
	json_decref(request);
	json_decref(reply);
	if (r < 0)
		util_close_fd(&f->sock);
	return r;
}

/* The daemon, or a role of it, is away and may come back. */
static bool may_come_back(int r)
{
	return r == -ECONNRESET || r == -ECONNREFUSED || r == -ENOENT || r == -ETIMEDOUT;
}

/*
 * Attaches, waiting for a daemon that went away under us. A daemon that was not there to
 * begin with, or does not know the task, is said at once.
 */
static int attach_again(struct follow *f, struct err *e)
{
	int r;

	while ((r = attach(f, e)) < 0) {
		if (!f->give_up || !may_come_back(r) || e->code == ERR_NOT_FOUND ||
		    util_monotonic_ns() > f->give_up)
			return r;
		(void)poll(NULL, 0, CTL_RETRY_MS);
	}
	return 0;
}

/* The connection broke, or ended before the log did. */
static int detach(struct follow *f, struct err *e)
{
	uint64_t now = util_monotonic_ns(), cursor = log_client_cursor(&f->log);

	/* A logger that takes the socket and closes it each time is as good as none: only
	 * frames that arrive put the end off, and a connection that lasted. A task may say
	 * nothing for hours, in which the daemon is restarted now and then. */
	const bool alive = cursor != f->broke_at || now - f->attached_at > LASTED_NS;

	if (f->give_up && !alive && now > f->give_up)
		return err_set(e, ERR_UNAVAILABLE, 0, "the daemon does not give the log of task %s",
			       f->id);
	if (!f->give_up || alive)
		f->give_up = now + CTL_RETRY_FOR_NS;
	f->broke_at = cursor;
	log_client_reconnect(&f->log);
	util_close_fd(&f->sock);
	(void)poll(NULL, 0, CTL_RETRY_MS);
	return 0;
}

int follow_copy(struct follow *f, struct err *e)
{
	struct pollfd pfd = {.events = POLLIN};
	int r;

	for (;;) {
		r = f->sock < 0 ? attach_again(f, e) : 0;
		if (r < 0)
			return r;
		r = log_client_read(&f->log, f->sock, e);
		if (r == LOG_CLIENT_END && (f->log.complete || !f->live))
			return 0;
		if (r == LOG_CLIENT_END || r == -ECONNRESET)
			r = detach(f, e);
		if (r < 0 && r != -EAGAIN)
			return r;
		pfd.fd = f->sock;
		if (r == -EAGAIN)
			(void)poll(&pfd, 1, -1);
	}
}

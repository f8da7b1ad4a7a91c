// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/follow.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ATTACH_TIMEOUT_MS 5000

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
	log_retry_attached(&f->retry);
	*ret_theirs = pair[1];
	return 0;
}

int follow_attach(struct follow *f, struct err *e)
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

/* Whether the error means that the daemon, or a role of it, is away and may come back. One that never
 * answered, or that does not know the task, is not. */
static bool is_away(const void *arg, int r, const struct err *e)
{
	const struct follow *f = arg;

	if (f->broke)
		return true;
	return f->retry.broke_ns && e->code != ERR_NOT_FOUND &&
	       (r == -ECONNRESET || r == -ECONNREFUSED || r == -ENOENT || r == -ETIMEDOUT);
}

/* The connection is of no use: it broke, or it ended before the log did. */
static int give_up(struct follow *f, struct err *e)
{
	f->broke = true;
	log_client_reconnect(&f->log);
	util_close_fd(&f->sock);
	return err_set(e, ERR_UNAVAILABLE, 0, "the daemon does not give the log of task %s", f->id);
}

static int copy_once(void *arg, bool *ret_news, struct err *e)
{
	struct follow *f = arg;
	const uint64_t cursor = log_client_cursor(&f->log);
	struct pollfd pfd = {.events = POLLIN};
	int r;

	f->broke = false;
	r = f->sock < 0 ? follow_attach(f, e) : 0;
	if (r < 0)
		return r;
	pfd.fd = f->sock;
	while ((r = log_client_read(&f->log, f->sock, e)) == -EAGAIN)
		(void)poll(&pfd, 1, -1);
	/* A logger that accepts the socket and closes it each time is as good as none. */
	*ret_news = cursor != log_client_cursor(&f->log);
	if (r == LOG_CLIENT_END && (f->log.complete || !f->live))
		return FOLLOW_ENDED;
	return r == LOG_CLIENT_END || r == -ECONNRESET ? give_up(f, e) : r;
}

int follow_copy(struct follow *f, struct err *e)
{
	return follow_through(&(struct follow_way){copy_once, is_away}, f, &f->retry, e);
}

int follow_through(const struct follow_way *way, void *arg, struct log_retry *retry, struct err *e)
{
	for (;;) {
		bool news = false;
		int r = way->once(arg, &news, e);

		if (r == FOLLOW_ENDED)
			return 0;
		if (r < 0 && !way->is_away(arg, r, e))
			return r;
		if (news)
			log_retry_went_well(retry);
		log_retry_broke(retry);
		if (r < 0 && log_retry_is_over(retry, CTL_RETRY_FOR_NS))
			return r;
		(void)poll(NULL, 0, CTL_RETRY_MS);
	}
}

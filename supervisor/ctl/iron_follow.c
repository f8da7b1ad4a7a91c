// SPDX-License-Identifier: Apache-2.0
/* A queued task's live log, from its first line, whatever happens to the connection. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "supervisor/ctl/iron.h"

#define AWAY_FOR_NS 30000000000ULL /* a server that went away is waited for */
#define AGAIN_MS 200
#define ENDED 1 /* the log's last event has come */

struct follower {
	struct iron *iron;
	const char *id;
	struct sse sse;
	struct log_text text[2]; /* of stdout and stderr */
	bool quiet;		 /* the task's object is printed instead */
	bool progress;		 /* something has come on this connection */
	struct err *e;
};

int iron_write_text(int fd, struct log_text *t, const char *text, size_t len)
{
	struct log_text_out out = {.fd = fd};

	if (!isatty(fd))
		return log_text_write(fd, text, len);
	for (size_t n; len > 0; text += n, len -= n) {
		const char *end = memchr(text, '\n', len);

		n = end ? (size_t)(end - text) + 1 : len;
		log_text_escape(&out, t, (const uint8_t *)text, end ? n - 1 : n);
		if (end)
			log_text_newline(&out, t);
	}
	log_text_flush(&out);
	return out.error;
}

static int take_event(void *arg, const char *event, const char *id, const char *data, size_t len)
{
	struct follower *f = arg;
	json_auto_t *doc = json_loadb(data, len, JSON_ALLOW_NUL, NULL);
	const json_t *text = json_object_get(doc, "text");
	size_t n = json_string_length(text);
	const char *s = json_string_value(text);
	int fd = strcmp(event, "stderr") == 0 ? STDERR_FILENO : STDOUT_FILENO;

	(void)id;
	f->progress = true;
	if (strcmp(event, "end") == 0)
		return ENDED;
	if (strcmp(event, "dropped") == 0) {
		ctl_say("task %s: lines of its log are missing here: it wrote faster than they "
			"could be kept or read",
			f->id);
		return 0;
	}
	if (!s || f->quiet || (fd == STDOUT_FILENO && strcmp(event, "stdout") != 0))
		return 0;
	return iron_write_text(fd, &f->text[fd == STDERR_FILENO], s, n);
}

static int take_bytes(void *arg, const char *bytes, size_t len)
{
	struct follower *f = arg;

	return sse_feed(&f->sse, bytes, len, take_event, f);
}

/* One connection: ENDED with the log's end, 0 when it ended before that, -errno. */
static int follow_once(struct follower *f)
{
	char path[64], header[96];

	(void)snprintf(path, sizeof(path), "/tasks/%s/events", f->id);
	(void)snprintf(header, sizeof(header), "Last-Event-ID: %s", f->sse.id);
	sse_reconnect(&f->sse);
	return iron_stream(f->iron, path, *f->sse.id ? header : NULL, take_bytes, f, f->e);
}

static bool is_final(const json_t *task)
{
	static const char *const open[] = {"queued", "preparing", "running"};

	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		if (strcmp(ctl_text(task, "status"), open[i]) == 0)
			return false;
	return true;
}

static bool is_away(int r, const struct err *e)
{
	return r == -ECONNRESET || (r < 0 && e->code == ERR_UNAVAILABLE);
}

/* To the end of the log and of the task, which is *ret_task then. */
static int follow_task(struct follower *f, json_t **ret_task)
{
	uint64_t give_up = 0;
	char path[64];
	int r, log;

	(void)snprintf(path, sizeof(path), "/tasks/%s", f->id);
	for (;;) {
		f->progress = false;
		log = follow_once(f);
		if (log < 0 && !is_away(log, f->e))
			return log;
		r = log < 0 ? log : iron_call(f->iron, "GET", path, NULL, ret_task, f->e);
		if (r == 0 && log == ENDED && is_final(*ret_task))
			return 0;
		if (r < 0 && !is_away(r, f->e))
			return r;
		if (r == 0) {
			json_decref(*ret_task);
			*ret_task = NULL;
			give_up = 0;
		} else if (!give_up || f->progress) {
			give_up = util_monotonic_ns() + AWAY_FOR_NS;
		} else if (util_monotonic_ns() > give_up) {
			return err_wrap(f->e, r,
					"task %s goes on without us ('sandboxctl log -f %s')",
					f->id, f->id);
		}
		(void)poll(NULL, 0, AGAIN_MS);
	}
}

int iron_follow(struct iron *iron, const char *id, bool retries, json_t **ret_task, struct err *e)
{
	char now[TASK_ID_LEN + 1];
	json_t *task = NULL;
	const char *next;
	int r;

	(void)snprintf(now, sizeof(now), "%s", id);
	for (;;) {
		struct follower f = {
			.iron = iron, .id = now, .quiet = retries && iron->ctl->json, .e = e};

		r = follow_task(&f, &task);
		sse_clear(&f.sse);
		next = r == 0 ? ctl_text(task, "retry_task_id") : "";
		if (r < 0 || !retries || !util_is_id(next))
			break;
		ctl_say("task %s: %s (exit status %d); it is tried again as %s", now,
			ctl_text(task, "status"), ctl_task_exit_status(task), next);
		(void)snprintf(now, sizeof(now), "%s", next);
		json_decref(task);
		task = NULL;
	}
	if (r == 0)
		*ret_task = task;
	return r;
}

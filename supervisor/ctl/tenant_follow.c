// SPDX-License-Identifier: Apache-2.0
/* Follows a queued task's log live, from its first line, whatever happens to the connection. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "supervisor/ctl/follow.h"
#include "supervisor/ctl/tenant.h"

struct follower {
	struct tenant *tenant;
	const char *id;
	struct sse sse;
	struct log_text text[2]; /* of stdout and stderr */
	bool quiet;		 /* the task's object is printed instead */
	bool progress;		 /* this connection has brought something */
	json_t *task;		 /* as it was told last; owned */
	struct err *e;
};

int tenant_write_text(int fd, struct log_text *t, const char *text, size_t len)
{
	return log_text_print(fd, t, text, len, isatty(fd), NULL);
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
		return FOLLOW_ENDED;
	if (strcmp(event, "dropped") == 0) {
		ctl_say("task %s: lines of its log are missing here: it wrote faster than they "
			"could be kept or read",
			f->id);
		return 0;
	}
	if (!s || f->quiet || (fd == STDOUT_FILENO && strcmp(event, "stdout") != 0))
		return 0;
	return tenant_write_text(fd, &f->text[fd == STDERR_FILENO], s, n);
}

static int take_bytes(void *arg, const char *bytes, size_t len)
{
	struct follower *f = arg;

	return sse_feed(&f->sse, bytes, len, take_event, f);
}

/* FOLLOW_ENDED: the log has ended; 0: the connection ended before; else -errno. */
static int follow_events(struct follower *f)
{
	char path[64], header[96];

	(void)snprintf(path, sizeof(path), "/tasks/%s/events", f->id);
	(void)snprintf(header, sizeof(header), "Last-Event-ID: %s", f->sse.id);
	sse_reconnect(&f->sse);
	return tenant_stream(f->tenant, path, *f->sse.id ? header : NULL, take_bytes, f, f->e);
}

static bool is_final(const json_t *task)
{
	static const char *const open[] = {"queued", "preparing", "running"};

	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		if (strcmp(ctl_text(task, "status"), open[i]) == 0)
			return false;
	return true;
}

static bool is_away(const void *arg, int r, const struct err *e)
{
	(void)arg;
	return r == -ECONNRESET || (r < 0 && e->code == ERR_UNAVAILABLE);
}

/* Over one connection; then asks what has become of the task, whose end comes after its log's. */
static int follow_once(void *arg, bool *ret_news, struct err *e)
{
	struct follower *f = arg;
	char path[64];
	int r, log;

	f->progress = false;
	f->e = e;
	log = follow_events(f);
	*ret_news = f->progress;
	if (log < 0)
		return log;
	(void)snprintf(path, sizeof(path), "/tasks/%s", f->id);
	json_decref(f->task);
	f->task = NULL;
	r = tenant_call(f->tenant, "GET", path, NULL, &f->task, e);
	if (r < 0)
		return r;
	*ret_news = true;
	return log == FOLLOW_ENDED && is_final(f->task) ? FOLLOW_ENDED : 0;
}

/* Follows until the log and the task have ended; f->task is the ended task. */
static int follow_task(struct follower *f, struct err *e)
{
	struct log_retry retry = {0};
	int r = follow_through(&(struct follow_way){follow_once, is_away}, f, &retry, e);

	if (r < 0 && is_away(f, r, e))
		return err_wrap(e, r, "task %s goes on without us ('sandboxctl log -f %s')", f->id,
				f->id);
	return r;
}

int tenant_follow(struct tenant *tenant, const char *id, bool retries, json_t **ret_task,
		  struct err *e)
{
	char now[TASK_ID_LEN + 1];
	const char *next;
	int r;

	(void)snprintf(now, sizeof(now), "%s", id);
	for (;;) {
		struct follower f = {
			.tenant = tenant, .id = now, .quiet = retries && tenant->ctl->json};

		r = follow_task(&f, e);
		sse_clear(&f.sse);
		next = r == 0 ? ctl_text(f.task, "retry_task_id") : "";
		if (r < 0 || !retries || !util_is_id(next)) {
			if (r == 0)
				*ret_task = TAKE_PTR(f.task);
			json_decref(f.task);
			return r;
		}
		ctl_say("task %s: %s (exit status %d); it is tried again as %s", now,
			ctl_text(f.task, "status"), ctl_task_exit_status(f.task), next);
		(void)snprintf(now, sizeof(now), "%s", next);
		json_decref(f.task);
	}
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Requests that the edge has no instance for. It asks by a line on RUN/edge/wake.sock, and waits for
 * the answer with the request:
 *
 *	WAKE PROJECT/WORKER VERSION REQUEST-ID
 *	OK PATH INSTANCE		where to send it
 *	ERR STATUS TEXT			what the client is told
 *
 *	NEW ID				it was started anew, and knows nothing
 *	OK
 *
 * A connection asks for one request at a time, and may be used again.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/msg.h"
#include "supervisor/front/edge/edge.h"
#include "supervisor/front/web/web.h"

#define LINE_MAX_BYTES 512u
#define ASKERS_MAX 4096u
/* A request that waits for so long is answered with an error: its client has waited long enough. */
#define LATE_NS (60 * SEC)

struct web_asker {
	LIST_ENTRY(web_asker) next;
	struct front *f;
	int fd;
	sd_event_source *io;
	char line[LINE_MAX_BYTES];
	size_t n;
	bool waits; /* in its version's list */
	struct web_version *version;
	struct web_wake wake;
};

static void asker_free(struct web_asker *a)
{
	if (a->waits)
		TAILQ_REMOVE(&a->version->wakes, &a->wake, next);
	timer_cancel(a->f, &a->wake.late);
	LIST_REMOVE(a, next);
	a->f->web->n_askers--;
	(void)sd_event_source_disable_unref(a->io);
	util_close_fd(&a->fd);
	free(a);
}

/* An answer is shorter than any socket's buffer, and only one is under way: it goes or the edge has
 * gone. */
static void answer(struct web_asker *a, const char *text)
{
	if (a->waits)
		TAILQ_REMOVE(&a->version->wakes, &a->wake, next);
	a->waits = false;
	timer_cancel(a->f, &a->wake.late);
	(void)send(a->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void answer_instance(struct web_asker *a, const struct web_instance *i)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "OK i/%s.sock %s\n", i->run, i->run);
	answer(a, text);
}

static void answer_error(struct web_asker *a, const struct err *error)
{
	char text[ERR_MSG_MAX + 32], shown[ERR_MSG_MAX];

	/* One line. */
	(void)snprintf(text, sizeof(text), "ERR %u %s\n",
		       error->code == ERR_NOT_FOUND ? 404u : 503u,
		       util_escape(error->msg, shown, sizeof(shown)));
	answer(a, text);
}

void web_wake_answer(struct front *f, struct web_version *v, struct web_instance *i,
		     const struct err *error)
{
	struct web_wake *w;

	web_calls_answer(f, v, i, error);
	while ((w = TAILQ_FIRST(&v->wakes))) {
		if (i)
			answer_instance(w->asker, i);
		else
			answer_error(w->asker, error);
	}
}

static void is_late(struct front *f, struct timer *t)
{
	struct web_wake *w = OWNER(t, struct web_wake, late);
	struct err e = {0};

	(void)f;
	(void)err_set(&e, ERR_UNAVAILABLE, 0, "no instance of the worker was ready in time");
	answer_error(w->asker, &e);
}

/* The worker of "PROJECT/NAME"; NULL. */
static struct web_worker *find_worker(struct front *f, char *key)
{
	char *name = strchr(key, '/');
	struct project *p;

	if (!name)
		return NULL;
	*name++ = '\0';
	p = project_find(f, key);
	return p && !p->going ? web_worker_find(p, name) : NULL;
}

static void take_line(struct web_asker *a, char *line)
{
	char *rest = NULL;
	const char *word = strtok_r(line, " ", &rest);
	char *key = strtok_r(NULL, " ", &rest), *version = strtok_r(NULL, " ", &rest);
	struct web_worker *w = NULL;
	struct web_version *v = NULL;
	struct err e = {0};

	if (word && strcmp(word, "NEW") == 0) {
		edge_is_new(a->f);
		answer(a, "OK\n");
		return;
	}
	if (!word || strcmp(word, "WAKE") != 0 || !key || !version) {
		(void)err_set(&e, ERR_INPUT, 0, "not understood");
		answer_error(a, &e);
		return;
	}
	w = find_worker(a->f, key);
	v = w ? web_version_find(w, version) : NULL;
	if (!v || !web_version_serves(v)) {
		(void)err_set(&e, ERR_NOT_FOUND, 0, "no such worker serves here");
		answer_error(a, &e);
		return;
	}
	/* Its requests have runs of their own, and wait at its door; an instance is for calls alone. */
	if (v->door) {
		(void)err_set(&e, ERR_UNAVAILABLE, 0, "as many requests wait as may");
		answer_error(a, &e);
		return;
	}
	w->wakes++;
	if (web_wake_version(a->f, v, &e) < 0) {
		answer_error(a, &e);
		return;
	}
	a->version = v;
	a->waits = true;
	a->wake.asker = a;
	TAILQ_INSERT_TAIL(&v->wakes, &a->wake, next);
	timer_set(a->f, &a->wake.late, util_monotonic_ns() + LATE_NS, is_late);
}

static int asker_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct web_asker *a = arg;
	const ssize_t n = recv(fd, a->line + a->n, sizeof(a->line) - 1 - a->n, MSG_DONTWAIT);
	char *end;

	(void)s;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* It has asked for the next request before this one was answered, or for nothing in too many
	 * words. */
	if (n <= 0 || a->waits || a->n + (size_t)n >= sizeof(a->line) - 1) {
		asker_free(a);
		return 0;
	}
	a->n += (size_t)n;
	a->line[a->n] = '\0';
	end = strchr(a->line, '\n');
	if (!end)
		return 0;
	*end = '\0';
	a->n = 0;
	take_line(a, a->line);
	return 0;
}

static int on_connection(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	_cleanup_fd_ int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct web_asker *a;

	(void)s;
	(void)events;
	if (conn < 0 || f->web->n_askers >= ASKERS_MAX)
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a)
		return 0;
	a->f = f;
	a->fd = TAKE_FD(conn);
	LIST_INSERT_HEAD(&f->web->askers, a, next);
	f->web->n_askers++;
	if (sd_event_add_io(f->event, &a->io, a->fd, EPOLLIN, asker_ready, a) < 0)
		asker_free(a);
	return 0;
}

int web_wake_start(struct front *f, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/wake.sock",
		       f->cfg.edge_dirfd);
	(void)unlinkat(f->cfg.edge_dirfd, "wake.sock", 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    chmod(name.sun_path, 0666) < 0 || listen(fd, 1024) < 0 ||
	    sd_event_add_io(f->event, &f->web->wake_listen, fd, EPOLLIN, on_connection, f) < 0)
		return err_set(e, ERR_SYSTEM, errno, "RUN/edge/wake.sock");
	(void)sd_event_source_set_io_fd_own(f->web->wake_listen, 1);
	(void)TAKE_FD(fd);
	return 0;
}

void web_wake_clear(struct front *f)
{
	f->web->wake_listen = sd_event_source_disable_unref(f->web->wake_listen);
	while (!LIST_EMPTY(&f->web->askers))
		asker_free(LIST_FIRST(&f->web->askers));
}

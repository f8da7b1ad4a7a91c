// SPDX-License-Identifier: Apache-2.0
/*
 * Requests that the edge has no instance for. It asks by a line on RUN/edge/wake.sock, and waits for
 * the answer with the request:
 *
 *	WAKE PROJECT/NAME VERSION REQUEST-ID
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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/front/edge/edge.h"

#define LINE_MAX_BYTES 512u
#define ASKERS_MAX 4096u
/* What can be woken: HTTP workers, and what else comes. */
#define WAKERS_MAX 4u
/* A request that waits for so long is answered with an error: its client has waited long enough. */
#define LATE_NS (60 * SEC)

struct edge_asker {
	LIST_ENTRY(edge_asker) next;
	struct front *f;
	int fd;
	sd_event_source *io;
	char line[LINE_MAX_BYTES];
	size_t n;
	struct edge_wakes *waits; /* the list that it waits in; NULL: it does not */
	struct edge_wake wake;
};

struct edge_waiting {
	sd_event_source *listen;
	LIST_HEAD(, edge_asker) askers;
	unsigned n;
	edge_wake_fn wakers[WAKERS_MAX];
};

static void asker_free(struct edge_asker *a)
{
	if (a->waits)
		TAILQ_REMOVE(a->waits, &a->wake, next);
	timer_cancel(a->f, &a->wake.late);
	LIST_REMOVE(a, next);
	a->f->edge_waiting->n--;
	(void)sd_event_source_disable_unref(a->io);
	util_close_fd(&a->fd);
	free(a);
}

/* An answer is shorter than any socket's buffer, and only one is under way: it goes or the edge has
 * gone. */
static void answer(struct edge_asker *a, const char *text)
{
	if (a->waits)
		TAILQ_REMOVE(a->waits, &a->wake, next);
	a->waits = NULL;
	timer_cancel(a->f, &a->wake.late);
	(void)send(a->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void answer_instance(struct edge_asker *a, const char *instance)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "OK i/%s.sock %s\n", instance, instance);
	answer(a, text);
}

static void answer_error(struct edge_asker *a, const struct err *error)
{
	char text[ERR_MSG_MAX + 32], shown[ERR_MSG_MAX];

	/* One line. */
	(void)snprintf(text, sizeof(text), "ERR %u %s\n",
		       error->code == ERR_NOT_FOUND ? 404u : 503u,
		       util_escape(error->msg, shown, sizeof(shown)));
	answer(a, text);
}

void edge_wake_answer(struct edge_wakes *wakes, const char *instance, const struct err *error)
{
	struct edge_wake *w;

	while ((w = TAILQ_FIRST(wakes))) {
		if (instance)
			answer_instance(w->asker, instance);
		else
			answer_error(w->asker, error);
	}
}

static void is_late(struct front *f, struct timer *t)
{
	struct edge_wake *w = OWNER(t, struct edge_wake, late);
	struct err e = {0};

	(void)f;
	(void)err_set(&e, ERR_UNAVAILABLE, 0, "no instance of the worker was ready in time");
	answer_error(w->asker, &e);
}

/* 0: it waits in *ret. Else *e. */
static int wake(struct front *f, char *key, const char *version, struct edge_wakes **ret,
		struct err *e)
{
	char *name = strchr(key, '/');
	int r = -ENOENT;

	if (name) {
		*name++ = '\0';
		for (unsigned i = 0; r == -ENOENT && i < WAKERS_MAX && f->edge_waiting->wakers[i];
		     i++)
			r = f->edge_waiting->wakers[i](f, key, name, version, ret, e);
	}
	return r == -ENOENT ? err_set(e, ERR_NOT_FOUND, 0, "no such worker serves here") : r;
}

static void take_line(struct edge_asker *a, char *line)
{
	char *rest = NULL;
	const char *word = strtok_r(line, " ", &rest);
	char *key = strtok_r(NULL, " ", &rest), *version = strtok_r(NULL, " ", &rest);
	struct edge_wakes *wakes = NULL;
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
	if (wake(a->f, key, version, &wakes, &e) < 0) {
		answer_error(a, &e);
		return;
	}
	a->waits = wakes;
	a->wake.asker = a;
	TAILQ_INSERT_TAIL(wakes, &a->wake, next);
	timer_set(a->f, &a->wake.late, util_monotonic_ns() + LATE_NS, is_late);
}

static int asker_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct edge_asker *a = arg;
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
	struct edge_asker *a;

	(void)s;
	(void)events;
	if (conn < 0 || f->edge_waiting->n >= ASKERS_MAX)
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a)
		return 0;
	a->f = f;
	a->fd = TAKE_FD(conn);
	LIST_INSERT_HEAD(&f->edge_waiting->askers, a, next);
	f->edge_waiting->n++;
	if (sd_event_add_io(f->event, &a->io, a->fd, EPOLLIN, asker_ready, a) < 0)
		asker_free(a);
	return 0;
}

int edge_wake_load(struct front *f, struct err *e)
{
	if (f->cfg.edge_dirfd < 0)
		return 0;
	f->edge_waiting = calloc(1, sizeof(*f->edge_waiting));
	return f->edge_waiting ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "what waits for the edge");
}

void edge_on_wake(struct front *f, edge_wake_fn fn)
{
	for (unsigned i = 0; f->edge_waiting && i < WAKERS_MAX; i++)
		if (!f->edge_waiting->wakers[i]) {
			f->edge_waiting->wakers[i] = fn;
			break;
		}
}

int edge_wake_start(struct front *f, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	if (!f->edge_waiting)
		return 0;
	(void)snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/wake.sock",
		       f->cfg.edge_dirfd);
	(void)unlinkat(f->cfg.edge_dirfd, "wake.sock", 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    chmod(name.sun_path, 0666) < 0 || listen(fd, 1024) < 0 ||
	    sd_event_add_io(f->event, &f->edge_waiting->listen, fd, EPOLLIN, on_connection, f) < 0)
		return err_set(e, ERR_SYSTEM, errno, "RUN/edge/wake.sock");
	(void)sd_event_source_set_io_fd_own(f->edge_waiting->listen, 1);
	(void)TAKE_FD(fd);
	return 0;
}

void edge_wake_stop(struct front *f)
{
	if (!f->edge_waiting)
		return;
	f->edge_waiting->listen = sd_event_source_disable_unref(f->edge_waiting->listen);
	while (!LIST_EMPTY(&f->edge_waiting->askers))
		asker_free(LIST_FIRST(&f->edge_waiting->askers));
}

void edge_wake_clear(struct front *f)
{
	edge_wake_stop(f);
	free(f->edge_waiting);
	f->edge_waiting = NULL;
}

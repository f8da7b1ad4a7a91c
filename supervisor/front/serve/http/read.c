// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/serve/http/read.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "supervisor/front/serve/http/internal.h"

#define RETRY_S 1u

/* From `body` to `err` it is the thread's, from its start until `done`. */
struct http_read {
	STAILQ_ENTRY(http_read) next;
	struct http_exchange *req; /* NULL: its client has left */
	unsigned holder;
	bool running;
	pthread_t thread;
	struct http_body body;
	const struct http_reader *reader;
	bool strict;
	int done_fd;
	void *what;
	int res;
	struct err err;
	bool done; /* atomic */
};

static void *thread_main(void *arg)
{
	struct http_read *g = arg;
	const int done_fd = g->done_fd;

	g->res = g->reader->read(g->body.text, g->body.len, g->strict, &g->what, &g->err);
	__atomic_store_n(&g->done, true, __ATOMIC_RELEASE);
	(void)eventfd_write(done_fd, 1);
	return NULL;
}

/* Signals are the loop's. */
static int start(struct http_read *g)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&g->thread, NULL, thread_main, g);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	g->running = r == 0;
	return -r;
}

static void take_out(struct http *h, struct http_read *g)
{
	STAILQ_REMOVE(&h->reads.list, g, http_read, next);
	h->reads.n--;
	h->reads.n_running -= g->running;
}

/* It is in no thread's hands. */
static void read_free(struct http *h, struct http_read *g)
{
	take_out(h, g);
	if (g->what)
		g->reader->free(g->what);
	http_body_drop(h, &g->body);
	free(g);
}

static bool is_busy(const struct http *h, unsigned holder)
{
	const struct http_read *g;

	STAILQ_FOREACH(g, &h->reads.list, next)
		if (g->running && g->holder == holder)
			return true;
	return false;
}

static struct http_read *next_of(const struct http *h)
{
	struct http_read *best = NULL, *g;

	STAILQ_FOREACH(g, &h->reads.list, next)
		if (!g->running && !is_busy(h, g->holder) &&
		    (!best || h->reads.served[g->holder] < h->reads.served[best->holder]))
			best = g;
	return best;
}

static void start_some(struct http *h)
{
	struct http_reads *all = &h->reads;
	struct http_read *g;

	while (all->n_running < HTTP_READERS_MAX && (g = next_of(h))) {
		all->served[g->holder] = ++all->turn;
		if (start(g) == 0) {
			all->n_running++;
			continue;
		}
		if (g->req)
			http_refuse(g->req, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
				    "there is no thread for the body: try again later");
		read_free(h, g);
	}
}

/* Its thread has ended. */
static void ended(struct http *h, struct http_read *g)
{
	struct http_exchange *r = g->req;

	(void)pthread_join(g->thread, NULL);
	if (r) {
		r->gone = NULL;
		if (g->res < 0) {
			http_error(&r->pub, &g->err);
		} else {
			r->pub.read = TAKE_PTR(g->what);
			http_call_again(r);
		}
	}
	read_free(h, g);
}

static int on_done(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct http *h = arg;
	struct http_read *next;
	eventfd_t n;

	(void)s;
	(void)events;
	(void)eventfd_read(fd, &n);
	for (struct http_read *g = STAILQ_FIRST(&h->reads.list); g; g = next) {
		next = STAILQ_NEXT(g, next);
		if (g->running && __atomic_load_n(&g->done, __ATOMIC_ACQUIRE))
			ended(h, g);
	}
	start_some(h);
	return 0;
}

/* One that no thread has yet goes at once. */
static void left(void *arg)
{
	struct http_read *g = arg;
	struct http *h = g->req->http;

	g->req = NULL;
	if (!g->running)
		read_free(h, g);
}

/* The text of a form's field, which is taken out of it. */
static char *form_text(struct http_exchange *r, const char *name)
{
	for (size_t i = 0; i < r->pub.form.n; i++)
		if (strcmp(r->pub.form.parts[i].name, name) == 0)
			return TAKE_PTR(r->pub.form.parts[i].text);
	return NULL;
}

int http_read_later(struct http_exchange *r, size_t len)
{
	struct http *h = r->http;
	struct http_read *g = calloc(1, sizeof(*g));

	if (!g) {
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S, "out of memory");
		return -ENOMEM;
	}
	g->req = r;
	g->holder = r->holder;
	g->reader = r->pub.route->reader;
	g->strict = !r->pub.route->lenient;
	g->done_fd = h->reads.done_fd;
	if (g->reader->part)
		g->body = (struct http_body){.text = form_text(r, g->reader->part), .len = len};
	else if (r->pub.upload_data)
		g->body = (struct http_body){.text = TAKE_PTR(r->pub.upload_data), .len = len};
	else
		http_body_take(r, &g->body);
	STAILQ_INSERT_TAIL(&h->reads.list, g, next);
	h->reads.n++;
	r->gone = left;
	r->gone_arg = g;
	start_some(h);
	return r->response ? -EAGAIN : 1;
}

int http_read_init(struct http *h)
{
	_cleanup_fd_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r;

	STAILQ_INIT(&h->reads.list);
	if (fd < 0)
		return -errno;
	r = sd_event_add_io(h->f->event, &h->reads.source, fd, EPOLLIN, on_done, h);
	if (r < 0)
		return r;
	r = sd_event_source_set_io_fd_own(h->reads.source, true);
	if (r < 0)
		return r;
	h->reads.done_fd = TAKE_FD(fd);
	return 0;
}

void http_read_clear(struct http *h)
{
	struct http_read *g;

	while ((g = STAILQ_FIRST(&h->reads.list))) {
		if (g->running)
			(void)pthread_join(g->thread, NULL);
		read_free(h, g);
	}
	(void)sd_event_source_disable_unref(h->reads.source);
}

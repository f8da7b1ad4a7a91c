// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/edge/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char request[] = "GET /stats/lines HTTP/1.0\r\n\r\n";

/* The next word as a number that is not negative; false: it is none. */
static bool next_number(char **rest, double *ret)
{
	const char *word = strtok_r(NULL, " ", rest);
	char *end;

	if (!word)
		return false;
	*ret = strtod(word, &end);
	return *end == '\0' && isfinite(*ret) && *ret >= 0 && *ret < 1e18;
}

static bool next_count(char **rest, uint64_t *ret)
{
	double n = 0;

	if (!next_number(rest, &n))
		return false;
	*ret = (uint64_t)n;
	return true;
}

static int read_bounds(char **rest, struct edge_bounds *bounds)
{
	double n = 0;

	bounds->n = 0;
	while (**rest) {
		if (bounds->n == EDGE_BOUNDS_MAX || !next_number(rest, &n))
			return -EPROTO;
		bounds->seconds[bounds->n++] = n;
	}
	return 0;
}

int edge_stats_line(char *line, struct edge_bounds *bounds, const char **ret_key,
		    struct edge_counts *ret)
{
	char *rest = NULL;
	const char *key = strtok_r(line, " ", &rest);

	*ret = (struct edge_counts){0};
	*ret_key = key;
	if (!key)
		return -EPROTO;
	if (strcmp(key, "bounds") == 0)
		return read_bounds(&rest, bounds);
	if (!next_count(&rest, &ret->requests) || !next_count(&rest, &ret->bytes) ||
	    !next_number(&rest, &ret->seconds))
		return -EPROTO;
	for (unsigned i = 0; i < EDGE_STATUS_CLASSES; i++)
		if (!next_count(&rest, &ret->status[i]))
			return -EPROTO;
	for (unsigned i = 0; i <= bounds->n; i++)
		if (!next_count(&rest, &ret->buckets[i]))
			return -EPROTO;
	return *rest ? -EPROTO : 1;
}

void edge_fetch_clear(struct edge_fetch *x)
{
	if (!x->f)
		return;
	timer_cancel(x->f, &x->late);
	x->io = sd_event_source_disable_unref(x->io);
	util_close_fd(&x->fd);
	x->n = x->total = 0;
	x->body = false;
}

static void end(struct edge_fetch *x, bool ok)
{
	edge_fetch_clear(x);
	x->done(x, ok);
}

static void is_late(struct front *f, struct timer *t)
{
	(void)f;
	end(OWNER(t, struct edge_fetch, late), false);
}

/* False: this is no answer of the edge's. */
static bool take_line(struct edge_fetch *x, char *line)
{
	struct edge_counts counts;
	const char *key;
	size_t len = strlen(line);
	int r;

	if (x->body) {
		r = edge_stats_line(line, &x->bounds, &key, &counts);
		if (r > 0)
			x->worker(x, key, &counts);
		return r >= 0;
	}
	/* Its head ends with an empty line; the first says whether it is an answer. */
	if (x->total == 0 && strncmp(line, "HTTP/1.1 200 ", 13) != 0)
		return false;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	x->body = len == 0;
	return true;
}

/* Takes the whole lines of what has come. */
static bool take_lines(struct edge_fetch *x)
{
	char *line = x->in, *end;

	while ((end = memchr(line, '\n', x->n - (size_t)(line - x->in)))) {
		*end = '\0';
		if (!take_line(x, line))
			return false;
		x->total += (size_t)(end + 1 - line);
		line = end + 1;
	}
	x->n -= (size_t)(line - x->in);
	memmove(x->in, line, x->n);
	return x->n < sizeof(x->in) && x->total <= EDGE_FETCH_MAX;
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct edge_fetch *x = arg;
	/* A few lines a turn. */
	const ssize_t n = recv(fd, x->in + x->n, sizeof(x->in) - x->n, MSG_DONTWAIT);

	(void)s;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		end(x, n == 0 && x->body && x->n == 0);
		return 0;
	}
	x->n += (size_t)n;
	if (!take_lines(x))
		end(x, false);
	return 0;
}

static int dial(struct edge_fetch *x)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/edge.sock",
		       x->f->cfg.edge_dirfd);
	x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (x->fd < 0 || connect(x->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    send(x->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
		return -errno;
	return sd_event_add_io(x->f->event, &x->io, x->fd, EPOLLIN, on_io, x);
}

void edge_fetch_begin(struct front *f, struct edge_fetch *x)
{
	x->f = f;
	x->fd = -1;
	if (dial(x) < 0) {
		end(x, false);
		return;
	}
	timer_set(f, &x->late, util_monotonic_ns() + EDGE_FETCH_NS, is_late);
}

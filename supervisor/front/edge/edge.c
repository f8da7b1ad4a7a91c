// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/edge/edge.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/idtable.h"
#include "lib/msg.h"
#include "supervisor/front/base/turn.h"

#define BUCKETS 1024u
#define TOLD_MAX 4u /* who hears that something was told */
#define NAMES_MAX 4u
/* How long after a failure the edge is tried again: the first time, and at most. */
#define PAUSE_MIN_NS (10 * MSEC)
#define PAUSE_MAX_NS (1 * SEC)

struct told {
	struct idnode node;	   /* by its key */
	TAILQ_ENTRY(told) waiting; /* in edge->dirty, while is_dirty */
	bool is_dirty;
	char *text; /* JSON; NULL: there is no such worker any more */
	char *key;
};

struct edge {
	struct front *f;
	struct idtable workers;
	TAILQ_HEAD(, told) dirty;
	struct told hosts; /* with an empty key */
	bool ready_said;
	char id[EDGE_ID_LEN + 1]; /* of the edge that has answered last */
	void (*on_told[TOLD_MAX])(struct front *f, const char *key);
	edge_name_fn on_name[NAMES_MAX];

	int fd; /* -1: not connected */
	sd_event_source *io;
	struct timer again;
	uint64_t pause_ns;
	char *out; /* the request that is under way; NULL: none */
	size_t out_len, out_at;
	struct told *about; /* what it is about; NULL: that all was said, or that was freed */
	char in[EDGE_HEAD_MAX];
	size_t in_len;
};

static void told_free(struct edge *x, struct told *t)
{
	if (t->is_dirty)
		TAILQ_REMOVE(&x->dirty, t, waiting);
	if (x->about == t)
		x->about = NULL;
	if (t != &x->hosts) {
		idtable_remove(&x->workers, &t->node);
		free(t->key);
	}
	free(t->text);
	if (t != &x->hosts)
		free(t);
}

static void advance(struct front *f, struct timer *again);

static void mark(struct edge *x, struct told *t)
{
	if (!t->is_dirty)
		TAILQ_INSERT_TAIL(&x->dirty, t, waiting);
	t->is_dirty = true;
	/* What is under way is what it was before. */
	if (x->about == t)
		x->about = NULL;
	if (!x->out && !timer_is_set(&x->again))
		timer_set(x->f, &x->again, util_monotonic_ns(), advance);
}

static void mark_all(struct edge *x)
{
	x->ready_said = false;
	for (struct idnode *n = idtable_next(&x->workers, NULL); n;
	     n = idtable_next(&x->workers, n))
		mark(x, OWNER(n, struct told, node));
	if (x->hosts.text)
		mark(x, &x->hosts);
	/* With nothing to tell, that is to be told. */
	if (!x->out && !timer_is_set(&x->again))
		timer_set(x->f, &x->again, util_monotonic_ns(), advance);
}

/* --- the connection --- */

static void hang_up(struct edge *x)
{
	x->io = sd_event_source_disable_unref(x->io);
	util_close_fd(&x->fd);
	free(x->out);
	x->out = NULL;
	x->in_len = 0;
}

/* The edge keeps a connection for as long as it lives: so it is another one that is reached next, and
 * is told everything. */
static void fail(struct edge *x)
{
	hang_up(x);
	x->about = NULL;
	x->pause_ns = x->pause_ns ? x->pause_ns * 2 : PAUSE_MIN_NS;
	if (x->pause_ns > PAUSE_MAX_NS)
		x->pause_ns = PAUSE_MAX_NS;
	timer_set(x->f, &x->again, util_monotonic_ns() + x->pause_ns, advance);
	mark_all(x);
}

int edge_answer_parse(const char *text, size_t len, unsigned *status, char id[EDGE_ID_LEN + 1])
{
	static const char begin[] = "HTTP/1.1 ", name[] = "x-edge:";
	const char *end = memmem(text, len, "\r\n\r\n", 4), *line, *next;

	id[0] = '\0';
	if (len >= sizeof(begin) - 1 && memcmp(text, begin, sizeof(begin) - 1) != 0)
		return -EPROTO;
	if (!end)
		return len >= EDGE_HEAD_MAX ? -EPROTO : 0;
	*status = 0;
	for (line = text + sizeof(begin) - 1; line < end && *line >= '0' && *line <= '9'; line++)
		*status = *status * 10 + (unsigned)(*line - '0');
	if (line != text + sizeof(begin) - 1 + 3)
		return -EPROTO;
	for (line = text; line && line < end; line = next ? next + 2 : NULL) {
		const char *value = line + sizeof(name) - 1;

		next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		if ((size_t)(next - line) < sizeof(name) - 1 ||
		    strncasecmp(line, name, sizeof(name) - 1) != 0)
			continue;
		while (value < next && *value == ' ')
			value++;
		if (next - value != EDGE_ID_LEN || strspn(value, "0123456789abcdef") < EDGE_ID_LEN)
			return -EPROTO;
		memcpy(id, value, EDGE_ID_LEN);
		id[EDGE_ID_LEN] = '\0';
	}
	return (int)(end + 4 - text);
}

/* The request that was under way has been answered. */
static void answered(struct edge *x, unsigned status, const char *id)
{
	struct told *t = x->about;

	free(x->out);
	x->out = NULL;
	x->about = NULL;
	x->pause_ns = 0;
	if (strcmp(id, x->id) != 0) {
		const bool again = *x->id;

		(void)snprintf(x->id, sizeof(x->id), "%s", id);
		/* Another one than before, which may lack what that one knew. */
		if (again) {
			mark_all(x);
			return;
		}
	}
	if (t && !t->is_dirty) {
		char *key = strdup(t->key);

		if (!t->text && t != &x->hosts)
			told_free(x, t);
		for (unsigned i = 0; key && status == 204 && i < TOLD_MAX && x->on_told[i]; i++)
			x->on_told[i](x->f, key);
		free(key);
	}
	advance(x->f, &x->again);
}

static void read_answer(struct edge *x)
{
	char id[EDGE_ID_LEN + 1];
	unsigned status = 0;
	ssize_t n = recv(x->fd, x->in + x->in_len, sizeof(x->in) - x->in_len, MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(x);
		return;
	}
	x->in_len += (size_t)n;
	r = edge_answer_parse(x->in, x->in_len, &status, id);
	if (r == 0)
		return;
	if (r < 0 || !x->out) {
		msg_err("the edge's answer is not understood");
		fail(x);
		return;
	}
	if (status == 204) {
		x->in_len = 0;
		answered(x, status, id);
		return;
	}
	/* It says why in a body, which nobody but a developer reads. It would say so again. */
	msg_err("the edge refuses (%u) what it is told%s%s", status, x->about ? " of " : "",
		x->about ? x->about->key : "");
	util_close_fd(&x->fd);
	x->io = sd_event_source_disable_unref(x->io);
	x->in_len = 0;
	answered(x, status, id);
}

static void write_request(struct edge *x)
{
	while (x->out && x->out_at < x->out_len) {
		ssize_t n = send(x->fd, x->out + x->out_at, x->out_len - x->out_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			fail(x);
			return;
		}
		x->out_at += (size_t)n;
	}
	(void)sd_event_source_set_io_events(
		x->io, x->out && x->out_at < x->out_len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct edge *x = arg;

	(void)s;
	(void)fd;
	if (events & EPOLLOUT)
		write_request(x);
	if (x->fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
		read_answer(x);
	return 0;
}

static int dial(struct edge *x)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/edge.sock",
		       x->f->cfg.edge_dirfd);
	x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (x->fd < 0 || connect(x->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return sd_event_add_io(x->f->event, &x->io, x->fd, EPOLLIN, on_io, x);
}

/* --- what is told next --- */

/* The keys of all workers, by which an edge that is older than this front forgets others. */
static char *ready_text(struct edge *x)
{
	json_t *keys = json_array();
	char *text;

	for (struct idnode *n = idtable_next(&x->workers, NULL); n;
	     n = idtable_next(&x->workers, n)) {
		const struct told *t = OWNER(n, struct told, node);

		if (t->text && json_array_append_new(keys, json_string(t->key)) < 0) {
			json_decref(keys);
			return NULL;
		}
	}
	keys = json_pack("{s:o}", "workers", keys);
	text = keys ? json_dumps(keys, JSON_COMPACT) : NULL;
	json_decref(keys);
	return text;
}

static int compose(struct edge *x, const char *method, const char *path, const char *key,
		   const char *body)
{
	int n = asprintf(&x->out, "%s %s%s HTTP/1.1\r\nHost: edge\r\nContent-Length: %zu\r\n\r\n%s",
			 method, path, key, strlen(body), body);

	if (n < 0)
		x->out = NULL;
	x->out_len = n < 0 ? 0 : (size_t)n;
	x->out_at = 0;
	return n < 0 ? -ENOMEM : 0;
}

/* Sends the next thing that the edge does not know, if nothing is under way. */
static void advance(struct front *f, struct timer *again)
{
	struct edge *x = f->edge;
	struct told *t = TAILQ_FIRST(&x->dirty);
	char *all;
	int r;

	(void)again;
	if (x->out || (!t && x->ready_said))
		return;
	if (x->fd < 0 && dial(x) < 0) {
		fail(x);
		return;
	}
	if (t && t != &x->hosts) {
		r = compose(x, t->text ? "PUT" : "DELETE", "/workers/", t->key,
			    t->text ? t->text : "");
	} else if (t) {
		r = compose(x, "PUT", "/hosts", "", t->text);
	} else {
		all = ready_text(x);
		r = all ? compose(x, "PUT", "/ready", "", all) : -ENOMEM;
		free(all);
	}
	if (r < 0) {
		fail(x);
		return;
	}
	if (t) {
		TAILQ_REMOVE(&x->dirty, t, waiting);
		t->is_dirty = false;
	} else {
		x->ready_said = true;
	}
	x->about = t;
	write_request(x);
}

/* --- for the rest of the front --- */

static struct told *find(const struct edge *x, const char *key)
{
	struct idnode *n = idtable_find(&x->workers, key);

	return n ? OWNER(n, struct told, node) : NULL;
}

/* Steals the value. */
static int set_text(struct edge *x, struct told *t, json_t *value, struct err *e)
{
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(value);
	if (!text)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the edge's table");
	if (t->text && strcmp(t->text, text) == 0) {
		free(text);
		return 0;
	}
	free(t->text);
	t->text = text;
	mark(x, t);
	return 0;
}

int edge_put_worker(struct front *f, const char *key, json_t *entry, struct err *e)
{
	struct edge *x = f->edge;
	struct told *t = x ? find(x, key) : NULL;

	if (!x) {
		json_decref(entry);
		return 0;
	}
	if (!t) {
		t = calloc(1, sizeof(*t));
		if (t)
			t->key = strdup(key);
		if (!t || !t->key) {
			free(t);
			json_decref(entry);
			return err_set(e, ERR_SYSTEM, ENOMEM, "the edge's table");
		}
		idtable_add(&x->workers, &t->node, t->key);
	}
	return set_text(x, t, entry, e);
}

void edge_delete_worker(struct front *f, const char *key)
{
	struct told *t = f->edge ? find(f->edge, key) : NULL;

	if (!t)
		return;
	free(t->text);
	t->text = NULL;
	mark(f->edge, t);
}

int edge_put_hosts(struct front *f, json_t *hosts, struct err *e)
{
	if (f->edge)
		return set_text(f->edge, &f->edge->hosts, hosts, e);
	json_decref(hosts);
	return 0;
}

void edge_is_new(struct front *f)
{
	if (f->edge)
		mark_all(f->edge);
}

bool edge_has(const struct front *f, const char *key)
{
	const struct told *t = !f->edge ? NULL : *key ? find(f->edge, key) : &f->edge->hosts;

	return !t || (!t->is_dirty && f->edge->about != t);
}

void edge_on_told(struct front *f, void (*told)(struct front *f, const char *key))
{
	for (unsigned i = 0; f->edge && i < TOLD_MAX; i++)
		if (!f->edge->on_told[i]) {
			f->edge->on_told[i] = told;
			break;
		}
}

void edge_on_name(struct front *f, edge_name_fn taken)
{
	for (unsigned i = 0; f->edge && i < NAMES_MAX; i++)
		if (!f->edge->on_name[i]) {
			f->edge->on_name[i] = taken;
			break;
		}
}

int edge_check_name(struct front *f, struct project *p, const char *name, struct err *e)
{
	for (unsigned i = 0; f->edge && i < NAMES_MAX && f->edge->on_name[i]; i++)
		if (f->edge->on_name[i](f, p, name, e))
			return -EEXIST;
	return 0;
}

static int edge_load(struct front *f, struct err *e)
{
	struct edge *x;
	int r = edge_wake_load(f, e);

	if (r < 0)
		return r;
	/* The monitor has made the socket before it has started this role. */
	if (f->cfg.edge_dirfd < 0 || faccessat(f->cfg.edge_dirfd, "edge.sock", F_OK, 0) < 0)
		return 0;
	x = calloc(1, sizeof(*x));
	if (!x || idtable_init(&x->workers, BUCKETS) < 0) {
		free(x);
		return err_set(e, ERR_SYSTEM, ENOMEM, "the edge's table");
	}
	x->f = f;
	x->fd = -1;
	TAILQ_INIT(&x->dirty);
	x->hosts.key = (char *)"";
	f->edge = x;
	return 0;
}

/* Also with nothing to tell: so that the edge need not wait for a word of this front. */
static int edge_begin(struct front *f, struct err *e)
{
	if (f->edge)
		mark_all(f->edge);
	return edge_wake_start(f, e);
}

static void edge_clear(struct front *f)
{
	struct edge *x = f->edge;
	struct idnode *n;

	edge_wake_clear(f);
	if (!x)
		return;
	hang_up(x);
	while ((n = idtable_next(&x->workers, NULL)))
		told_free(x, OWNER(n, struct told, node));
	told_free(x, &x->hosts);
	idtable_clear(&x->workers);
	free(x);
	f->edge = NULL;
}

const struct capability edge_capability = {
	.name = "edge",
	.load = edge_load,
	.start = edge_begin,
	.stop = edge_wake_stop,
	.clear = edge_clear,
};

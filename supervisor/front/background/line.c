// SPDX-License-Identifier: Apache-2.0
/*
 * The connection to a worker's process. Its runtime listens in the replica for as long as that lives, so a
 * process that is started again is met again, by another connection.
 *
 *	process -> front	{"op": "hello", "kind", "window", "by_rank"}	and the items that it has still
 *				{"op": "put", "n", "to"}	items of the process's own; to: another worker
 *				{"op": "ends", "n", "stop"}	what came of items
 *				{"op": "stop"}			its executor has returned False
 *				{"op": "trigger", "to"}		another worker is triggered
 *				{"op": "ran", "trigger"}	a trigger's run has ended
 *				{"op": "grid", "interval_ns"}	its interval begins now
 *				{"op": "tick", "tick"}		a call of the interval begins
 *	front -> process	{"op": "go", "grid_age_ns", "interval_ns", "tick"}
 *				{"op": "items"}
 *				{"op": "told", "n"}, {"op": "refused", "n", "message"}
 *				{"op": "trigger", "trigger"}
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/msg.h"
#include "supervisor/front/background/background.h"

#define AGAIN_NS (100 * MSEC)
#define AGAIN_MAX_NS (5 * SEC)
#define SETTLED_NS                                                                                 \
	(10 * SEC)	   /* a process that was met for so long has made good all ends before it */
#define KILL_NS (10 * SEC) /* what its runtime has to end a process, before the replica is ended */

static void line_connect(struct background_line *l);

struct background_line *background_line_of(struct background *b, const char *run)
{
	struct background_line *l;

	LIST_FOREACH(l, &b->lines, next)
		if (strcmp(l->run, run) == 0)
			return l;
	return NULL;
}

static void line_clear(struct background_line *l)
{
	struct background_flight *at;

	channel_close(&l->channel);
	timer_cancel(l->b->f, &l->again);
	timer_cancel(l->b->f, &l->limit);
	while ((at = TAILQ_FIRST(&l->flights))) {
		TAILQ_REMOVE(&l->flights, at, next);
		free(at);
	}
	l->n_flights = 0;
	l->met = l->goes = l->killed = false;
}

void background_line_free(struct background_line *l)
{
	line_clear(l);
	LIST_REMOVE(l, next);
	l->replica->line = NULL;
	free(l);
}

static void release(struct background_line *l)
{
	background_release(l->b->f, l->b->row.queue, l->run, NULL, 0, false,
			   *l->why ? l->why
				   : "the worker's process has ended while it had the item");
	l->why[0] = '\0';
}

/* go */

static bool other_has_run(const struct service_replica *r)
{
	const struct service_replica *other;

	LIST_FOREACH(other, &r->service->replicas, next)
		if (other != r && other->number == r->number && *other->run)
			return true;
	return false;
}

static uint64_t boot_time_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * SEC + (uint64_t)ts.tv_nsec;
}

static void read_boot(char boot[BACKGROUND_BOOT_MAX + 1])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd >= 0 ? read(fd, boot, BACKGROUND_BOOT_MAX) : 0;

	boot[n > 0 ? n : 0] = '\0';
	util_close_fd(&fd);
}

/* Since when its grid is there: by a clock that nobody sets, as long as the machine has not been started
 * again. */
static int64_t grid_age_ns(const struct background_row *row)
{
	const uint64_t now_ns = util_realtime_ns();
	char boot[BACKGROUND_BOOT_MAX + 1];

	read_boot(boot);
	if (*boot && strcmp(boot, row->boot) == 0)
		return (int64_t)(boot_time_ns() - row->grid_boot_ns);
	return now_ns > row->grid_ns ? (int64_t)(now_ns - row->grid_ns) : 0;
}

static void send_trigger(struct background_line *l)
{
	const struct background_row *row = &l->b->row;

	l->told_trigger = row->triggered;
	if (row->triggered > row->ran)
		channel_send(&l->channel,
			     json_pack("{s:s, s:I}", "op", "trigger", "trigger",
				       (json_int_t)row->triggered),
			     NULL, 0);
}

static void send_go(struct background_line *l)
{
	const struct background_row *row = &l->b->row;
	json_t *go = json_pack("{s:s}", "op", "go");

	if (row->grid_ns) {
		json_object_set_new(go, "grid_age_ns", json_integer(grid_age_ns(row)));
		json_object_set_new(go, "interval_ns", json_integer((json_int_t)row->interval_ns));
		json_object_set_new(go, "tick", json_integer((json_int_t)row->tick));
	}
	channel_send(&l->channel, go, NULL, 0);
	send_trigger(l);
}

/* A call that takes too long */

static void on_limit(struct front *f, struct timer *t)
{
	struct background_line *l = OWNER(t, struct background_line, limit);
	const struct service_manifest *m = background_manifest(l->b);

	if (!l->n_flights || !m)
		return;
	if (util_monotonic_ns() < l->head_ns + m->background.limit_s * SEC) {
		timer_set(f, t, l->head_ns + m->background.limit_s * SEC, on_limit);
		return;
	}
	/* Its runtime ends the process; one that does not is ended with all that it runs in. */
	(void)snprintf(l->why, sizeof(l->why), "its executor took longer than limit_s, %u s",
		       m->background.limit_s);
	if (l->killed) {
		service_replica_kill(l->replica);
		return;
	}
	l->killed = true;
	channel_send(&l->replica->channel, json_pack("{s:s}", "op", "kill"), NULL, 0);
	timer_set(f, t, util_monotonic_ns() + KILL_NS, on_limit);
}

/* What it has room for */

static double worst_rank(const struct background_line *l)
{
	const struct background_flight *at;
	double worst = -INFINITY;

	TAILQ_FOREACH(at, &l->flights, next)
		if (at->rank > worst)
			worst = at->rank;
	return worst;
}

/* Of what waits, each of several has its part. */
static unsigned share(const struct background *b, unsigned room)
{
	const struct background_line *l;
	uint64_t n = 0, part;

	LIST_FOREACH(l, &b->lines, next)
		n += l->goes;
	part = (b->counts.n[BACKGROUND_READY] + n - 1) / (n ? n : 1);
	return part < room ? (unsigned)part : room;
}

static void fill(struct background_line *l)
{
	const struct background *b = l->b;

	if (!l->goes || l->taking || !service_replica_serves(l->replica) ||
	    b->counts.n[BACKGROUND_READY] == 0 ||
	    l->channel.out.bytes > (size_t)2 * BACKGROUND_FRAME_MAX)
		return;
	if (l->n_flights < l->window && (b->by_rank || l->n_flights <= l->window / 2)) {
		background_take(l, share(b, l->window - l->n_flights), INFINITY);
	} else if (b->by_rank && l->n_flights < 2 * l->window && b->better < worst_rank(l)) {
		/* It gives back the last of what it has not begun. */
		l->b->better = INFINITY;
		background_take(l, 2 * l->window - l->n_flights, worst_rank(l));
	}
}

static void look(struct background_line *l)
{
	const struct service_manifest *m = background_manifest(l->b);

	if (l->met && !l->goes && service_replica_serves(l->replica) &&
	    !other_has_run(l->replica)) {
		l->goes = true;
		send_go(l);
	}
	fill(l);
	if (l->n_flights && m && !timer_is_set(&l->limit))
		timer_set(l->b->f, &l->limit, l->head_ns + m->background.limit_s * SEC, on_limit);
}

void background_look(struct background *b)
{
	struct background_line *l;

	LIST_FOREACH(l, &b->lines, next)
		look(l);
}

/* Frames */

/* It is ended when the loop turns next. */
static void end_line(struct background_line *l, const char *why)
{
	msg_warn("background worker %s: run %s: %s", l->b->service->row.app, l->run, why);
	l->channel.dead = true;
	channel_send(&l->channel, json_pack("{s:s}", "op", "end"), NULL, 0);
}

static json_int_t number_of(const json_t *head, const char *key)
{
	return json_integer_value(json_object_get(head, key));
}

static void take_hello(struct background_line *l, const json_t *head)
{
	const struct serve_in *in = &l->channel.in;
	struct background_settled kept[2 * BACKGROUND_RECORDS_MAX];
	const json_int_t window = number_of(head, "window");
	const char *kind = json_string_value(json_object_get(head, "kind"));
	char shown[sizeof(l->b->kind)];
	unsigned n = 0;
	size_t at = 0;
	int r;

	if (l->met) {
		end_line(l, "it has said hello twice");
		return;
	}
	do {
		kept[n] = (struct background_settled){.end = BACKGROUND_BACK};
		r = background_read_held(in->body, in->body_len, &at, &kept[n].id,
					 &kept[n].attempt);
		n += r > 0;
	} while (r > 0 && n < ARRAY_SIZE(kept));
	if (r != 0) {
		end_line(l, "it has sent what is no list of items");
		return;
	}
	l->window = window < 1 ? 1 : (unsigned)window;
	if (window > BACKGROUND_RECORDS_MAX)
		l->window = BACKGROUND_RECORDS_MAX;
	l->b->by_rank = json_is_true(json_object_get(head, "by_rank"));
	(void)snprintf(l->b->kind, sizeof(l->b->kind), "%s",
		       util_escape(kind ? kind : "", shown, sizeof(shown)));
	/* Who else has had any of them is known when that is written. */
	background_release(l->b->f, l->b->row.queue, l->run, kept, n, true, NULL);
}

static void refuse(struct background_line *l, json_int_t seq, const char *message)
{
	channel_send(&l->channel,
		     json_pack("{s:s, s:I, s:s}", "op", "refused", "n", seq, "message", message),
		     NULL, 0);
}

/* NULL: it is no list of items, or there is no memory. */
static struct background_item *read_puts(const struct serve_in *in, unsigned *ret_n,
					 uint64_t *ret_bytes)
{
	struct background_item *items = calloc(BACKGROUND_RECORDS_MAX, sizeof(*items));
	struct background_put put;
	size_t at = 0;
	int r = 1;

	*ret_n = 0;
	*ret_bytes = 0;
	while (items && *ret_n < BACKGROUND_RECORDS_MAX &&
	       (r = background_read_put(in->body, in->body_len, &at, &put)) > 0) {
		struct background_item *item = &items[(*ret_n)++];

		item->kind = put.kind;
		item->rank = put.rank;
		item->len = put.len;
		item->value = malloc(put.len + 1u);
		if (!item->value)
			break;
		memcpy(item->value, put.bytes, put.len);
		*ret_bytes += put.len;
	}
	if (items && r == 0 && *ret_n)
		return items;
	/* All were read, and there was no room to see that. */
	if (items && r > 0 && *ret_n == BACKGROUND_RECORDS_MAX && at == in->body_len)
		return items;
	background_items_free(items, *ret_n);
	return NULL;
}

static void take_put(struct background_line *l, const json_t *head)
{
	const char *to = json_string_value(json_object_get(head, "to"));
	struct background *b = to ? background_by_name(l->b->service->project, to) : l->b;
	const json_int_t seq = number_of(head, "n");
	struct background_item *items;
	struct err e = {0};
	uint64_t bytes;
	unsigned n;

	items = read_puts(&l->channel.in, &n, &bytes);
	if (!items) {
		end_line(l, "it has sent what is no list of items");
		return;
	}
	if (!b)
		(void)err_set(&e, ERR_NOT_FOUND, 0, "there is no such background worker");
	if (!b || background_room(b->service->project, n, bytes, &e) < 0) {
		background_items_free(items, n);
		refuse(l, seq, e.msg);
		return;
	}
	if (background_put(b, items, n, NULL, l, seq, &e) < 0)
		refuse(l, seq, e.msg);
	else
		l->channel.held += BACKGROUND_FRAME_HELD;
}

static void take_ends(struct background_line *l, const json_t *head)
{
	const struct serve_in *in = &l->channel.in;
	struct background_settled *all = calloc(BACKGROUND_RECORDS_MAX, sizeof(*all));
	struct background_ended ended;
	unsigned n = 0;
	size_t at = 0;
	int r = 0;

	while (all && n < BACKGROUND_RECORDS_MAX &&
	       (r = background_read_ended(in->body, in->body_len, &at, &ended)) > 0)
		all[n++] = (struct background_settled){
			.id = ended.id,
			.attempt = ended.attempt,
			.end = ended.end,
			.error = ended.text_len ? strndup(ended.text, ended.text_len) : NULL};
	if (!all || r < 0 || at != in->body_len) {
		for (unsigned i = 0; all && i < n; i++)
			free(all[i].error);
		free(all);
		end_line(l, "it has sent what is no list of ends");
		return;
	}
	l->channel.held += BACKGROUND_FRAME_HELD;
	if (background_settle(l->b, all, n, l->run, number_of(head, "n"), BACKGROUND_FRAME_HELD,
			      json_is_true(json_object_get(head, "stop"))) < 0)
		end_line(l, "out of memory");
}

static void line_take(struct channel *c, const char *op, json_t *head)
{
	struct background_line *l = OWNER(c, struct background_line, channel);
	struct background_row *row = &l->b->wanted;
	struct err e = {0};

	if (strcmp(op, "hello") == 0) {
		take_hello(l, head);
		return;
	}
	if (!l->goes) {
		/* What it has put before it is told to go waits: nobody has been told of it. */
		if (strcmp(op, "put") == 0)
			take_put(l, head);
		else if (strcmp(op, "ends") == 0)
			take_ends(l, head);
		return;
	}
	if (strcmp(op, "put") == 0) {
		take_put(l, head);
		return;
	}
	if (strcmp(op, "ends") == 0) {
		take_ends(l, head);
		return;
	}
	if (strcmp(op, "trigger") == 0) {
		const char *to = json_string_value(json_object_get(head, "to"));
		struct background *b = to ? background_by_name(l->b->service->project, to) : NULL;

		if (b) {
			b->wanted.triggered++;
			(void)background_write(b, NULL, NULL, &e);
		}
		return;
	}
	if (strcmp(op, "stop") == 0) {
		row->stopped = true;
	} else if (strcmp(op, "ran") == 0) {
		const json_int_t ran = number_of(head, "trigger");

		if (ran < 0 || (uint64_t)ran > row->triggered || (uint64_t)ran <= row->ran)
			return;
		row->ran = (uint64_t)ran;
	} else if (strcmp(op, "grid") == 0) {
		const json_int_t interval = number_of(head, "interval_ns");

		row->grid_ns = util_realtime_ns();
		row->grid_boot_ns = boot_time_ns();
		row->interval_ns = interval > 0 ? (uint64_t)interval : 0;
		row->tick = 0;
		read_boot(row->boot);
	} else if (strcmp(op, "tick") == 0) {
		const json_int_t tick = number_of(head, "tick");

		row->tick = tick > 0 ? (uint64_t)tick : 0;
	} else {
		return;
	}
	(void)background_write(l->b, NULL, NULL, &e);
}

/* Connecting */

static void on_again(struct front *f, struct timer *t)
{
	(void)f;
	line_connect(OWNER(t, struct background_line, again));
}

static void again(struct background_line *l)
{
	uint64_t wait_ns = AGAIN_NS;

	for (unsigned i = 1; i < l->n_closed && wait_ns < AGAIN_MAX_NS; i++)
		wait_ns *= 2;
	timer_set(l->b->f, &l->again,
		  util_monotonic_ns() + (wait_ns < AGAIN_MAX_NS ? wait_ns : AGAIN_MAX_NS),
		  on_again);
}

static void line_ended(struct channel *c, const char *why)
{
	struct background_line *l = OWNER(c, struct background_line, channel);
	const bool was_met = l->met;

	(void)why;
	line_clear(l);
	if (was_met)
		release(l);
	l->n_closed = util_monotonic_ns() - l->opened_ns > SETTLED_NS ? 1 : l->n_closed + 1;
	again(l);
}

static void line_connect(struct background_line *l)
{
	char name[EDGE_SOCKET_MAX];
	int fd;

	service_replica_background_name(l->run, name);
	fd = edge_socket_connect(l->b->f, name);
	l->opened_ns = util_monotonic_ns();
	if (fd < 0 || channel_open(l->b->f, &l->channel, fd, BACKGROUND_FRAME_MAX) < 0) {
		l->n_closed++;
		again(l);
	}
}

static void replica_seen(struct service_replica *r)
{
	struct background *b = r->service->background;
	struct background_line *l = r->line;

	if (!b->stored || b->f->services->stopped)
		return;
	if (!l && r->replica.state == REPLICA_UP && *r->run) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return;
		l->b = b;
		l->replica = r;
		l->window = 1;
		memcpy(l->run, r->run, sizeof(l->run));
		TAILQ_INIT(&l->flights);
		l->channel = (struct channel){.fd = -1, .take = line_take, .ended = line_ended};
		LIST_INSERT_HEAD(&b->lines, l, next);
		r->line = l;
		line_connect(l);
	}
	background_look(b);
}

/* What it was given goes to others. */
static void run_over(struct service_replica *r)
{
	struct background_line *l = r->line;

	memcpy(r->service->background->last_run, r->run, sizeof(r->run));
	if (!l)
		return;
	if (!l->b->f->services->stopped) {
		/* Its last words. */
		channel_drain(&l->channel);
		release(l);
	}
	background_line_free(l);
}

/* What is stored of a service that is one */

static int begin(struct front *f, struct service *s, struct err *e)
{
	struct background *b = s->background;

	if (b) {
		b->wanted.stopped = false;
		return 0;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a background worker");
	b->f = f;
	b->service = s;
	b->better = INFINITY;
	memcpy(b->row.service, s->row.id, sizeof(b->row.service));
	memcpy(b->row.project, s->project->id, sizeof(b->row.project));
	b->row.queue = ++f->background->last_queue;
	b->wanted = b->row;
	LIST_INIT(&b->lines);
	LIST_INSERT_HEAD(&f->background->all, b, next);
	s->background = b;
	return 0;
}

static int hook_write(struct front *f, struct service *s, struct err *e)
{
	struct background *b = s->background;

	return b->stored ? store_background_update(f->store, &b->wanted, e)
			 : store_background_put(f->store, &b->wanted, e);
}

static void hook_adopt(struct front *f, struct service *s)
{
	struct background *b = s->background;

	(void)f;
	b->stored = true;
	b->wanted.done = b->row.done;
	b->wanted.failed = b->row.failed;
	b->row = b->wanted;
}

static int hook_remove(struct front *f, const struct service *s, struct err *e)
{
	return store_background_delete(f->store, s->row.id, e);
}

static bool is_stopped(const struct service *s)
{
	return s->background->row.stopped;
}

static void hook_free(struct service *s)
{
	struct background *b = s->background;

	while (!LIST_EMPTY(&b->lines))
		background_line_free(LIST_FIRST(&b->lines));
	timer_cancel(b->f, &b->due);
	LIST_REMOVE(b, next);
	s->background = NULL;
	free(b);
}

const struct service_hooks background_hooks = {
	.begin = begin,
	.write = hook_write,
	.adopt = hook_adopt,
	.remove = hook_remove,
	.is_stopped = is_stopped,
	.replica = replica_seen,
	.run_over = run_over,
	.free = hook_free,
};

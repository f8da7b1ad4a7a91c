// SPDX-License-Identifier: Apache-2.0
/*
 * What is counted of HTTP workers, for /metrics and for whoever looks at a worker: by the front itself
 * since it was started, and by the edge since nginx was started, which is fetched every now and then,
 * and more often while somebody looks.
 *
 * Nothing that comes and goes is a label: no version, instance or route. The workers that have labels
 * of their own are at most WEB_COUNTED_MAX; all others are counted together.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "supervisor/front/base/metric.h"
#include "supervisor/front/web/web.h"

#define WEB_COUNTED_MAX 1000u
/* What has no labels of its own. */
#define OTHERS "(others)"

#define FETCH_EVERY_NS (30 * SEC)
#define FETCH_OFTEN_NS (2 * SEC)
/* For so long after somebody has looked it is fetched often. */
#define LOOKED_NS (60 * SEC)
#define FIRST_FETCH_NS (1 * SEC)

/* Whoever has asked for what is counted now. */
struct look {
	STAILQ_ENTRY(look) next;
	struct waiter *waiter;
	web_looked_fn tell;
	char project[PROJECT_ID_LEN + 1], name[WEB_NAME_MAX + 1];
};

struct web_count {
	struct edge_fetch fetch;
	STAILQ_HEAD(, look) looks; /* for the fetch that comes next or is under way */
	struct timer next;
	uint64_t round; /* of what was fetched last as a whole */
	uint64_t looked_ns;
};

static void fetch_now(struct front *f, struct timer *t);

static void take_worker(struct edge_fetch *x, const char *key, const struct edge_counts *c)
{
	struct web_worker *w = web_worker_by_key(x->f, key);

	if (!w)
		return;
	w->edge = *c;
	w->edge_round = x->f->web->count->round + 1;
}

static void fetch_done(struct edge_fetch *x, bool ok)
{
	struct web_count *c = x->f->web->count;
	const uint64_t now = util_monotonic_ns();
	const bool looks = c->looked_ns && now - c->looked_ns < LOOKED_NS;

	struct look *look;

	if (ok)
		c->round++;
	while ((look = STAILQ_FIRST(&c->looks))) {
		STAILQ_REMOVE_HEAD(&c->looks, next);
		look->tell(x->f, look->waiter, look->project, look->name);
		free(look);
	}
	timer_set(x->f, &c->next, now + (looks ? FETCH_OFTEN_NS : FETCH_EVERY_NS), fetch_now);
}

static void fetch_now(struct front *f, struct timer *t)
{
	struct web_count *c = OWNER(t, struct web_count, next);

	c->fetch.worker = take_worker;
	c->fetch.done = fetch_done;
	edge_fetch_begin(f, &c->fetch);
}

int web_counts_ask(struct front *f, struct waiter *w, const struct web_worker *of,
		   web_looked_fn tell, struct err *e)
{
	struct web_count *c = f->web->count;
	struct look *look = c ? calloc(1, sizeof(*look)) : NULL;

	if (!c) {
		tell(f, w, of->project->id, of->row.name);
		return 0;
	}
	if (!look)
		return err_set(e, ERR_SYSTEM, ENOMEM, "what the edge counts");
	look->waiter = w;
	look->tell = tell;
	(void)snprintf(look->project, sizeof(look->project), "%s", of->project->id);
	(void)snprintf(look->name, sizeof(look->name), "%s", of->row.name);
	STAILQ_INSERT_TAIL(&c->looks, look, next);
	c->looked_ns = util_monotonic_ns();
	/* Else one is under way. */
	if (timer_is_set(&c->next))
		timer_set(f, &c->next, c->looked_ns, fetch_now);
	return 0;
}

void web_counts_look(struct front *f)
{
	struct web_count *c = f->web->count;
	const uint64_t now = util_monotonic_ns();

	if (!c)
		return;
	if (!c->looked_ns || now - c->looked_ns >= LOOKED_NS) {
		/* It is not known how old the last ones are. */
		if (timer_is_set(&c->next))
			timer_set(f, &c->next, now, fetch_now);
	}
	c->looked_ns = now;
}

/* What the edge has of a worker; one that it has no request of it does not name. */
static const struct edge_counts *counts_of(struct front *f, const struct web_worker *w)
{
	static const struct edge_counts none;

	return f->web->count && w->edge_round >= f->web->count->round && w->edge_round ? &w->edge
										       : &none;
}

static const struct edge_bounds *bounds_of(struct front *f)
{
	static const struct edge_bounds none;

	return f->web->count ? &f->web->count->fetch.bounds : &none;
}

json_t *web_counts_json(struct front *f, const struct web_worker *w)
{
	const struct edge_counts *c = counts_of(f, w);
	const struct edge_bounds *b = bounds_of(f);
	json_t *status = json_object(), *bounds = json_array(), *buckets = json_array();

	for (unsigned i = 0; i < EDGE_STATUS_CLASSES; i++) {
		const char name[] = {(char)('1' + i), '\0'};

		json_object_set_new(status, name, json_integer((json_int_t)c->status[i]));
	}
	for (unsigned i = 0; i < b->n; i++)
		json_array_append_new(bounds, json_real(b->seconds[i]));
	for (unsigned i = 0; i <= b->n; i++)
		json_array_append_new(buckets, json_integer((json_int_t)c->buckets[i]));
	return json_pack("{s:I, s:I, s:f, s:o, s:o, s:o, s:I, s:I}", "requests",
			 (json_int_t)c->requests, "bytes", (json_int_t)c->bytes, "seconds",
			 c->seconds, "status", status, "bounds", bounds, "buckets", buckets,
			 "wakes", (json_int_t)w->wakes, "restarts", (json_int_t)w->restarts);
}

void web_counts_instance(struct front *f, const struct web_instance *i)
{
	const struct task *t = registry_find(f, i->run);
	struct web_starts *s;
	const uint64_t ns = util_monotonic_ns() - i->began_ns;

	/* One that was adopted has begun with an earlier front. */
	if (!i->began_ns || !t || t->rec.start_mode >= START_MODE_MAX)
		return;
	s = &f->web->starts[t->rec.start_mode];
	s->n++;
	s->sum_ns += ns;
	for (unsigned b = 0; b < WEB_START_BUCKETS; b++)
		if (b == WEB_START_BUCKETS - 1 || ns <= web_start_bounds[b].ns)
			s->buckets[b]++;
}

const struct web_start_bound web_start_bounds[WEB_START_BUCKETS] = {
	{5 * MSEC, "0.005"}, {10 * MSEC, "0.01"}, {20 * MSEC, "0.02"},	{50 * MSEC, "0.05"},
	{100 * MSEC, "0.1"}, {200 * MSEC, "0.2"}, {500 * MSEC, "0.5"},	{1 * SEC, "1"},
	{2 * SEC, "2"},	     {5 * SEC, "5"},	  {UINT64_MAX, "+Inf"},
};

/* /metrics */

/* Of one worker, or of all that have no labels of their own. */
struct line {
	const char *project, *worker;
	struct edge_counts edge;
	uint64_t wakes, restarts, in_flight;
	unsigned versions, routes, instances[REPLICA_STATES], requests;
};

static void add_worker(struct front *f, struct line *l, struct web_worker *w)
{
	const struct edge_counts *c = counts_of(f, w);
	struct web_version *v, *serving[WEB_SPLIT_MAX];
	unsigned percent[WEB_SPLIT_MAX];
	struct web_instance *i;
	size_t routes;

	l->edge.requests += c->requests;
	l->edge.bytes += c->bytes;
	l->edge.seconds += c->seconds;
	for (unsigned k = 0; k < EDGE_STATUS_CLASSES; k++)
		l->edge.status[k] += c->status[k];
	for (unsigned k = 0; k <= EDGE_BOUNDS_MAX; k++)
		l->edge.buckets[k] += c->buckets[k];
	l->wakes += w->wakes;
	l->restarts += w->restarts;
	if (web_serving(w, serving, percent) > 0) {
		(void)web_routes(serving[0], &routes);
		l->routes += (unsigned)routes;
	}
	LIST_FOREACH(v, &w->versions, next) {
		l->versions += v->row.number > 0;
		l->requests += v->n_requests;
		l->in_flight += v->n_requests;
		LIST_FOREACH(i, &v->instances, next) {
			l->instances[i->replica.state]++;
			l->in_flight += i->active;
		}
	}
}

static void labels(FILE *out, const char *name, const struct line *l)
{
	(void)fprintf(out, "sandboxd_%s{project=\"", name);
	metric_label(out, l->project);
	(void)fputs("\",worker=\"", out);
	metric_label(out, l->worker);
	(void)fputc('"', out);
}

struct page {
	struct line *lines;
	unsigned n;
	const struct edge_bounds *bounds;
};

static uint64_t get_requests(const struct line *l)
{
	return l->edge.requests;
}

static uint64_t get_bytes(const struct line *l)
{
	return l->edge.bytes;
}

static uint64_t get_versions(const struct line *l)
{
	return l->versions;
}

static uint64_t get_routes(const struct line *l)
{
	return l->routes;
}

static uint64_t get_in_flight(const struct line *l)
{
	return l->in_flight;
}

static uint64_t get_wakes(const struct line *l)
{
	return l->wakes;
}

static uint64_t get_restarts(const struct line *l)
{
	return l->restarts;
}

static const struct {
	const char *name, *type, *help;
	uint64_t (*get)(const struct line *l);
} singles[] = {
	{"http_worker_requests_total", "counter",
	 "Requests that the edge has answered; since nginx was started.", get_requests},
	{"http_worker_sent_bytes_total", "counter",
	 "Bytes that the edge has sent to clients; since nginx was started.", get_bytes},
	{"http_worker_versions", "gauge", "Versions that are kept.", get_versions},
	{"http_worker_routes", "gauge", "Routes of the version that serves.", get_routes},
	{"http_worker_in_flight", "gauge", "Requests that its instances say they have.",
	 get_in_flight},
	{"http_worker_wakes_total", "counter",
	 "Times that the edge has asked for an instance; since this front started.", get_wakes},
	{"http_worker_restarts_total", "counter",
	 "Instances that have ended while they were wanted; since this front started.",
	 get_restarts},
};

static void write_singles(FILE *out, const struct page *p)
{
	for (size_t k = 0; k < ARRAY_SIZE(singles); k++) {
		metric_head(out, singles[k].name, singles[k].type, singles[k].help);
		for (unsigned i = 0; i < p->n; i++) {
			labels(out, singles[k].name, &p->lines[i]);
			(void)fprintf(out, "} %llu\n",
				      (unsigned long long)singles[k].get(&p->lines[i]));
		}
	}
}

static void write_status(FILE *out, const struct page *p)
{
	static const char name[] = "http_worker_responses_total";

	metric_head(out, name, "counter",
		    "Answers of the edge, by the first digit of their status; since nginx was "
		    "started.");
	for (unsigned i = 0; i < p->n; i++)
		for (unsigned k = 0; k < EDGE_STATUS_CLASSES; k++) {
			labels(out, name, &p->lines[i]);
			(void)fprintf(out, ",class=\"%uxx\"} %llu\n", k + 1,
				      (unsigned long long)p->lines[i].edge.status[k]);
		}
}

static void write_instances(FILE *out, const struct page *p)
{
	static const char name[] = "http_worker_instances";

	metric_head(out, name, "gauge",
		    "Instances, by state; state request: runs for single requests.");
	for (unsigned i = 0; i < p->n; i++) {
		for (unsigned k = 0; k < REPLICA_STATES; k++) {
			/* A worker is mostly in one or two of them. */
			if (p->lines[i].instances[k] == 0)
				continue;
			labels(out, name, &p->lines[i]);
			(void)fprintf(out, ",state=\"%s\"} %u\n",
				      replica_state_name((enum replica_state)k),
				      p->lines[i].instances[k]);
		}
		if (p->lines[i].requests > 0) {
			labels(out, name, &p->lines[i]);
			(void)fprintf(out, ",state=\"request\"} %u\n", p->lines[i].requests);
		}
	}
}

static void write_times(FILE *out, const struct page *p)
{
	static const char name[] = "http_worker_request_seconds";

	metric_head(
		out, name, "histogram",
		"From a request's first byte to its answer's last, at the edge; since nginx was "
		"started.");
	for (unsigned i = 0; i < p->n; i++) {
		const struct line *l = &p->lines[i];
		uint64_t sum = 0;

		for (unsigned k = 0; k <= p->bounds->n; k++) {
			sum += l->edge.buckets[k];
			labels(out, "http_worker_request_seconds_bucket", l);
			if (k < p->bounds->n)
				(void)fprintf(out, ",le=\"%g\"} %llu\n", p->bounds->seconds[k],
					      (unsigned long long)sum);
			else
				(void)fprintf(out, ",le=\"+Inf\"} %llu\n", (unsigned long long)sum);
		}
		labels(out, "http_worker_request_seconds_sum", l);
		(void)fprintf(out, "} %.3f\n", l->edge.seconds);
		labels(out, "http_worker_request_seconds_count", l);
		(void)fprintf(out, "} %llu\n", (unsigned long long)sum);
	}
}

static void write_starts(FILE *out, struct front *f)
{
	static const char name[] = "http_instance_start_seconds";

	metric_head(out, name, "histogram",
		    "From when an instance is wanted until it is ready, by start mode; since this "
		    "front started.");
	for (unsigned m = 0; m < START_MODE_MAX; m++) {
		const struct web_starts *s = &f->web->starts[m];
		const char *mode = start_mode_name((enum start_mode)m);

		if (m == START_AUTO)
			continue;
		for (unsigned b = 0; b < WEB_START_BUCKETS; b++)
			(void)fprintf(out, "sandboxd_%s_bucket{mode=\"%s\",le=\"%s\"} %llu\n", name,
				      mode, web_start_bounds[b].le,
				      (unsigned long long)s->buckets[b]);
		(void)fprintf(out,
			      "sandboxd_%s_sum{mode=\"%s\"} %llu.%09llu\n"
			      "sandboxd_%s_count{mode=\"%s\"} %llu\n",
			      name, mode, (unsigned long long)(s->sum_ns / SEC),
			      (unsigned long long)(s->sum_ns % SEC), name, mode,
			      (unsigned long long)s->n);
	}
}

static void write_projects(FILE *out, struct front *f)
{
	metric_head(out, "kv_bytes", "gauge", "What a project's KV namespaces take.");
	for (const struct project *p = f->core->projects; p; p = p->next) {
		if (LIST_EMPTY(&p->web->namespaces))
			continue;
		(void)fputs("sandboxd_kv_bytes{project=\"", out);
		metric_label(out, p->name);
		(void)fprintf(out, "\"} %llu\n", (unsigned long long)p->web->kv_bytes);
	}
}

static void count_metrics(struct front *f, FILE *out)
{
	struct page page = {.bounds = bounds_of(f)};
	struct line others = {.project = "", .worker = OTHERS};
	unsigned n = 0;

	web_counts_look(f);
	page.lines = calloc(WEB_COUNTED_MAX + 1, sizeof(*page.lines));
	if (!page.lines)
		return;
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct web_worker *w;

		LIST_FOREACH(w, &p->web->workers, next) {
			if (!w->stored)
				continue;
			n++;
			if (n > WEB_COUNTED_MAX) {
				add_worker(f, &others, w);
				continue;
			}
			page.lines[page.n] =
				(struct line){.project = p->name, .worker = w->row.name};
			add_worker(f, &page.lines[page.n++], w);
		}
	}
	if (n > WEB_COUNTED_MAX)
		page.lines[page.n++] = others;
	metric_one(out, "http_workers", "gauge", "HTTP workers of all projects.", n);
	write_singles(out, &page);
	write_status(out, &page);
	write_instances(out, &page);
	write_times(out, &page);
	write_starts(out, f);
	write_projects(out, f);
	free(page.lines);
}

static int count_start(struct front *f, struct err *e)
{
	if (f->cfg.edge_dirfd < 0 || faccessat(f->cfg.edge_dirfd, "edge.sock", F_OK, 0) < 0)
		return 0;
	f->web->count = calloc(1, sizeof(*f->web->count));
	if (!f->web->count)
		return err_set(e, ERR_SYSTEM, ENOMEM, "what the edge counts");
	STAILQ_INIT(&f->web->count->looks);
	timer_set(f, &f->web->count->next, util_monotonic_ns() + FIRST_FETCH_NS, fetch_now);
	return 0;
}

static void count_clear(struct front *f)
{
	struct look *look;

	if (!f->web->count)
		return;
	edge_fetch_clear(&f->web->count->fetch);
	while ((look = STAILQ_FIRST(&f->web->count->looks))) {
		STAILQ_REMOVE_HEAD(&f->web->count->looks, next);
		waiter_free(look->waiter);
		free(look);
	}
	free(f->web->count);
	f->web->count = NULL;
}

const struct capability web_count_capability = {
	.name = "web counts", .start = count_start, .clear = count_clear, .metrics = count_metrics};

// SPDX-License-Identifier: Apache-2.0
/*
 * Checkpoints to make: one at a time, each key once. Clients ask for them, and a task
 * that could not be restored for want of one asks in the background.
 */
#include <string.h>

#include "supervisor/front/internal.h"
#include "supervisor/msg.h"

/* After a failure the same key is not tried again by itself for so long. */
#define RETRY_AFTER_NS (600 * SEC)
#define FAILURES_MAX 64

struct warm_failure {
	struct warm_failure *next;
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	struct warm what;
};

static bool same_key(const struct warm *a, const struct warm *b)
{
	return memcmp(a->image, b->image, 32) == 0 && memcmp(a->policy, b->policy, 32) == 0 &&
	       a->has_package == b->has_package && memcmp(a->package, b->package, 32) == 0 &&
	       strcmp(a->imports, b->imports) == 0;
}

static void send_first(struct front *f)
{
	union proto_msg m = {0};
	struct warm *w = f->warms;
	_cleanup_fd_ int package = -1;
	int r;

	if (!w)
		return;
	proto_init(&m, MON_WARM);
	m.warm.tag = w->tag;
	m.warm.force = w->force;
	memcpy(m.warm.image, w->image, 32);
	memcpy(m.warm.policy, w->policy, 32);
	memcpy(m.warm.package, w->package, 32);
	memcpy(m.warm.warm, w->imports, sizeof(m.warm.warm));
	m.warm.has_package = w->has_package;
	if (w->has_package)
		package = package_open(f, w->package);
	/* One that is gone: the monitor finds that there is nothing to import from. */
	if (w->has_package && package < 0)
		m.warm.has_package = 0;
	r = link_send(&f->monitor, &m, &package, m.warm.has_package);
	if (r < 0)
		msg_err("the monitor does not take a request to warm: %s", strerror(-r));
}

void warm_request(struct front *f, const struct warm *what, struct waiter *waiter)
{
	struct warm **p = &f->warms, *w;

	for (; *p; p = &(*p)->next) {
		if ((!what->force || ((*p)->force && *p != f->warms)) && same_key(*p, what)) {
			if (waiter)
				waiter_attach(waiter, &(*p)->waiters);
			return;
		}
	}
	w = malloc(sizeof(*w));
	if (!w) {
		if (waiter)
			waiter_free(waiter);
		return;
	}
	*w = *what;
	w->next = NULL;
	w->waiters = NULL;
	w->tag = ++f->warm_tag;
	*p = w;
	if (waiter)
		waiter_attach(waiter, &w->waiters);
	if (w == f->warms)
		send_first(f);
}

static bool failed_lately(struct front *f, const struct warm *w)
{
	struct warm_failure **p = &f->warm_failures;
	uint64_t now = util_monotonic_ns();
	bool found = false;
	unsigned n = 0;

	while (*p) {
		struct warm_failure *failure = *p;

		if (now >= failure->until_ns || ++n > FAILURES_MAX) {
			*p = failure->next;
			free(failure);
			continue;
		}
		found |= same_key(w, &failure->what);
		p = &failure->next;
	}
	return found;
}

static void remember_failure(struct front *f, const struct warm *w)
{
	struct warm_failure *failure = malloc(sizeof(*failure));

	if (!failure)
		return;
	failure->until_ns = util_monotonic_ns() + RETRY_AFTER_NS;
	failure->what = *w;
	failure->next = f->warm_failures;
	f->warm_failures = failure;
}

void warm_background(struct front *f, const struct task *t)
{
	struct warm w = {0};

	if (!t->want_warm)
		return;
	memcpy(w.image, t->rec.image_digest, 32);
	memcpy(w.policy, t->rec.policy_id, 32);
	memcpy(w.imports, t->rec.warm, sizeof(w.imports));
	if (strstr(w.imports, WARM_MODULE)) {
		w.has_package = true;
		memcpy(w.package, t->rec.package, 32);
	}
	if (!failed_lately(f, &w))
		warm_request(f, &w, NULL);
}

void warm_done(struct front *f, const struct mon_warmed *m)
{
	struct warm *w = f->warms;
	struct err e = {0};
	json_t *reply = NULL;

	if (!w || w->tag != m->tag)
		return;
	f->warms = w->next;
	if (m->status < 0) {
		(void)err_set(&e, ERR_SYSTEM, *m->error ? 0 : -m->status,
			      "no checkpoint was made%s%s", *m->error ? ": " : "", m->error);
		msg_warn("%s", e.msg);
		remember_failure(f, w);
	} else {
		reply = json_pack("{s:b, s:s, s:b, s:f, s:I}", "ok", 1, "key", m->key, "existed",
				  m->existed, "dump_ms", (double)m->dump_us / 1000, "bytes",
				  (json_int_t)m->bytes);
	}
	ops_answer_all(&w->waiters, reply, &e);
	free(w);
	send_first(f);
}

void warm_clear(struct front *f)
{
	while (f->warms) {
		struct warm *w = f->warms;

		f->warms = w->next;
		free(w);
	}
	while (f->warm_failures) {
		struct warm_failure *failure = f->warm_failures;

		f->warm_failures = failure->next;
		free(failure);
	}
}

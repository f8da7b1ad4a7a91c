// SPDX-License-Identifier: Apache-2.0
/*
 * Checkpoints that are to be made. At any time no two of one key are being made, no two of one
 * package, and of each project no more than its share (wire/warm_load.h). Clients ask for them; and
 * a task that could not be restored, because there was no checkpoint, asks for one at its end, if
 * the monitor said when it started that it may.
 */
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/run/run.h"
#include "wire/warm_load.h"

/* Warm-ups that may wait, of one project and of all. A task's wish beyond that is dropped: the next
 * such task asks again. A project of which none waits yet always has room for one. */
#define WAITING_OF_PROJECT_MAX 16
#define WAITING_MAX 128

static bool same_key(const struct warm *a, const struct warm *b)
{
	return memcmp(a->image, b->image, 32) == 0 && memcmp(a->policy, b->policy, 32) == 0 &&
	       a->has_package == b->has_package && (!a->has_package || a->owner == b->owner) &&
	       memcmp(a->package, b->package, 32) == 0 && strcmp(a->imports, b->imports) == 0;
}

static void hand_over(struct front *f, struct warm *w)
{
	union proto_msg m = {0};
	_cleanup_fd_ int package = -1;
	int r;

	w->sent = true;
	proto_init(&m, MON_WARM);
	m.warm.tag = w->tag;
	m.warm.wish = (uint8_t)w->wish;
	m.warm.force = w->force;
	m.warm.owner = w->owner;
	memcpy(m.warm.image, w->image, 32);
	memcpy(m.warm.policy, w->policy, 32);
	memcpy(m.warm.package, w->package, 32);
	memcpy(m.warm.warm, w->imports, sizeof(m.warm.warm));
	m.warm.limits = w->limits;
	m.warm.has_package = w->has_package;
	if (w->has_package)
		package = package_open(f, w->package);
	/* A package that was pruned: the monitor will say that there is nothing to import from. */
	if (w->has_package && package < 0)
		m.warm.has_package = 0;
	r = chan_send(&f->run->monitor, &m, &package, m.warm.has_package);
	if (r < 0)
		msg_err("the monitor does not take a request to warm: %s", strerror(-r));
}

static struct warm_load count_running(const struct front *f)
{
	struct warm_load load = {0};

	for (const struct warm *w = f->run->warms; w; w = w->next)
		if (w->sent)
			warm_load_add(&load, w->wish, w->owner, w->memory);
	return load;
}

/* They make the same checkpoint, or both would read the same package. */
static bool excludes(const struct warm *running, const struct warm *what)
{
	return same_key(running, what) ||
	       (running->has_package && what->has_package && running->owner == what->owner &&
		memcmp(running->package, what->package, 32) == 0);
}

static bool may_run(const struct front *f, const struct warm *what)
{
	const struct warm_load load = count_running(f);

	if (!warm_load_allows(&load, what->wish, what->owner, what->memory, f->cfg.node_memory))
		return false;
	for (const struct warm *w = f->run->warms; w; w = w->next)
		if (w->sent && excludes(w, what))
			return false;
	return true;
}

/* This project had its turn: what of it still waits goes behind what waits of other projects. */
static void take_turn(struct front *f, uint32_t owner)
{
	struct warm **p = &f->run->warms, *moved = NULL, **tail = &moved;

	while (*p) {
		struct warm *w = *p;

		if (w->sent || w->wish != WARM_FOR_TASK || w->owner != owner) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->next = NULL;
		*tail = w;
		tail = &w->next;
	}
	*p = moved;
}

static struct warm *find_next(const struct front *f)
{
	for (int wish = WARM_FOR_OPERATOR; wish < WARM_FOR_MAX; wish++)
		for (struct warm *w = f->run->warms; w; w = w->next)
			if (w->wish == (enum warm_for)wish && !w->sent && may_run(f, w))
				return w;
	return NULL;
}

/* The operator's wishes first, then those of images, then the projects' in turn; within each of
 * these the oldest first. */
static void hand_over_some(struct front *f)
{
	struct warm *w;

	while ((w = find_next(f))) {
		hand_over(f, w);
		if (w->wish == WARM_FOR_TASK)
			take_turn(f, w->owner);
	}
}

/*
 * A warm-up of the same key that is in the list already and will do. One that is being made on
 * behalf of a task, within that task's limits, does not do for an image or the operator; one that
 * keeps an existing checkpoint does not do where a new one is asked for; and one that waits in
 * another project's share does not do, for it may wait longer.
 */
static struct warm *find_same(struct front *f, const struct warm *what)
{
	for (struct warm *w = f->run->warms; w; w = w->next) {
		if (!same_key(w, what) || (what->force && (!w->force || w->sent)) ||
		    (w->sent && w->wish > what->wish) ||
		    (!w->sent && w->wish == WARM_FOR_TASK && w->owner != what->owner))
			continue;
		if (what->wish < w->wish)
			w->wish = what->wish;
		return w;
	}
	return NULL;
}

static bool too_many_wait(const struct front *f, const struct warm *what)
{
	unsigned all = 0, own = 0;

	for (const struct warm *w = f->run->warms; w; w = w->next) {
		all += !w->sent;
		own += !w->sent && w->wish == WARM_FOR_TASK && w->owner == what->owner;
	}
	if (what->wish != WARM_FOR_TASK)
		return all >= WAITING_MAX;
	return own >= WAITING_OF_PROJECT_MAX || (own > 0 && all >= WAITING_MAX);
}

static struct warm *add(struct front *f, const struct warm *what, struct err *e)
{
	struct warm **p = &f->run->warms, *w;

	if (too_many_wait(f, what)) {
		(void)err_set(e, ERR_LIMIT, 0, "too many warm-ups wait already: try again later");
		return NULL;
	}
	w = malloc(sizeof(*w));
	if (!w) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "warm");
		return NULL;
	}
	*w = *what;
	w->next = NULL;
	w->waiters = NULL;
	w->sent = false;
	/* No warm-up has the tag 0. The first tag is made of the time, so that it differs from those
	 * of an earlier front, whose warm-ups may still be running. */
	if (!f->run->warm_tag)
		f->run->warm_tag = (uint32_t)(util_realtime_ns() / MSEC) | 1;
	w->tag = f->run->warm_tag++;
	while (*p)
		p = &(*p)->next;
	*p = w;
	return w;
}

struct warm *warm_request(struct front *f, const struct warm *what, struct err *e)
{
	struct warm *w = find_same(f, what);

	if (!w)
		w = add(f, what, e);
	if (w)
		hand_over_some(f);
	return w;
}

/* The memory that the policy gives by default; 0 when the policy is not in the cache. */
static uint64_t default_memory(const struct front *f, const uint8_t policy[32])
{
	for (unsigned i = 0; i < f->core->n_policies && i < RESOLVE_CACHE; i++)
		if (memcmp(f->core->policies[i].id, policy, 32) == 0)
			return f->core->policies[i].head.limits.memory;
	return 0;
}

static void on_ended(struct front *f, struct task *t)
{
	const struct project *project = project_by_id(f, t->rec.project);
	struct warm w = {0};

	if (t->want_warm == WARM_FOR_NOBODY || !project)
		return;
	w.wish = t->want_warm;
	w.owner = project->slot;
	w.limits = t->rec.limits;
	w.memory = default_memory(f, t->rec.policy_id);
	if (w.memory < w.limits.memory)
		w.memory = w.limits.memory;
	memcpy(w.image, t->rec.image_digest, 32);
	memcpy(w.policy, t->rec.policy_id, 32);
	memcpy(w.imports, t->rec.warm, sizeof(w.imports));
	if (strstr(w.imports, WARM_MODULE)) {
		w.has_package = true;
		memcpy(w.package, t->rec.package, 32);
	}
	/* A list with a module of the task's own folder counts as the task's wish, whatever the
	 * monitor took it for. */
	if (w.has_package)
		w.wish = WARM_FOR_TASK;
	/* A task's end is told again when the disk did not take it the first time. */
	t->want_warm = WARM_FOR_NOBODY;
	(void)warm_request(f, &w, NULL);
}

void warm_done(struct front *f, const struct mon_warmed *m)
{
	struct warm **p = &f->run->warms, *w;

	while (*p && ((*p)->tag != m->tag || !(*p)->sent))
		p = &(*p)->next;
	w = *p;
	if (!w)
		return;
	*p = w->next;
	EVENT_TELL(f, warmed, w, m);
	free(w);
	hand_over_some(f);
}

static void warm_clear(struct front *f)
{
	while (f->run->warms) {
		struct warm *w = f->run->warms;

		f->run->warms = w->next;
		free(w);
	}
}

static const struct listener listener = {.ended = on_ended};

const struct capability warm_capability = {
	.name = "warm-ups", .clear = warm_clear, .listener = &listener};

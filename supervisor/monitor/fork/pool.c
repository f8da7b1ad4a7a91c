// SPDX-License-Identifier: Apache-2.0
/*
 * Which clones of a template wait. A clone is of use to tasks of its kind alone, and as many
 * wait as the policy says: for tasks like the last ones. One kind alone has all of them, two
 * in turn have half each, and what is not asked for any more makes room.
 */
#include <fcntl.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/monitor/fork/clone.h"

#define REFILL_US 3000
#define REFILL_NEXT_US 500

static unsigned parked_max(const struct template *tpl)
{
	return tpl->none_waits ? 0 : tpl->rules->policy.head.parked;
}

/* What its payload and its init hold is the same for any task of the kind. */
static bool is_of(const struct limits *limits, const uint8_t package[32],
		  const struct clone_kind *kind)
{
	return limits_same_sandbox(limits, &kind->limits) &&
	       memcmp(package, kind->package, 32) == 0;
}

void pool_note(struct template *tpl, const struct clone_kind *kind)
{
	struct clone_kind *last;
	int fd = -1;

	if (parked_max(tpl) == 0)
		return;
	if (kind->package_fd >= 0) {
		fd = fcntl(kind->package_fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0) /* the digest alone would promise a folder that is not there */
			return;
	}
	if (tpl->n_recent == parked_max(tpl)) {
		util_close_fd(&tpl->recent[0].package_fd);
		tpl->n_recent--;
		memmove(&tpl->recent[0], &tpl->recent[1], tpl->n_recent * sizeof(tpl->recent[0]));
	}
	last = &tpl->recent[tpl->n_recent++];
	*last = *kind;
	last->package_fd = fd;
}

void pool_fill(struct template *tpl)
{
	struct clone_kind kind = {.limits = tpl->rules->policy.head.limits,
				  .package_fd = tpl->of.package_fd};

	memcpy(kind.package, tpl->of.package, 32);
	for (unsigned i = 0; i < parked_max(tpl); i++)
		pool_note(tpl, &kind);
	(void)pool_refill_soon(tpl);
}

void pool_forget(struct template *tpl)
{
	tpl->refill = sd_event_source_disable_unref(tpl->refill);
	while (tpl->n_recent > 0)
		util_close_fd(&tpl->recent[--tpl->n_recent].package_fd);
}

void pool_close(struct template *tpl, const char *why)
{
	struct box *next;

	msg_warn("template %s: %s: none of its clones will wait for a task", tpl->id, why);
	tpl->none_waits = true;
	pool_forget(tpl);
	for (struct box *b = tpl->clones; b; b = next) {
		next = b->clone_next;
		if (!b->pending && !b->clone_tag)
			clone_drop(b);
	}
}

struct box *pool_take(struct template *tpl, const struct clone_kind *kind)
{
	struct box *b, *next;

	for (b = tpl->clones; b; b = next) {
		next = b->clone_next;
		if (b->pending || b->clone_tag)
			continue;
		/* It is ending, or has used its pipe up: a first bytecode would not be seen. */
		if (b->started_r < 0)
			clone_drop(b);
		else if (is_of(&b->limits, b->package, kind))
			return b;
	}
	return NULL;
}

/* How many of a kind there are, with those that are being made, less how many there shall be. */
static int surplus(const struct template *tpl, const struct clone_kind *kind)
{
	int n = 0;

	for (const struct box *b = tpl->clones; b; b = b->clone_next)
		n += !b->pending && is_of(&b->limits, b->package, kind);
	for (unsigned i = 0; i < tpl->n_recent; i++)
		n -= is_of(&tpl->recent[i].limits, tpl->recent[i].package, kind);
	return n;
}

/* The kind of the last task whose like finds too few. */
static const struct clone_kind *find_wanted(const struct template *tpl)
{
	for (unsigned i = tpl->n_recent; i-- > 0;)
		if (surplus(tpl, &tpl->recent[i]) < 0)
			return &tpl->recent[i];
	return NULL;
}

/* One that is in the way. */
static struct box *find_surplus(const struct template *tpl)
{
	struct clone_kind kind = {.package_fd = -1};

	for (struct box *b = tpl->clones; b; b = b->clone_next) {
		kind.limits = b->limits;
		memcpy(kind.package, b->package, 32);
		if (!b->pending && !b->clone_tag && surplus(tpl, &kind) > 0)
			return b;
	}
	return NULL;
}

/* One a time. */
static int on_refill(sd_event_source *s, uint64_t usec, void *arg)
{
	struct template *tpl = arg;
	const struct clone_kind *wanted = tpl->m->stopping ? NULL : find_wanted(tpl);
	struct box *other;

	(void)usec;
	if (!wanted)
		return 0;
	if (clone_count(tpl) >= parked_max(tpl)) {
		other = find_surplus(tpl);
		if (!other) /* it is being made; the next task will see it */
			return 0;
		clone_drop(other);
	}
	if (!clone_make(tpl, wanted, NULL))
		return 0;
	(void)sd_event_source_set_time_relative(s, REFILL_NEXT_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* Not now: the task that has just been given away is to have the processor. */
int pool_refill_soon(struct template *tpl)
{
	int on = SD_EVENT_OFF, r;

	if (!tpl->refill)
		return sd_event_add_time_relative(tpl->m->event, &tpl->refill, CLOCK_MONOTONIC,
						  REFILL_US, 1, on_refill, tpl);
	r = sd_event_source_get_enabled(tpl->refill, &on);
	if (r < 0 || on != SD_EVENT_OFF)
		return r;
	(void)sd_event_source_set_time_relative(tpl->refill, REFILL_US);
	return sd_event_source_set_enabled(tpl->refill, SD_EVENT_ONESHOT);
}

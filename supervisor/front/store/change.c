// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/change.h"

#include "lib/msg.h"
#include "supervisor/front/store/priv.h"

#define RETRY_NS (1 * SEC)
/* Turns that a commit waits at most for what else is to be written with it. */
#define PUT_OFF_MAX 64u
/* New changes that are taken out of one transaction because they cannot be written. */
#define REFUSED_MAX 4u

static bool change_is_known(const struct change *c)
{
	return c->stored || c->must;
}

static void change_append(struct change_list *list, struct change *c)
{
	c->next = NULL;
	*(list->last ? &list->last->next : &list->first) = c;
	list->last = c;
}

static struct change *change_take_first(struct change_list *list)
{
	struct change *c = list->first;

	list->first = c->next;
	if (!list->first)
		list->last = NULL;
	return c;
}

static void change_take(struct change_list *list, struct change *c)
{
	struct change **at = &list->first, *before = NULL;

	while (*at && *at != c) {
		before = *at;
		at = &before->next;
	}
	if (!*at)
		return;
	*at = c->next;
	if (list->last == c)
		list->last = before;
}

static void ring_add(struct changes *all, struct change_lane *lane)
{
	lane->next = NULL;
	*(all->last ? &all->last->next : &all->first) = lane;
	all->last = lane;
}

void change_mark(struct front *f, struct change *c, unsigned holder, size_t bytes)
{
	struct changes *all = f->changes;
	struct change_lane *lane = &all->lanes[holder];

	if (c->marked)
		return;
	c->marked = true;
	c->holder = (uint16_t)holder;
	c->bytes = (uint32_t)bytes;
	turn_mark(f);
	if (change_is_known(c)) {
		change_append(&all->known, c);
		return;
	}
	if (!lane->n++)
		ring_add(all, lane);
	change_append(&lane->list, c);
	all->n_new++;
}

void change_add_with(struct change *c, struct change *other)
{
	while (c->with)
		c = c->with;
	c->with = other;
}

bool change_is_behind(const struct front *f, unsigned holder)
{
	return f->changes->lanes[holder].n > TURN_FRESH_MAX && !change_is_stuck(f);
}

bool change_is_stuck(const struct front *f)
{
	return timer_is_set(&f->changes->retry);
}

/* Takes the new changes that this turn has time for, from each holder in turns. */
static struct change_list take_new(struct changes *all)
{
	struct change_list list = {0};
	size_t bytes = 0;

	for (unsigned n = 0; n < TURN_NEW_ROWS && bytes < TURN_NEW_BYTES && all->first; n++) {
		struct change_lane *lane = all->first;
		struct change *c = change_take_first(&lane->list);

		bytes += c->bytes;
		change_append(&list, c);
		all->n_new--;
		all->first = lane->next;
		if (!all->first)
			all->last = NULL;
		if (--lane->n)
			ring_add(all, lane);
	}
	return list;
}

static int write_one(struct front *f, struct change *c, struct err *e)
{
	int r = 0;

	for (; r == 0 && c; c = c->with)
		if (c->write)
			r = c->write(f, c, e);
	return r;
}

/* One transaction for one list and then the other; 0 or nothing is written. *ret_bad: the change
 * that could not be written; NULL: it is none of theirs alone. */
static int write_lists(struct front *f, struct change *first, struct change *second,
		       struct change **ret_bad, struct err *e)
{
	int r = store_begin(f->store, e);

	*ret_bad = NULL;
	if (r < 0)
		return r;
	for (struct change *c = first; r == 0 && c; c = c->next) {
		*ret_bad = c;
		r = write_one(f, c, e);
	}
	for (struct change *c = second; r == 0 && c; c = c->next) {
		*ret_bad = c;
		r = write_one(f, c, e);
	}
	if (r == 0)
		*ret_bad = NULL;
	return store_end(f->store, r, e);
}

static void adopt(struct front *f, struct change *c, bool durable)
{
	for (; c; c = c->with)
		if (c->adopt)
			c->adopt(f, c, durable);
}

/* Who is told first may mark any of the others anew: all are unmarked, and in memory what they are
 * in the store, before one is told. */
static struct change **add_told(struct front *f, struct change **tail,
				const struct change_list *list, bool durable)
{
	for (struct change *c = list->first; c; c = c->next) {
		c->next_told = NULL;
		*tail = c;
		tail = &c->next_told;
		c->marked = false;
		c->stored |= durable;
		adopt(f, c, durable);
	}
	return tail;
}

/* again: those that are known are tried until they are durable. */
static void tell(struct front *f, struct change *c, const struct err *error, bool again)
{
	for (struct change *next; c; c = next) {
		struct change *with = c->with;

		next = c->next_told;
		c->with = NULL;
		if (again && error && c->write && change_is_known(c))
			change_mark(f, c, c->holder, c->bytes);
		for (struct change *other; with; with = other) {
			other = with->with;
			with->with = NULL;
			with->done(f, with, error);
		}
		c->done(f, c, error);
	}
}

/* The timer was set for this alone: it is not set now, and the commit follows in the same turn. */
static void try_again(struct front *f, struct timer *timer)
{
	(void)f;
	(void)timer;
}

static void write_and_tell(struct front *f)
{
	struct change_list known = f->changes->known, fresh = take_new(f->changes), alone = {0};
	struct change *bad, *told = NULL, **tail = &told;
	struct err e;
	int r;

	f->changes->known = (struct change_list){0};
	for (unsigned n = 0;; n++) {
		e = (struct err){0};
		r = write_lists(f, known.first, fresh.first, &bad, &e);
		if (r == 0 || !bad || change_is_known(bad) || n == REFUSED_MAX)
			break;
		change_take(&fresh, bad);
		change_append(&alone, bad);
	}
	if (r < 0) {
		msg_err("%s", e.msg);
		while (fresh.first)
			change_append(&alone, change_take_first(&fresh));
		e = (struct err){0};
		if (known.first)
			r = write_lists(f, known.first, NULL, &bad, &e);
	}
	if (r < 0 && known.first)
		timer_set(f, &f->changes->retry, util_monotonic_ns() + RETRY_NS, try_again);

	tail = add_told(f, tail, &known, r == 0);
	(void)add_told(f, tail, &fresh, r == 0);
	tell(f, told, r < 0 ? &e : NULL, true);
	while (alone.first) {
		struct change_list one = {0};

		e = (struct err){0};
		change_append(&one, change_take_first(&alone));
		r = write_lists(f, one.first, NULL, &bad, &e);
		(void)add_told(f, &told, &one, r == 0);
		tell(f, told, r < 0 ? &e : NULL, true);
	}
}

/*
 * Requests that wait for their turns are about to change something, and one wait for the disk is
 * enough for as many as there is time for in one turn: else each of them would wait for its own,
 * one after the other.
 */
static bool is_put_off(struct front *f)
{
	struct changes *all = f->changes;

	if (all->n_put_off == PUT_OFF_MAX || all->n_new >= TURN_NEW_ROWS ||
	    !turn_calls_waiting(f)) {
		all->n_put_off = 0;
		return false;
	}
	all->n_put_off++;
	return true;
}

void change_commit(struct front *f)
{
	struct changes *all = f->changes;

	if (change_is_stuck(f) || (!all->known.first && !all->first))
		return;
	if (!is_put_off(f))
		write_and_tell(f);
	if (all->known.first || all->first)
		turn_mark(f);
}

/* Those that are known are tried no more, and who is told of one may free it. */
void change_stop(struct front *f)
{
	struct change_list list = f->changes->known;
	struct err e = {0};

	(void)turn_over(&e);
	f->changes->known = (struct change_list){0};
	for (bool first = true; first || f->changes->first; first = false) {
		struct change *told = NULL, **tail = add_told(f, &told, &list, false);

		while (f->changes->first) {
			list = take_new(f->changes);
			tail = add_told(f, tail, &list, false);
		}
		list = (struct change_list){0};
		/* Who has waited for one of them to ask for another asks for it now. */
		tell(f, told, &e, false);
	}
}

// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/chore.h"

#include "supervisor/front/store/store.h"

static void chore_written(struct front *f, struct change *change, const struct err *error)
{
	struct chore *c = OWNER(change, struct chore, durable);
	struct err e = {0};

	/* The slices did not wait for the disk, and a turn that changes nothing does not either. */
	if (!error && store_sync(f->store, &e) < 0)
		error = &e;
	c->end(f, c, error);
}

static bool chore_slice(struct front *f, struct work *w)
{
	struct chore *c = OWNER(w, struct chore, work);
	struct err e = {0};
	int r = c->slice(f, c, &e);

	if (r > 0)
		return true;
	if (r < 0)
		c->end(f, c, &e);
	else
		change_mark(f, &c->durable, c->holder, 0);
	return false;
}

static void chore_drop(struct front *f, struct work *w)
{
	struct chore *c = OWNER(w, struct chore, work);
	struct err e = {0};

	(void)turn_over(&e);
	c->end(f, c, &e);
}

void chore_begin(struct front *f, struct chore *c, unsigned holder)
{
	c->work = (struct work){.slice = chore_slice, .drop = chore_drop};
	/* After all that the slices have marked, which is tried again until it is written. */
	c->durable = (struct change){.done = chore_written, .must = true};
	c->holder = holder;
	turn_add(f, holder, TURN_WORK, &c->work);
}

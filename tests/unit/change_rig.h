/* SPDX-License-Identifier: Apache-2.0 */
/* Changes (store/change.h) that a test marks, and whose end it waits for. */
#ifndef TESTS_UNIT_CHANGE_RIG_H
#define TESTS_UNIT_CHANGE_RIG_H

#include "supervisor/front/store/change.h"
#include "tests/unit/rig.h"

struct committing {
	struct change change;
	bool told;
	struct err *e;
};

static void on_committed(struct front *f, struct change *c, const struct err *error)
{
	struct committing *wait = OWNER(c, struct committing, change);

	(void)f;
	wait->told = true;
	if (error)
		*wait->e = *error;
}

/* Runs the loop until the change is told. 0: it is durable. -EIO with *e: it could not be written.
 * -ECANCELED: c is NULL, and it was not even marked. */
RIG_UNUSED static int committed(struct front *f, struct change *c, struct err *e)
{
	struct committing wait = {.change = {.done = on_committed}, .e = e};

	if (!c)
		return -ECANCELED;
	e->code = 0;
	change_add_with(c, &wait.change);
	while (!wait.told) {
		/* A disk that has failed is tried again at once. */
		timer_cancel(f, &f->changes->retry);
		turn_mark(f);
		assert_true(sd_event_run(f->event, 0) >= 0);
	}
	return e->code ? -EIO : 0;
}

#endif

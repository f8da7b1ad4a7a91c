/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules in the queue's rig: making them, and waiting for the tasks that they queue. */
#ifndef TESTS_UNIT_SCHEDULE_RIG_H
#define TESTS_UNIT_SCHEDULE_RIG_H

#include "supervisor/front/run/schedule/internal.h"
#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"
#include "tests/unit/queue_rig.h"

/* NULL with *e: it was refused, or could not be written. spec is still the caller's, unless it was
 * taken: then it is cleared. */
static struct schedule *make_one(struct fixture *x, struct schedule_spec *spec, struct err *e)
{
	struct schedule *s = NULL;
	struct change *added;
	char id[PROJECT_ID_LEN + 1];

	if (schedule_make(x->f, x->a, spec, &s, e) < 0)
		return NULL;
	assert_non_null(s);
	assert_true(util_is_id(s->id));
	strcpy(id, s->id);
	added = schedules_add(x->f, x->a, &s, 1, e);
	if (!added)
		schedule_free(s);
	return committed(x->f, added, e) < 0 ? NULL : schedule_get(x->a, id, e);
}

RIG_UNUSED static struct schedule *make(struct fixture *x, struct schedule_spec spec)
{
	struct err e = {0};
	struct schedule *s;

	if (!*spec.code_name)
		strcpy(spec.code_name, "c");
	s = make_one(x, &spec, &e);
	if (!s) {
		fail_msg("%s", e.msg);
		abort(); /* for clang-tidy, which does not know that fail_msg never returns */
	}
	return s;
}

static int count_one(void *arg, struct task_record *rec)
{
	assert_int_equal(strlen(rec->schedule), 24);
	(*(unsigned *)arg)++;
	return 0;
}

static unsigned tasks(struct fixture *x)
{
	struct task_query q = {.project = x->a->id};
	struct err e = {0};
	unsigned n = 0;

	settle(x);
	assert_int_equal(store_task_query(x->f->store, &q, count_one, &n, &e), 0);
	return n;
}

/* Until so many tasks have come, or the test is ended from outside. */
RIG_UNUSED static void wait_tasks(struct fixture *x, unsigned n)
{
	while (tasks(x) < n)
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules in the queue's rig: made, and waited for by the tasks that they queue. */
#ifndef TESTS_UNIT_SCHEDULE_RIG_H
#define TESTS_UNIT_SCHEDULE_RIG_H

#include "supervisor/front/run/schedule/internal.h"
#include "supervisor/front/store/priv.h"
#include "tests/unit/queue_rig.h"

static struct schedule *make(struct fixture *x, struct schedule_spec spec)
{
	struct schedule *s = NULL;
	struct err e = {0};

	if (!*spec.code_name)
		strcpy(spec.code_name, "c");
	if (schedule_create(x->f, x->a, &spec, &s, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(strlen(s->id), 24);
	assert_ptr_equal(schedule_by_id(x->a, s->id), s);
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
	assert_int_equal(queue_list(x->f, &q, count_one, &n, &e), 0);
	return n;
}

/* Until so many tasks have come, or the test is ended from outside. */
static void wait_tasks(struct fixture *x, unsigned n)
{
	while (tasks(x) < n)
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
}

#endif

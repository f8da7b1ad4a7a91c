/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a folder of its own, and tasks in which every field has another value. */
#ifndef TESTS_UNIT_STORE_RIG_H
#define TESTS_UNIT_STORE_RIG_H

#include "tests/unit/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/schedules.h"
#include "supervisor/front/store/schema.h"
#include "supervisor/front/store/store.h"

struct fixture {
	char dir[32];
	int fd;
	struct store *store;
};

static const struct schema *const schemas[] = {&projects_schema, &workers_schema, &schedules_schema,
					       &tasks_schema, NULL};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct err e;

	strcpy(x->dir, "/tmp/store-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	x->fd = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(x->fd >= 0);
	assert_int_equal(store_open(x->fd, schemas, &x->store, &e), 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	store_free(x->store);
	(void)unlinkat(x->fd, "tasks.db", 0);
	(void)unlinkat(x->fd, "tasks.db-wal", 0);
	(void)unlinkat(x->fd, "tasks.db-shm", 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(x->dir), 0);
	(void)close(x->fd);
	free(x);
	return 0;
}

RIG_UNUSED static void reopen(struct fixture *x)
{
	struct err e;

	store_free(x->store);
	assert_int_equal(store_open(x->fd, schemas, &x->store, &e), 0);
}

/* A record whose every field has another value; n decides its id and its age. */
static struct task_record make(unsigned n, enum task_state state)
{
	static char job[] = "kind 4\ncode\ncode 1\nx\n", payload[] = "{\"n\": 1}";
	struct task_record rec = {
		.project = "default",
		.image = "iron",
		.policy = "strict",
		.label = "a 'label'; --",
		.verdict = state >= TASK_COMPLETE ? VERDICT_EXIT : VERDICT_NONE,
		.start_asked = START_AUTO,
		.start_mode = START_RESTORE,
		.has_package = 1,
		.priority = 2,
		.requested_by = 4294967294u,
		.exit_code = -1,
		.signal = 11,
		.limits = {UINT32_MAX + 1ULL, 2, 3, 4, 5, 6, 7},
		.created_ns = 1000 + n,
		.started_ns = 7,
		.finished_ns = state >= TASK_COMPLETE ? 5000 + n : 0,
		.cancel_ns = 9,
		.start_us = 12345,
		.cpu_us = 10,
		.memory_peak = 11,
		.log_lines = 12,
		.log_bytes = 13,
		.log_dropped = 14,
		.log_known = 1,
		.worker = "0123456789abcdef01234567",
		.code_name = "hello",
		.schedule = "1123456789abcdef01234567",
		.original = "2123456789abcdef01234567",
		.retry = "3123456789abcdef01234567",
		.revision = 21,
		.attempt = 22,
		.retries_left = 23,
		.retries_delay_s = 24,
		.percent = 25,
		.timeout_asked_s = 26,
		.dead_letter = 1,
		.not_before_ns = 27,
		.cluster = "c",
		.msg = "m",
		.warm = "numpy\nscipy",
		.warning = "w",
		.error = "e",
	};

	(void)snprintf(rec.id, sizeof(rec.id), "%024x", n);
	memset(rec.image_digest, 1, 32);
	memset(rec.policy_id, 2, 32);
	memset(rec.package, 0xff, 32);
	rec.state = (uint32_t)state;
	rec.job = job;
	rec.payload = payload;
	return rec;
}

RIG_UNUSED static void insert(struct fixture *x, unsigned n, enum task_state s)
{
	struct task_record rec = make(n, s);
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_task_insert(x->store, &rec, &e), 0);
	assert_int_equal(store_event(x->store, rec.id, n, "accepted", "", &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
}

static void RIG_UNUSED assert_same(struct task_record *got, struct task_record want)
{
	assert_string_equal(got->job, want.job);
	assert_string_equal(got->payload, want.payload);
	task_record_clear(got);
	got->job = want.job;
	got->payload = want.payload;
	assert_memory_equal(got, &want, sizeof(want));
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif

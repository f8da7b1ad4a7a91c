// SPDX-License-Identifier: Apache-2.0
/* How much space a project's logs may take together, and which of them are removed. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/base/turn.h"
#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"

#define LOG 30000ULL

/* Makes an ended task of the project whose log takes so many bytes. */
static const char *ended(struct fixture *x, struct worker *c, uint64_t disk)
{
	const char *id = submit(x, c, plain);
	struct mon_exited m = {.verdict = VERDICT_OK};
	struct log_end log = {.lines = 1, .bytes = disk, .disk = disk};

	assert_string_equal(started(x), id);
	memcpy(m.id, id, sizeof(m.id));
	memcpy(log.id, id, sizeof(log.id));
	flow_exited(x->f, &m);
	flow_log_end(x->f, &log);
	settle(x);
	return id;
}

/* Returns how many logs the logger was asked to remove since the last call; last: the task of the
 * last one. */
static unsigned asked(struct fixture *x, char last[TASK_ID_LEN + 1])
{
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	unsigned n = 0, n_fds;

	settle(x);
	last[0] = '\0';
	while (proto_recv(x->logger, ROLE_FRONT, ROLE_LOGGER, &m, fds, &n_fds) >= 0) {
		if (m.h.type != LOG_DELETE)
			continue;
		memcpy(last, m.log_id.id, TASK_ID_LEN + 1);
		n++;
	}
	return n;
}

static bool is_gone(struct fixture *x, const char *id)
{
	struct task_record rec = record(x, id);
	struct err e = {0};
	int r = log_keep_check(&rec, x->a, &e);

	assert_int_equal(rec.log_lines, 1);
	assert_true((r < 0) == (rec.log_gone != 0));
	assert_true((r < 0) == (rec.log_disk == 0));
	if (r < 0)
		assert_non_null(strstr(e.msg, "\"kept_log_bytes\""));
	return r < 0;
}

static void test_oldest_go(void **state)
{
	struct fixture *x = *state;
	struct worker *a = worker(x, x->a, "c", (struct worker_spec){0});
	struct worker *b = worker(x, x->b, "c", (struct worker_spec){0});
	char first[TASK_ID_LEN + 1], second[TASK_ID_LEN + 1], last[TASK_ID_LEN + 1];
	const char *other, *id;
	struct err e = {0};

	x->a->quota.kept_log_bytes = 3 * LOG;
	other = ended(x, b, 100 * LOG);
	strcpy(first, ended(x, a, LOG));
	strcpy(second, ended(x, a, LOG));
	(void)ended(x, a, LOG);
	(void)ended(x, a, 0);
	assert_int_equal(asked(x, last), 0);
	assert_int_equal(x->a->logs->bytes, 3 * LOG);
	id = ended(x, a, LOG);
	assert_int_equal(asked(x, last), 1);
	assert_string_equal(last, first);
	assert_int_equal(x->a->logs->bytes, 3 * LOG);
	assert_true(is_gone(x, first));
	assert_false(is_gone(x, second));
	assert_false(is_gone(x, id));
	/* No log of the other project, which has no bound, is removed. */
	assert_false(is_gone(x, other));
	assert_int_equal(x->b->logs->bytes, 100 * LOG);

	/* The result is the same when a new front counts the logs; a smaller quota holds at
	 * once. */
	restart(x);
	assert_int_equal(x->a->logs->bytes, 3 * LOG);
	assert_int_equal(x->b->logs->bytes, 100 * LOG);
	assert_int_equal(
		committed(x->f,
			  project_set_quota(x->f, x->b, &(struct quota){.kept_log_bytes = LOG}, &e),
			  &e),
		0);
	assert_int_equal(asked(x, last), 1);
	assert_string_equal(last, other);
	assert_int_equal(x->b->logs->bytes, 0);
	assert_int_equal(x->a->logs->bytes, 3 * LOG);
	/* A log that is removed with its task is not counted any more. */
	assert_int_equal(commit_delete(x->f, &second, 1, &e), 0);
	assert_int_equal(x->a->logs->bytes, 2 * LOG);
	assert_int_equal(asked(x, last), 1);
}

/* If less was counted than a log has, removing the log makes the count zero and not a huge
 * number. */
static void test_counted_less(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const struct quota quota = {.kept_log_bytes = LOG / 3};
	char last[TASK_ID_LEN + 1];
	struct err e = {0};

	for (int i = 0; i < 3; i++)
		(void)ended(x, c, LOG);
	x->a->logs->bytes = LOG / 2;
	assert_int_equal(committed(x->f, project_set_quota(x->f, x->a, &quota, &e), &e), 0);
	assert_int_equal(asked(x, last), 1);
	assert_int_equal(x->a->logs->bytes, 0);
}

/* A log does not count as removed until the logger was asked to remove it. */
static void test_no_logger(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	char first[TASK_ID_LEN + 1], second[TASK_ID_LEN + 1], last[TASK_ID_LEN + 1];
	unsigned n = 0;

	x->a->quota.kept_log_bytes = LOG;
	strcpy(first, ended(x, c, LOG));
	(void)close(x->logger);
	/* The request waits for the next logger. */
	strcpy(second, ended(x, c, LOG));
	assert_true(is_gone(x, first));
	while (log_request(x->f, first, LOG_FINISH))
		;
	(void)ended(x, c, LOG);
	assert_false(is_gone(x, second));
	assert_int_equal(x->a->logs->bytes, 2 * LOG);
	x->logger = rig_peer_new(x->monitor);
	assert_int_equal(asked(x, last), 1);
	assert_string_equal(last, first);
	(void)ended(x, c, LOG);
	/* The request comes after all those that waited. */
	while (n < 2)
		n += asked(x, last);
	assert_true(is_gone(x, second));
	assert_int_equal(x->a->logs->bytes, LOG);
}

/* Many logs are removed in slices, none of which takes longer than a turn may. */
static void test_slices(void **state)
{
	struct fixture *x = *state;
	const char *id = ended(x, worker(x, x->a, "c", (struct worker_spec){0}), LOG);
	struct task_record rec = record(x, id);
	struct err e = {0};
	char last[TASK_ID_LEN + 1];
	unsigned turns = 0;

	assert_int_equal(store_begin(x->f->store, &e), 0);
	for (unsigned i = 1; i < 5 * TURN_WRITE_ROWS; i++) {
		(void)snprintf(rec.id, sizeof(rec.id), "%024x", i);
		rec.finished_ns++;
		assert_int_equal(store_task_insert(x->f->store, &rec, &e), 0);
	}
	assert_int_equal(store_end(x->f->store, 0, &e), 0);
	/* A task that has not ended is skipped, although its log's size is known. */
	rec.state = TASK_RUNNING;
	rec.finished_ns = 0;
	strcpy(rec.id, "0123456789abcdef01234567");
	assert_int_equal(store_begin(x->f->store, &e), 0);
	assert_int_equal(store_task_insert(x->f->store, &rec, &e), 0);
	assert_int_equal(store_end(x->f->store, 0, &e), 0);
	assert_int_equal(log_keep_capability.load(x->f, &e), 0);
	assert_int_equal(x->a->logs->bytes, LOG * 5 * TURN_WRITE_ROWS);
	x->a->quota.kept_log_bytes = LOG;
	log_keep_capability.listener->project_changed(x->f, x->a);
	while (x->a->logs->going) {
		uint64_t before = x->a->logs->bytes;

		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
		assert_true(before - x->a->logs->bytes <= TURN_WRITE_ROWS * LOG);
		turns += before != x->a->logs->bytes;
	}
	assert_int_equal(x->a->logs->bytes, LOG);
	assert_int_equal(turns, 5);
	assert_int_equal(asked(x, last), 5 * TURN_WRITE_ROWS - 1);
	assert_int_equal(record(x, rec.id).log_gone, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_oldest_go),
		WITH_QUEUE(test_counted_less),
		WITH_QUEUE(test_no_logger),
		WITH_QUEUE(test_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Items of background workers in the store: who gets which, what their ends make of them. */
#include "tests/unit/store_rig.h"

#include <math.h>

#include "supervisor/front/store/background.h"
#include "supervisor/front/store/priv.h"

static const struct schema *const background_schemas[] = {&projects_schema, &background_schema,
							  NULL};
static const struct background_rules rules = {
	.attempts = 3, .backoff_ns = 100, .backoff_max_ns = 150};

static int setup_background(void **state)
{
	struct background_row row = {.queue = 1};
	struct fixture *x;
	struct err e;

	assert_int_equal(setup(state), 0);
	x = *state;
	store_free(x->store);
	assert_int_equal(unlinkat(x->fd, "tasks.db", 0), 0);
	assert_int_equal(store_open(x->fd, background_schemas, &x->store, &e), 0);
	strcpy(row.service, "s1");
	strcpy(row.project, "p1");
	assert_int_equal(store_background_put(x->store, &row, &e), 0);
	return 0;
}

static void add(struct store *store, uint64_t queue, const double *ranks, unsigned n)
{
	struct background_item items[8] = {{0}};
	struct err e;

	for (unsigned i = 0; i < n; i++)
		items[i] = (struct background_item){.rank = ranks[i],
						    .kind = i % 2 ? BACKGROUND_PICKLE
								  : BACKGROUND_JSON,
						    .value = (char *)"value",
						    .len = i + 1};
	assert_int_equal(store_background_add(store, queue, items, n, &e), 0);
	for (unsigned i = 1; i < n; i++)
		assert_true(items[i].id == items[i - 1].id + 1);
}

static unsigned take(struct store *store, bool by_rank, double below, const char *run, unsigned max,
		     struct background_item *ret)
{
	unsigned n;
	struct err e;

	assert_int_equal(
		store_background_take(store, 1, by_rank, below, run, max, 1000, ret, &n, &e), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_memory_equal(ret[i].value, "value", ret[i].len);
		free(ret[i].value);
	}
	return n;
}

static struct background_settled settle(struct store *store, const struct background_item *item,
					enum background_end end, uint64_t now_ns)
{
	struct background_settled s = {
		.id = item->id, .attempt = item->attempt, .end = end, .error = (char *)"wrong"};
	struct err e;

	assert_int_equal(store_background_settle(store, 1, &rules, now_ns, &s, 1, &e), 0);
	return s;
}

static void expect_counts(struct store *store, uint64_t ready, uint64_t held, uint64_t later,
			  uint64_t dead)
{
	struct background_counts c;
	struct err e;

	assert_int_equal(store_background_counts(store, 1, &c, &e), 0);
	assert_int_equal(c.n[BACKGROUND_READY], ready);
	assert_int_equal(c.n[BACKGROUND_HELD], held);
	assert_int_equal(c.n[BACKGROUND_LATER], later);
	assert_int_equal(c.n[BACKGROUND_DEAD], dead);
}

static void test_order(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	struct background_item got[8];

	add(store, 1, (double[]){5, 1, 3, 1}, 4);
	add(store, 2, (double[]){0}, 1);
	assert_int_equal(take(store, true, INFINITY, "a", 2, got), 2);
	assert_true(got[0].rank == 1 && got[0].id == 2 && got[0].kind == BACKGROUND_PICKLE);
	assert_true(got[1].rank == 1 && got[1].id == 4 && got[1].attempt == 1);
	assert_int_equal(take(store, true, 5, "a", 8, got), 1);
	assert_true(got[0].rank == 3);
	assert_int_equal(take(store, false, 0, "a", 8, got), 1);
	assert_int_equal(got[0].id, 1);
	expect_counts(store, 0, 4, 0, 0);
}

static void test_ends(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	struct background_item got[8], again[8];
	struct background_settled s;
	uint64_t n, due;
	struct err e;

	add(store, 1, (double[]){0, 0}, 2);
	assert_int_equal(take(store, false, 0, "a", 8, got), 2);
	s = settle(store, &got[0], BACKGROUND_DONE, 0);
	assert_true(s.known && s.gone && s.len == 1);
	s = settle(store, &got[0], BACKGROUND_DONE, 0);
	assert_false(s.known);
	/* Given back, it is given again with another attempt, and the first one's end is none. */
	s = settle(store, &got[1], BACKGROUND_BACK, 0);
	assert_true(s.known && !s.gone && s.now == BACKGROUND_READY);
	assert_int_equal(take(store, false, 0, "b", 8, again), 1);
	assert_int_equal(again[0].attempt, 2);
	assert_int_equal(again[0].failures, 0);
	assert_false(settle(store, &got[1], BACKGROUND_DONE, 0).known);
	/* Failed: twice as late each time, and dead at last. */
	for (unsigned i = 0; i < 2; i++) {
		s = settle(store, &again[0], BACKGROUND_FAILED, 1000);
		assert_int_equal(s.now, BACKGROUND_LATER);
		assert_int_equal(store_background_next_due(store, 1, &due, &e), 0);
		assert_int_equal(due, i ? 1150 : 1100);
		assert_int_equal(store_background_due(store, 1, due - 1, 8, &n, &e), 0);
		assert_int_equal(n, 0);
		assert_int_equal(store_background_due(store, 1, due, 8, &n, &e), 0);
		assert_int_equal(n, 1);
		assert_int_equal(take(store, false, 0, "b", 8, again), 1);
		assert_int_equal(again[0].failures, i + 1);
	}
	assert_int_equal(settle(store, &again[0], BACKGROUND_FAILED, 0).now, BACKGROUND_DEAD);
	expect_counts(store, 0, 0, 0, 1);
	assert_int_equal(store_background_retry(store, 1, again[0].id, 8, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(take(store, false, 0, "b", 8, again), 1);
	assert_int_equal(again[0].failures, 0);
}

static int see_dead(void *arg, const struct background_item *item)
{
	assert_string_equal(item->error, "wrong");
	(*(unsigned *)arg)++;
	return 0;
}

static int see_holder(void *arg, uint64_t queue, const char *run)
{
	assert_int_equal(queue, 1);
	assert_string_equal(run, "b");
	(*(unsigned *)arg)++;
	return 0;
}

static void test_lists(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	const struct background_rules once = {.attempts = 1};
	struct background_item got[8], held[8];
	struct background_settled s;
	unsigned n = 0, n_held;
	uint64_t gone;
	struct err e;

	add(store, 1, (double[]){2, 1, 0}, 3);
	assert_int_equal(take(store, false, 0, "b", 8, got), 3);
	assert_int_equal(store_background_held(store, 1, "b", true, held, 8, &n_held, &e), 0);
	assert_true(n_held == 3 && held[0].id == 3 && held[2].id == 1);
	assert_int_equal(store_background_held(store, 1, "a", true, held, 8, &n_held, &e), 0);
	assert_int_equal(n_held, 0);
	assert_int_equal(store_background_holders(store, see_holder, &n, &e), 0);
	assert_int_equal(n, 1);
	for (unsigned i = 0; i < 3; i++) {
		s = (struct background_settled){.id = got[i].id,
						.attempt = 1,
						.end = BACKGROUND_FAILED,
						.error = (char *)"wrong"};
		assert_int_equal(store_background_settle(store, 1, &once, 0, &s, 1, &e), 0);
	}
	n = 0;
	assert_int_equal(store_background_dead(store, 1, got[0].id, 8, see_dead, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(store_background_dead_rm(store, 1, 0, 2, &gone, &e), 0);
	assert_int_equal(gone, 2);
	expect_counts(store, 0, 0, 0, 1);
}

static int count_row(void *arg, const struct background_row *row)
{
	struct background_row *got = arg;

	*got = *row;
	return 0;
}

/* A removed worker's items go by and by, and its queue's number is not given again before that. */
static void test_rows(void **state)
{
	struct store *store = ((struct fixture *)*state)->store;
	struct background_row row = {0};
	struct background_item got[8];
	uint64_t last;
	unsigned n = 0;
	struct err e;

	add(store, 1, (double[]){0, 0, 0, 0, 0}, 5);
	assert_int_equal(take(store, false, 0, "a", 2, got), 2);
	assert_int_equal(store_background_count(store, 1, 3, 4, &e), 0);
	assert_int_equal(store_background_load(store, count_row, &row, &e), 0);
	assert_true(row.queue == 1 && row.done == 3 && row.failed == 4 && !row.stopped);
	/* What is counted is not of a wish's. */
	row.done = 0;
	row.stopped = true;
	assert_int_equal(store_background_update(store, &row, &e), 0);
	assert_int_equal(store_background_load(store, count_row, &row, &e), 0);
	assert_true(row.done == 3 && row.stopped);
	assert_int_equal(store_background_delete(store, "s1", &e), 0);
	assert_int_equal(store_background_last(store, &last, &e), 0);
	assert_int_equal(last, 1);
	while (store_background_sweep(store, 2, &e) > 0)
		assert_true(++n < 8);
	assert_true(n >= 3);
	expect_counts(store, 0, 0, 0, 0);
	assert_int_equal(store_background_last(store, &last, &e), 0);
	assert_int_equal(last, 0);
}

int main(void)
{
	const struct CMUnitTest list[] = {
		cmocka_unit_test_setup_teardown(test_order, setup_background, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup_background, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup_background, teardown),
		cmocka_unit_test_setup_teardown(test_rows, setup_background, teardown),
	};

	return cmocka_run_group_tests_name("background workers in the store", list, NULL, NULL);
}

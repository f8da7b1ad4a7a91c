// SPDX-License-Identifier: Apache-2.0
/* Changes: all that were marked are written together at the end of a turn, and each is told
 * afterwards. */
#include "tests/unit/store_rig.h"

#include "supervisor/front/store/change.h"
#include "supervisor/front/store/priv.h"

#define N 6u

/* A change that inserts a task's row, or updates it. */
struct row {
	struct change change;
	unsigned id;
	unsigned n_written, n_told;
	bool refuse;	  /* it fails when its row has been written */
	struct err error; /* the error that it was told last */
	struct row *mark; /* the row that is marked when this one is told */
};

struct journal {
	struct fixture *x;
	struct front f;
	struct row rows[N];
	char log[64]; /* what was done: a row's letter, written in lower case and told in upper;
		       * and the sign after which memory adopts it, or gives it up */
	unsigned n_commits; /* transactions that wrote something */
};

static struct journal *j;

static void note(unsigned id, bool told)
{
	const size_t n = strlen(j->log);

	assert_true(n + 1 < sizeof(j->log));
	j->log[n] = (char)((told ? 'A' : 'a') + id);
}

static int on_commit(void *arg)
{
	(void)arg;
	j->n_commits++;
	return 0;
}

static int row_write(struct front *f, struct change *c, struct err *e)
{
	struct row *row = OWNER(c, struct row, change);
	struct task_record rec = make(row->id, TASK_QUEUED);

	note(row->id, false);
	row->n_written++;
	assert_int_equal(c->stored ? store_task_update(f->store, &rec, e)
				   : store_task_insert(f->store, &rec, e),
			 0);
	return row->refuse ? err_set(e, ERR_CONFLICT, 0, "row %u is refused", row->id) : 0;
}

static void row_done(struct front *f, struct change *c, const struct err *error)
{
	struct row *row = OWNER(c, struct row, change);

	note(row->id, true);
	row->n_told++;
	row->error = error ? *error : (struct err){0};
	if (row->mark)
		change_mark(f, &row->mark->change, 1, 10);
}

static void row_adopt(struct front *f, struct change *c, bool durable)
{
	(void)f;
	(void)strcat(j->log, durable ? "+" : "-");
	note(OWNER(c, struct row, change)->id, false);
}

static bool is_stored(unsigned id)
{
	struct task_record rec = make(id, TASK_QUEUED), found = {0};
	int r = store_task_get(j->x->store, rec.id, &found, &(struct err){0});

	task_record_clear(&found);
	return r == 0;
}

static const turn_step_fn steps[] = {change_commit, NULL};

static int setup_journal(void **state)
{
	j = calloc(1, sizeof(*j));
	assert_int_equal(setup((void **)&j->x), 0);
	j->f.store = j->x->store;
	j->f.changes = calloc(1, sizeof(*j->f.changes));
	assert_true(sd_event_new(&j->f.event) >= 0);
	assert_int_equal(turn_init(&j->f, steps), 0);
	(void)sqlite3_commit_hook(j->x->store->db, on_commit, NULL);
	for (unsigned i = 0; i < N; i++) {
		j->rows[i].change = (struct change){.write = row_write, .done = row_done};
		j->rows[i].id = i;
	}
	*state = j;
	return 0;
}

static int teardown_journal(void **state)
{
	struct fixture *x = j->x;

	(void)state;
	turn_clear(&j->f);
	(void)sd_event_unref(j->f.event);
	free(j->f.changes);
	free(j);
	return teardown((void **)&x);
}

static void mark(unsigned id)
{
	change_mark(&j->f, &j->rows[id].change, id % 2, 10);
}

static void turn(void)
{
	while (sd_event_run(j->f.event, 0) > 0)
		;
}

/* The disk is tried again at once. */
static void turn_again(void)
{
	timer_cancel(&j->f, &j->f.changes->retry);
	turn_mark(&j->f);
	turn();
}

/* There is one transaction, in which known rows are written first; nobody is told before all rows
 * are durable. */
static void test_together(void **state)
{
	(void)state;
	j->rows[2].change.must = true;
	mark(0);
	mark(1);
	mark(2);
	mark(0); /* the same change */
	assert_string_equal(j->log, "");
	turn();
	assert_string_equal(j->log, "cabCAB");
	assert_int_equal(j->n_commits, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(is_stored(i) && j->rows[i].change.stored && !j->rows[i].change.marked);
		assert_int_equal(j->rows[i].error.code, 0);
	}
	/* The row is stored now, and is a known one from here on. */
	mark(3);
	mark(0);
	turn();
	assert_string_equal(j->log, "cabCABadAD");
	turn();
	assert_int_equal(j->n_commits, 2);
}

/* A new row that is refused is tried by itself and then given up; the other rows are not
 * affected. */
static void test_refused(void **state)
{
	(void)state;
	j->rows[1].refuse = true;
	j->rows[2].change.must = true;
	for (unsigned i = 0; i < 3; i++)
		mark(i);
	turn();
	assert_string_equal(j->log, "cabcaCAbB");
	assert_true(is_stored(0) && !is_stored(1) && is_stored(2));
	assert_string_equal(j->rows[1].error.msg, "row 1 is refused");
	assert_false(j->rows[1].change.marked);
	assert_false(j->rows[1].change.stored);
	assert_int_equal(j->rows[0].error.code, 0);
	assert_false(change_is_stuck(&j->f));
	turn_again();
	assert_string_equal(j->log, "cabcaCAbB");
}

/* Many new rows are refused: each is told, and the last row, which is right, is written. */
static void test_all_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++) {
		j->rows[i].refuse = i != N - 1;
		mark(i);
	}
	turn();
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(j->rows[i].n_told, 1);
		assert_int_equal(is_stored(i), i == N - 1);
		assert_int_equal(j->rows[i].error.code, i == N - 1 ? 0 : ERR_CONFLICT);
	}
}

/* The known rows are written all or none, and are tried until they are written. */
static void test_known(void **state)
{
	(void)state;
	j->rows[0].change.must = j->rows[1].change.must = true;
	j->rows[1].refuse = true;
	for (unsigned i = 0; i < 3; i++)
		mark(i);
	turn();
	assert_true(!is_stored(0) && !is_stored(1) && is_stored(2));
	assert_true(change_is_stuck(&j->f));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(j->rows[i].n_told, 1);
		assert_int_equal(j->rows[i].error.code, ERR_CONFLICT);
		assert_true(j->rows[i].change.marked);
	}
	/* The disk is not tried for a while, neither for these rows nor for those that are marked
	 * meanwhile. */
	mark(3);
	turn();
	assert_int_equal(j->rows[3].n_told, 0);
	turn_again();
	assert_int_equal(j->rows[0].n_told, 2);
	assert_true(!is_stored(0) && is_stored(3));
	j->rows[1].refuse = false;
	turn_again();
	assert_true(is_stored(0) && is_stored(1));
	assert_int_equal(j->rows[0].error.code, 0);
	assert_false(change_is_stuck(&j->f));
}

/* A change that goes with another one is written after that one, told before it, and fails if it
 * fails. */
static void test_with(void **state)
{
	(void)state;
	change_add_with(&j->rows[0].change, &j->rows[4].change);
	change_add_with(&j->rows[0].change, &j->rows[5].change);
	mark(0);
	mark(1);
	turn();
	assert_string_equal(j->log, "aefbEFAB");
	/* This holds once: the next time the first row is written alone. */
	mark(0);
	turn();
	assert_string_equal(j->log, "aefbEFABaA");
	j->rows[5].refuse = true;
	memset(j->log, 0, sizeof(j->log));
	j->rows[5].change.stored = false;
	j->rows[5].id = 3;
	change_add_with(&j->rows[2].change, &j->rows[5].change);
	mark(2);
	turn();
	assert_string_equal(j->log, "cdcdDC");
	assert_true(!is_stored(2) && !is_stored(3));
	assert_int_equal(j->rows[2].error.code, ERR_CONFLICT);
}

/* A change that has nothing to write waits for those that were marked before it, and is told
 * once. */
static void test_waiting(void **state)
{
	(void)state;
	j->rows[0].change.must = j->rows[1].change.must = true;
	j->rows[1].change.write = NULL;
	mark(0);
	mark(1);
	turn();
	assert_string_equal(j->log, "aAB");
	j->rows[0].refuse = true;
	mark(0);
	mark(1);
	turn();
	assert_int_equal(j->rows[1].error.code, ERR_CONFLICT);
	assert_false(j->rows[1].change.marked);
	turn_again();
	assert_int_equal(j->rows[1].n_told, 2);
}

/* A change that is told marks others: those are written in the next turn, also if they had still to
 * be told in this one. */
static void test_marked_when_told(void **state)
{
	(void)state;
	j->rows[0].mark = &j->rows[1];
	mark(0);
	mark(1);
	turn();
	assert_string_equal(j->log, "abABbB");
	assert_int_equal(j->n_commits, 2);
}

/* Memory becomes what the store is before anybody is told, also what goes with another change; and
 * once, by that transaction which is the last for the change. */
static void test_adopt(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++)
		j->rows[i].change.adopt = row_adopt;
	change_add_with(&j->rows[0].change, &j->rows[4].change);
	j->rows[1].refuse = true;
	j->rows[2].change.must = true;
	for (unsigned i = 0; i < 3; i++)
		mark(i);
	turn();
	assert_string_equal(j->log, "caebcae+c+a+eCEAb-bB");
}

/* When the front ends, those that are marked then are told, and those that are marked because of it. */
static void test_stop(void **state)
{
	(void)state;
	j->rows[0].change.must = true;
	j->rows[0].mark = &j->rows[1];
	j->rows[1].mark = &j->rows[2];
	j->rows[3].change.adopt = row_adopt;
	mark(0);
	mark(3);
	change_stop(&j->f);
	assert_string_equal(j->log, "-dADBC");
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(j->rows[i].n_told, 1);
		assert_int_equal(j->rows[i].error.code, ERR_UNAVAILABLE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_together, setup_journal, teardown_journal),
		cmocka_unit_test_setup_teardown(test_refused, setup_journal, teardown_journal),
		cmocka_unit_test_setup_teardown(test_all_refused, setup_journal, teardown_journal),
		cmocka_unit_test_setup_teardown(test_known, setup_journal, teardown_journal),
		cmocka_unit_test_setup_teardown(test_with, setup_journal, teardown_journal),
		cmocka_unit_test_setup_teardown(test_waiting, setup_journal, teardown_journal),
		cmocka_unit_test_setup_teardown(test_marked_when_told, setup_journal,
						teardown_journal),
		cmocka_unit_test_setup_teardown(test_adopt, setup_journal, teardown_journal),
		cmocka_unit_test_setup_teardown(test_stop, setup_journal, teardown_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

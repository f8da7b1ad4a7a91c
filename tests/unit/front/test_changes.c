// SPDX-License-Identifier: Apache-2.0
/* What is asked of projects, tokens, workers and schedules: it is written at the end of the turn, all
 * in one transaction, and memory is what the store is, before that, after it, and without it. */
#include "tests/unit/schedule_rig.h"

static const struct quota three = {.queued = 3};

static int n_commits;

static int on_commit(void *arg)
{
	(void)arg;
	n_commits++;
	return 0;
}

/* FULL: the disk has no room left. BROKEN: it takes nothing. */
enum disk { DISK_OK, DISK_FULL, DISK_BROKEN };

static void set_disk(struct fixture *x, enum disk disk)
{
	sqlite3 *db = x->f->store->db;
	char sql[80];

	(void)snprintf(sql, sizeof(sql), "PRAGMA query_only = %d; PRAGMA max_page_count = %u",
		       disk == DISK_BROKEN, disk == DISK_FULL ? 1 : 1u << 30);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* All that can be asked for, of project a, its worker c and its schedules. */
enum wish {
	MAKE_PROJECT,
	SET_QUOTA,
	MAKE_TOKEN,
	REVOKE_TOKEN,
	REVOKE_TOKENS,
	PUT_FIRST,
	PUT_NEXT,
	PAUSE,
	MAKE_SCHEDULE,
	CHANGE_SCHEDULE,
	END_SCHEDULE,
	WISHES
};

static struct change *put(struct fixture *x, const char *name, struct err *e)
{
	struct worker_spec spec = {.command = "true", .image = "python"};
	char id[PROJECT_ID_LEN + 1];
	struct change *c;

	strcpy(spec.name, name);
	spec.config = calloc(1, WORKER_CONFIG_MAX);
	(void)memset(spec.config, 'x', WORKER_CONFIG_MAX - 1);
	c = worker_put(x->f, x->a, &spec, id, e);
	worker_spec_clear(&spec);
	return c;
}

static struct schedule_spec later(void)
{
	return (struct schedule_spec){
		.code_name = "c", .run_every_s = 60, .start_ns = util_realtime_ns() + 3600 * SEC};
}

static struct change *wish(struct fixture *x, enum wish what, struct err *e)
{
	struct schedule_spec spec = later();
	const struct project *made;
	const struct token *t;
	struct schedule *s;
	char text[TOKEN_LEN + 1];

	switch (what) {
	case MAKE_PROJECT:
		return project_create(x->f, "new", &three, text, &made, e);
	case SET_QUOTA:
		return project_set_quota(x->f, x->a, &three, e);
	case MAKE_TOKEN:
		return token_create(x->f, x->a, "more", false, text, &t, e);
	case REVOKE_TOKEN:
		return token_revoke(x->f, x->a, x->a->tokens->id, e);
	case REVOKE_TOKENS:
		return token_revoke_all(x->f, x->a, e);
	case PUT_FIRST:
		return put(x, "new", e);
	case PUT_NEXT:
		return put(x, "c", e);
	case PAUSE:
		return worker_pause(x->f, worker_by_name(x->a, "c"), true, e);
	case MAKE_SCHEDULE:
		assert_int_equal(schedule_make(x->f, x->a, &spec, &s, e), 0);
		return schedules_add(x->f, x->a, &s, 1, e);
	case CHANGE_SCHEDULE:
		spec.run_every_s = 120;
		return schedule_update(x->f, x->a->schedules->first, &spec, e);
	case END_SCHEDULE:
		return schedule_cancel(x->f, x->a->schedules->first, e);
	default:
		return NULL;
	}
}

/* What memory has of all that. */
static char *seen(struct fixture *x)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	const struct project *a = x->a;

	assert_non_null(out);
	for (const struct project *p = x->f->core->projects; p; p = p->next)
		(void)fprintf(out, "%s %u\n", p->name, p->quota.queued);
	for (const struct token *t = a->tokens; t; t = t->next)
		(void)fprintf(out, "token %s\n", t->label);
	for (const struct worker *c = a->workers; c; c = c->next)
		(void)fprintf(out, "worker %s %u %d %zu\n", c->spec.name, c->revision, c->paused,
			      c->spec.config ? strlen(c->spec.config) : 0);
	for (const struct schedule *s = a->schedules->first; s; s = s->next)
		(void)fprintf(out, "schedule %d %u\n", (int)s->state, s->spec.run_every_s);
	(void)fprintf(out, "%u %u %u %u %llu %d", a->n_tokens, a->n_workers, a->n_coming,
		      a->schedules->n, (unsigned long long)a->package_bytes,
		      x->f->core->coming || a->worker_put || a->quota_change);
	(void)fclose(out);
	return text;
}

static void assert_seen(struct fixture *x, char *want, bool same)
{
	char *now = seen(x);

	if ((strcmp(now, want) == 0) != same)
		fail_msg("it is %s\nand was %s", now, want);
	free(now);
}

static void make_things(struct fixture *x)
{
	struct err e = {0};

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	(void)make(x, later());
	assert_int_equal(committed(x->f, wish(x, MAKE_TOKEN, &e), &e), 0);
}

/* A change that the disk does not take is told with the reason, and changes nothing; later it is made,
 * and is there after a restart. */
static void test_each(void **state)
{
	struct fixture *x = *state;

	make_things(x);
	for (enum wish what = 0; what < WISHES; what++) {
		char *before = seen(x), *after;
		struct err e = {0};

		set_disk(x, DISK_BROKEN);
		assert_int_equal(committed(x->f, wish(x, what, &e), &e), -EIO);
		assert_int_equal(e.code, ERR_UNAVAILABLE);
		assert_non_null(strstr(e.msg, "the task store cannot"));
		assert_seen(x, before, true);
		set_disk(x, DISK_OK);
		restart(x);
		assert_seen(x, before, true);

		/* What has an error is not there in parts, and can be asked for again. */
		assert_int_equal(committed(x->f, wish(x, what, &e), &e), 0);
		assert_seen(x, before, false);
		after = seen(x);
		restart(x);
		assert_seen(x, after, true);
		free(before);
		free(after);
	}
}

/* A schedule that has ended, and would go on, has a place for no longer than it is tried. */
static void test_no_revival(void **state)
{
	struct fixture *x = *state;
	struct schedule *s;
	struct err e = {0};

	make_things(x);
	s = x->a->schedules->first;
	assert_int_equal(schedule_end(s, SCHEDULE_COMPLETE, "it is over", &e), 0);
	settle(x);
	assert_int_equal(x->a->schedules->n, 0);
	set_disk(x, DISK_BROKEN);
	assert_int_equal(committed(x->f, wish(x, CHANGE_SCHEDULE, &e), &e), -EIO);
	assert_int_equal(x->a->schedules->n, 0);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	assert_string_equal(s->msg, "it is over");
	set_disk(x, DISK_OK);
	assert_int_equal(committed(x->f, wish(x, CHANGE_SCHEDULE, &e), &e), 0);
	assert_int_equal(x->a->schedules->n, 1);
}

static void test_full(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};
	char *before;

	make_things(x);
	before = seen(x);
	set_disk(x, DISK_FULL);
	/* A long text has no place; what takes no room is still written. */
	assert_int_equal(committed(x->f, wish(x, PUT_NEXT, &e), &e), -EIO);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_string_equal(e.msg, "the task store cannot be changed: No space left on device");
	assert_seen(x, before, true);
	assert_int_equal(committed(x->f, wish(x, PAUSE, &e), &e), 0);
	set_disk(x, DISK_OK);
	restart(x);
	assert_true(worker_by_name(x->a, "c")->paused);
	free(before);
}

/* All that is asked for in one turn is one transaction, and until then nothing of it is there. */
static void test_together(void **state)
{
	struct fixture *x = *state;
	struct change *last = NULL;
	struct err e = {0};
	char *before;

	make_things(x);
	(void)sqlite3_commit_hook(x->f->store->db, on_commit, NULL);
	n_commits = 0;
	before = seen(x);
	for (enum wish what = 0; what < WISHES; what++)
		if (what != PUT_NEXT && what != END_SCHEDULE && what != REVOKE_TOKENS)
			last = wish(x, what, &e);
	assert_string_equal(e.msg, "");
	assert_null(project_find(x->f, "new"));
	assert_null(worker_by_name(x->a, "new"));
	assert_false(worker_by_name(x->a, "c")->paused);
	assert_null(x->a->schedules->first->next);
	assert_int_equal(x->a->quota.queued, 0);
	assert_int_equal(committed(x->f, last, &e), 0);
	assert_int_equal(n_commits, 1);
	assert_non_null(project_find(x->f, "new"));
	assert_non_null(worker_by_name(x->a, "new"));
	assert_true(worker_by_name(x->a, "c")->paused);
	assert_non_null(x->a->schedules->first->next);
	assert_int_equal(x->a->quota.queued, 3);
	free(before);
}

/* Two who ask in one turn do not get in each other's way unseen. */
static void test_at_once(void **state)
{
	struct quota quota = {0};
	struct fixture *x = *state;
	struct schedule *s;
	struct change *last;
	struct err e = {0};

	make_things(x);
	/* The name is taken before the project is there. */
	assert_non_null(wish(x, MAKE_PROJECT, &e));
	assert_null(wish(x, MAKE_PROJECT, &e));
	assert_int_equal(e.code, ERR_CONFLICT);
	/* Each changes what the other leaves. */
	quota = *project_quota(x->a);
	quota.running = 7;
	assert_non_null(project_set_quota(x->f, x->a, &quota, &e));
	quota = *project_quota(x->a);
	quota.queued = 8;
	assert_non_null(project_set_quota(x->f, x->a, &quota, &e));
	/* A revision more leaves the worker paused. */
	assert_non_null(wish(x, PAUSE, &e));
	last = wish(x, PUT_NEXT, &e);
	assert_null(wish(x, PUT_FIRST, &e));
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	/* A schedule is changed by one at a time, and what comes counts. */
	s = x->a->schedules->first;
	assert_non_null(wish(x, END_SCHEDULE, &e));
	assert_null(wish(x, CHANGE_SCHEDULE, &e));
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_true(schedule_wait(s, told_new(x, "", on_done, x)));
	assert_non_null(wish(x, MAKE_SCHEDULE, &e));
	x->a->quota.schedules = 2;
	assert_int_equal(schedule_check_room(x->a, 1, &e), -E2BIG);
	x->a->quota.schedules = 0;
	assert_non_null(wish(x, REVOKE_TOKEN, &e));
	assert_non_null(wish(x, REVOKE_TOKEN, &e));
	assert_int_equal(committed(x->f, last, &e), 0);

	assert_int_equal(x->n_done, 1);
	assert_int_equal(x->a->quota.running, 7);
	assert_int_equal(x->a->quota.queued, 8);
	assert_true(worker_by_name(x->a, "c")->paused);
	assert_int_equal(worker_by_name(x->a, "c")->revision, 2);
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_int_equal(x->a->schedules->n, 1);
	assert_int_equal(x->a->n_tokens, 1);
	restart(x);
	assert_int_equal(x->a->quota.running, 7);
	assert_int_equal(x->a->quota.queued, 8);
	assert_true(worker_by_name(x->a, "c")->paused);
	assert_int_equal(worker_by_name(x->a, "c")->revision, 2);
	assert_int_equal(x->a->n_tokens, 1);
}

/* What is removed while something of it comes waits for that, and takes it along. */
static void test_removed_meanwhile(void **state)
{
	static const char left[] = "SELECT 1 / ((SELECT count(*) FROM schedules WHERE state = 0) + "
				   "(SELECT count(*) FROM codes) + (SELECT count(*) FROM tokens) "
				   "= 1)"; /* b's token */
	struct fixture *x = *state;
	struct outcome o = {0};
	struct err e = {0};
	struct worker *c;

	make_things(x);
	c = worker_by_name(x->a, "c");
	assert_non_null(wish(x, PUT_NEXT, &e));
	assert_non_null(wish(x, MAKE_SCHEDULE, &e));
	assert_non_null(wish(x, CHANGE_SCHEDULE, &e));
	assert_int_equal(remove_code(x, c, &e), 0);
	assert_int_equal(x->a->schedules->n, 0);
	assert_null(x->a->workers);

	make_things(x);
	assert_non_null(wish(x, PUT_FIRST, &e));
	assert_non_null(wish(x, MAKE_SCHEDULE, &e));
	assert_non_null(wish(x, CHANGE_SCHEDULE, &e));
	assert_non_null(wish(x, SET_QUOTA, &e));
	assert_non_null(wish(x, PAUSE, &e));
	assert_non_null(wish(x, MAKE_TOKEN, &e));
	assert_int_equal(project_remove(x->f, x->a, true, on_removed, &o, &e), 0);
	/* It takes nothing more. */
	assert_null(wish(x, MAKE_TOKEN, &e));
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_int_equal(outcome(x, &o, 0, &e), 0);
	assert_null(project_find(x->f, "a"));
	assert_int_equal(sqlite3_exec(x->f->store->db, left, NULL, NULL, NULL), SQLITE_OK);
}

/* A removal that the disk does not take leaves the project as it was, with its tokens. */
static void test_not_removed(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};
	char *before;

	make_things(x);
	before = seen(x);
	set_disk(x, DISK_BROKEN);
	assert_true(remove_project(x, x->a, true, &e) < 0);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_true(remove_code(x, worker_by_name(x->a, "c"), &e) < 0);
	assert_seen(x, before, true);
	set_disk(x, DISK_OK);
	assert_false(x->a->going || x->a->workers->going);
	assert_int_equal(remove_project(x, x->a, true, &e), 0);
	free(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_each),	      WITH_QUEUE(test_full),
		WITH_QUEUE(test_no_revival),  WITH_QUEUE(test_together),
		WITH_QUEUE(test_at_once),     WITH_QUEUE(test_removed_meanwhile),
		WITH_QUEUE(test_not_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * What one turn of the loop does for one client is bounded, however much he asks for: counted are
 * the steps of SQLite's machine and the rows that it changes, and never the time.
 */
#include "tests/unit/rest_rig.h"

#include "supervisor/front/run/queue/heap.h"
#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"

#define MANY 6000u
/* A step is some 25 ns. */
#define STEPS_MAX 60000u
/* A task cancelled or removed: its row, its line of history, its counts. */
#define CHANGES_MAX (8UL * TURN_WRITE_ROWS)

static struct {
	uint64_t steps, most_steps, changes, most_changes, turns;
	sqlite3 *db;
} seen;

static int step(void *arg)
{
	(void)arg;
	seen.steps += 10;
	return 0;
}

static void watch(struct fixture *x)
{
	memset(&seen, 0, sizeof(seen));
	seen.db = x->f->store->db;
	seen.changes = (uint64_t)sqlite3_total_changes(seen.db);
	sqlite3_progress_handler(seen.db, 10, step, NULL);
}

/* A turn has ended. */
static void note_turn(void)
{
	uint64_t changes = (uint64_t)sqlite3_total_changes(seen.db);

	if (seen.steps > seen.most_steps)
		seen.most_steps = seen.steps;
	if (changes - seen.changes > seen.most_changes)
		seen.most_changes = changes - seen.changes;
	seen.turns += seen.steps > 0;
	seen.steps = 0;
	seen.changes = changes;
}

static void assert_turns_short(void)
{
	note_turn();
	if (seen.most_steps > STEPS_MAX || seen.most_changes > CHANGES_MAX)
		fail_msg("a turn took %llu steps and %llu changes of rows",
			 (unsigned long long)seen.most_steps,
			 (unsigned long long)seen.most_changes);
}

static void turn_of(struct fixture *x)
{
	/* There is something to do, or it is done too soon. */
	assert_true(sd_event_run(x->f->event, REST_WAIT_NS / 1000) > 0);
	note_turn();
}

static void meanwhile(struct rest *r)
{
	(void)r;
	note_turn();
}

/* MANY tasks in the store, in one transaction; those that wait are in the queue too. */
static void fill(struct fixture *x, struct code *c, enum task_state state, unsigned from)
{
	struct task_record rec = {.state = (uint32_t)state, .exit_code = -1};
	char spec[] = "{}";
	struct err e = {0};

	rec.spec = spec;
	memcpy(rec.project, c->project->id, sizeof(rec.project));
	memcpy(rec.code, c->id, sizeof(rec.code));
	strcpy(rec.code_name, c->spec.name);
	assert_int_equal(store_begin(x->f->store, &e), 0);
	for (unsigned i = from; i < from + MANY; i++) {
		(void)snprintf(rec.id, sizeof(rec.id), "%024x", i);
		(void)snprintf(rec.label, sizeof(rec.label), "l%u", i % 2);
		rec.created_ns = util_realtime_ns() - SEC + i;
		rec.finished_ns = task_state_final(state) ? rec.created_ns : 0;
		if (store_task_insert(x->f->store, &rec, &e) < 0)
			fail_msg("%s", e.msg);
		if (state == TASK_QUEUED)
			assert_int_equal(queue_push_stored(x->f, &rec), 0);
	}
	assert_int_equal(store_commit(x->f->store, &e), 0);
}

/* A code of the project that is paused, and MANY tasks of it that wait. */
static struct code *fill_queue(struct fixture *x, struct project *p)
{
	struct code *c = code(x, p, "c", (struct code_spec){0});
	struct err e = {0};
	bool changed;

	assert_int_equal(code_pause(x->f, c, true, &changed, &e), 0);
	fill(x, c, TASK_QUEUED, 0);
	return c;
}

static uint64_t counted(struct fixture *x, const struct code *c, enum task_state state)
{
	uint64_t counts[TASK_STATE_MAX];
	struct err e = {0};

	assert_int_equal(code_stats(x->f, c, counts, &e), 0);
	return counts[state];
}

static unsigned ask(struct rest *r, const char *api, const char *method, const char *path)
{
	unsigned status;

	watch(r->x);
	r->meanwhile = meanwhile;
	status = rest_a(r, api, method, path, "");
	assert_turns_short();
	return status;
}

/* Pages that are far, filters that nothing meets, counts. */
static void test_queries(void **state)
{
	struct rest *r = *state;
	struct code *c = fill_queue(r->x, r->x->a);
	char path[128];

	assert_int_equal(ask(r, "2", "GET", "/tasks?page=50&per_page=100"), 200);
	assert_int_equal(json_array_size(json_object_get(r->body, "tasks")), 100);
	assert_true(seen.turns > 5);
	assert_int_equal(ask(r, "2", "GET", "/tasks?page=100000&per_page=100"), 200);
	assert_int_equal(json_array_size(json_object_get(r->body, "tasks")), 0);
	assert_int_equal(ask(r, "2", "GET", "/tasks?code_name=c&label=none&running=1"), 200);
	assert_int_equal(ask(r, "2", "GET", "/tasks?running=1&complete=1&per_page=100"), 200);
	assert_int_equal(json_array_size(json_object_get(r->body, "tasks")), 0);
	assert_int_equal(ask(r, "api", "GET", "/tasks?status=running,error&label=l1"), 200);
	assert_int_equal(ask(r, "api", "GET", "/dead_letters?code_name=c"), 200);
	(void)snprintf(path, sizeof(path), "/codes/%s/stats", c->id);
	assert_int_equal(ask(r, "2", "GET", path), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "queued")), MANY);
	assert_true(seen.most_steps < 1000);
}

/* Each of the pages has its own tasks, and all of them have all. */
static void test_pages_meet(void **state)
{
	struct rest *r = *state;
	unsigned n = 0;
	char path[64];

	(void)fill_queue(r->x, r->x->a);
	for (unsigned page = 58; page < 61; page++) {
		json_t *tasks, *task;
		size_t i;

		(void)snprintf(path, sizeof(path), "/tasks?label=l1&page=%u&per_page=51", page);
		assert_int_equal(ask(r, "2", "GET", path), 200);
		tasks = json_object_get(r->body, "tasks");
		json_array_foreach(tasks, i, task)
		{
			char id[TASK_ID_LEN + 1];

			(void)snprintf(id, sizeof(id), "%024x",
				       MANY - 1 - 2 * (page * 51 + (unsigned)i));
			assert_string_equal(json_string_value(json_object_get(task, "id")), id);
			n++;
		}
	}
	assert_int_equal(n, MANY / 2 - 58 * 51);
}

static void test_cancel_all(void **state)
{
	struct rest *r = *state;
	struct fixture *x = r->x;
	struct code *c = fill_queue(x, x->a);
	char path[128];

	(void)snprintf(path, sizeof(path), "/codes/%s/cancel_all", c->id);
	assert_int_equal(ask(r, "2", "POST", path), 200);
	assert_true(seen.turns >= MANY / TURN_WRITE_ROWS);
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(counted(x, c, TASK_QUEUED), 0);
	assert_int_equal(counted(x, c, TASK_CANCELLED), MANY);
	/* Then what is too much of the history goes, in slices too. */
	watch(x);
	x->f->cfg.finished_keep = 100;
	assert_int_equal(commit_prune(x->f, 100, NULL, NULL, NULL), 0);
	while (turn_waiting(x->f))
		turn_of(x);
	assert_turns_short();
	assert_int_equal(counted(x, c, TASK_CANCELLED), 100);
}

/* Others are served between two slices, and what is queued meanwhile stays, and starts after it. */
static void test_cancel_all_meanwhile(void **state)
{
	struct fixture *x = *state;
	struct code *c = fill_queue(x, x->a), *other = code(x, x->b, "o", (struct code_spec){0});
	struct outcome o = {0};
	struct err e = {0};
	const char *id, *late;
	bool changed;

	assert_int_equal(queue_cancel_all(x->f, c, on_outcome, &o, &e), 0);
	assert_int_equal(code_pause(x->f, c, false, &changed, &e), 0);
	late = submit(x, c, plain);
	id = submit(x, other, plain);
	while (x->n_done < 2)
		turn_of(x);
	assert_false(o.done);
	assert_true(queue_length(x->f) > MANY / 2);
	/* It is closed; the other one's task has started, and none of these. */
	assert_int_equal(c->lane.n_running, 0);
	assert_int_equal(other->lane.n_running, 1);
	assert_int_equal(outcome(x, &o, 0, &e), 0);
	assert_int_equal(o.n, MANY);
	settle(x);
	assert_int_equal(c->lane.n_running, 1);
	assert_int_equal(record(x, late).state, TASK_PREPARING);
	assert_int_equal(record(x, id).state, TASK_PREPARING);
}

/* The front dies in the middle of what it does in slices: asked again, the rest is done, once. */
static void test_died(void **state)
{
	struct fixture *x = *state;
	struct code *c = fill_queue(x, x->a);
	struct outcome o = {0};
	struct err e = {0};
	uint64_t n, done;

	assert_int_equal(queue_cancel_all(x->f, c, on_outcome, &o, &e), 0);
	for (int i = 0; i < 10; i++)
		turn_of(x);
	assert_false(o.done);
	restart(x);
	c = code_by_name(x->a, "c");
	done = counted(x, c, TASK_CANCELLED);
	assert_true(done > 0 && done < MANY);
	assert_int_equal(counted(x, c, TASK_QUEUED), MANY - done);
	assert_int_equal(c->lane.n_queued, MANY - done);
	assert_int_equal(cancel_all(x, c, &n, &e), 0);
	assert_int_equal(n, MANY - done);
	assert_int_equal(counted(x, c, TASK_CANCELLED), MANY);
	/* The same with the project: its tokens go first, and for good. */
	memset(&o, 0, sizeof(o));
	assert_int_equal(project_remove(x->f, x->a, false, on_removed, &o, &e), 0);
	for (int i = 0; i < 10; i++)
		turn_of(x);
	assert_false(o.done);
	restart(x);
	assert_null(x->a->tokens);
	assert_int_equal(remove_project(x, x->a, false, &e), 0);
	assert_null(project_find(x->f, "a"));
	restart_without_a(x);
	assert_null(project_find(x->f, "a"));
}

static void test_removed(void **state)
{
	struct fixture *x = *state;
	struct code *c = fill_queue(x, x->a);
	struct outcome o = {0};
	char id[TASK_ID_LEN + 1];
	struct err e = {0};

	fill(x, c, TASK_COMPLETE, MANY);
	assert_true(project_remove(x->f, x->a, false, on_removed, &o, &e) < 0);
	assert_int_equal(e.code, ERR_CONFLICT);
	watch(x);
	assert_int_equal(project_remove(x->f, x->a, true, on_removed, &o, &e), 0);
	assert_int_equal(queue_submit(x->f, c, &plain, id, on_done, x, &e), 0);
	while (!o.done)
		turn_of(x);
	assert_turns_short();
	assert_int_equal((int)o.n, 0);
	assert_null(project_find(x->f, "a"));
	assert_int_equal(queue_length(x->f), 0);
	/* Its counts have gone with it. */
	assert_int_equal(sqlite3_exec(seen.db, "SELECT 1 / (SELECT count(*) = 0 FROM code_counts)",
				      NULL, NULL, NULL),
			 SQLITE_OK);
}

/* Counts are right after a transaction that failed, and after each kind of change. */
static void test_counts(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct kept_log removed;
	struct task_record rec;
	struct err e = {0};
	const char *id;

	id = submit(x, c, plain);
	settle(x);
	assert_int_equal(counted(x, c, TASK_PREPARING), 1);
	assert_int_equal(counted(x, c, TASK_QUEUED), 0);
	rec = record(x, id);
	assert_int_equal(store_begin(x->f->store, &e), 0);
	rec.state = TASK_ERROR;
	assert_int_equal(store_task_update(x->f->store, &rec, &e), 0);
	assert_int_equal(counted(x, c, TASK_ERROR), 1);
	store_rollback(x->f->store);
	assert_int_equal(counted(x, c, TASK_ERROR), 0);
	assert_int_equal(counted(x, c, TASK_PREPARING), 1);
	finish(x, id, VERDICT_OK);
	assert_int_equal(counted(x, c, TASK_COMPLETE), 1);
	restart(x);
	c = code_by_name(x->a, "c");
	assert_int_equal(counted(x, c, TASK_COMPLETE), 1);
	assert_int_equal(counted(x, c, TASK_PREPARING), 0);
	assert_int_equal(store_task_delete(x->f->store, id, &removed, &e), 0);
	assert_int_equal(counted(x, c, TASK_COMPLETE), 0);
}

/* A thousand new tasks are written in several turns, and another project's one in the first. */
static void test_many_new(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct code *other = code(x, x->b, "o", (struct code_spec){0});
	struct err e = {0};
	char id[TASK_ID_LEN + 1];

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(queue_submit(x->f, c, &plain, id, on_done, x, &e), 0);
	(void)submit(x, other, plain);
	watch(x);
	commit_now(x->f);
	note_turn();
	assert_int_equal(counted(x, other, TASK_QUEUED) + counted(x, other, TASK_PREPARING), 1);
	assert_true(x->n_done <= TURN_NEW_ROWS);
	while (x->n_done < 1001)
		turn_of(x);
	assert_turns_short();
	assert_int_equal(x->n_failed, 0);
}

/* A thousand tasks of one request: queued, and looked up for the answer, in several turns. */
static void test_many_of_one_request(void **state)
{
	struct rest *r = *state;
	struct code *c = code(r->x, r->x->a, "c", (struct code_spec){0});
	struct code *other = code(r->x, r->x->a, "o", (struct code_spec){0});
	struct err e = {0};
	json_t *o = json_pack("{s:[]}", "tasks"), *list = json_object_get(o, "tasks");
	char *text;
	bool changed;

	assert_int_equal(code_pause(r->x->f, c, true, &changed, &e), 0);
	for (unsigned i = 0; i < 1000; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s}", "code_name", "c", "payload", "p"));
	text = json_dumps(o, 0);
	watch(r->x);
	r->meanwhile = meanwhile;
	assert_int_equal(rest_a(r, "api", "POST", "/tasks", text), 200);
	assert_turns_short();
	assert_int_equal(json_array_size(json_object_get(r->body, "tasks")), 1000);
	assert_int_equal(c->lane.n_queued, 1000);
	assert_int_equal(r->x->f->run->tasks.n, 0);
	free(text);
	/* What goes in the middle of it takes all of the request along. */
	(void)json_array_append_new(list, json_pack("{s:s}", "code_name", "o"));
	(void)json_array_remove(list, 0);
	text = json_dumps(o, 0);
	other->going = true;
	assert_int_equal(rest_a(r, "api", "POST", "/tasks", text), 409);
	rest_said(r, "is being removed");
	while (turn_waiting(r->x->f))
		turn_of(r->x);
	assert_int_equal(c->lane.n_queued, 1000);
	free(text);
	json_decref(o);
}

/* Large payloads are fewer of them in a turn. */
static void test_large_payloads(void **state)
{
	static char payload[60000 + 1];
	struct rest *r = *state;
	struct code *c = code(r->x, r->x->a, "c", (struct code_spec){0});
	json_t *o = json_pack("{s:[]}", "tasks"), *list = json_object_get(o, "tasks");
	struct err e = {0};
	bool changed;
	char *text;

	assert_int_equal(code_pause(r->x->f, c, true, &changed, &e), 0);
	memset(payload, 'p', sizeof(payload) - 1);
	for (unsigned i = 0; i < 60; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s}", "code_name", "c", "payload", payload));
	text = json_dumps(o, 0);
	watch(r->x);
	r->meanwhile = meanwhile;
	assert_int_equal(rest_a(r, "api", "POST", "/tasks", text), 200);
	note_turn();
	assert_int_equal(c->lane.n_queued, 60);
	assert_in_range(seen.most_changes, 1, 4UL * (TURN_NEW_BYTES / 60000 + 1));
	free(text);
	json_decref(o);
}

static unsigned n_slices;

static void all_or_none(struct rest *r)
{
	n_slices += turn_waiting(r->x->f) > 0;
	assert_true(r->x->a->n_schedules == 0 || r->x->a->n_schedules == 100);
}

/* A zone's file is read for each of a hundred schedules: some a turn, and all are there at once. */
static void test_schedules(void **state)
{
	static const char one[] = "{\"code_name\": \"c\", \"cron\": \"0 6 * * *\", "
				  "\"timezone\": \"Europe/Berlin\"}";
	struct rest *r = *state;
	char text[101 * sizeof(one) + 32] = "{\"schedules\": [";
	size_t n = strlen(text);

	(void)code(r->x, r->x->a, "c", (struct code_spec){0});
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "," : "", one);
	(void)snprintf(text + n, sizeof(text) - n, "]}");
	n_slices = 0;
	r->meanwhile = all_or_none;
	assert_int_equal(rest_a(r, "2", "POST", "/schedules", text), 200);
	assert_int_equal(json_array_size(json_object_get(r->body, "schedules")), 100);
	assert_int_equal(r->x->a->n_schedules, 100);
	assert_true(n_slices >= 9);
	/* One more than the project may have: those before it are not there either. */
	r->meanwhile = NULL;
	assert_int_equal(
		rest_a(r, "2", "POST", "/schedules", "{\"schedules\": [{\"code_name\": \"c\"}]}"),
		413);
	assert_int_equal(r->x->a->n_schedules, 100);
}

/* Who has many connections waits for himself. */
static void test_connections(void **state)
{
	struct rest *r = *state;
	char text[2][512];
	int fds[12], other;

	for (int i = 0; i < 2; i++)
		(void)snprintf(text[i], sizeof(text[i]),
			       "GET /2/projects/%s HTTP/1.1\r\nHost: localhost\r\n"
			       "Authorization: OAuth %s\r\n\r\n",
			       i ? r->x->b->id : r->x->a->id, i ? r->b : r->a);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = http_dial(r->port);
		assert_int_equal(util_write_all(fds[i], text[0], strlen(text[0])), 0);
	}
	other = http_dial(r->port);
	assert_int_equal(util_write_all(other, text[1], strlen(text[1])), 0);
	rest_hear(r, other, "}");
	assert_memory_equal(r->text, "HTTP/1.1 200", 12);
	assert_true(turn_waiting(r->x->f) > ARRAY_SIZE(fds) / 2);
	/* One of them leaves before its turn. */
	(void)close(fds[ARRAY_SIZE(fds) - 1]);
	for (size_t i = 0; i < ARRAY_SIZE(fds) - 1; i++) {
		rest_hear(r, fds[i], "}");
		assert_memory_equal(r->text, "HTTP/1.1 200", 12);
		(void)close(fds[i]);
	}
	(void)close(other);
}

static int count_commit(void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

/* What many connections ask for is written together, though each has its own turn. */
static void test_written_together(void **state)
{
	static const char task[] = "{\"tasks\": [{\"code_name\": \"c\"}]}";
	struct rest *r = *state;
	struct code *c = code(r->x, r->x->a, "c", (struct code_spec){0});
	unsigned n_commits = 0;
	struct err e = {0};
	char text[512];
	bool changed;
	int fds[12];

	assert_int_equal(code_pause(r->x->f, c, true, &changed, &e), 0);
	(void)snprintf(text, sizeof(text),
		       "POST /2/projects/%s/tasks HTTP/1.1\r\nHost: localhost\r\n"
		       "Authorization: OAuth %s\r\nContent-Length: %zu\r\n\r\n%s",
		       r->x->a->id, r->a, strlen(task), task);
	(void)sqlite3_commit_hook(r->x->f->store->db, count_commit, &n_commits);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = http_dial(r->port);
		assert_int_equal(util_write_all(fds[i], text, strlen(text)), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		rest_hear(r, fds[i], "]}");
		assert_memory_equal(r->text, "HTTP/1.1 200", 12);
		(void)close(fds[i]);
	}
	(void)sqlite3_commit_hook(r->x->f->store->db, NULL, NULL);
	assert_int_equal(c->lane.n_queued, ARRAY_SIZE(fds));
	assert_in_range(n_commits, 1, ARRAY_SIZE(fds) / 3);
}

/* What was delayed and is due at once, and what could not start after all, is not carried past all
 * that waits. */
static void test_due(void **state)
{
	struct fixture *x = *state;
	struct code *c = fill_queue(x, x->a);
	struct task_record rec = {0};
	const struct queued *w = c->lane.tail[0];
	unsigned n = 0;

	memcpy(rec.project, x->a->id, sizeof(rec.project));
	memcpy(rec.code, c->id, sizeof(rec.code));
	strcpy(rec.id, "ffffffffffffffffffffffff");
	rec.created_ns = 1;
	assert_int_equal(queue_push_stored(x->f, &rec), 0);
	assert_string_equal(c->lane.head[0]->id, rec.id);
	/* As old as those in the middle: it is carried past some, and the order stays one of age.
	 */
	for (unsigned i = 0; i < MANY / 2; i++)
		w = w->prev;
	rec.created_ns = w->since_ns;
	strcpy(rec.id, "eeeeeeeeeeeeeeeeeeeeeeee");
	assert_int_equal(queue_push_stored(x->f, &rec), 0);
	for (w = c->lane.tail[0]; strcmp(w->id, rec.id) != 0; w = w->prev)
		n++;
	assert_int_equal(n, 64);
	assert_true(w->prev->since_ns <= w->since_ns && w->since_ns <= w->next->since_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_queries),
		WITH_REST(test_pages_meet),
		WITH_REST(test_cancel_all),
		WITH_QUEUE(test_cancel_all_meanwhile),
		WITH_QUEUE(test_died),
		WITH_QUEUE(test_removed),
		WITH_QUEUE(test_counts),
		WITH_QUEUE(test_many_new),
		WITH_REST(test_many_of_one_request),
		WITH_REST(test_large_payloads),
		WITH_REST(test_schedules),
		WITH_REST(test_connections),
		WITH_REST(test_written_together),
		WITH_QUEUE(test_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

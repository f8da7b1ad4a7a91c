// SPDX-License-Identifier: Apache-2.0
/*
 * One turn of the loop does a bounded amount of work for one client, however much the client asks
 * for. The test counts the steps of SQLite's virtual machine and the rows that are changed, and
 * never measures time.
 */
#include "tests/unit/rest_rig.h"

#include "supervisor/front/run/queue/queued.h"
#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"

#define MANY 6000u
/* One step takes about 25 ns. */
#define STEPS_MAX 60000u
/* Cancelling or removing a task changes its row, its line of history and its counts. */
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

/* Notes what a turn has done, when it has ended. */
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
	/* If there is nothing to do, the work was done in too few turns. */
	assert_true(sd_event_run(x->f->event, REST_WAIT_NS / 1000) > 0);
	note_turn();
}

static void meanwhile(struct rest *r)
{
	(void)r;
	note_turn();
}

/* Writes MANY tasks into the store in one transaction; those that wait are put into the queue
 * too. */
static void fill(struct fixture *x, struct worker *c, enum task_state state, unsigned from)
{
	struct task_record rec = {.state = (uint32_t)state, .exit_code = -1};
	char payload[] = "{}";
	struct err e = {0};

	rec.payload = payload;
	memcpy(rec.project, c->project->id, sizeof(rec.project));
	memcpy(rec.worker, c->id, sizeof(rec.worker));
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
	assert_int_equal(store_end(x->f->store, 0, &e), 0);
}

/* Makes a worker of the project that is paused, and MANY tasks of it that wait. */
static struct worker *fill_queue(struct fixture *x, struct project *p)
{
	struct worker *c = worker(x, p, "c", (struct worker_spec){0});
	struct err e = {0};

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	fill(x, c, TASK_QUEUED, 0);
	return c;
}

static uint64_t counted(struct fixture *x, const struct worker *c, enum task_state state)
{
	uint64_t counts[TASK_STATE_MAX];
	struct err e = {0};

	assert_int_equal(worker_stats(x->f, c, counts, &e), 0);
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

/* Pages far down a list, filters that match nothing, and counts. */
static void test_queries(void **state)
{
	struct rest *r = *state;
	struct worker *c = fill_queue(r->x, r->x->a);
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

/* No task is on two pages, and all pages together have all tasks. */
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
	struct worker *c = fill_queue(x, x->a);
	char path[128];

	(void)snprintf(path, sizeof(path), "/codes/%s/cancel_all", c->id);
	assert_int_equal(ask(r, "2", "POST", path), 200);
	assert_true(seen.turns >= MANY / TURN_WRITE_ROWS);
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(counted(x, c, TASK_QUEUED), 0);
	assert_int_equal(counted(x, c, TASK_CANCELLED), MANY);
	/* Then the ended tasks beyond the number that is kept are removed, also in slices. */
	watch(x);
	x->f->cfg.finished_keep = 100;
	assert_int_equal(commit_prune(x->f, 100, NULL, NULL, NULL), 0);
	while (turn_waiting(x->f))
		turn_of(x);
	assert_turns_short();
	assert_int_equal(counted(x, c, TASK_CANCELLED), 100);
}

/* Other clients are served between two slices. A task that is queued meanwhile is not cancelled,
 * and starts afterwards. */
static void test_cancel_all_meanwhile(void **state)
{
	struct fixture *x = *state;
	struct worker *c = fill_queue(x, x->a),
		      *other = worker(x, x->b, "o", (struct worker_spec){0});
	struct outcome o = {0};
	struct err e = {0};
	const char *id, *late;

	assert_int_equal(queue_cancel_all(x->f, c, on_outcome, &o, &e), 0);
	assert_int_equal(committed(x->f, worker_pause(x->f, c, false, &e), &e), 0);
	late = submit(x, c, plain);
	id = submit(x, other, plain);
	while (x->n_done < 2)
		turn_of(x);
	assert_false(o.done);
	assert_true(queue_length(x->f) > MANY / 2);
	/* The worker is paused; the other worker's task has started, and no task of this one
	 * has. */
	assert_int_equal(c->run->lane.n_running, 0);
	assert_int_equal(other->run->lane.n_running, 1);
	assert_int_equal(outcome(x, &o, 0, &e), 0);
	assert_int_equal(o.n, MANY);
	settle(x);
	assert_int_equal(c->run->lane.n_running, 1);
	assert_int_equal(record(x, late).state, TASK_PREPARING);
	assert_int_equal(record(x, id).state, TASK_PREPARING);
}

/* The front is killed between slices: when the client asks again, the rest is done, and nothing is
 * done twice. */
static void test_died(void **state)
{
	struct fixture *x = *state;
	struct worker *c = fill_queue(x, x->a);
	struct outcome o = {0};
	struct err e = {0};
	uint64_t n, done;

	assert_int_equal(queue_cancel_all(x->f, c, on_outcome, &o, &e), 0);
	for (int i = 0; i < 10; i++)
		turn_of(x);
	assert_false(o.done);
	restart(x);
	c = worker_by_name(x->a, "c");
	done = counted(x, c, TASK_CANCELLED);
	assert_true(done > 0 && done < MANY);
	assert_int_equal(counted(x, c, TASK_QUEUED), MANY - done);
	assert_int_equal(c->run->lane.n_queued, MANY - done);
	assert_int_equal(cancel_all(x, c, &n, &e), 0);
	assert_int_equal(n, MANY - done);
	assert_int_equal(counted(x, c, TASK_CANCELLED), MANY);
	/* The same for the removal of a project: its tokens are revoked first, and for good. */
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
	struct worker *c = fill_queue(x, x->a);
	struct outcome o = {0};
	char id[TASK_ID_LEN + 1];
	struct err e = {0};

	fill(x, c, TASK_COMPLETE, MANY);
	assert_true(project_remove(x->f, x->a, false, on_removed, &o, &e) < 0);
	assert_int_equal(e.code, ERR_CONFLICT);
	watch(x);
	assert_int_equal(project_remove(x->f, x->a, true, on_removed, &o, &e), 0);
	assert_int_equal(queue(x, c, &plain, id, on_done, x, &e), 0);
	while (!o.done)
		turn_of(x);
	assert_turns_short();
	assert_int_equal(o.e.code, 0);
	assert_null(project_find(x->f, "a"));
	assert_int_equal(queue_length(x->f), 0);
	/* The worker's counts have been removed with it. */
	assert_int_equal(sqlite3_exec(seen.db, "SELECT 1 / (SELECT count(*) = 0 FROM code_counts)",
				      NULL, NULL, NULL),
			 SQLITE_OK);
}

/* Counts are right after a transaction that failed, and after each kind of change. */
static void test_counts(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
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
	(void)store_end(x->f->store, -ECANCELED, NULL);
	assert_int_equal(counted(x, c, TASK_ERROR), 0);
	assert_int_equal(counted(x, c, TASK_PREPARING), 1);
	finish(x, id, VERDICT_OK);
	assert_int_equal(counted(x, c, TASK_COMPLETE), 1);
	restart(x);
	c = worker_by_name(x->a, "c");
	assert_int_equal(counted(x, c, TASK_COMPLETE), 1);
	assert_int_equal(counted(x, c, TASK_PREPARING), 0);
	assert_int_equal(store_task_delete(x->f->store, id, &removed, &e), 0);
	assert_int_equal(counted(x, c, TASK_COMPLETE), 0);
}

/* A thousand new tasks are written in several turns, and the one task of another project in the
 * first of them. */
static void test_many_new(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct worker *other = worker(x, x->b, "o", (struct worker_spec){0});
	struct err e = {0};
	char id[TASK_ID_LEN + 1];

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(queue(x, c, &plain, id, on_done, x, &e), 0);
	(void)submit(x, other, plain);
	watch(x);
	while (!x->n_done)
		turn_of(x);
	assert_int_equal(counted(x, other, TASK_QUEUED) + counted(x, other, TASK_PREPARING), 1);
	assert_true(x->n_done <= TURN_NEW_ROWS);
	while (x->n_done < 1001)
		turn_of(x);
	assert_turns_short();
	assert_int_equal(x->n_failed, 0);
}

/* A thousand tasks of one request are queued, and looked up for the answer, in several turns. */
static void test_many_of_one_request(void **state)
{
	struct rest *r = *state;
	struct worker *c = worker(r->x, r->x->a, "c", (struct worker_spec){0});
	struct worker *other = worker(r->x, r->x->a, "o", (struct worker_spec){0});
	struct err e = {0};
	json_t *o = json_pack("{s:[]}", "tasks"), *list = json_object_get(o, "tasks");
	char *text;

	assert_int_equal(committed(r->x->f, worker_pause(r->x->f, c, true, &e), &e), 0);
	for (unsigned i = 0; i < 1000; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s}", "code_name", "c", "payload", "p"));
	text = json_dumps(o, 0);
	watch(r->x);
	r->meanwhile = meanwhile;
	assert_int_equal(rest_a(r, "api", "POST", "/tasks", text), 200);
	assert_turns_short();
	assert_int_equal(json_array_size(json_object_get(r->body, "tasks")), 1000);
	assert_int_equal(c->run->lane.n_queued, 1000);
	assert_int_equal(r->x->f->run->tasks.n, 0);
	free(text);
	/* If the worker of one task is removed meanwhile, the whole request fails. */
	(void)json_array_append_new(list, json_pack("{s:s}", "code_name", "o"));
	(void)json_array_remove(list, 0);
	text = json_dumps(o, 0);
	other->going = true;
	assert_int_equal(rest_a(r, "api", "POST", "/tasks", text), 409);
	rest_said(r, "is being removed");
	while (turn_waiting(r->x->f))
		turn_of(r->x);
	assert_int_equal(c->run->lane.n_queued, 1000);
	free(text);
	json_decref(o);
}

/* Fewer tasks are written in a turn if their payloads are large. */
static void test_large_payloads(void **state)
{
	static char payload[60000 + 1];
	struct rest *r = *state;
	struct worker *c = worker(r->x, r->x->a, "c", (struct worker_spec){0});
	json_t *o = json_pack("{s:[]}", "tasks"), *list = json_object_get(o, "tasks");
	struct err e = {0};
	char *text;

	assert_int_equal(committed(r->x->f, worker_pause(r->x->f, c, true, &e), &e), 0);
	memset(payload, 'p', sizeof(payload) - 1);
	for (unsigned i = 0; i < 60; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s}", "code_name", "c", "payload", payload));
	text = json_dumps(o, 0);
	watch(r->x);
	r->meanwhile = meanwhile;
	assert_int_equal(rest_a(r, "api", "POST", "/tasks", text), 200);
	note_turn();
	assert_int_equal(c->run->lane.n_queued, 60);
	assert_in_range(seen.most_changes, 1, 4UL * (TURN_NEW_BYTES / 60000 + 1));
	free(text);
	json_decref(o);
}

static unsigned n_slices;

static void all_or_none(struct rest *r)
{
	n_slices += turn_waiting(r->x->f) > 0;
	assert_true(r->x->a->schedules->n == 0 || r->x->a->schedules->n == 100);
}

/* A zone's file is read for each of a hundred schedules: some in each turn, and the schedules all
 * appear at once. */
static void test_schedules(void **state)
{
	static const char one[] = "{\"code_name\": \"c\", \"cron\": \"0 6 * * *\", "
				  "\"timezone\": \"Europe/Berlin\"}";
	struct rest *r = *state;
	char text[101 * sizeof(one) + 32] = "{\"schedules\": [";
	size_t n = strlen(text);

	(void)worker(r->x, r->x->a, "c", (struct worker_spec){0});
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "," : "", one);
	(void)snprintf(text + n, sizeof(text) - n, "]}");
	n_slices = 0;
	r->meanwhile = all_or_none;
	assert_int_equal(rest_a(r, "2", "POST", "/schedules", text), 200);
	assert_int_equal(json_array_size(json_object_get(r->body, "schedules")), 100);
	assert_int_equal(r->x->a->schedules->n, 100);
	assert_true(n_slices >= 9);
	/* With one schedule more than the project may have, none of the request's schedules is
	 * made. */
	r->meanwhile = NULL;
	assert_int_equal(
		rest_a(r, "2", "POST", "/schedules", "{\"schedules\": [{\"code_name\": \"c\"}]}"),
		413);
	assert_int_equal(r->x->a->schedules->n, 100);
}

/* The requests of a client with many connections wait for each other, and other clients do not wait
 * for them. */
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
	/* One of the connections is closed before its turn. */
	(void)close(fds[ARRAY_SIZE(fds) - 1]);
	for (size_t i = 0; i < ARRAY_SIZE(fds) - 1; i++) {
		rest_hear(r, fds[i], "}");
		assert_memory_equal(r->text, "HTTP/1.1 200", 12);
		(void)close(fds[i]);
	}
	(void)close(other);
}

/* What the monitor and the client had been told when the first transaction of a turn was
 * written. */
struct order {
	struct fixture *x;
	char asked[TASK_ID_LEN + 1];
	unsigned n_done, n_commits;
};

static int on_commit(void *arg)
{
	struct order *o = arg;
	union proto_msg m;
	int fds[PROTO_FDS_MAX];
	unsigned n;

	if (o->n_commits++)
		return 0;
	o->n_done = o->x->n_done;
	if (proto_recv(o->x->monitor, ROLE_FRONT, ROLE_MONITOR, &m, fds, &n) < 0)
		return 0;
	for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
		util_close_fd(&fds[i]);
	if (m.h.type == MON_START)
		memcpy(o->asked, m.start.id, sizeof(o->asked));
	return 0;
}

/* The monitor is asked first and the disk second, in one turn; the client is told last. */
static void test_order(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct order o = {.x = x};
	const char *id;

	settle(x);
	(void)sqlite3_commit_hook(x->f->store->db, on_commit, &o);
	id = submit(x, c, plain);
	assert_int_equal(o.n_commits, 0);
	turn_of(x);
	assert_int_equal(o.n_commits, 1);
	assert_string_equal(o.asked, id);
	assert_int_equal(o.n_done, 0);
	assert_int_equal(x->n_done, 1);
	(void)sqlite3_commit_hook(x->f->store->db, NULL, NULL);
}

static int count_commit(void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

/* The changes of many connections' requests are written in one transaction, although each request
 * has its own turn. */
static void test_written_together(void **state)
{
	static const char task[] = "{\"tasks\": [{\"code_name\": \"c\"}]}";
	struct rest *r = *state;
	struct worker *c = worker(r->x, r->x->a, "c", (struct worker_spec){0});
	unsigned n_commits = 0;
	struct err e = {0};
	char text[512];
	int fds[12];

	assert_int_equal(committed(r->x->f, worker_pause(r->x->f, c, true, &e), &e), 0);
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
	assert_int_equal(c->run->lane.n_queued, ARRAY_SIZE(fds));
	assert_in_range(n_commits, 1, ARRAY_SIZE(fds) / 3);
}

/* Tasks whose delay is over, and tasks that could not be started, are put back without a walk past
 * all tasks that wait. */
static void test_due(void **state)
{
	struct fixture *x = *state;
	struct worker *c = fill_queue(x, x->a);
	struct task_record rec = {0};
	const struct queued *w = c->run->lane.tail[0];
	unsigned n = 0;

	memcpy(rec.project, x->a->id, sizeof(rec.project));
	memcpy(rec.worker, c->id, sizeof(rec.worker));
	strcpy(rec.id, "ffffffffffffffffffffffff");
	rec.created_ns = 1;
	assert_int_equal(queue_push_stored(x->f, &rec), 0);
	assert_string_equal(c->run->lane.head[0]->id, rec.id);
	/* The task is as old as those in the middle of the queue: it is carried past some of them,
	 * and the order stays one of age. */
	for (unsigned i = 0; i < MANY / 2; i++)
		w = w->prev;
	rec.created_ns = w->since_ns;
	strcpy(rec.id, "eeeeeeeeeeeeeeeeeeeeeeee");
	assert_int_equal(queue_push_stored(x->f, &rec), 0);
	for (w = c->run->lane.tail[0]; strcmp(w->id, rec.id) != 0; w = w->prev)
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
		WITH_QUEUE(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The sources of runs: which job each makes, and what follows the end of its runs, also after a
 * restart. */
#define RIG_CAPABILITIES capabilities_with_own()
static const struct capability *const *capabilities_with_own(void);
#include "tests/unit/schedule_rig.h"

#include "spec/job.h"
#include "supervisor/front/run/source.h"

#define GONE "ffffffffffffffffffffffff"

/* A source as a capability of its own would have it, which exists only in this file: its runs have
 * the label "own", and it makes their job itself. */
static struct {
	unsigned jobs, ended; /* calls */
	bool refuses;
} own;

static bool own_is_of(const struct task_record *rec)
{
	return strcmp(rec->label, "own") == 0;
}

static int own_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	const struct task_spec spec = {.kind = TASK_ENTRY, .source = (char[]){"own:main"}};

	assert_true(source_of(f, &t->rec)->job == own_job);
	own.jobs++;
	return own.refuses ? err_set(e, ERR_CONFLICT, 0, "not today") : job_write(&spec, ret, e);
}

/* At this call the end is known, and is not in the store yet. */
static void own_ended(struct front *f, struct task *t)
{
	struct task_record rec;

	own.ended++;
	assert_true(t->rec.state >= TASK_COMPLETE);
	assert_int_equal(store_task_get(f->store, t->rec.id, &rec, NULL), 0);
	assert_true(rec.state < TASK_COMPLETE);
	task_record_clear(&rec);
}

/* Another one, of runs that serve and that the store does not have: their label is "request". */
static struct {
	int sock; /* what they are given; -1: there is none for them */
	unsigned asked, ended;
} request;

static bool request_is_of(const struct task_record *rec)
{
	return strcmp(rec->label, "request") == 0;
}

static int request_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	const struct task_spec spec = {.kind = TASK_ENTRY, .source = (char[]){"request:main"}};

	(void)f;
	(void)t;
	return job_write(&spec, ret, e);
}

static int request_serve(struct front *f, struct task *t, int *ret, struct err *e)
{
	(void)f;
	assert_string_equal(t->rec.label, "request");
	request.asked++;
	if (request.sock < 0)
		return err_set(e, ERR_UNAVAILABLE, 0, "nobody is there to be served");
	*ret = TAKE_FD(request.sock);
	return 0;
}

static void request_ended(struct front *f, struct task *t)
{
	(void)f;
	assert_true(t->rec.state >= TASK_COMPLETE);
	request.ended++;
}

static const struct capability *const *capabilities_with_own(void)
{
	static const struct run_source sources[] = {
		{.name = "own", .is_of = own_is_of, .job = own_job, .ended = own_ended},
		{.name = "request",
		 .flags = RUN_SERVES | RUN_NOT_RECORDED,
		 .is_of = request_is_of,
		 .job = request_job,
		 .serve = request_serve,
		 .ended = request_ended}};
	static const struct capability capabilities[] = {
		{.name = "own", .source = &sources[0]}, {.name = "request", .source = &sources[1]}};
	static const struct capability *list[CAPABILITIES_MAX + 1] = {&capabilities[0],
								      &capabilities[1]};

	for (unsigned i = 0; front_capabilities[i]; i++)
		list[i + 2] = front_capabilities[i];
	return list;
}

/* What the monitor was asked to start. */
struct asked {
	struct mon_start m; /* id "": the monitor was asked for nothing */
	char job[8192];
	ino_t last; /* the inode of the last descriptor that came along */
};

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* Takes one request to start, and reads its job. */
static struct asked asked(struct fixture *x)
{
	struct asked ret = {0};
	union proto_msg m;
	int fds[PROTO_FDS_MAX];
	unsigned n;

	settle(x);
	while (!*ret.m.id && proto_recv(x->monitor, ROLE_FRONT, ROLE_MONITOR, &m, fds, &n) == 0) {
		if (m.h.type == MON_START) {
			ret.m = m.start;
			assert_true(pread(fds[0], ret.job, sizeof(ret.job) - 1, 0) > 0);
			ret.last = inode_of(fds[n - 1]);
		}
		for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
			util_close_fd(&fds[i]);
	}
	return ret;
}

static void expect_record(const char *job, const char *key, const char *value)
{
	char want[512];

	(void)snprintf(want, sizeof(want), "%s %zu\n%s\n", key, strlen(value), value);
	if (!strstr(job, want))
		fail_msg("no record %s of %s in: %s", key, value, job);
}

/* Makes a task as the operator's `run` does (ops_run.c). */
static const char *run_direct(struct fixture *x, const char *task_json)
{
	static char ids[16][TASK_ID_LEN + 1];
	static unsigned n;
	_cleanup_task_spec_ struct task_spec spec = {0};
	char *id = ids[n++ % 16];
	struct err e = {0};
	struct task *t;

	util_new_id(id);
	t = registry_new(id);
	assert_non_null(t);
	t->project = x->a;
	(void)snprintf(t->rec.project, sizeof(t->rec.project), "%s", x->a->id);
	t->rec.created_ns = util_realtime_ns();
	if (task_spec_parse(task_json, strlen(task_json), &spec, &e) < 0)
		fail_msg("%s", e.msg);
	(void)snprintf(t->rec.label, sizeof(t->rec.label), "%s", spec.label ? spec.label : "");
	if (source_fill(x->f, t, &spec, "python", &e) < 0 ||
	    job_write(&spec, &t->rec.job, &e) < 0 || flow_accept(x->f, t) < 0)
		fail_msg("%s", e.msg);
	return id;
}

static void sql(struct fixture *x, const char *text)
{
	assert_int_equal(sqlite3_exec(x->f->store->db, text, NULL, NULL, NULL), SQLITE_OK);
}

/* Takes both places that this rig has for running tasks: tasks that come now have to wait. */
static void occupy(struct fixture *x, const char *ids[2])
{
	for (int i = 0; i < 2; i++) {
		ids[i] = run_direct(x, "{\"code\":\"pass\"}");
		assert_string_equal(asked(x).m.id, ids[i]);
	}
}

/* The task failed before the monitor was asked for a sandbox. */
static void expect_failed(struct fixture *x, const char *id, const char *error)
{
	struct log_end log = {0};

	memcpy(log.id, id, sizeof(log.id));
	flow_log_end(x->f, &log);
	assert_int_equal(record(x, id).state, TASK_ERROR);
	assert_int_equal(record(x, id).verdict, VERDICT_FAILED);
	if (!strstr(record(x, id).error, error))
		fail_msg("%s", record(x, id).error);
}

static void test_told_by_the_record(void **state)
{
	const struct front f = {.capabilities = front_capabilities};
	struct task_record rec = {0};

	(void)state;
	assert_string_equal(source_of(&f, &rec)->name, "operator");
	strcpy(rec.worker, GONE);
	assert_string_equal(source_of(&f, &rec)->name, "queue");
	/* A task that a schedule has queued. */
	strcpy(rec.schedule, GONE);
	assert_string_equal(source_of(&f, &rec)->name, "queue");
}

static void test_operator(void **state)
{
	static const char task[] =
		"{\"code\":\"x = 1\\ny\",\"payload\":{\"a\": 1.0},\"args\":[\"-v\"],"
		"\"env\":{\"K\":\"v\"},\"label\":\"l\",\"priority\":2,"
		"\"limits\":{\"timeout\":7},\"warm\":{\"imports\":[\"os\"]}}";
	struct fixture *x = *state;
	const char *busy[2], *id = run_direct(x, task);
	struct asked first = asked(x), second;

	assert_string_equal(first.m.id, id);
	assert_string_equal(first.m.warm, "os");
	assert_int_equal(first.m.limits.timeout_s, 7);
	expect_record(first.job, "id", id);
	expect_record(first.job, "kind", "code");
	expect_record(first.job, "code", "x = 1\ny");
	expect_record(first.job, "payload", "{\"a\": 1.0}");
	expect_record(first.job, "arg", "-v");
	expect_record(first.job, "env", "K=v");
	expect_record(first.job, "label", "l");
	expect_record(first.job, "policy", "default");
	/* A failed run of the operator is not tried again. */
	finish(x, id, VERDICT_EXIT);
	assert_string_equal(record(x, id).retry, "");
	assert_int_equal(record(x, id).dead_letter, 0);
	assert_int_equal(x->f->run->tasks.n, 0);

	/* A task that waits, and starts after a restart, has the same job. */
	occupy(x, busy);
	id = run_direct(x, task);
	assert_string_equal(asked(x).m.id, "");
	finish(x, busy[0], VERDICT_OK);
	first = asked(x);
	assert_string_equal(first.m.id, id);
	restart(x);
	do
		second = asked(x);
	while (*second.m.id && strcmp(second.m.id, id) != 0);
	assert_string_equal(second.m.id, id);
	assert_int_equal(second.m.limits.timeout_s, 7);
	*strstr(first.job, "seed ") = *strstr(second.job, "seed ") = '\0';
	assert_string_equal(first.job, second.job);
}

/* The monitor is told a script's name too, because a cold start puts it on the interpreter's
 * command line. */
static void test_script(void **state)
{
	struct fixture *x = *state;
	struct asked a;

	(void)run_direct(x, "{\"exec\":\"d/a.py\"}");
	a = asked(x);
	assert_string_equal(a.m.script, "d/a.py");
	expect_record(a.job, "exec", "d/a.py");
	(void)run_direct(x, "{\"entry\":\"m:f\"}");
	a = asked(x);
	assert_string_equal(a.m.script, "");
	expect_record(a.job, "entry", "m:f");
}

/*
 * A task that was queued by an older release has the text of its task.json in the store. The text
 * is validated like any text from a client; a damaged record is not given to a sandbox.
 */
static void test_old_rows(void **state)
{
	static const struct {
		const char *text, *error; /* NULL: the task starts */
	} rows[] = {
		{"{\"code\":\"a\",\"payload\":[1,  2.0]}", NULL},
		{"{\"code\":\"a\",\"cod\":1}", "task.json: "},
		{"{\"code\":\"a\",\"env\":{\"TASK_ID\":\"x\"}}", "task.json: env.TASK_ID"},
		{"{\"code\"", "task.json: "},
		{"", "damaged"},
		{"kind 4\ncode\ncode 7\na\n", "damaged"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fixture *x = *state;
		const char *busy[2], *id;
		struct task_record rec;
		char *update;
		struct asked a;

		occupy(x, busy);
		id = run_direct(x, "{\"code\":\"pass\"}");
		settle(x);
		update = sqlite3_mprintf("UPDATE tasks SET job = %Q WHERE id = %Q", rows[i].text,
					 id);
		sql(x, update);
		sqlite3_free(update);
		restart(x);
		/* The two tasks that were being started are asked for again, because this monitor
		 * does not know them. */
		for (int k = 0; k < 2; k++)
			assert_string_equal(asked(x).m.id, busy[k]);
		finish(x, busy[0], VERDICT_OK);
		a = asked(x);
		if (rows[i].error) {
			assert_string_equal(a.m.id, "");
			expect_failed(x, id, rows[i].error);
		} else {
			assert_string_equal(a.m.id, id);
			expect_record(a.job, "code", "a");
			expect_record(a.job, "payload", "[1,  2.0]");
			/* From now on the store has the task's job. */
			assert_int_equal(store_task_get(x->f->store, id, &rec, NULL), 0);
			expect_record(rec.job, "payload", "[1,  2.0]");
			task_record_clear(&rec);
			finish(x, id, VERDICT_OK);
			assert_int_equal(record(x, id).state, TASK_COMPLETE);
		}
		finish(x, busy[1], VERDICT_OK);
	}
}

static struct worker *own_worker(struct fixture *x)
{
	struct worker_spec spec = {.name = "w", .image = "python", .command = "echo", .retries = 1};
	struct worker *c = NULL;
	struct err e = {0};

	spec.config = strdup("{\"c\":1}");
	spec.env = strdup("{\"E\":\"v\"}");
	c = put_worker(x, x->a, &spec, &e);
	if (!c)
		fail_msg("%s", e.msg);
	return c;
}

static void test_queue(void **state)
{
	const struct submit what = {
		.payload = "{\"p\": 1}", .payload_len = 8, .priority = -1, .label = "l"};
	struct fixture *x = *state;
	struct worker *c = own_worker(x);
	const char *busy[2], *id = submit(x, c, what);
	char next[TASK_ID_LEN + 1];
	struct asked a = asked(x);

	assert_string_equal(a.m.id, id);
	assert_int_equal(a.m.start, START_COLD);
	/* No timeout was asked for: the task gets the policy's, which is shorter than the queue's
	 * default. */
	assert_int_equal(a.m.limits.timeout_s, 120);
	assert_string_equal(a.m.warm, "json\nre");
	expect_record(a.job, "kind", "command");
	expect_record(a.job, "command", "echo");
	expect_record(a.job, "payload", "{\"p\": 1}");
	expect_record(a.job, "config", "{\"c\":1}");
	expect_record(a.job, "env", "E=v");
	expect_record(a.job, "env", "TASK_ATTEMPT=1");
	expect_record(a.job, "label", "l");

	/* The task fails, and the next attempt has the same payload, also after a restart. */
	finish(x, id, VERDICT_EXIT);
	strcpy(next, record(x, id).retry);
	a = asked(x);
	assert_string_equal(a.m.id, next);
	expect_record(a.job, "env", "TASK_ATTEMPT=2");
	expect_record(a.job, "payload", "{\"p\": 1}");
	restart(x);
	a = asked(x);
	assert_string_equal(a.m.id, next);
	expect_record(a.job, "env", "TASK_ATTEMPT=2");
	expect_record(a.job, "payload", "{\"p\": 1}");
	finish(x, next, VERDICT_EXIT);
	assert_int_equal(record(x, next).dead_letter, 1);

	/* A waiting task of which only the store has the record. */
	occupy(x, busy);
	id = submit(x, worker_by_name(x->a, "w"), what);
	settle(x);
	assert_null(registry_find(x->f, id));
	restart(x);
	for (int i = 0; i < 2; i++)
		finish(x, busy[i], VERDICT_OK);
	do
		a = asked(x);
	while (*a.m.id && strcmp(a.m.id, id) != 0);
	assert_string_equal(a.m.id, id);
	expect_record(a.job, "payload", "{\"p\": 1}");
}

/* The worker is removed while its task waits or runs: the task fails with an error, and no attempt
 * follows. */
static void test_worker_gone(void **state)
{
	struct fixture *x = *state;
	struct worker *c = own_worker(x);
	const char *busy[2], *runs, *waits;
	struct err e = {0};

	runs = submit(x, c, plain);
	assert_string_equal(asked(x).m.id, runs);
	assert_int_equal(remove_code(x, c, &e), 0);
	finish(x, runs, VERDICT_EXIT);
	assert_string_equal(record(x, runs).retry, "");
	assert_int_equal(record(x, runs).dead_letter, 1);

	/* A waiting task is cancelled together with its worker; here the store is changed as if
	 * that had not been written. */
	occupy(x, busy);
	waits = submit(x, own_worker(x), plain);
	settle(x);
	sql(x, "UPDATE tasks SET code = '" GONE "' WHERE code <> '' AND state = 0");
	restart(x);
	for (int i = 0; i < 2; i++)
		finish(x, busy[i], VERDICT_OK);
	while (*asked(x).m.id)
		;
	expect_failed(x, waits, "its worker \"w\" was removed");
	assert_int_equal(record(x, waits).dead_letter, 1);
	assert_string_equal(record(x, waits).retry, "");
}

/* A tenant's task waits, and meanwhile its project loses the right to name the policy; the operator
 * may still name it. */
static void test_lists_of_names(void **state)
{
	struct fixture *x = *state;
	const char *busy[2], *id;

	occupy(x, busy);
	id = submit(x, own_worker(x), plain);
	settle(x);
	strcpy(x->a->quota.policies, "strict");
	finish(x, busy[0], VERDICT_OK);
	assert_string_equal(asked(x).m.id, "");
	expect_failed(x, id, "may not name \"default\"");
	id = run_direct(x, "{\"code\":\"pass\"}");
	assert_string_equal(asked(x).m.id, id);
}

static void test_schedule(void **state)
{
	struct fixture *x = *state;
	struct schedule *s;
	struct asked a;
	char first[TASK_ID_LEN + 1], next[TASK_ID_LEN + 1], of[PROJECT_ID_LEN + 1];

	(void)own_worker(x);
	s = make(x, (struct schedule_spec){
			    .code_name = "w", .payload = strdup("[1]"), .priority = -1});
	strcpy(of, s->id);
	wait_tasks(x, 1);
	a = asked(x);
	strcpy(first, a.m.id);
	expect_record(a.job, "payload", "[1]");
	assert_string_equal(record(x, first).schedule, of);
	finish(x, first, VERDICT_EXIT);
	strcpy(next, record(x, first).retry);
	restart(x);
	a = asked(x);
	assert_string_equal(a.m.id, next);
	expect_record(a.job, "payload", "[1]");
	assert_string_equal(record(x, next).schedule, of);
}

static unsigned warms(const struct fixture *x)
{
	unsigned n = 0;

	for (const struct warm *w = x->f->run->warms; w; w = w->next)
		n++;
	return n;
}

/* The checkpoint that would have made a task faster is asked for once, when the task's end is
 * durable or the disk refuses it, however often that is told. */
static void test_warm_up(void **state)
{
	struct fixture *x = *state;
	const char *id = run_direct(x, "{\"code\":\"pass\"}");
	struct mon_started started = {.want_warm = WARM_FOR_IMAGE};
	struct mon_warmed warmed = {.status = 0};

	assert_string_equal(asked(x).m.id, id);
	memcpy(started.id, id, sizeof(started.id));
	flow_started(x->f, &started);
	settle(x);
	assert_int_equal(warms(x), 0);
	sql(x, "CREATE TEMP TRIGGER refuse BEFORE UPDATE ON tasks BEGIN SELECT RAISE(FAIL, 'no'); "
	       "END");
	finish(x, id, VERDICT_OK);
	assert_int_equal(warms(x), 1);
	warmed.tag = x->f->run->warms->tag;
	warm_done(x->f, &warmed);
	settle(x);
	sql(x, "DROP TRIGGER refuse");
	assert_int_equal(record(x, id).state, TASK_COMPLETE);
	assert_int_equal(warms(x), 0);
}

static const char *run_own(struct fixture *x)
{
	return run_direct(x, "{\"code\":\"not this\",\"label\":\"own\"}");
}

/* The run of another capability's source is started, restarted and ended like all runs. */
static void test_own_source(void **state)
{
	struct fixture *x = *state;
	const char *busy[2], *id;
	struct asked a;

	memset(&own, 0, sizeof(own));
	id = run_own(x);
	a = asked(x);
	assert_string_equal(a.m.id, id);
	expect_record(a.job, "entry", "own:main");
	assert_int_equal(own.ended, 0);
	finish(x, id, VERDICT_EXIT);
	assert_int_equal(own.ended, 1);
	assert_int_equal(record(x, id).state, TASK_ERROR);

	/* The run starts after a restart, and ends after another one. */
	occupy(x, busy);
	id = run_own(x);
	settle(x);
	restart(x);
	for (int i = 0; i < 2; i++)
		finish(x, busy[i], VERDICT_OK);
	do
		a = asked(x);
	while (*a.m.id && strcmp(a.m.id, id) != 0);
	assert_string_equal(a.m.id, id);
	expect_record(a.job, "entry", "own:main");
	restart(x);
	assert_string_equal(asked(x).m.id, id);
	finish(x, id, VERDICT_OK);
	assert_int_equal(own.ended, 2);
	assert_int_equal(own.jobs, 3);

	/* The source has no job for the run: the run ends, and the source is told of that end
	 * too. */
	own.refuses = true;
	id = run_own(x);
	settle(x);
	assert_string_equal(asked(x).m.id, "");
	expect_failed(x, id, "not today");
	assert_int_equal(own.ended, 3);
}

/* Of these two the logger hears what becomes of the log. */
static unsigned deleted_logs(struct fixture *x, const char *id)
{
	union proto_msg m;
	int fds[PROTO_FDS_MAX];
	unsigned n, found = 0;

	settle(x);
	while (proto_recv(x->logger, ROLE_FRONT, ROLE_LOGGER, &m, fds, &n) == 0)
		found += m.h.type == LOG_DELETE && strcmp(m.log_id.id, id) == 0;
	return found;
}

static unsigned rows(struct fixture *x, const char *table)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	char text[64];
	struct err e = {0};

	(void)snprintf(text, sizeof(text), "SELECT count(*) FROM %s", table);
	assert_int_equal(store_ask(x->f->store, text, &st, &e), 0);
	assert_int_equal(store_next(x->f->store, st, &e), 1);
	return (unsigned)sqlite3_column_int(st, 0);
}

/* A run that serves is started with its source's socket; one that is not recorded runs and ends
 * without the store, whose disk may be full, and its log goes with it. */
static void test_request(void **state)
{
	static const char request_json[] = "{\"code\":\"pass\",\"label\":\"request\"}";
	struct fixture *x = *state;
	const unsigned before = rows(x, "history");
	int pair[2], spare[2];
	struct mon_started started = {.mode = START_FORK};
	const char *id, *third;
	struct asked a;
	ino_t sock;

	request.asked = request.ended = 0;
	sql(x, "CREATE TEMP TRIGGER refuse BEFORE INSERT ON tasks BEGIN SELECT RAISE(FAIL, 'no'); "
	       "END");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, spare), 0);
	sock = inode_of(pair[0]);
	request.sock = pair[0];
	id = run_direct(x, request_json);
	a = asked(x);
	assert_string_equal(a.m.id, id);
	assert_int_equal(a.m.has_serve, 1);
	assert_true(a.last == sock);
	expect_record(a.job, "entry", "request:main");
	/* The monitor has it; the front keeps none. */
	assert_int_equal(read(pair[1], &started.pad, 1), 0);
	memcpy(started.id, id, sizeof(started.id));
	flow_started(x->f, &started);
	settle(x);
	assert_int_equal(registry_find(x->f, id)->rec.state, TASK_RUNNING);
	finish(x, id, VERDICT_OK);
	assert_int_equal(request.ended, 1);
	assert_null(registry_find(x->f, id));
	assert_int_equal(deleted_logs(x, id), 1);
	assert_int_equal(x->f->run->n_running, 0);
	assert_int_equal(rows(x, "tasks"), 0);
	assert_int_equal(rows(x, "history"), before);

	/* There is no socket for it: it is not started, and its source is told of that end. */
	id = run_direct(x, request_json);
	assert_string_equal(asked(x).m.id, "");
	assert_int_equal(request.asked, 2);
	assert_string_equal(registry_find(x->f, id)->rec.error, "nobody is there to be served");
	finish(x, id, VERDICT_FAILED);
	assert_null(registry_find(x->f, id));
	assert_int_equal(request.ended, 2);

	/* One is cancelled before it has started, another runs when the front is restarted: the
	 * next front ends that, and does not know the others. */
	request.sock = spare[0];
	id = run_direct(x, request_json);
	assert_string_equal(asked(x).m.id, id);
	third = run_direct(x, request_json);
	assert_true(flow_cancel(x->f, registry_find(x->f, third), true));
	settle(x);
	assert_null(registry_find(x->f, third));
	assert_int_equal(request.ended, 3);
	restart(x);
	assert_int_equal(x->f->run->tasks.n, 0);
	assert_int_equal(rows(x, "tasks"), 0);
	(void)close(pair[1]);
	(void)close(spare[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told_by_the_record),
		WITH_QUEUE(test_operator),
		WITH_QUEUE(test_script),
		WITH_QUEUE(test_old_rows),
		WITH_QUEUE(test_queue),
		WITH_QUEUE(test_worker_gone),
		WITH_QUEUE(test_lists_of_names),
		WITH_QUEUE(test_schedule),
		WITH_QUEUE(test_warm_up),
		WITH_QUEUE(test_own_source),
		WITH_QUEUE(test_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

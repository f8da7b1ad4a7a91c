// SPDX-License-Identifier: Apache-2.0
/* One more capability, in a list of this test's: its row is all that the front knows of it. */
#include <jansson.h>

struct capability;
static const struct capability *const *the_list(void);
#define RIG_CAPABILITIES the_list()

#include "supervisor/front/api/verbs.h"
#include "supervisor/front/store/priv.h"
#include "tests/unit/queue_rig.h"

/* One letter for each function that was called, in order. */
static char called[64];
static bool load_fails, attach_fails;

static void call(char what)
{
	const size_t n = strlen(called);

	assert_true(n + 1 < sizeof(called));
	called[n] = what;
	called[n + 1] = '\0';
}

/* When a capability is loaded, its table exists and the projects are loaded. */
static int more_load(struct front *f, struct err *e)
{
	call('l');
	assert_non_null(project_find(f, PROJECT_DEFAULT_NAME));
	if (load_fails)
		return err_set(e, ERR_INTERNAL, 0, "it does not load");
	return store_sql(f->store, "INSERT INTO more VALUES (?1)", "s", e, "x");
}

static int more_start(struct front *f, struct err *e)
{
	(void)f;
	(void)e;
	call('s');
	return 0;
}

static void more_stop(struct front *f)
{
	(void)f;
	call('e');
}

/* The capabilities before it in the list are cleared later, and still exist here. */
static void more_clear(struct front *f)
{
	call('c');
	assert_true(load_fails || f->core->projects);
}

static void on_changed(struct front *f, struct project *p)
{
	(void)f;
	(void)p;
	call('q');
}

static int part_attach(struct front *f, struct project *p)
{
	(void)f;
	(void)p;
	call('a');
	return attach_fails ? -ENOMEM : 0;
}

static int part_attach_worker(struct front *f, struct worker *c)
{
	(void)f;
	(void)c;
	call('w');
	return attach_fails ? -ENOMEM : 0;
}

static void part_free_worker(struct front *f, struct worker *c)
{
	(void)f;
	(void)c;
	call('x');
}

static int part_check(struct front *f, struct project *p, struct err *e)
{
	(void)f;
	call('i');
	return strcmp(p->name, "b") == 0 ? err_set(e, ERR_CONFLICT, 0, "more is busy") : 0;
}

static int part_remove(struct front *f, struct project *p, struct err *e)
{
	static unsigned n;

	(void)f;
	(void)p;
	(void)e;
	call('r');
	return n++ == 0;
}

static int part_delete(struct front *f, struct project *p, struct err *e)
{
	(void)p;
	call('d');
	return store_sql(f->store, "DELETE FROM more WHERE x = ?1", "s", e, "x");
}

static void part_free(struct front *f, struct project *p)
{
	(void)f;
	(void)p;
	call('f');
}

static void more_metrics(struct front *f, FILE *out)
{
	(void)f;
	(void)fputs("sandboxd_more 1\n", out);
}

static int verb_more(struct call *c, struct err *e)
{
	(void)c;
	(void)e;
	return 0;
}

static const struct migration steps[] = {{1, 0, "CREATE TABLE more (x)", NULL}, {0}};
static const struct schema schema = {"more", steps, NULL, NULL};
static const struct listener listener = {.project_changed = on_changed};
static const struct part part = {.attach = part_attach,
				 .attach_worker = part_attach_worker,
				 .free_worker = part_free_worker,
				 .check_idle = part_check,
				 .remove = part_remove,
				 .delete_project = part_delete,
				 .free = part_free};
static const struct verb verbs[] = {{"more", "GET", "/api/more", WHO_OPERATOR, verb_more}, {0}};
static const struct capability more = {.name = "more",
				       .schema = &schema,
				       .load = more_load,
				       .start = more_start,
				       .stop = more_stop,
				       .clear = more_clear,
				       .listener = &listener,
				       .part = &part,
				       .verbs = verbs,
				       .metrics = more_metrics};

static const struct capability *const *the_list(void)
{
	static const struct capability *list[CAPABILITIES_MAX + 1];
	unsigned n = 0;

	for (; front_capabilities[n]; n++)
		list[n] = front_capabilities[n];
	list[n] = &more;
	return list;
}

static unsigned rows_of(struct fixture *x)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct err e = {0};

	assert_int_equal(store_ask(x->f->store, "SELECT count(*) FROM more", &st, &e), 0);
	assert_int_equal(store_next(x->f->store, st, &e), 1);
	return (unsigned)sqlite3_column_int(st, 0);
}

static int more_setup(void **state)
{
	called[0] = '\0';
	load_fails = attach_fails = false;
	return setup(state);
}

static void test_life(void **state)
{
	struct fixture *x = *state;

	/* The default project was loaded before this capability, and two projects have been made
	 * since. */
	assert_string_equal(called, "alsaa");
	assert_int_equal(rows_of(x), 1);
	called[0] = '\0';
	/* Two tenants and the default project are freed after it has been cleared. */
	restart(x);
	assert_string_equal(called, "ecfffaaals");
	assert_int_equal(rows_of(x), 2);
}

static void test_load_fails(void **state)
{
	struct fixture *x = *state;
	struct front_config cfg = x->f->cfg;
	struct front *f = front_new();
	struct err e = {0};

	end(x);
	called[0] = '\0';
	load_fails = true;
	cfg.monitor_sock = -1;
	assert_true(front_begin(f, &cfg, the_list(), &e) < 0);
	assert_string_equal(e.msg, "it does not load");
	front_end(f);
	assert_string_equal(called, "aaalecfff");
	load_fails = false;
	begin(x);
}

static void test_events(void **state)
{
	struct fixture *x = *state;
	const struct quota quota = {.queued = 3};
	struct err e = {0};

	called[0] = '\0';
	assert_int_equal(committed(x->f, project_set_quota(x->f, x->a, &quota, &e), &e), 0);
	assert_string_equal(called, "q");
}

static void test_project_goes(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};

	called[0] = '\0';
	assert_true(remove_project(x, x->b, false, &e) < 0);
	assert_string_equal(e.msg, "more is busy");
	assert_string_equal(called, "i");
	called[0] = '\0';
	assert_int_equal(remove_project(x, x->a, false, &e), 0);
	/* Its rows are removed in two slices, the last one in the transaction that removes the
	 * project. */
	assert_string_equal(called, "irrdf");
	assert_int_equal(rows_of(x), 0);
}

/* What the capability keeps of a project or a worker exists before the project or worker can be
 * found; if it cannot be made, neither is the project or worker. */
static void test_attach(void **state)
{
	struct fixture *x = *state;
	const struct quota quota = {0};
	struct worker_spec spec = {.name = "v", .command = "true"};
	char token[TOKEN_LEN + 1];
	const struct project *p = NULL;
	struct worker *c;
	struct err e = {0};

	called[0] = '\0';
	c = worker(x, x->a, "w", (struct worker_spec){0});
	assert_string_equal(called, "w");
	/* A new revision does not make a new worker. */
	assert_ptr_equal(worker(x, x->a, "w", (struct worker_spec){0}), c);
	assert_string_equal(called, "w");
	assert_int_equal(remove_code(x, c, &e), 0);
	assert_string_equal(called, "wx");
	called[0] = '\0';
	attach_fails = true;
	assert_null(put_worker(x, x->a, &spec, &e));
	assert_string_equal(called, "wx");
	assert_null(worker_by_name(x->a, "v"));
	called[0] = '\0';
	assert_null(project_create(x->f, "c", &quota, token, &p, &e));
	assert_string_equal(called, "af");
	assert_null(project_find(x->f, "c"));
	attach_fails = false;
	(void)project(x, "c");
}

static void turn_first(struct front *f)
{
	(void)f;
	call('1');
}

static void turn_second(struct front *f)
{
	(void)f;
	call('2');
}

/* What a later capability asks of an earlier one is done in the same turn. */
static void test_turn_order(void **state)
{
	static const struct capability first = {.name = "first", .turn = turn_first},
				       none = {.name = "none"},
				       second = {.name = "second", .turn = turn_second};
	static const struct capability *const list[] = {&first, &none, &second, NULL};
	struct fixture *x = *state;
	const struct capability *const *whole = x->f->capabilities;

	called[0] = '\0';
	x->f->capabilities = list;
	capability_turn_all(x->f);
	x->f->capabilities = whole;
	assert_string_equal(called, "21");
}

static void test_metrics(void **state)
{
	struct fixture *x = *state;
	size_t len = 0;
	char *text = capability_metrics(x->f, &len);

	assert_non_null(strstr(text, "\nsandboxd_more 1\n"));
	assert_non_null(strstr(text, "sandboxd_project_queued_tasks{project=\"a\"} 0\n"));
	assert_int_equal(strlen(text), len);
	free(text);
}

static void test_verbs(void **state)
{
	struct fixture *x = *state;
	unsigned n, found = 0;
	const struct http_route *const *tables = verb_tables(x->f->capabilities, &n);

	assert_ptr_equal(verb_find(x->f, "more"), &verbs[0]);
	assert_null(verb_find(x->f, "less"));
	for (unsigned i = 0; i < n; i++)
		for (const struct http_route *row = tables[i]; row->path; row++)
			found += row->verb == &verbs[0] && strcmp(row->path, "/api/more") == 0;
	assert_int_equal(found, 1);
	free((void *)tables);
}

#define WITH_MORE(test) cmocka_unit_test_setup_teardown(test, more_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_MORE(test_life),	      WITH_MORE(test_load_fails), WITH_MORE(test_events),
		WITH_MORE(test_project_goes), WITH_MORE(test_metrics),	  WITH_MORE(test_attach),
		WITH_MORE(test_verbs),	      WITH_MORE(test_turn_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

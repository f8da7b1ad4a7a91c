// SPDX-License-Identifier: Apache-2.0
/* Schedules. */
#include "supervisor/front/store/schedules.h"

#include "supervisor/front/store/priv.h"

void schedule_spec_clear(struct schedule_spec *spec)
{
	free(spec->payload);
	*spec = (struct schedule_spec){0};
}

static const struct column columns[] = {
	COLUMN(schedule_row, "id", COLUMN_TEXT, id),
	COLUMN(schedule_row, "project_id", COLUMN_TEXT, project),
	COLUMN(schedule_row, "state", COLUMN_U32, state),
	COLUMN(schedule_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(schedule_row, "changed_ns", COLUMN_U64, changed_ns),
	COLUMN(schedule_row, "next_ns", COLUMN_U64, next_ns),
	COLUMN(schedule_row, "last_ns", COLUMN_U64, last_ns),
	COLUMN(schedule_row, "run_count", COLUMN_U32, run_count),
	COLUMN(schedule_row, "msg", COLUMN_TEXT, msg),
	COLUMN(schedule_row, "code_name", COLUMN_TEXT, spec.code_name),
	COLUMN(schedule_row, "payload", COLUMN_OWNED_NULL, spec.payload),
	COLUMN(schedule_row, "start_ns", COLUMN_U64, spec.start_ns),
	COLUMN(schedule_row, "end_ns", COLUMN_U64, spec.end_ns),
	COLUMN(schedule_row, "run_every_s", COLUMN_U32, spec.run_every_s),
	COLUMN(schedule_row, "run_times", COLUMN_U32, spec.run_times),
	COLUMN(schedule_row, "cron", COLUMN_TEXT, spec.cron),
	COLUMN(schedule_row, "zone", COLUMN_TEXT, spec.zone),
	COLUMN(schedule_row, "priority", COLUMN_I32, spec.priority),
	COLUMN(schedule_row, "timeout_s", COLUMN_U32, spec.timeout_s),
	COLUMN(schedule_row, "delay_s", COLUMN_U32, spec.delay_s),
	COLUMN(schedule_row, "label", COLUMN_TEXT, spec.label),
	COLUMN(schedule_row, "cluster", COLUMN_TEXT, spec.cluster),
};
static const struct table schedules_table = TABLE("schedules", schedule_row, 1, columns);

/* What changes with each time. */
static const struct column ran_columns[] = {
	COLUMN(schedule_row, "id", COLUMN_TEXT, id),
	COLUMN(schedule_row, "state", COLUMN_U32, state),
	COLUMN(schedule_row, "next_ns", COLUMN_U64, next_ns),
	COLUMN(schedule_row, "last_ns", COLUMN_U64, last_ns),
	COLUMN(schedule_row, "run_count", COLUMN_U32, run_count),
	COLUMN(schedule_row, "msg", COLUMN_TEXT, msg),
};
static const struct table ran_table = TABLE("schedules", schedule_row, 1, ran_columns);

/* clang-format off */
static const char step_1[] =
	"CREATE TABLE schedules (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" state INTEGER NOT NULL, created_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL,"
	" next_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, run_count INTEGER NOT NULL,"
	" msg TEXT NOT NULL, code_name TEXT NOT NULL, payload TEXT, start_ns INTEGER NOT NULL,"
	" end_ns INTEGER NOT NULL, run_every_s INTEGER NOT NULL, run_times INTEGER NOT NULL,"
	" cron TEXT NOT NULL, zone TEXT NOT NULL, priority INTEGER NOT NULL,"
	" timeout_s INTEGER NOT NULL, delay_s INTEGER NOT NULL, label TEXT NOT NULL,"
	" cluster TEXT NOT NULL);"
	"CREATE INDEX schedules_project ON schedules (project_id)";
/* clang-format on */

static const struct migration steps[] = {{1, 2, step_1, NULL}, {0}};
static const struct table *const tables[] = {&schedules_table, NULL};
const struct schema schedules_schema = {"schedules", steps, tables, NULL};

int store_schedule_load(struct store *store, store_schedule_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct schedule_row row;
	int r = store_select(store, &schedules_table, " FROM schedules ORDER BY created_ns, rowid",
			     &st, e);

	if (r < 0)
		return r;
	while ((r = store_next_row(store, &schedules_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r < 0) {
			schedule_spec_clear(&row.spec);
			return err_set(e, ERR_SYSTEM, -r, "the store's schedule %s", row.id);
		}
	}
	return r;
}

int store_schedule_put(struct store *store, const struct schedule_row *s, struct err *e)
{
	return store_put(store, &schedules_table, s, e);
}

int store_schedule_ran(struct store *store, const struct schedule_row *ran, struct err *e)
{
	struct schedule_row row = *ran;

	row.msg[0] = '\0';
	return store_update(store, &ran_table, &row, e);
}

int store_schedule_delete(struct store *store, const char *id, struct err *e)
{
	return store_sql(store, "DELETE FROM schedules WHERE id = ?1", "s", e, id);
}

int store_schedule_delete_all(struct store *store, const char *project, struct err *e)
{
	return store_sql(store, "DELETE FROM schedules WHERE project_id = ?1", "s", e, project);
}

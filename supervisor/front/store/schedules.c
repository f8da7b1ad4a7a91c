// SPDX-License-Identifier: Apache-2.0
/* Schedules in the store. Their columns are in the order of this file's numbers. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/schedules.h"

void schedule_spec_clear(struct schedule_spec *spec)
{
	free(spec->payload);
	*spec = (struct schedule_spec){0};
}

static void column_text(sqlite3_stmt *st, int i, char *buf, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	(void)snprintf(buf, size, "%s", text ? text : "");
}

static uint64_t column_ns(sqlite3_stmt *st, int i)
{
	return (uint64_t)sqlite3_column_int64(st, i);
}

static uint32_t column_u32(sqlite3_stmt *st, int i)
{
	return (uint32_t)sqlite3_column_int64(st, i);
}

static int read_row(sqlite3_stmt *st, struct schedule_row *s)
{
	const char *payload = (const char *)sqlite3_column_text(st, 10);
	struct schedule_spec *spec = &s->spec;

	*s = (struct schedule_row){0};
	column_text(st, 0, s->id, sizeof(s->id));
	s->state = (enum schedule_state)sqlite3_column_int(st, 2);
	s->created_ns = column_ns(st, 3);
	s->changed_ns = column_ns(st, 4);
	s->next_ns = column_ns(st, 5);
	s->last_ns = column_ns(st, 6);
	s->run_count = column_u32(st, 7);
	column_text(st, 8, s->msg, sizeof(s->msg));
	column_text(st, 9, spec->code_name, sizeof(spec->code_name));
	spec->start_ns = column_ns(st, 11);
	spec->end_ns = column_ns(st, 12);
	spec->run_every_s = column_u32(st, 13);
	spec->run_times = column_u32(st, 14);
	column_text(st, 15, spec->cron, sizeof(spec->cron));
	column_text(st, 16, spec->zone, sizeof(spec->zone));
	spec->priority = sqlite3_column_int(st, 17);
	spec->timeout_s = column_u32(st, 18);
	spec->delay_s = column_u32(st, 19);
	column_text(st, 20, spec->label, sizeof(spec->label));
	column_text(st, 21, spec->cluster, sizeof(spec->cluster));
	spec->payload = payload ? strdup(payload) : NULL;
	return payload && !spec->payload ? -ENOMEM : 0;
}

int store_schedule_load(struct store *store, store_schedule_fn fn, void *arg, struct err *e)
{
	static const char sql[] =
		"SELECT id, project_id, state, created_ns, changed_ns, next_ns, last_ns, "
		"run_count, "
		"msg, code_name, payload, start_ns, end_ns, run_every_s, run_times, cron, zone, "
		"priority, timeout_s, delay_s, label, cluster FROM schedules "
		"ORDER BY created_ns, rowid";
	sqlite3_stmt *st = NULL;
	int step = SQLITE_DONE, r = 0;

	if (sqlite3_prepare_v2(store->db, sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	while (r == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		char project[PROJECT_ID_LEN + 1];
		struct schedule_row s;

		column_text(st, 1, project, sizeof(project));
		r = read_row(st, &s);
		if (r == 0)
			r = fn(arg, project, &s);
		if (r < 0) {
			schedule_spec_clear(&s.spec);
			r = err_set(e, ERR_SYSTEM, -r, "the store's schedule %s", s.id);
		}
	}
	if (r == 0 && step != SQLITE_DONE)
		r = store_fail(store, e, "be read");
	(void)sqlite3_finalize(st);
	return r;
}

int store_schedule_put(struct store *store, const char *project, const struct schedule_row *s,
		       struct err *e)
{
	const struct schedule_spec *spec = &s->spec;

	return store_sql(
		store,
		"INSERT OR REPLACE INTO schedules (id, project_id, state, created_ns, changed_ns, "
		"next_ns, last_ns, run_count, msg, code_name, payload, start_ns, end_ns, "
		"run_every_s, run_times, cron, zone, priority, timeout_s, delay_s, label, cluster) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"ssiiiiiisssiiiissiiiss", e, s->id, project, (sqlite3_int64)s->state,
		(sqlite3_int64)s->created_ns, (sqlite3_int64)s->changed_ns,
		(sqlite3_int64)s->next_ns, (sqlite3_int64)s->last_ns, (sqlite3_int64)s->run_count,
		s->msg, spec->code_name, spec->payload, (sqlite3_int64)spec->start_ns,
		(sqlite3_int64)spec->end_ns, (sqlite3_int64)spec->run_every_s,
		(sqlite3_int64)spec->run_times, spec->cron, spec->zone,
		(sqlite3_int64)spec->priority, (sqlite3_int64)spec->timeout_s,
		(sqlite3_int64)spec->delay_s, spec->label, spec->cluster);
}

int store_schedule_ran(struct store *store, const struct schedule_row *ran, struct err *e)
{
	return store_sql(store,
			 "UPDATE schedules SET state = ?2, next_ns = ?3, last_ns = ?4, "
			 "run_count = ?5, msg = '' WHERE id = ?1",
			 "siiii", e, ran->id, (sqlite3_int64)ran->state,
			 (sqlite3_int64)ran->next_ns, (sqlite3_int64)ran->last_ns,
			 (sqlite3_int64)ran->run_count);
}

int store_schedule_delete(struct store *store, const char *id, struct err *e)
{
	return store_sql(store, "DELETE FROM schedules WHERE id = ?1", "s", e, id);
}

// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/row.h"

#include <stdio.h>
#include <string.h>

enum column_type { COLUMN_TEXT, COLUMN_BLOB, COLUMN_U32, COLUMN_I32, COLUMN_U64 };

#define COLUMN(name, type, member)                                                                 \
	{                                                                                          \
		name, type, offsetof(struct task_record, member),                                  \
			sizeof(((struct task_record *)NULL)->member)                               \
	}

/* The order is the schema's: new columns go to the end, with a new STORE_VERSION. */
static const struct column {
	const char *name;
	enum column_type type;
	size_t offset, size;
} columns[] = {
	COLUMN("id", COLUMN_TEXT, id), /* first: ?1 in every statement */
	COLUMN("project", COLUMN_TEXT, project),
	COLUMN("image", COLUMN_TEXT, image),
	COLUMN("image_digest", COLUMN_BLOB, image_digest),
	COLUMN("policy", COLUMN_TEXT, policy),
	COLUMN("policy_id", COLUMN_BLOB, policy_id),
	COLUMN("has_package", COLUMN_U32, has_package),
	COLUMN("package", COLUMN_BLOB, package),
	COLUMN("label", COLUMN_TEXT, label),
	COLUMN("priority", COLUMN_U32, priority),
	COLUMN("requested_by", COLUMN_U32, requested_by),
	COLUMN("state", COLUMN_U32, state),
	COLUMN("verdict", COLUMN_U32, verdict),
	COLUMN("start_asked", COLUMN_U32, start_asked),
	COLUMN("start_mode", COLUMN_U32, start_mode),
	COLUMN("start_us", COLUMN_U64, start_us),
	COLUMN("exit_code", COLUMN_I32, exit_code),
	COLUMN("signal", COLUMN_I32, signal),
	COLUMN("created_ns", COLUMN_U64, created_ns),
	COLUMN("started_ns", COLUMN_U64, started_ns),
	COLUMN("finished_ns", COLUMN_U64, finished_ns),
	COLUMN("cancel_ns", COLUMN_U64, cancel_ns),
	COLUMN("cpu_us", COLUMN_U64, cpu_us),
	COLUMN("memory_peak", COLUMN_U64, memory_peak),
	COLUMN("log_known", COLUMN_U32, log_known),
	COLUMN("log_lines", COLUMN_U64, log_lines),
	COLUMN("log_bytes", COLUMN_U64, log_bytes),
	COLUMN("log_dropped", COLUMN_U64, log_dropped),
	COLUMN("limit_memory", COLUMN_U64, limits.memory),
	COLUMN("limit_disk", COLUMN_U64, limits.disk),
	COLUMN("limit_log", COLUMN_U64, limits.log_bytes),
	COLUMN("limit_cpu_milli", COLUMN_U32, limits.cpu_milli),
	COLUMN("limit_pids", COLUMN_U32, limits.pids),
	COLUMN("limit_timeout_s", COLUMN_U32, limits.timeout_s),
	COLUMN("limit_nofile", COLUMN_U32, limits.nofile),
	COLUMN("warm", COLUMN_TEXT, warm),
	COLUMN("warning", COLUMN_TEXT, warning),
	COLUMN("error", COLUMN_TEXT, error),
	/* From version 2 on; store_row_upgrade finds the first of a version by its name. */
	COLUMN("code", COLUMN_TEXT, code),
	COLUMN("code_name", COLUMN_TEXT, code_name),
	COLUMN("schedule", COLUMN_TEXT, schedule),
	COLUMN("original", COLUMN_TEXT, original),
	COLUMN("retry", COLUMN_TEXT, retry),
	COLUMN("revision", COLUMN_U32, revision),
	COLUMN("attempt", COLUMN_U32, attempt),
	COLUMN("retries_left", COLUMN_U32, retries_left),
	COLUMN("retries_delay_s", COLUMN_U32, retries_delay_s),
	COLUMN("percent", COLUMN_U32, percent),
	COLUMN("timeout_asked_s", COLUMN_U32, timeout_asked_s),
	COLUMN("dead_letter", COLUMN_U32, dead_letter),
	COLUMN("not_before_ns", COLUMN_U64, not_before_ns),
	COLUMN("cluster", COLUMN_TEXT, cluster),
	COLUMN("msg", COLUMN_TEXT, msg),
	/* From version 3 on. */
	COLUMN("log_disk", COLUMN_U64, log_disk),
	COLUMN("log_gone", COLUMN_U32, log_gone),
	COLUMN("together", COLUMN_U32, together),
};
/* After the table: the one text of any length. */
#define SPEC_COLUMN ((int)ARRAY_SIZE(columns))

static const char *const types[] = {"TEXT", "BLOB", "INTEGER", "INTEGER", "INTEGER"};

void store_row_sql(enum store_row_sql what, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (int i = 0; i <= SPEC_COLUMN && n < size; i++) {
		const char *name = i < SPEC_COLUMN ? columns[i].name : "spec";
		const char *type = i < SPEC_COLUMN ? types[columns[i].type] : "TEXT";
		const char *comma = i < SPEC_COLUMN ? ", " : "";
		int len = 0;

		if (what == STORE_SQL_CREATE)
			len = snprintf(buf + n, size - n, "%s %s %s%s", name, type,
				       i ? "NOT NULL" : "PRIMARY KEY NOT NULL", comma);
		else if (what == STORE_SQL_LIST)
			len = snprintf(buf + n, size - n, "%s%s", i < SPEC_COLUMN ? name : "''",
				       comma);
		else if (what == STORE_SQL_COLUMNS)
			len = snprintf(buf + n, size - n, "%s%s", name, comma);
		else if (what == STORE_SQL_MARKS)
			len = snprintf(buf + n, size - n, "?%d%s", i + 1, comma);
		else if (i > 0)
			len = snprintf(buf + n, size - n, "%s = ?%d%s", name, i + 1, comma);
		n += (size_t)len;
	}
}

void store_row_upgrade(int version, char *buf, size_t size)
{
	const char *first = version == 2 ? "code" : "log_disk";
	const char *end = version == 2 ? "log_disk" : "";
	bool is_new = false;
	size_t n = 0;

	buf[0] = '\0';
	for (int i = 0; i < SPEC_COLUMN && n < size; i++) {
		const char *name = columns[i].name, *type = types[columns[i].type];

		is_new = (is_new || strcmp(name, first) == 0) && strcmp(name, end) != 0;
		if (is_new)
			n += (size_t)snprintf(buf + n, size - n,
					      "ALTER TABLE tasks ADD COLUMN %s %s NOT NULL "
					      "DEFAULT %s;",
					      name, type, strcmp(type, "TEXT") == 0 ? "''" : "0");
	}
}

void store_row_bind(sqlite3_stmt *st, const struct task_record *rec)
{
	for (int i = 0; i < SPEC_COLUMN; i++) {
		const struct column *c = &columns[i];
		const char *p = (const char *)rec + c->offset;
		uint32_t u32;
		int32_t i32;
		uint64_t u64;

		switch (c->type) {
		case COLUMN_TEXT:
			(void)sqlite3_bind_text(st, i + 1, p, -1, SQLITE_STATIC);
			break;
		case COLUMN_BLOB:
			(void)sqlite3_bind_blob(st, i + 1, p, (int)c->size, SQLITE_STATIC);
			break;
		case COLUMN_U32:
			memcpy(&u32, p, sizeof(u32));
			(void)sqlite3_bind_int64(st, i + 1, u32);
			break;
		case COLUMN_I32:
			memcpy(&i32, p, sizeof(i32));
			(void)sqlite3_bind_int64(st, i + 1, i32);
			break;
		case COLUMN_U64:
			memcpy(&u64, p, sizeof(u64));
			(void)sqlite3_bind_int64(st, i + 1, (sqlite3_int64)u64);
			break;
		}
	}
	(void)sqlite3_bind_text(st, SPEC_COLUMN + 1, rec->spec ? rec->spec : "", -1, SQLITE_STATIC);
}

static bool read_column(sqlite3_stmt *st, int i, char *p)
{
	const struct column *c = &columns[i];
	sqlite3_int64 v = sqlite3_column_int64(st, i);
	const void *bytes;
	uint64_t u64 = (uint64_t)v;
	uint32_t u32 = (uint32_t)v;
	int n;

	switch (c->type) {
	case COLUMN_TEXT:
	case COLUMN_BLOB:
		bytes = c->type == COLUMN_TEXT ? (const void *)sqlite3_column_text(st, i)
					       : sqlite3_column_blob(st, i);
		n = sqlite3_column_bytes(st, i);
		if (c->type == COLUMN_BLOB ? n != (int)c->size : n >= (int)c->size)
			return false;
		if (n > 0)
			memcpy(p, bytes, (size_t)n);
		return true;
	case COLUMN_U32:
	case COLUMN_I32:
		memcpy(p, &u32, sizeof(u32));
		return true;
	default:
		memcpy(p, &u64, sizeof(u64));
		return true;
	}
}

int store_row_read(sqlite3_stmt *st, struct task_record *ret, struct err *e)
{
	const char *spec;

	*ret = (struct task_record){0};
	for (int i = 0; i < SPEC_COLUMN; i++)
		if (!read_column(st, i, (char *)ret + columns[i].offset))
			return err_set(e, ERR_INTERNAL, 0, "the task store's column %s is damaged",
				       columns[i].name);
	if (!util_is_id(ret->id) || ret->state >= TASK_STATE_MAX || ret->verdict >= VERDICT_MAX ||
	    ret->start_asked >= START_MODE_MAX || ret->start_mode >= START_MODE_MAX)
		return err_set(e, ERR_INTERNAL, 0, "a row of the task store is damaged");
	spec = (const char *)sqlite3_column_text(st, SPEC_COLUMN);
	ret->spec = strdup(spec ? spec : "");
	return ret->spec ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "the task store");
}

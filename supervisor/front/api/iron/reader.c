// SPDX-License-Identifier: Apache-2.0
/* How bodies that may be long are read before their handlers are called (http_read.h). */
#include "supervisor/front/api/iron/iron.h"

static int read_tasks(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	struct iron_tasks *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return err_set(e, ERR_SYSTEM, ENOMEM, "tasks");
	r = iron_tasks_parse(text, len, strict, all, e);
	if (r < 0)
		free(all);
	else
		*ret = all;
	return r;
}

static void free_tasks(void *what)
{
	iron_tasks_clear(what);
	free(what);
}

static int read_schedules(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	struct iron_schedules *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return err_set(e, ERR_SYSTEM, ENOMEM, "schedules");
	r = iron_schedules_parse(text, len, strict, all, e);
	if (r < 0)
		free(all);
	else
		*ret = all;
	return r;
}

static void free_schedules(void *what)
{
	iron_schedules_clear(what);
	free(what);
}

static int read_schedule(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	char *left = NULL;
	int r = iron_schedule_shorten(text, len, strict, &left, e);

	*ret = left;
	return r;
}

static int read_code(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	char *left = NULL;
	int r = iron_code_shorten(text, len, strict, &left, e);

	*ret = left;
	return r;
}

const struct http_reader iron_reader_tasks = {iron_strict, read_tasks, free_tasks};
const struct http_reader iron_reader_schedules = {iron_strict, read_schedules, free_schedules};
const struct http_reader iron_reader_schedule = {iron_strict, read_schedule, free};
const struct http_reader iron_reader_code = {iron_strict, read_code, free};

// SPDX-License-Identifier: Apache-2.0
/* A project's workers, tasks, dead letters and schedules as tables. */
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/tenant_verb.h"

const char tenant_workers_help[] =
	"usage: sandboxctl workers\n\nThe project's workers.\n" TENANT_HELP;
const char tenant_tasks_help[] =
	"usage: sandboxctl tasks [OPTION]...\n"
	"       sandboxctl dead-letters [OPTION]...\n\n"
	"The project's tasks, newest first; dead letters are those that have failed with no retry\n"
	"left ('sandboxctl retry TASK' queues one again).\n\n"
	"      --worker NAME       only of this worker\n"
	"      --status STATUS     only these: queued,running,...\n"
	"      --label TEXT        only with this label\n"
	"  -l, --limit N           no more than this many (30)\n" TENANT_HELP;
const char tenant_schedules_help[] =
	"usage: sandboxctl schedules\n\nThe project's schedules.\n" TENANT_HELP;

#define LIMIT_MAX 1000000
#define PAGE 100

static void cell(char to[CTL_CELL], const json_t *of, const char *key)
{
	const json_t *value = json_object_get(of, key);

	if (json_is_integer(value))
		(void)snprintf(to, CTL_CELL, "%lld", (long long)json_integer_value(value));
	else
		(void)snprintf(to, CTL_CELL, "%s", ctl_text(of, key));
}

/* Writes a time without its fraction; nothing for IronWorker's zero time. */
static void time_cell(char to[CTL_CELL], const json_t *of, const char *key)
{
	const char *text = ctl_text(of, key);

	if (strncmp(text, "0001-", 5) == 0)
		text = "";
	(void)snprintf(to, CTL_CELL, "%.19s%s", text, *text ? "Z" : "");
}

static void worker_row(const json_t *of, char c[][CTL_CELL])
{
	cell(c[0], of, "name");
	cell(c[1], of, "rev");
	cell(c[2], of, "image");
	cell(c[3], of, "queued");
	cell(c[4], of, "running");
	(void)snprintf(c[5], CTL_CELL, "%s",
		       json_is_true(json_object_get(of, "paused")) ? "paused" : "");
	time_cell(c[6], of, "latest_change");
}

static void task_row(const json_t *of, char c[][CTL_CELL])
{
	cell(c[0], of, "id");
	cell(c[1], of, "code_name");
	cell(c[2], of, "status");
	cell(c[3], of, "exit_code");
	cell(c[4], of, "attempt");
	time_cell(c[5], of, "created_at");
	cell(c[6], of, "label");
}

static void schedule_row(const json_t *of, char c[][CTL_CELL])
{
	const char *cron = ctl_text(of, "cron");

	cell(c[0], of, "id");
	cell(c[1], of, "code_name");
	cell(c[2], of, "status");
	time_cell(c[3], of, "next_start");
	cell(c[4], of, "run_count");
	if (*cron)
		(void)snprintf(c[5], CTL_CELL, "%.40s %.30s", cron, ctl_text(of, "timezone"));
	else if (json_integer_value(json_object_get(of, "run_every")) > 0)
		(void)snprintf(c[5], CTL_CELL, "every %lld s",
			       (long long)json_integer_value(json_object_get(of, "run_every")));
	else
		(void)snprintf(c[5], CTL_CELL, "once");
	cell(c[6], of, "msg");
}

static const struct ctl_table workers_table = {
	7, {"NAME", "REVISION", "IMAGE", "QUEUED", "RUNNING", "PAUSED", "CHANGED"}, worker_row};
static const struct ctl_table tasks_table = {
	7, {"TASK", "WORKER", "STATUS", "EXIT", "ATTEMPT", "CREATED", "LABEL"}, task_row};
static const struct ctl_table schedules_table = {
	7, {"SCHEDULE", "WORKER", "STATUS", "NEXT", "RUNS", "WHEN", "MESSAGE"}, schedule_row};

static int print_rows(const struct tenant *tenant, const struct ctl_table *table,
		      const json_t *rows)
{
	if (tenant->ctl->json)
		return ctl_print_json(rows);
	ctl_print_table(table, rows);
	return ctl_flush(0);
}

/* Prints all pages of a list that numbers its pages. */
static int list_pages(struct tenant *tenant, const char *key, const struct ctl_table *table)
{
	json_auto_t *rows = json_array();
	struct err e = {0};
	size_t n = PAGE;
	char path[64];

	for (unsigned page = 0; n == PAGE; page++) {
		json_auto_t *reply = NULL;

		(void)snprintf(path, sizeof(path), "/%s?page=%u&per_page=%d", key, page, PAGE);
		if (tenant_call(tenant, "GET", path, NULL, &reply, &e) < 0)
			return ctl_fail(&e);
		n = json_array_size(json_object_get(reply, key));
		(void)json_array_extend(rows, json_object_get(reply, key));
	}
	return print_rows(tenant, table, rows);
}

int tenant_workers(struct tenant *tenant, int argc, char **argv)
{
	int r = tenant_plain(tenant, argc, argv, 0, 0, "");

	return r ? r : list_pages(tenant, "codes", &workers_table);
}

int tenant_schedules(struct tenant *tenant, int argc, char **argv)
{
	int r = tenant_plain(tenant, argc, argv, 0, 0, "");

	return r ? r : list_pages(tenant, "schedules", &schedules_table);
}

/* The options of `tasks`; the texts are argv's. */
struct filter {
	const char *worker, *status, *label;
	long long limit;
};

static int read_filter(struct tenant *tenant, int argc, char **argv, struct filter *f)
{
	static const struct option options[] = {
		{"worker", required_argument, NULL, 'w'},
		{"code", required_argument, NULL, 'w'}, /* IronWorker's word */
		{"status", required_argument, NULL, 's'},
		{"label", required_argument, NULL, 'L'},
		{"limit", required_argument, NULL, 'l'},
		TENANT_OPTIONS,
		{0}};
	struct err e = {0};
	int c;

	while ((c = getopt_long(argc, argv, "l:e:", options, NULL)) != -1) {
		if (tenant_option(tenant, c, optarg))
			continue;
		if (c == '?')
			return ctl_bad_option(tenant->verb, argv);
		if (c == 'l' && tenant_number("--limit", optarg, 1, LIMIT_MAX, &f->limit, &e) < 0)
			return ctl_fail(&e);
		f->worker = c == 'w' ? optarg : f->worker;
		f->status = c == 's' ? optarg : f->status;
		f->label = c == 'L' ? optarg : f->label;
	}
	return tenant_words(tenant->verb, argc, argv, 0, 0, "");
}

/* Makes "/tasks?limit=..&code_name=..&before=.."; the caller frees it. */
static char *task_path(struct tenant *tenant, const struct filter *f, long long left,
		       const char *before)
{
	const struct {
		const char *key, *value;
	} params[] = {{"code_name", f->worker},
		      {"status", f->status},
		      {"label", f->label},
		      {"before", before}};
	char *path = NULL;

	if (asprintf(&path, "/%s?limit=%lld",
		     strcmp(tenant->verb, "tasks") == 0 ? "tasks" : "dead_letters",
		     left < PAGE ? left : PAGE) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
		_cleanup_free_ char *value = NULL, *old = path;

		if (!params[i].value || !*params[i].value) {
			old = NULL;
			continue;
		}
		value = tenant_escape(tenant, params[i].value);
		path = NULL;
		if (!value || asprintf(&path, "%s&%s=%s", old, params[i].key, value) < 0)
			return NULL;
	}
	return path;
}

int tenant_tasks(struct tenant *tenant, int argc, char **argv)
{
	json_auto_t *rows = json_array();
	struct filter f = {.limit = 30};
	char before[64] = "";
	struct err e = {0};
	int r = read_filter(tenant, argc, argv, &f);

	if (r)
		return r;
	r = tenant_begin(tenant, &e);
	while (r == 0) {
		long long left = f.limit - (long long)json_array_size(rows);
		_cleanup_free_ char *path = NULL;
		json_auto_t *reply = NULL;

		if (left <= 0)
			break;
		path = task_path(tenant, &f, left, before);
		if (!path)
			r = err_set(&e, ERR_SYSTEM, ENOMEM, "%s", tenant->verb);
		if (r == 0)
			r = tenant_call(tenant, "GET", path, NULL, &reply, &e);
		if (r < 0)
			break;
		(void)json_array_extend(rows, json_object_get(reply, "tasks"));
		(void)snprintf(before, sizeof(before), "%s", ctl_text(reply, "before"));
		if (!*before)
			break;
	}
	return r < 0 ? ctl_fail(&e) : print_rows(tenant, &tasks_table, rows);
}

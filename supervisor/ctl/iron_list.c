// SPDX-License-Identifier: Apache-2.0
/* A project's codes, tasks, dead letters and schedules as tables. */
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/iron_verb.h"

const char iron_codes_help[] = "usage: sandboxctl codes\n\nThe project's codes.\n" IRON_HELP;
const char iron_tasks_help[] =
	"usage: sandboxctl tasks [OPTION]...\n"
	"       sandboxctl dead-letters [OPTION]...\n\n"
	"The project's tasks, newest first; dead letters are those that have failed with no retry\n"
	"left ('sandboxctl retry TASK' queues one again).\n\n"
	"      --code NAME         only of this code\n"
	"      --status STATUS     only these: queued,running,...\n"
	"      --label TEXT        only with this label\n"
	"  -l, --limit N           no more than this many (30)\n" IRON_HELP;
const char iron_schedules_help[] =
	"usage: sandboxctl schedules\n\nThe project's schedules.\n" IRON_HELP;

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

/* A time without its fraction; nothing where it is IronWorker's zero. */
static void time_cell(char to[CTL_CELL], const json_t *of, const char *key)
{
	const char *text = ctl_text(of, key);

	if (strncmp(text, "0001-", 5) == 0)
		text = "";
	(void)snprintf(to, CTL_CELL, "%.19s%s", text, *text ? "Z" : "");
}

static void code_row(const json_t *of, char c[][CTL_CELL])
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

static const struct ctl_table codes_table = {
	7, {"NAME", "REVISION", "IMAGE", "QUEUED", "RUNNING", "PAUSED", "CHANGED"}, code_row};
static const struct ctl_table tasks_table = {
	7, {"TASK", "CODE", "STATUS", "EXIT", "ATTEMPT", "CREATED", "LABEL"}, task_row};
static const struct ctl_table schedules_table = {
	7, {"SCHEDULE", "CODE", "STATUS", "NEXT", "RUNS", "WHEN", "MESSAGE"}, schedule_row};

static int print_rows(const struct iron *iron, const struct ctl_table *table, const json_t *rows)
{
	if (iron->ctl->json)
		return ctl_print_json(rows);
	ctl_print_table(table, rows);
	return ctl_flush(0);
}

/* All pages of a list that has page numbers. */
static int list_pages(struct iron *iron, const char *key, const struct ctl_table *table)
{
	json_auto_t *rows = json_array();
	struct err e = {0};
	size_t n = PAGE;
	char path[64];

	for (unsigned page = 0; n == PAGE; page++) {
		json_auto_t *reply = NULL;

		(void)snprintf(path, sizeof(path), "/%s?page=%u&per_page=%d", key, page, PAGE);
		if (iron_call(iron, "GET", path, NULL, &reply, &e) < 0)
			return ctl_fail(&e);
		n = json_array_size(json_object_get(reply, key));
		(void)json_array_extend(rows, json_object_get(reply, key));
	}
	return print_rows(iron, table, rows);
}

int iron_codes(struct iron *iron, int argc, char **argv)
{
	int r = iron_plain(iron, argc, argv, 0, 0, "");

	return r ? r : list_pages(iron, "codes", &codes_table);
}

int iron_schedules(struct iron *iron, int argc, char **argv)
{
	int r = iron_plain(iron, argc, argv, 0, 0, "");

	return r ? r : list_pages(iron, "schedules", &schedules_table);
}

/* The options of `tasks`; text is borrowed. */
struct filter {
	const char *code, *status, *label;
	long long limit;
};

static int read_filter(struct iron *iron, int argc, char **argv, struct filter *f)
{
	static const struct option options[] = {{"code", required_argument, NULL, 'c'},
						{"status", required_argument, NULL, 's'},
						{"label", required_argument, NULL, 'L'},
						{"limit", required_argument, NULL, 'l'},
						IRON_OPTIONS,
						{0}};
	struct err e = {0};
	int c;

	while ((c = getopt_long(argc, argv, "l:e:", options, NULL)) != -1) {
		if (iron_option(iron, c, optarg))
			continue;
		if (c == '?')
			return ctl_bad_option(iron->verb, argv);
		if (c == 'l' && iron_number("--limit", optarg, 1, LIMIT_MAX, &f->limit, &e) < 0)
			return ctl_fail(&e);
		f->code = c == 'c' ? optarg : f->code;
		f->status = c == 's' ? optarg : f->status;
		f->label = c == 'L' ? optarg : f->label;
	}
	return iron_words(iron->verb, argc, argv, 0, 0, "");
}

/* "/tasks?limit=..&code_name=..&before=.."; owned by the caller. */
static char *task_path(struct iron *iron, const struct filter *f, long long left,
		       const char *before)
{
	const struct {
		const char *key, *value;
	} params[] = {{"code_name", f->code},
		      {"status", f->status},
		      {"label", f->label},
		      {"before", before}};
	char *path = NULL;

	if (asprintf(&path, "/%s?limit=%lld",
		     strcmp(iron->verb, "tasks") == 0 ? "tasks" : "dead_letters",
		     left < PAGE ? left : PAGE) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
		_cleanup_free_ char *value = NULL, *old = path;

		if (!params[i].value || !*params[i].value) {
			old = NULL;
			continue;
		}
		value = iron_escape(iron, params[i].value);
		path = NULL;
		if (!value || asprintf(&path, "%s&%s=%s", old, params[i].key, value) < 0)
			return NULL;
	}
	return path;
}

int iron_tasks(struct iron *iron, int argc, char **argv)
{
	json_auto_t *rows = json_array();
	struct filter f = {.limit = 30};
	char before[64] = "";
	struct err e = {0};
	int r = read_filter(iron, argc, argv, &f);

	if (r)
		return r;
	r = iron_begin(iron, &e);
	while (r == 0) {
		long long left = f.limit - (long long)json_array_size(rows);
		_cleanup_free_ char *path = NULL;
		json_auto_t *reply = NULL;

		if (left <= 0)
			break;
		path = task_path(iron, &f, left, before);
		if (!path)
			r = err_set(&e, ERR_SYSTEM, ENOMEM, "%s", iron->verb);
		if (r == 0)
			r = iron_call(iron, "GET", path, NULL, &reply, &e);
		if (r < 0)
			break;
		(void)json_array_extend(rows, json_object_get(reply, "tasks"));
		(void)snprintf(before, sizeof(before), "%s", ctl_text(reply, "before"));
		if (!*before)
			break;
	}
	return r < 0 ? ctl_fail(&e) : print_rows(iron, &tasks_table, rows);
}

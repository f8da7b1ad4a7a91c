// SPDX-License-Identifier: Apache-2.0
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "supervisor/ctl/ctl.h"

/* Columns grow with their content, so a table is kept whole before it is printed. */
#define PS_COLUMNS 8
static const char *const titles[PS_COLUMNS] = {"ID", "IMAGE",	"STATUS",  "START",
					       "MS", "CREATED", "VERDICT", "LABEL"};

static void row_of(const json_t *task, char cell[PS_COLUMNS][80])
{
	const json_t *start = json_object_get(task, "start");
	const json_t *ms = json_object_get(start, "ms");
	const char *created = ctl_text(task, "created_at");

	snprintf(cell[0], 80, "%s", ctl_text(task, "id"));
	snprintf(cell[1], 80, "%s", ctl_text(task, "image"));
	snprintf(cell[2], 80, "%s", ctl_text(task, "status"));
	snprintf(cell[3], 80, "%s", ctl_text(start, "mode"));
	cell[4][0] = '\0';
	if (json_is_number(ms))
		snprintf(cell[4], 80, "%.1f", json_number_value(ms));
	/* Seconds are enough for people: 2026-01-31T12:34:56Z. */
	snprintf(cell[5], 80, "%.19s%s", created, *created ? "Z" : "");
	snprintf(cell[6], 80, "%s", ctl_text(task, "verdict"));
	snprintf(cell[7], 80, "%s", ctl_text(task, "label"));
}

static void print_table(const json_t *tasks)
{
	int width[PS_COLUMNS] = {0};
	char cell[PS_COLUMNS][80];
	const json_t *task;
	size_t i;
	int last;

	for (int c = 0; c < PS_COLUMNS; c++)
		width[c] = (int)strlen(titles[c]);
	json_array_foreach(tasks, i, task)
	{
		row_of(task, cell);
		for (int c = 0; c < PS_COLUMNS; c++)
			if ((int)strlen(cell[c]) > width[c])
				width[c] = (int)strlen(cell[c]);
	}
	for (int c = 0; c < PS_COLUMNS - 1; c++)
		printf("%-*s  ", width[c], titles[c]);
	puts(titles[PS_COLUMNS - 1]);
	json_array_foreach(tasks, i, task)
	{
		row_of(task, cell);
		last = PS_COLUMNS - 1;
		while (last > 0 && !*cell[last])
			last--; /* no blanks at the end of a line */
		for (int c = 0; c <= last; c++) {
			ctl_print_text(cell[c]);
			if (c < last)
				printf("%*s", width[c] + 2 - (int)strlen(cell[c]), "");
		}
		putchar('\n');
	}
}

/* All tasks, asking as often as the daemon cuts its answer short. */
static int fetch(struct ctl *ctl, bool all, json_t *tasks, struct err *e)
{
	json_t *request, *reply = NULL;
	bool more = true;
	int r;

	while (more) {
		size_t n = json_array_size(tasks);

		request = json_pack("{s:s, s:b}", "op", "ps", "all", all);
		if (n > 0)
			(void)json_object_set(request, "before",
					      json_object_get(json_array_get(tasks, n - 1), "id"));
		r = ctl_call(ctl, request, NULL, 0, &reply, e);
		if (r < 0)
			return r;
		(void)json_array_extend(tasks, json_object_get(reply, "tasks"));
		more = all && json_is_true(json_object_get(reply, "truncated")) &&
		       json_array_size(tasks) > n;
		json_decref(reply);
	}
	return 0;
}

int ctl_ps(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"all", no_argument, NULL, 'a'}, {"quiet", no_argument, NULL, 'q'}, {0}};
	bool all = false, quiet = false;
	json_t *tasks, *task;
	struct err e = {0};
	int c, status;
	size_t i;

	while ((c = getopt_long(argc, argv, "aq", options, NULL)) != -1) {
		if (c == '?')
			return ctl_bad_option("ps", argv);
		all |= c == 'a';
		quiet |= c == 'q';
	}
	if (optind < argc)
		return ctl_usage("ps", "does not take '%s'", argv[optind]);
	tasks = json_array();
	if (fetch(ctl, all, tasks, &e) < 0) {
		status = ctl_fail(&e);
	} else if (ctl->json) {
		status = ctl_print_json(tasks);
	} else {
		if (quiet)
			json_array_foreach(tasks, i, task) puts(ctl_text(task, "id"));
		else
			print_table(tasks);
		status = ctl_flush(0);
	}
	json_decref(tasks);
	return status;
}

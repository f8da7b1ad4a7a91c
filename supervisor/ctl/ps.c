// SPDX-License-Identifier: Apache-2.0
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "supervisor/ctl/ctl.h"

static void row_of(const json_t *task, char cell[][CTL_CELL])
{
	const json_t *start = json_object_get(task, "start");
	const json_t *ms = json_object_get(start, "ms");
	const char *created = ctl_text(task, "created_at");

	snprintf(cell[0], CTL_CELL, "%s", ctl_text(task, "id"));
	snprintf(cell[1], CTL_CELL, "%s", ctl_text(task, "image"));
	snprintf(cell[2], CTL_CELL, "%s", ctl_text(task, "status"));
	snprintf(cell[3], CTL_CELL, "%s", ctl_text(start, "mode"));
	cell[4][0] = '\0';
	if (json_is_number(ms))
		snprintf(cell[4], CTL_CELL, "%.1f", json_number_value(ms));
	/* Seconds are enough for people: 2026-01-31T12:34:56Z. */
	snprintf(cell[5], CTL_CELL, "%.19s%s", created, *created ? "Z" : "");
	snprintf(cell[6], CTL_CELL, "%s", ctl_text(task, "verdict"));
	snprintf(cell[7], CTL_CELL, "%s", ctl_text(task, "label"));
}

static const struct ctl_table table = {
	.n = 8,
	.titles = {"ID", "IMAGE", "STATUS", "START", "MS", "CREATED", "VERDICT", "LABEL"},
	.row = row_of,
};

/* All tasks, page by page: each answer says before which one the next page begins. */
static int fetch(struct ctl *ctl, bool all, json_t *tasks, struct err *e)
{
	json_auto_t *before = NULL;

	for (;;) {
		json_t *request = json_pack("{s:s, s:b}", "op", "ps", "all", all), *page;
		json_auto_t *reply = NULL;
		int r;

		if (before)
			(void)json_object_set(request, "before", before);
		r = ctl_ask(ctl, request, "tasks", JSON_ARRAY, &reply, &page, e);
		if (r < 0)
			return r;
		(void)json_array_extend(tasks, page);
		json_decref(before);
		before = json_incref(json_object_get(reply, "before"));
		if (!json_is_string(before) || json_array_size(page) == 0)
			return 0;
	}
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
			ctl_print_table(&table, tasks);
		status = ctl_flush(0);
	}
	json_decref(tasks);
	return status;
}

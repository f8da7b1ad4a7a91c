// SPDX-License-Identifier: Apache-2.0
/* sandboxctl template: what tasks are forked from. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"

#define PREFIX_MIN 4

static const char template_help[] =
	"usage: sandboxctl template ls\n"
	"       sandboxctl template inspect ID...\n"
	"       sandboxctl template retire ID...\n"
	"       sandboxctl template retire --all\n\n"
	"A template is a warm interpreter, restored from its checkpoint and held, that tasks are\n"
	"forked from. The daemon makes one by itself where tasks can use it. ID is a template's\n"
	"id or the first characters (four or more) of one.\n\n"
	"ls       the templates; PARKED of their clones wait for tasks, RUNNING have one.\n"
	"         One that is warming is none yet: its modules are imported, for a checkpoint\n"
	"inspect  everything that is known about templates\n"
	"retire   no task is forked from it any more, and its parked clones end; tasks that came\n"
	"         out of it go on. The next task that asks for one has a new one made\n";

static void join(const json_t *list, char *buf, size_t size)
{
	const json_t *item;
	size_t i, n = 0;

	buf[0] = '\0';
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);

		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? "," : "",
					      text ? text : "?");
	}
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void row_of(const json_t *t, char cell[][CTL_CELL])
{
	const char *image = ctl_text(t, "image"), *used = ctl_text(t, "used_at");

	snprintf(cell[0], CTL_CELL, "%s", ctl_text(t, "id"));
	snprintf(cell[1], CTL_CELL, "%s", ctl_text(t, "project"));
	/* When an image was built again, its name belongs to the new one, so an older image is
	 * shown by its digest. */
	snprintf(cell[2], CTL_CELL, "%.*s", *image ? 63 : 12,
		 *image ? image : ctl_text(t, "image_digest"));
	snprintf(cell[3], CTL_CELL, "%s", ctl_text(t, "policy"));
	snprintf(cell[4], CTL_CELL, "%s", ctl_text(t, "state"));
	snprintf(cell[5], CTL_CELL, "%lld", number(t, "parked"));
	snprintf(cell[6], CTL_CELL, "%lld", number(t, "running"));
	snprintf(cell[7], CTL_CELL, "%lld", number(t, "forks"));
	ctl_format_size(cell[8], CTL_CELL, (double)number(t, "memory_bytes"));
	snprintf(cell[9], CTL_CELL, "%.19s%s", used, *used ? "Z" : "");
	join(json_object_get(t, "warm"), cell[10], CTL_CELL);
}

static const struct ctl_table table = {
	.n = 11,
	.titles = {"ID", "PROJECT", "IMAGE", "POLICY", "STATE", "PARKED", "RUNNING", "FORKS",
		   "MEMORY", "USED", "WARM"},
	.row = row_of,
};

/* Asks for all templates; returns the list, which belongs to *ret_reply. */
static json_t *fetch(struct ctl *ctl, json_t **ret_reply, struct err *e)
{
	json_t *list = NULL;

	return ctl_ask(ctl, json_pack("{s:s}", "op", "templates"), "templates", JSON_ARRAY,
		       ret_reply, &list, e) < 0
		       ? NULL
		       : list;
}

static json_t *find(const json_t *list, const char *prefix, struct err *e)
{
	json_t *item, *found = NULL;
	size_t i;

	if (strlen(prefix) < PREFIX_MIN) {
		(void)err_set(e, ERR_INPUT, 0,
			      "'%s' is not a template's id, nor the first %d characters of one",
			      prefix, PREFIX_MIN);
		return NULL;
	}
	json_array_foreach(list, i, item)
	{
		if (strncmp(ctl_text(item, "id"), prefix, strlen(prefix)) != 0)
			continue;
		if (found) {
			(void)err_set(e, ERR_CONFLICT, 0,
				      "several templates start with %s: give more of the id",
				      prefix);
			return NULL;
		}
		found = item;
	}
	if (!found)
		(void)err_set(e, ERR_NOT_FOUND, 0,
			      "there is no template %s; 'sandboxctl template ls' lists them",
			      prefix);
	return found;
}

static int template_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	json_t *list;

	if (argc > 1)
		return ctl_usage("template", "ls takes no argument: '%s'", argv[1]);
	list = fetch(ctl, &reply, &e);
	if (!list)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&table, list);
	return ctl_flush(0);
}

static void print_template(const json_t *t)
{
	char text[1024], size[32];

	ctl_print_field("id", ctl_text(t, "id"));
	snprintf(text, sizeof(text), "%s (%.12s)",
		 *ctl_text(t, "image") ? ctl_text(t, "image") : "without a name now",
		 ctl_text(t, "image_digest"));
	ctl_print_field("image", text);
	snprintf(text, sizeof(text), "%s (%.12s)", ctl_text(t, "policy"),
		 ctl_text(t, "policy_digest"));
	ctl_print_field("policy", text);
	ctl_print_field("project", ctl_text(t, "project"));
	join(json_object_get(t, "warm"), text, sizeof(text));
	ctl_print_field("warm", text);
	ctl_print_field("checkpoint", ctl_text(t, "checkpoint"));
	ctl_print_field("state", ctl_text(t, "state"));
	snprintf(text, sizeof(text), "%lld parked, %lld running, %lld tasks so far",
		 number(t, "parked"), number(t, "running"), number(t, "forks"));
	ctl_print_field("clones", text);
	ctl_format_size(size, sizeof(size), (double)number(t, "memory_bytes"));
	ctl_print_field("memory", size);
	ctl_print_field("created", ctl_text(t, "created_at"));
	ctl_print_field("used", ctl_text(t, "used_at"));
}

static int template_inspect(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	json_t *list;
	int status = 0;

	if (argc < 2)
		return ctl_usage("template", "inspect names no template");
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-')
			return ctl_usage("template", "there is no option '%s'", argv[i]);
	list = fetch(ctl, &reply, &e);
	if (!list)
		return ctl_fail(&e);
	for (int i = 1; i < argc; i++) {
		const json_t *t = find(list, argv[i], &e);

		if (!t)
			status = ctl_fail(&e);
		else if (ctl->json && argc == 2)
			(void)ctl_print_json(t);
		else if (ctl->json)
			(void)ctl_print_json_line(t);
		if (!t || ctl->json)
			continue;
		if (i > 1)
			putchar('\n');
		print_template(t);
	}
	return ctl_flush(status);
}

/* Retires a template, or all of them when id is NULL; adds what was retired to list. */
static int retire(struct ctl *ctl, const char *id, json_t *list, struct err *e)
{
	json_t *request = json_pack("{s:s}", "op", "template_retire");
	json_auto_t *reply = NULL;
	int r;

	if (id)
		(void)json_object_set_new(request, "id", json_string(id));
	else
		(void)json_object_set_new(request, "all", json_true());
	r = ctl_call(ctl, request, NULL, 0, &reply, e);
	if (r == 0)
		(void)json_array_extend(list, json_object_get(reply, "templates"));
	return r;
}

static int retire_named(struct ctl *ctl, int argc, char **argv, json_t *done)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	const json_t *list = fetch(ctl, &reply, &e);
	int status = 0;

	if (!list)
		return ctl_fail(&e);
	for (int i = optind; i < argc; i++) {
		const json_t *t = find(list, argv[i], &e);

		if (!t || retire(ctl, ctl_text(t, "id"), done, &e) < 0)
			status = ctl_fail(&e);
	}
	return status;
}

static void print_retired(const json_t *t)
{
	printf("template %s: retired", ctl_text(t, "id"));
	if (number(t, "running") > 0)
		printf(", %lld of its tasks go on", number(t, "running"));
	putchar('\n');
}

static int template_retire(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {0}};
	json_auto_t *done = json_array();
	bool all = false;
	struct err e = {0};
	int c, status = 0;
	const json_t *t;
	size_t i;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'a')
			return ctl_bad_option("template", argv);
		all = true;
	}
	if (all ? optind < argc : optind >= argc)
		return ctl_usage("template", "retire takes ids, or --all alone");
	if (!all)
		status = retire_named(ctl, argc, argv, done);
	else if (retire(ctl, NULL, done, &e) < 0)
		status = ctl_fail(&e);
	if (ctl->json)
		(void)ctl_print_json(done);
	else
		json_array_foreach(done, i, t) print_retired(t);
	return ctl_flush(status);
}

int ctl_template(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"ls", template_ls},
		{"inspect", template_inspect},
		{"retire", template_retire},
		{0},
	};

	return ctl_dispatch(ctl, "template", words, template_help, argc, argv);
}

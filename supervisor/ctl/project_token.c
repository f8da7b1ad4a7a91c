// SPDX-License-Identifier: Apache-2.0
/* sandboxctl project token: what opens a project over HTTP. */
#include <getopt.h>
#include <stdio.h>

#include "supervisor/ctl/project.h"

static int create(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"label", required_argument, NULL, 'l'}, {"operator", no_argument, NULL, 'o'}, {0}};
	json_auto_t *reply = NULL;
	const char *label = NULL;
	bool for_all = false;
	struct err e = {0};
	json_t *token;
	int c;

	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'l')
			label = optarg;
		else if (c == 'o')
			for_all = true;
		else
			return ctl_bad_option("project", argv);
	}
	if (argc - optind != 1)
		return ctl_usage("project", "token create takes one project");
	if (project_call_once(ctl,
			      json_pack("{s:s, s:s, s:s*, s:b}", "op", "token_create", "project",
					argv[optind], "label", label, "operator", for_all),
			      "see 'sandboxctl project token ls'", &reply, &e) < 0)
		return ctl_fail(&e);
	token = json_object_get(reply, "token");
	if (ctl->json) {
		(void)json_object_set(token, "token", json_object_get(reply, "text"));
		(void)json_object_set(token, "project_id", json_object_get(reply, "project"));
		return ctl_flush(ctl_print_json(token));
	}
	fprintf(stderr, "token %s of the project %s; it is shown this once:\n",
		ctl_text(token, "id"), argv[optind]);
	printf("%s\n", ctl_text(reply, "text"));
	return ctl_flush(0);
}

static void row_of(const json_t *t, char cell[][CTL_CELL])
{
	const char *used = ctl_text(t, "used_at");

	snprintf(cell[0], CTL_CELL, "%s", ctl_text(t, "id"));
	snprintf(cell[1], CTL_CELL, "%.19sZ", ctl_text(t, "created_at"));
	snprintf(cell[2], CTL_CELL, "%.19s%s", used, *used ? "Z" : "");
	snprintf(cell[3], CTL_CELL, "%s",
		 json_is_true(json_object_get(t, "operator")) ? "operator" : "");
	snprintf(cell[4], CTL_CELL, "%s", ctl_text(t, "label"));
}

static const struct ctl_table table = {
	.n = 5,
	.titles = {"ID", "CREATED", "USED", "KIND", "LABEL"},
	.row = row_of,
};

static int ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	json_t *list;

	if (argc != 2)
		return ctl_usage("project", "token ls takes one project");
	if (ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "tokens", "project", argv[1]), "tokens",
		    JSON_ARRAY, &reply, &list, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&table, list);
	return ctl_flush(0);
}

static int revoke_token(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL, *out = NULL;
	struct err e = {0};

	if (argc != 3)
		return ctl_usage("project", "token revoke takes a project and a token's id");
	if (ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s}", "op", "token_revoke", "project", argv[1], "id",
			       argv[2]),
		     NULL, 0, &reply, &e) < 0)
		return ctl_fail(&e);
	if (!ctl->json) {
		printf("token %s: revoked\n", argv[2]);
		return ctl_flush(0);
	}
	out = json_pack("{s:s, s:b}", "id", argv[2], "revoked", 1);
	return ctl_flush(ctl_print_json(out));
}

int ctl_project_token(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"create", create},
		{"ls", ls},
		{"revoke", revoke_token},
		{0},
	};

	return ctl_dispatch(ctl, "project", words, project_help, argc, argv);
}

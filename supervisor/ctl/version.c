// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "supervisor/ctl/ctl.h"

int ctl_version(struct ctl *ctl, int argc, char **argv)
{
	json_t *reply = NULL;
	struct err e = {0};
	int status = 0;

	if (argc > 1)
		return ctl_usage("version", "does not take '%s'", argv[1]);
	if (ctl_call(ctl, json_pack("{s:s}", "op", "version"), NULL, 0, &reply, &e) < 0)
		status = ctl_fail(&e);
	if (ctl->json) {
		json_t *both =
			json_pack("{s:s, s:O?}", "sandboxctl", SANDBOXD_VERSION, "sandboxd", reply);
		int r;

		(void)json_object_del(reply, "ok");
		r = ctl_print_json(both);
		status = status ? status : r;
		json_decref(both);
	} else {
		puts("sandboxctl " SANDBOXD_VERSION);
		if (reply) {
			printf("sandboxd   ");
			ctl_print_text(ctl_text(reply, "version"));
			if (*ctl_text(reply, "http")) {
				printf(", http://");
				ctl_print_text(ctl_text(reply, "http"));
			}
			putchar('\n');
		}
	}
	json_decref(reply);
	return ctl_flush(status);
}

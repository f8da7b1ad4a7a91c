// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EXIT_FAILED 1

const char ctl_doctor_help[] =
	"usage: sandboxctl doctor [--json]\n\n"
	"One line for each thing that sandboxd needs of this host: OK, WARN (it works, but\n"
	"less well or not for everybody) or FAIL, and what to do about it. Root sees more.\n"
	"Exit status: 0 when nothing failed, else 1.\n";

/* clang-format off */
static const struct {
	const char *name;
	void (*check)(struct doctor *d);
} checks[] = {
	{"kernel", doctor_kernel},
	{"system calls", doctor_calls},
	{"namespaces", doctor_namespaces},
	{"cgroups", doctor_cgroups},
	{"seccomp", doctor_seccomp},
	{"overlayfs", doctor_overlay},
	{"loop devices", doctor_loop},
	{"network", doctor_net},
	{"inotify", doctor_inotify},
	{"criu", doctor_criu},
	{"users", doctor_users},
	{"edge", doctor_edge},
	{"state folder", doctor_state},
	{"images", doctor_images},
	{"policies", doctor_policies},
	{"checkpoints", doctor_checkpoints},
	{"daemon", doctor_daemon},
	{"limits", doctor_limits},
	{"templates", doctor_templates},
};
/* clang-format on */

static const char *const level_names[] = {
	[DOCTOR_OK] = "OK", [DOCTOR_WARN] = "WARN", [DOCTOR_FAIL] = "FAIL"};

void doctor_report(struct doctor *d, enum doctor_level level, const char *todo, const char *fmt,
		   ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->warned |= level == DOCTOR_WARN;
	d->failed |= level == DOCTOR_FAIL;
	if (d->ctl->json) {
		(void)json_array_append_new(
			d->checks, json_pack("{s:s, s:s, s:s, s:s?}", "name", d->name, "level",
					     level_names[level], "text", text, "todo", todo));
		return;
	}
	printf("%-4s  %-12s  ", level_names[level], d->name);
	ctl_print_text(text);
	if (todo && level != DOCTOR_OK)
		printf("\n      %-12s  -> %s", "", todo);
	putchar('\n');
	(void)fflush(stdout);
}

int ctl_doctor(struct ctl *ctl, int argc, char **argv)
{
	struct doctor d = {.ctl = ctl, .root = geteuid() == 0};
	int status;

	if (argc > 1)
		return ctl_usage("doctor", "does not take '%s'", argv[1]);
	d.checks = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		d.name = checks[i].name;
		checks[i].check(&d);
	}
	status = d.failed ? EXIT_FAILED : 0;
	if (ctl->json) {
		json_t *all = json_pack("{s:b, s:O}", "ok", !d.failed, "checks", d.checks);
		int r = ctl_print_json(all);

		status = status ? status : r;
		json_decref(all);
	} else if (!d.root) {
		puts("(root sees more)");
	}
	json_decref(d.checks);
	return ctl_flush(status);
}

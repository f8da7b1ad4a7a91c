/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks in doctor.c's list share. */
#ifndef SUPERVISOR_CTL_DOCTOR_H
#define SUPERVISOR_CTL_DOCTOR_H

#include "supervisor/ctl/ctl.h"

enum doctor_level { DOCTOR_OK = 0, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	struct ctl *ctl;
	bool root;	  /* some checks can only be made by root */
	const char *name; /* of the check that is running */
	json_t *checks;	  /* array of {name, level, text, todo} */
	bool warned, failed;
};

/* Adds one line to the report. todo: what to do about it; NULL: nothing. */
void doctor_report(struct doctor *d, enum doctor_level level, const char *todo, const char *fmt,
		   ...) __attribute__((format(printf, 4, 5)));

/* doctor_host.c: what the kernel offers. */
void doctor_kernel(struct doctor *d);
void doctor_calls(struct doctor *d);
void doctor_namespaces(struct doctor *d);
void doctor_cgroups(struct doctor *d);
void doctor_seccomp(struct doctor *d);
void doctor_overlay(struct doctor *d);
void doctor_loop(struct doctor *d);
void doctor_net(struct doctor *d);
void doctor_inotify(struct doctor *d);

/* doctor_parts.c: what is installed and what runs. */
void doctor_criu(struct doctor *d);
void doctor_users(struct doctor *d);
void doctor_edge(struct doctor *d);
void doctor_state(struct doctor *d);
void doctor_images(struct doctor *d);
void doctor_policies(struct doctor *d);
void doctor_checkpoints(struct doctor *d);
void doctor_daemon(struct doctor *d);
void doctor_limits(struct doctor *d);	 /* no line where the daemon does not answer */
void doctor_templates(struct doctor *d); /* no line where the daemon does not answer */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Between project.c and project_token.c. */
#ifndef SUPERVISOR_CTL_PROJECT_H
#define SUPERVISOR_CTL_PROJECT_H

#include "supervisor/ctl/ctl.h"

/* "project token ..." */
int ctl_project_token(struct ctl *ctl, int argc, char **argv);
/*
 * A request that must not be sent twice, because its answer has a secret that is told once.
 * Steals the reference. what: what may have come of it when there is no answer.
 */
int project_call_once(struct ctl *ctl, json_t *request, const char *what, json_t **ret_reply,
		      struct err *e);
long long project_number(const json_t *object, const char *key);

extern const char project_help[];

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs about services share. */
#ifndef SUPERVISOR_CTL_SERVICE_H
#define SUPERVISOR_CTL_SERVICE_H

#include "supervisor/ctl/ctl.h"

#define SERVICE_APP_BYTES 64
#define SERVICE_NAME_BYTES 32

/* A service as it is named on the command line: [APP/]SVC[.N]. */
struct service_name {
	char app[SERVICE_APP_BYTES], name[SERVICE_NAME_BYTES];
	long replica; /* -1: none is named */
};

struct service_options {
	const char *project, *app; /* app NULL: as the folder says */
	char own_app[SERVICE_APP_BYTES];
};

/* The app of the folder, by .dotcloud/config in it or above: {"app": "NAME"}. "": there is none. */
void service_folder_app(char app[SERVICE_APP_BYTES]);
int service_name_read(const struct service_options *o, const char *text, struct service_name *ret,
		      struct err *e);
/* Asks for something that rolls, and shows its steps; *ret is the caller's. request is stolen. fd: sent
 * along first; -1: none. */
int service_roll(struct ctl *ctl, json_t *request, int fd, json_t **ret, struct err *e);

/* service_logs.c */
int service_logs(struct ctl *ctl, int argc, char **argv);

/* service_run.c */
int service_run(struct ctl *ctl, int argc, char **argv);
int service_data(struct ctl *ctl, int argc, char **argv);

#endif

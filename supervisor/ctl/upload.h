/* SPDX-License-Identifier: Apache-2.0 */
/* What upload and install share: from NAME to the zip, and to what the server is told about it. */
#ifndef SUPERVISOR_CTL_UPLOAD_H
#define SUPERVISOR_CTL_UPLOAD_H

#include "supervisor/ctl/tenant.h"
#include "supervisor/ctl/upload_pip.h"

/* One upload, from its words to its zip. */
struct upload {
	const char *word;	   /* NAME, as it was given */
	const char *name, *output; /* of options; the caller's */
	struct pip_build build;
	json_t *data; /* ours: what the server is told */
	char *shown;  /* ours: the .worker file's path, for messages */
	bool has_file;
	struct worker_file file;
	struct bundle bundle;
	int base; /* the .worker file's folder */
};

void upload_clear(struct upload *u);
#define _cleanup_upload_ __attribute__((cleanup(upload_clear)))

/* Sets a member of u->data. what: its name, for errors. */
int upload_set_text(struct upload *u, const char *key, const char *what, const char *value,
		    struct err *e);
/*
 * Finds and reads NAME.worker or NAME.py, gathers what it names, and builds. 0 and the zip, whose
 * descriptor the caller closes; or the exit status, when something failed, which has been printed.
 */
int upload_prepare(struct tenant *tenant, struct upload *u, int *ret_fd, uint64_t *ret_size);

#endif

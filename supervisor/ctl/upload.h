/* SPDX-License-Identifier: Apache-2.0 */
/* What upload and install share: from NAME to the zip and what the server is told of it. */
#ifndef SUPERVISOR_CTL_UPLOAD_H
#define SUPERVISOR_CTL_UPLOAD_H

#include "supervisor/ctl/iron.h"
#include "supervisor/ctl/upload_pip.h"

/* One upload, from its words to its zip. */
struct upload {
	const char *word;	   /* NAME as it was given */
	const char *name, *output; /* of options; borrowed */
	struct pip_build build;
	json_t *data; /* owned; what the server is told */
	char *shown;  /* owned; the .worker file's path */
	bool has_file;
	struct worker_file file;
	struct bundle bundle;
	int base; /* the .worker file's folder */
};

void upload_clear(struct upload *u);
#define _cleanup_upload_ __attribute__((cleanup(upload_clear)))

/* A member of u->data; what names it in errors. */
int upload_set_text(struct upload *u, const char *key, const char *what, const char *value,
		    struct err *e);
/*
 * Finds and reads NAME.worker or NAME.py, gathers and builds: 0 and the zip, whose fd is the
 * caller's, or the exit status after the reason was said.
 */
int upload_prepare(struct iron *iron, struct upload *u, int *ret_fd, uint64_t *ret_size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The package index of a build, which scripts/pip-index serves outside of the build's sandbox. */
#ifndef SUPERVISOR_CTL_PIP_INDEX_H
#define SUPERVISOR_CTL_PIP_INDEX_H

#include <jansson.h>
#include <sys/types.h>

#include "lib/util.h"

/*
 * What a build is told of this machine's configuration of pip, as `pip-index settings` prints it:
 * an object with "environment", "no_index", "find_links", "indexes" and "pages". *ret is owned by
 * the caller. What is wrong in a file of pip's is said on stderr before.
 */
int pip_index_settings(json_t **ret, struct err *e);

/* One that serves. Its process ends with the last copy of sock. */
struct pip_index {
	pid_t pid; /* 0: there is none */
	int sock;  /* becomes the stdin of the build's sandbox; -1: there is none */
};
#define PIP_INDEX_INIT                                                                             \
	{                                                                                          \
		.sock = -1                                                                         \
	}
int pip_index_start(struct pip_index *ret, struct err *e);
/* Closes sock, ends the process and waits for it. */
void pip_index_stop(struct pip_index *index);

/* One that answers by this socket, which is closed. Its process ends with the last copy of the other
 * end, and is the caller's to wait for. */
pid_t pip_index_answer(int sock);

/* What a build is told, without what stays here. *ret: NULL where no index is configured. */
int pip_index_told(json_t **ret, struct err *e);

/*
 * What the build is told of pip's configuration on this machine, and the index that it may ask, which
 * runs here: a build reaches no network. *ret: NULL where no index is configured.
 */
int pip_index_begin(struct pip_index *index, json_t **ret, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and their revisions in the store; for code.c. */
#ifndef SUPERVISOR_FRONT_STORE_WORKERS_H
#define SUPERVISOR_FRONT_STORE_WORKERS_H

#include "supervisor/front/store/projects.h"
#include "supervisor/front/store/store.h"

#define CODE_NAME_MAX 127
#define CODE_FILE_MAX 255
#define CODE_COMMAND_MAX 1023
#define CODE_REVISIONS_MAX 100 /* of a code: the oldest beyond it go */

/* What an upload says; all text is owned. Zeros and "" are the defaults. */
struct code_spec {
	char name[CODE_NAME_MAX + 1];
	char runtime[32];		   /* as it was given; "python" */
	char file_name[CODE_FILE_MAX + 1]; /* of the package: .sh is run by sh, others by Python */
	char command[CODE_COMMAND_MAX + 1];
	char stack[64], image[64], policy[64]; /* image: names; policy "": the image's */
	char *config;			       /* text, at most CODE_CONFIG_MAX; NULL: none */
	char *env;			       /* a JSON object of strings; NULL: none */
	uint32_t max_concurrency;	       /* 0: as many as the project may */
	uint32_t retries, retries_delay_s;
	uint32_t default_priority;
	bool has_package;    /* a zip came along */
	uint8_t package[32]; /* of its unpacked folder, STATE/packages/<hex> */
	uint8_t zip[32];     /* of what was sent, STATE/packages/<hex>.zip */
	uint64_t zip_bytes;
	uint64_t package_bytes, package_files; /* of folder and zip on the disk: package.h */
};
void code_spec_clear(struct code_spec *spec);

struct code_row {
	char id[PROJECT_ID_LEN + 1];
	uint32_t revision; /* from 1 */
	struct code_spec spec;
	bool paused;
	uint64_t created_ns, changed_ns; /* CLOCK_REALTIME */
};

struct code_revision {
	uint32_t revision;
	char id[PROJECT_ID_LEN + 1];
	char file_name[CODE_FILE_MAX + 1], runtime[32], image[64];
	bool has_package;
	uint8_t package[32], zip[32];
	uint64_t zip_bytes, package_bytes, package_files, created_ns;
};

typedef int (*code_revision_fn)(void *arg, const struct code_revision *r);

/* project: an id. Takes code->spec when it returns 0 and keeps it. */
typedef int (*store_code_fn)(void *arg, const char *project, struct code_row *code);
int store_code_load(struct store *store, store_code_fn fn, void *arg, struct err *e);

/* The code as it is now, and the revision that it has become; one transaction. */
int store_code_put(struct store *store, const char *project, const struct code_row *code,
		   const char *revision_id, struct err *e);
int store_code_paused(struct store *store, const char *id, bool paused, struct err *e);
/* With its revisions; within a transaction (store_begin). */
int store_code_delete(struct store *store, const char *id, struct err *e);
/* Of a code, newest first; only: 0, or the one that is asked for. */
int store_code_revisions(struct store *store, const char *code, uint32_t only, code_revision_fn fn,
			 void *arg, struct err *e);
/* The next ones, at most max, of all codes of all projects; at is zeros for the first ones. */
struct store_revision_at {
	char code[PROJECT_ID_LEN + 1];
	uint32_t revision;
};
int store_code_revisions_after(struct store *store, struct store_revision_at *at, unsigned max,
			       code_revision_fn fn, void *arg, bool *ret_more, struct err *e);
/* What a revision runs; ret is cleared at first, and the caller's. Its config and env are not
 * kept. -ENOENT without an error: it is no more. */
int store_code_revision_spec(struct store *store, const char *code, uint32_t revision,
			     struct code_spec *ret, struct err *e);
/* What a list asks of each of its rows, without all that the revision holds. "": it is no more. */
int store_code_revision_id(struct store *store, const char *code, uint32_t revision,
			   char ret[PROJECT_ID_LEN + 1], struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.json as one struct: what a task is to run, and with what. A command line, a queue or a
 * schedule makes the same struct. Reading is strict: an unknown key, a duplicate, a wrong type or a
 * value out of bounds is an error that has the key's path.
 *
 * Functions return 0 or -errno with *e filled in. What "ret" points to is the caller's:
 * task_spec_clear frees a spec.
 */
#ifndef SPEC_TASK_SPEC_H
#define SPEC_TASK_SPEC_H

#include <jansson.h>

#include "lib/image.h"
#include "lib/json_strict.h"
#include "lib/limits.h"
#include "lib/policy.h"
#include "lib/util.h"

#define TASK_SPEC_MAX (4u << 20)   /* of the document */
#define TASK_SOURCE_MAX (1u << 20) /* of "code" */
#define TASK_PATH_MAX 1024
#define TASK_PAYLOAD_MAX (1u << 20)
#define TASK_ARGS_MAX 1024
#define TASK_ENV_MAX 1024
#define TASK_STRING_MAX (64u << 10) /* of one argument, or of one variable's value */
#define TASK_LABEL_MAX 128
#define TASK_PRIORITY_MAX 2

/* TASK_SHELL and TASK_COMMAND are kinds of an uploaded worker (front/core/code.h) and cannot be
 * written in a task.json: a shell script, and a command line for the shell. */
enum task_kind { TASK_EXEC = 1, TASK_CODE, TASK_ENTRY, TASK_SHELL, TASK_COMMAND };

/* The struct owns all that its pointers point to; NULL means that it was not given. */
struct task_spec {
	enum task_kind kind;
	char *source;  /* by kind: a script's path, code, or module:function */
	char *dir;     /* the folder that the client sends along; nobody else uses it */
	char *payload; /* JSON text as it came; any text, for a worker's task */
	char *config;  /* of a worker's task; task.json has no such key */
	char **args;   /* n_args strings */
	char **env;    /* n_env strings NAME=VALUE */
	size_t n_args, n_env;
	char *policy, *label;
	struct limits limits; /* only those in limits_set are valid */
	unsigned limits_set;  /* LIMIT_BITs */
	/* Of those: above the policy's maximum it is lowered to that, instead of being refused. */
	unsigned limits_lowered;
	enum start_mode start;
	bool has_warm;
	char warm[IMAGE_WARM_MAX]; /* modules to import ahead, separated by '\n' */
	char warm_module[128];	   /* a module of the package to import ahead; "": none */
	bool warm_refuse;	   /* reading random numbers during that import is an error */
	int priority;
};

/* Fills in all of *ret, or leaves it cleared on an error. The second takes a document as
 * task_spec_load makes it. */
int task_spec_parse(const char *text, size_t len, struct task_spec *ret, struct err *e);
int task_spec_from_json(json_t *doc, struct task_spec *ret, struct err *e);
/* Loads a document. Its payload is then a string with the payload's JSON, byte for byte
 * (json_raw.h). task_spec_dump makes the text of a task.json of it again; the caller frees the
 * text, NULL: out of memory. */
int task_spec_load(const char *text, size_t len, json_t **ret, struct err *e);
char *task_spec_dump(const json_t *doc);
void task_spec_clear(struct task_spec *spec);
#define _cleanup_task_spec_ __attribute__((cleanup(task_spec_clear)))

/* Turns a JSON array of module names into text with '\n' between them. path: the array's key, for
 * errors. buf has IMAGE_WARM_MAX bytes. */
int task_spec_imports(const char *what, const char *path, const json_t *array, char *buf,
		      struct err *e);

/* The task's own limits over the policy's defaults; an error when one is above the policy's
 * maximum. */
int task_spec_limits(const struct task_spec *spec, const struct policy_head *policy,
		     struct limits *ret, struct err *e);

const char *task_kind_name(enum task_kind kind);
/* The limits as JSON, under the keys that task.json has. The caller owns the result; NULL: out of
 * memory. */
json_t *task_limits_json(const struct limits *limits);
/* Reads every limit of an object and ends its reader. Returns the LIMIT_BITs of the limits that the
 * object has; the reader keeps errors. */
unsigned task_limits_read(struct json_strict *in, struct limits *limits);

#endif

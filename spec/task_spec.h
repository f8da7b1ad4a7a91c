/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.json as one struct: what a task is to run and with what. The same struct
 * comes out of a command line, a queue or a schedule. Strict: an unknown key, a
 * duplicate, a wrong type or a value out of bounds is an error with its path.
 */
#ifndef SPEC_TASK_SPEC_H
#define SPEC_TASK_SPEC_H

#include <jansson.h>

#include "lib/image.h"
#include "lib/limits.h"
#include "lib/policy.h"
#include "lib/util.h"

#define TASK_SPEC_MAX (4u << 20)   /* bytes of the document */
#define TASK_SOURCE_MAX (1u << 20) /* code */
#define TASK_PATH_MAX 1024
#define TASK_PAYLOAD_MAX (1u << 20)
#define TASK_ARGS_MAX 1024
#define TASK_ENV_MAX 1024
#define TASK_STRING_MAX (64u << 10) /* one argument or one variable's value */
#define TASK_LABEL_MAX 128
#define TASK_PRIORITY_MAX 2

/* SHELL and COMMAND are a code's (front/code.h), no task.json's: a script of sh, a line for it. */
enum task_kind { TASK_EXEC = 1, TASK_CODE, TASK_ENTRY, TASK_SHELL, TASK_COMMAND };

/* All pointers are owned by the struct; NULL is "not given". */
struct task_spec {
	enum task_kind kind;
	char *source;  /* script path, code or module:function, by kind */
	char *dir;     /* folder that is sent along; the client's matter */
	char *payload; /* JSON text as it came; of a code's task any text */
	char *config;  /* a code's; no key of task.json */
	char **args;   /* n_args strings */
	char **env;    /* n_env strings NAME=VALUE */
	size_t n_args, n_env;
	char *policy, *label;
	struct limits limits; /* only the fields in limits_set */
	unsigned limits_set;  /* LIMIT_BITs */
	enum start_mode start;
	bool has_warm;
	char warm[IMAGE_WARM_MAX]; /* '\n'-separated */
	char warm_module[128];	   /* of the package; "": none */
	bool warm_refuse;	   /* no entropy while that is imported */
	int priority;
};

/* *ret is filled whole, or left cleared on an error. doc: as task_spec_load makes it. */
int task_spec_parse(const char *text, size_t len, struct task_spec *ret, struct err *e);
int task_spec_from_json(json_t *doc, struct task_spec *ret, struct err *e);
/* The document, whose payload is then a text with the JSON of it, as it stands (json_raw.h); and
 * that as the text of a task.json again: owned by the caller, NULL: out of memory. */
int task_spec_load(const char *text, size_t len, json_t **ret, struct err *e);
char *task_spec_dump(const json_t *doc);
void task_spec_clear(struct task_spec *spec);
#define _cleanup_task_spec_ __attribute__((cleanup(task_spec_clear)))

/* A list of module names (JSON array of strings) as '\n'-separated text. path is the
 * array's name in errors. buf holds IMAGE_WARM_MAX bytes. */
int task_spec_imports(const char *what, const char *path, const json_t *array, char *buf,
		      struct err *e);

/* The policy's defaults with the task's own limits, none above the policy's maxima. */
int task_spec_limits(const struct task_spec *spec, const struct policy_head *policy,
		     struct limits *ret, struct err *e);

const char *task_kind_name(enum task_kind kind);
/* The limits as JSON, with the keys of task.json. */
json_t *task_limits_json(const struct limits *limits);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job: what the runtime inside the sandbox is told. It is a sequence of records "KEY LENGTH\n",
 * LENGTH bytes, "\n"; KEY is [a-z_.]+ and LENGTH decimal. Keys: id kind
 * exec|code|entry|shell|command payload config arg* env* label policy streams (together) seed (32
 * bytes from the kernel).
 *
 * It is made in two steps. job_write makes the records that the task's spec says, once the spec
 * has been validated: a text, which is kept until the task's turn has come, so that nothing has
 * to be parsed or validated again. job_seal adds what is of one run alone.
 */
#ifndef SPEC_JOB_H
#define SPEC_JOB_H

#include "spec/task_spec.h"

#define JOB_SCRIPT_MAX 256

/* What the job says besides the task's spec: for which task it is. */
struct job_of {
	const char *id;
	const char *policy; /* the policy that the task runs under, which need not be the spec's */
	bool together;	    /* stderr is the same pipe as stdout */
};

/* A job that the monitor can be given. */
struct job {
	int fd; /* a memfd at offset 0 that nobody can write or resize */
	/* the script that the job executes; "": none, or one with a longer name */
	char script[JOB_SCRIPT_MAX];
};
#define JOB_NONE ((struct job){.fd = -1})
void job_clear(struct job *job);
#define _cleanup_job_ __attribute__((cleanup(job_clear)))

/* The caller frees *ret. */
int job_write(const struct task_spec *spec, char **ret, struct err *e);
/* text: as job_write made it. ERR_INTERNAL when it is not a sequence of records. The caller clears
 * *ret (job_clear). */
int job_seal(const char *text, const struct job_of *of, struct job *ret, struct err *e);

#endif

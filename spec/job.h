/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job: what the runtime inside the sandbox is told. A sequence of records
 * "KEY LENGTH\n", LENGTH bytes, "\n"; KEY is [a-z_.]+, LENGTH decimal. Keys: id kind
 * exec|code|entry|shell|command payload config arg* env* label policy streams (together) seed (32
 * bytes from the kernel).
 */
#ifndef SPEC_JOB_H
#define SPEC_JOB_H

#include "spec/task_spec.h"

/* Whose job it is. */
struct job_of {
	const char *id;
	const char
		*policy; /* the name of the one that it runs under, which need not be the spec's */
	bool together;	 /* its stderr is its stdout */
};

/* *ret_fd is a memfd at offset 0 that nobody can write, grow or shrink any more. */
int job_build(const struct task_spec *spec, const struct job_of *of, int *ret_fd, struct err *e);

#endif

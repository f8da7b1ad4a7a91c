/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NAME.worker: what a worker is made of. IronWorker's own CLI runs these files as Ruby. Here a file
 * is a list of lines, each a word with literal arguments (strings, true, false, nil); anything else
 * is an error with its line and column:
 *
 *   runtime "python"          # comments
 *   exec "hello.py"
 *   dir("lib", "vendor")
 */
#ifndef SPEC_WORKER_FILE_H
#define SPEC_WORKER_FILE_H

#include "lib/util.h"

#define WORKER_FILE_MAX (1u << 20) /* bytes */
#define WORKER_ITEMS_MAX 4096u

enum worker_kind {
	WORKER_FILE = 1,     /* a file, which goes to dest/ */
	WORKER_DIR,	     /* a folder, which goes to dest/ */
	WORKER_ZIP,	     /* an archive whose content goes to dest/ */
	WORKER_PIP,	     /* text is what pip is told, for instance name==version */
	WORKER_REQUIREMENTS, /* a file with such lines */
	WORKER_ENV,	     /* text is a variable's name, dest its value */
};

/* One line of the file. The struct owns its texts. */
struct worker_item {
	enum worker_kind kind;
	/* where the argument is in the file, from 1, for errors; columns count characters */
	unsigned line, column;
	/* a path relative to the .worker file, unless kind says something else */
	char *text;
	char *dest; /* "" when the line has none */
};

/* A member is NULL where the file does not say. worker_file_clear frees what the struct owns. */
struct worker_file {
	const char *what; /* the file's name for errors; the caller's */
	char *name, *runtime, *stack, *exec, *build_command;
	unsigned exec_line, exec_column, build_line, build_column;
	/* "remote": dependencies are built on the server. They always are, so it changes
	 * nothing. */
	bool remote;
	struct worker_item *items;
	size_t n_items;
};

/* Returns 0, or -errno and *e as "what:LINE:COLUMN: ..."; then *ret is cleared. */
int worker_file_parse(const char *what, const char *text, size_t len, struct worker_file *ret,
		      struct err *e);
void worker_file_clear(struct worker_file *w);
#define _cleanup_worker_file_ __attribute__((cleanup(worker_file_clear)))

/* The image that a "stack" stands for: "python-2.7", IronWorker's own name for what it had, is iron27; any
 * other is the image of its name. What comes back is constant, or stack itself. */
const char *worker_stack_image(const char *stack);

/* Makes an error about a line and column of the file, "what:LINE:COLUMN: ...". Returns -errno. */
int worker_file_fail(const struct worker_file *w, unsigned line, unsigned column, struct err *e,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NAME.worker: what a worker is made of. The files are Ruby to IronWorker's CLI; here they
 * are a list of words with literal arguments (strings, true, false, nil), one a line, and
 * anything else is an error with its line and column:
 *
 *	runtime "python"          # comments
 *	exec "hello.py"
 *	dir("lib", "vendor")
 */
#ifndef SPEC_WORKER_FILE_H
#define SPEC_WORKER_FILE_H

#include "lib/util.h"

#define WORKER_FILE_MAX (1u << 20) /* bytes */
#define WORKER_ITEMS_MAX 4096u

enum worker_kind {
	WORKER_FILE = 1,     /* a file, to dest/ */
	WORKER_DIR,	     /* a folder, to dest/ */
	WORKER_ZIP,	     /* an archive whose content goes to dest/ */
	WORKER_PIP,	     /* text is what pip is told: name==version */
	WORKER_REQUIREMENTS, /* a file of such lines */
	WORKER_ENV,	     /* text is a name, dest its value */
};

/* One line. Text is owned; where in the file it stands is for errors. */
struct worker_item {
	enum worker_kind kind;
	unsigned line, column; /* of the argument, from 1; columns are characters */
	char *text;	       /* a path relative to the file, unless kind says otherwise */
	char *dest;	       /* "" when there is none */
};

/* NULL where the file says nothing. */
struct worker_file {
	const char *what; /* the file's name in errors; borrowed */
	char *name, *runtime, *stack, *exec, *build_command;
	unsigned exec_line, exec_column, build_line, build_column;
	bool remote; /* its dependencies are to be built where it runs: they always are */
	struct worker_item *items;
	size_t n_items;
};

/* 0, or -errno and *e as "what:LINE:COLUMN: ..."; *ret is cleared then. */
int worker_file_parse(const char *what, const char *text, size_t len, struct worker_file *ret,
		      struct err *e);
void worker_file_clear(struct worker_file *w);
#define _cleanup_worker_file_ __attribute__((cleanup(worker_file_clear)))

/* An error at an item: "what:LINE:COLUMN: ...". Returns the negative errno. */
int worker_file_fail(const struct worker_file *w, unsigned line, unsigned column, struct err *e,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif

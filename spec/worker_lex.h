/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens and lines of a .worker file: the literal part of Ruby's. */
#ifndef SPEC_WORKER_LEX_H
#define SPEC_WORKER_LEX_H

#include "lib/util.h"

enum worker_token {
	TOKEN_END = 0, /* of the file */
	TOKEN_EOL,     /* newline or ';' */
	TOKEN_WORD,
	TOKEN_STRING,
	TOKEN_COMMA,
	TOKEN_OPEN,
	TOKEN_CLOSE,
};

struct worker_lex {
	const char *what; /* borrowed */
	const char *p, *end;
	unsigned line, column; /* of p, from 1 */
	/* The last token. */
	enum worker_token token;
	unsigned at_line, at_column;
	char *text; /* owned: of a word or string; take it with TAKE_PTR */
	struct err *e;
};

void worker_lex_init(struct worker_lex *l, const char *what, const char *text, size_t len,
		     struct err *e);
void worker_lex_clear(struct worker_lex *l);
/* The next token into l->token: 0 or -errno with *e. */
int worker_lex_next(struct worker_lex *l);
/* An error at the last token. */
int worker_lex_fail(struct worker_lex *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A word and its arguments. */
#define WORKER_ARGS_MAX 4
struct worker_line {
	char *word;	       /* owned */
	unsigned line, column; /* of the word */
	struct worker_arg {
		char *text; /* owned; NULL: true, false or nil, and truth says which */
		bool truth;
		unsigned line, column;
	} args[WORKER_ARGS_MAX];
	size_t n;
};
void worker_line_clear(struct worker_line *line);
/* One line, from its word (which is the last token) to its end (which then is). *line is the
 * caller's to clear, also after an error. */
int worker_line_read(struct worker_lex *l, struct worker_line *line);

#endif

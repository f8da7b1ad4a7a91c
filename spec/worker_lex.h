/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens and lines of a .worker file, which has the literal part of Ruby's syntax. */
#ifndef SPEC_WORKER_LEX_H
#define SPEC_WORKER_LEX_H

#include "lib/util.h"

enum worker_token {
	TOKEN_END = 0, /* the file has ended */
	TOKEN_EOL,     /* a newline or ';' */
	TOKEN_WORD,
	TOKEN_STRING,
	TOKEN_COMMA,
	TOKEN_OPEN,
	TOKEN_CLOSE,
};

struct worker_lex {
	const char *what; /* the caller's */
	const char *p, *end;
	unsigned line, column; /* where p is in the file, from 1 */
	/* The token that was read last. */
	enum worker_token token;
	unsigned at_line, at_column;
	char *text; /* ours: the text of a word or string; a user takes it by TAKE_PTR */
	struct err *e;
};

void worker_lex_init(struct worker_lex *l, const char *what, const char *text, size_t len,
		     struct err *e);
void worker_lex_clear(struct worker_lex *l);
/* Reads the next token into l->token. 0, or -errno with *e filled in. */
int worker_lex_next(struct worker_lex *l);

/* A line: a word and its arguments. */
#define WORKER_ARGS_MAX 4
struct worker_line {
	char *word;	       /* ours */
	unsigned line, column; /* of the word */
	struct worker_arg {
		/* ours; NULL: the argument is true, false or nil, and truth says which */
		char *text;
		bool truth;
		bool bare; /* text is another word, which was not in quotes */
		unsigned line, column;
	} args[WORKER_ARGS_MAX];
	size_t n;
};
void worker_line_clear(struct worker_line *line);
/* Reads one line. When this is called, the last token is the line's word; afterwards it is the
 * line's end. The caller clears *line, also after an error. */
int worker_line_read(struct worker_lex *l, struct worker_line *line);

#endif

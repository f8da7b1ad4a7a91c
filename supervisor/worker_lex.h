/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens of a .worker file: the literal part of Ruby's. */
#ifndef SUPERVISOR_WORKER_LEX_H
#define SUPERVISOR_WORKER_LEX_H

#include "sandbox/util.h"

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

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Between project.c and project_token.c. */
#ifndef SUPERVISOR_FRONT_CORE_PROJECT_INTERNAL_H
#define SUPERVISOR_FRONT_CORE_PROJECT_INTERNAL_H

#include "supervisor/front/core/project.h"

/* A new one in *ret, in no list and not in the store; its text is in text alone. */
int token_new(const char *label, bool operator, struct token_row * ret, char text[TOKEN_LEN + 1],
	      struct err *e);
/* As row says, among p's tokens; NULL: out of memory. */
struct token *token_add(struct front *f, struct project *p, const struct token_row *row);
/* Out of memory, and freed. */
void token_drop(struct front *f, struct token *t);
int token_revoke_all(struct front *f, struct project *p, struct err *e);

/* 32 bytes as base64url without padding. */
void token_format(const uint8_t bytes[32], char text[TOKEN_LEN + 1]);

#endif

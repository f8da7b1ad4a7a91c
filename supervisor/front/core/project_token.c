// SPDX-License-Identifier: Apache-2.0
/*
 * Tokens. Only their SHA-256 is kept: a token is 256 random bits, so that its hash needs
 * neither salt nor time, and is found by a table.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "lib/json_strict.h"
#include "lib/sha256.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/project_internal.h"
#include "supervisor/front/store/projects.h"

static struct token **bucket(struct front *f, const uint8_t hash[32])
{
	return &f->core->token_buckets[(hash[0] | (unsigned)hash[1] << 8) % PROJECT_BUCKETS];
}

void token_format(const uint8_t bytes[32], char text[TOKEN_LEN + 1])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, n_bits = 0, n = 0;

	for (int i = 0; i < 32; i++) {
		bits = bits << 8 | bytes[i];
		for (n_bits += 8; n_bits >= 6; n_bits -= 6)
			text[n++] = digits[bits >> (n_bits - 6) & 63];
	}
	text[n++] = digits[bits << (6 - n_bits) & 63];
	text[n] = '\0';
}

/* What is found by how a hash begins is a hash's beginning, which tells nothing of a token. */
struct project *project_by_token(struct front *f, const char *text, size_t len, bool *ret_operator)
{
	struct token *found = NULL;
	uint8_t hash[32];

	*ret_operator = false;
	if (len != TOKEN_LEN || sha256(text, len, hash) < 0)
		return NULL;
	for (struct token *t = *bucket(f, hash); t; t = t->hash_next)
		if (CRYPTO_memcmp(t->hash, hash, sizeof(hash)) == 0)
			found = t;
	if (!found)
		return NULL;
	found->used_ns = util_realtime_ns();
	*ret_operator = found->operator;
	return found->project;
}

int token_new(const char *label, bool operator, struct token_row * ret, char text[TOKEN_LEN + 1],
	      struct err *e)
{
	uint8_t bytes[32];

	*ret = (struct token_row){.operator= operator, .created_ns = util_realtime_ns()};
	(void)snprintf(ret->label, sizeof(ret->label), "%s", label);
	util_new_id(ret->id);
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return err_set(e, ERR_SYSTEM, errno, "cannot make a token");
	token_format(bytes, text);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	if (sha256(text, TOKEN_LEN, ret->hash) < 0)
		return err_set(e, ERR_SYSTEM, EIO, "cannot make a token");
	return 0;
}

struct token *token_add(struct front *f, struct project *p, const struct token_row *row)
{
	struct token *t = calloc(1, sizeof(*t)), **at = &p->tokens, **in;

	if (!t)
		return NULL;
	memcpy(t->id, row->id, sizeof(t->id));
	memcpy(t->label, row->label, sizeof(t->label));
	memcpy(t->hash, row->hash, sizeof(t->hash));
	t->operator= row->operator;
	t->created_ns = row->created_ns;
	t->project = p;
	while (*at)
		at = &(*at)->next;
	*at = t;
	in = bucket(f, t->hash);
	t->hash_next = *in;
	*in = t;
	p->n_tokens++;
	return t;
}

void token_drop(struct front *f, struct token *t)
{
	struct token **at = &t->project->tokens, **in = bucket(f, t->hash);

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	while (*in != t)
		in = &(*in)->hash_next;
	*in = t->hash_next;
	t->project->n_tokens--;
	free(t);
}

static int check_new(const struct project *p, const char *label, bool operator, struct err * e)
{
	if (p->slot != 0 && operator)
		return err_set(e, ERR_INPUT, 0,
			       "operator: only the project \"%s\" has operators' tokens",
			       PROJECT_DEFAULT_NAME);
	if (p->going)
		return err_set(e, ERR_CONFLICT, 0, "the project %s is being removed", p->name);
	if (p->n_tokens >= PROJECT_TOKENS_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the project %s has %u tokens, the most that are possible: revoke "
			       "one",
			       p->name, p->n_tokens);
	if (strlen(label) > TOKEN_LABEL_MAX)
		return err_set(e, ERR_INPUT, 0, "label: at most %d bytes", TOKEN_LABEL_MAX);
	return 0;
}

int token_create(struct front *f, struct project *p, const char *label, bool operator,
		 char text[TOKEN_LEN + 1], struct token **ret, struct err *e)
{
	struct token_row row = {0};
	struct token *t;
	int r = check_new(p, label, operator, e);

	if (r == 0)
		r = token_new(label, operator, & row, text, e);
	if (r < 0)
		return r;
	t = token_add(f, p, &row);
	if (!t)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a token");
	r = store_begin(f->store, e);
	if (r == 0)
		r = store_token_insert(f->store, p->id, &row, e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0) {
		store_rollback(f->store);
		token_drop(f, t);
		return r;
	}
	*ret = t;
	return 0;
}

/* The tokens with that id, or all of the project's, out of the store. */
static int forget(struct front *f, const struct project *p, const char *id, struct err *e)
{
	int r = store_begin(f->store, e);

	if (r == 0)
		r = id ? store_token_delete(f->store, id, e)
		       : store_token_delete_all(f->store, p->id, e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0)
		store_rollback(f->store);
	return r;
}

int token_revoke(struct front *f, struct project *p, const char *id, struct err *e)
{
	struct token *t = p->tokens;
	char shown[80];
	int r;

	while (t && strcmp(t->id, id) != 0)
		t = t->next;
	if (!t)
		return err_set(e, ERR_NOT_FOUND, 0, "the project %s has no token %s", p->name,
			       json_strict_escape(id, shown, sizeof(shown)));
	r = forget(f, p, id, e);
	if (r < 0)
		return r;
	token_drop(f, t);
	EVENT_TELL(f, token_revoked);
	return 0;
}

int token_revoke_all(struct front *f, struct project *p, struct err *e)
{
	int r = forget(f, p, NULL, e);

	if (r < 0)
		return r;
	while (p->tokens)
		token_drop(f, p->tokens);
	EVENT_TELL(f, token_revoked);
	return 0;
}

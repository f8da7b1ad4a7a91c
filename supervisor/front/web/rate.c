// SPDX-License-Identifier: Apache-2.0
/*
 * Rate limits: how often a key was asked for in a namespace of a project, over all instances of all its
 * workers. A key's time begins with its first call and ends a period later; then it begins anew. What is
 * counted is in memory, and a restart of the front forgets it: a limit may then be passed twice in one
 * period of at most a minute. To keep it, each call would have to wait for the disk, where now none does,
 * and no limit promises more to whoever uses one against load.
 */
#include <stdio.h>
#include <string.h>

#include "lib/sha256.h"
#include "supervisor/front/web/web.h"

/* Keys of a project, at a time. With more, the one whose time began first is forgotten. */
#define RATE_KEYS_MAX 20000u
#define RATE_KEY_LEN_MAX 2048u

struct web_rate {
	struct idnode node;	     /* of web.rates, by id */
	TAILQ_ENTRY(web_rate) next;  /* of its project and period: the oldest first */
	char id[2 * SHA256_LEN + 1]; /* of project, namespace, period and key */
	uint64_t ends_ns;	     /* CLOCK_MONOTONIC */
	uint32_t n;
};

static void rate_free(struct front *f, struct project_web *w, unsigned which, struct web_rate *r)
{
	idtable_remove(&f->web->rates, &r->node);
	TAILQ_REMOVE(&w->rates[which], r, next);
	w->n_rates--;
	free(r);
}

void web_rates_free(struct front *f, struct project *p)
{
	for (unsigned i = 0; i < WEB_RATE_PERIODS; i++)
		while (!TAILQ_EMPTY(&p->web->rates[i]))
			rate_free(f, p->web, i, TAILQ_FIRST(&p->web->rates[i]));
}

/* Those whose time is over, and where there are as many as may be, one more. */
static void make_room(struct front *f, struct project_web *w, uint64_t now)
{
	struct web_rate *r, *oldest = NULL;
	unsigned of = 0;

	for (unsigned i = 0; i < WEB_RATE_PERIODS; i++) {
		while ((r = TAILQ_FIRST(&w->rates[i])) && r->ends_ns <= now)
			rate_free(f, w, i, r);
		if (r && (!oldest || r->ends_ns < oldest->ends_ns)) {
			oldest = r;
			of = i;
		}
	}
	if (w->n_rates >= RATE_KEYS_MAX && oldest)
		rate_free(f, w, of, oldest);
}

static int id_of(const struct project *p, const struct manifest_binding *b, const char *key,
		 char ret[2 * SHA256_LEN + 1])
{
	_cleanup_sha256_ struct sha256 s = {0};
	uint8_t digest[SHA256_LEN];

	/* Each with its NUL, so that two do not run together. */
	sha256_begin(&s);
	sha256_add(&s, p->id, strlen(p->id) + 1);
	sha256_add(&s, b->target, strlen(b->target) + 1);
	sha256_add(&s, &b->period_s, sizeof(b->period_s));
	sha256_add(&s, key, strlen(key));
	if (sha256_end(&s, digest) < 0)
		return -ENOMEM;
	util_hex(digest, sizeof(digest), ret);
	return 0;
}

/* Counts one call. -ENOMEM; else whether it is within the limit. */
static int rate_count(struct front *f, struct project *p, const struct manifest_binding *b,
		      const char *key)
{
	const unsigned which = b->period_s == 10 ? 0 : 1;
	const uint64_t now = util_monotonic_ns();
	char id[2 * SHA256_LEN + 1];
	struct web_rate *r;

	if (id_of(p, b, key, id) < 0)
		return -ENOMEM;
	r = OWNER_OF(idtable_find(&f->web->rates, id), struct web_rate, node);
	if (r && r->ends_ns <= now) {
		rate_free(f, p->web, which, r);
		r = NULL;
	}
	if (!r) {
		make_room(f, p->web, now);
		r = calloc(1, sizeof(*r));
		if (!r)
			return -ENOMEM;
		memcpy(r->id, id, sizeof(r->id));
		r->ends_ns = now + b->period_s * SEC;
		idtable_add(&f->web->rates, &r->node, r->id);
		TAILQ_INSERT_TAIL(&p->web->rates[which], r, next);
		p->web->n_rates++;
	}
	if (r->n >= b->limit)
		return 0;
	r->n++;
	return 1;
}

void web_rate_ask(struct web_channel *c, const struct manifest_binding *b, json_int_t id,
		  json_t *head)
{
	const char *method = json_string_value(json_object_get(head, "method"));
	const char *key = json_string_value(json_object_get(head, "key"));
	char text[100];
	int r;

	if (!method || strcmp(method, "limit") != 0 || !key) {
		web_answer_error(c->f, c->run, id, "TypeError", "a rate limit has limit(key=...)");
		return;
	}
	if (strlen(key) > RATE_KEY_LEN_MAX) {
		(void)snprintf(text, sizeof(text), "the key of a rate limit has at most %u bytes",
			       RATE_KEY_LEN_MAX);
		web_answer_error(c->f, c->run, id, "TypeError", text);
		return;
	}
	r = rate_count(c->f, c->version->worker->project, b, key);
	if (r < 0)
		web_answer_error(c->f, c->run, id, "Error", "out of memory");
	else
		web_answer(c->f, c->run, id, json_pack("{s:b}", "success", r), NULL, 0);
}

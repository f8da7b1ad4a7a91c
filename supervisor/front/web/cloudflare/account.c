// SPDX-License-Identifier: Apache-2.0
/* Who asks, and for which account: what `wrangler whoami` and each command's beginning want to know.
 * And what answers all that nothing else here does. */
#include <stdio.h>

#include "supervisor/front/core/core.h"
#include "supervisor/front/web/cloudflare/cloudflare.h"

static int verify(struct call *c, struct err *e)
{
	(void)e;
	call_reply(c, json_pack("{s:s, s:s}", "id", c->project->id, "status", "active"));
	return 0;
}

/* A token is a project's, and nobody's in person: its name stands for an address. */
static int user(struct call *c, struct err *e)
{
	(void)e;
	call_reply(c, json_pack("{s:s, s:s}", "id", c->project->id, "email", c->project->name));
	return 0;
}

static json_t *account_json(const struct project *p)
{
	return json_pack("{s:s, s:s, s:s}", "id", p->id, "name", p->name, "type", "standard");
}

static json_t *membership_json(const struct project *p)
{
	return json_pack("{s:s, s:s, s:o}", "id", p->id, "status", "accepted", "account",
			 account_json(p));
}

/* All of them are on the first page: of the others clients may ask until one is empty. */
static int list(struct call *c, json_t *(*json)(const struct project *p), struct err *e)
{
	int64_t page = 1;
	json_t *all;
	int r;

	(void)call_int(c, "page", 1, INT32_MAX, &page);
	r = call_end(c, e);
	if (r < 0)
		return r;
	all = json_array();
	for (const struct project *p = c->f->core->projects; p && page == 1; p = p->next)
		if ((c->is_operator || p == c->project) && !p->going)
			(void)json_array_append_new(all, json(p));
	call_reply(c, all);
	return 0;
}

static int accounts(struct call *c, struct err *e)
{
	return list(c, account_json, e);
}

static int memberships(struct call *c, struct err *e)
{
	return list(c, membership_json, e);
}

static int account(struct call *c, struct err *e)
{
	int r = call_end_project(c, e);

	if (r == 0)
		call_reply(c, account_json(c->project));
	return r;
}

/* Nothing of a body is read: it is the request as such that has no answer. */
static int not_there(struct http_request *r, struct err *e)
{
	char shown[200], text[300];

	(void)e;
	(void)snprintf(text, sizeof(text), "this server has no %.20s %s: it is not there yet",
		       r->method, util_escape(r->path, shown, sizeof(shown)));
	http_json(r, 404, cf_error(CF_NOT_THERE, text));
	return 0;
}

static const struct http_route routes[] = {{.method = "*",
					    .path = CF_PATH "/*",
					    .who = WHO_TOKEN,
					    .fn = not_there,
					    .body_max = HTTP_BODY_MAX,
					    .dialect = &cf_dialect},
					   {0}};

#define ROW .dialect = &cf_dialect, .shape = cf_shape
/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "GET", CF_PATH "/user/tokens/verify", WHO_TOKEN, verify, ROW},
	{NULL, "GET", CF_PATH "/user", WHO_TOKEN, user, ROW},
	{NULL, "GET", CF_PATH "/accounts", WHO_TOKEN, accounts, ROW},
	{NULL, "GET", CF_PATH "/memberships", WHO_TOKEN, memberships, ROW},
	{NULL, "GET", CF_ACCOUNT, WHO_PROJECT, account, ROW},
	{0},
};
/* clang-format on */

const struct capability cloudflare_capability = {
	.name = "cloudflare", .verbs = verbs, .routes = routes};

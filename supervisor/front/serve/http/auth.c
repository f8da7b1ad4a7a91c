// SPDX-License-Identifier: Apache-2.0
/* Whose request it is, whether he may, and whether it is one too many. */
#include <string.h>

#include "supervisor/front/serve/http/internal.h"

#define FAILED_RATE 100u /* wrong tokens a second, of everybody together */
#define FAILED_BURST_S 1u
#define BURST_S 2u
#define RETRY_S 1u

bool http_rate_take(uint64_t *next_ns, uint64_t now_ns, uint64_t rate, uint64_t burst_s)
{
	uint64_t next = *next_ns > now_ns ? *next_ns : now_ns;

	next += SEC / rate;
	if (next - now_ns > burst_s * SEC)
		return false;
	*next_ns = next;
	return true;
}

static int refuse_token(struct http_req *r, bool given)
{
	if (!http_rate_take(&r->http->failed_next_ns, r->started_ns, FAILED_RATE, FAILED_BURST_S))
		http_refuse(r, MHD_HTTP_TOO_MANY_REQUESTS, RETRY_S,
			    "too many requests with wrong tokens: try again later");
	else
		http_refuse(
			r, MHD_HTTP_UNAUTHORIZED, 0, "%s",
			given ? "the token is not valid"
			      : "a token is needed: Authorization: OAuth TOKEN, or ?oauth=TOKEN");
	return -EACCES;
}

static int check_rate(struct http_req *r)
{
	struct http *h = r->http;
	uint64_t rate = h->f->cfg.http_rate ? h->f->cfg.http_rate : HTTP_RATE;

	/* Operators are not slowed down: they are who looks when something is. */
	if (r->pub.operator||
	    http_rate_take(&h->project_next_ns[r->pub.project->slot % PROJECTS_MAX], r->started_ns,
			   rate, BURST_S))
		return 0;
	http_refuse(r, MHD_HTTP_TOO_MANY_REQUESTS, RETRY_S,
		    "more than %llu requests a second: try again later", (unsigned long long)rate);
	return -EBUSY;
}

/* Another's project is as one that is not there. */
static int check_project(struct http_req *r)
{
	struct project *p = r->pub.project;

	if (r->pub.operator)
		p = project_by_id(r->http->f, r->pub.parts[0]);
	else if (strcmp(p->id, r->pub.parts[0]) != 0)
		p = NULL;
	if (!p) {
		http_refuse(r, MHD_HTTP_NOT_FOUND, 0, "Not found");
		return -ENOENT;
	}
	r->pub.project = p;
	return 0;
}

static const char *token_of(struct http_req *r)
{
	return http_token_text(http_header(&r->pub, MHD_HTTP_HEADER_AUTHORIZATION),
			       http_param(&r->pub, "oauth"));
}

static struct project *project_of(struct http_req *r, bool *ret_operator)
{
	const char *token = token_of(r);

	*ret_operator = false;
	return token ? project_by_token(r->http->f, token, strlen(token), ret_operator) : NULL;
}

static bool has_token(struct http_req *r)
{
	return http_header(&r->pub, MHD_HTTP_HEADER_AUTHORIZATION) || http_param(&r->pub, "oauth");
}

bool http_is_revoked(struct http_req *r)
{
	bool is_operator;

	return r->route && r->route->auth != HTTP_OPEN && !project_of(r, &is_operator);
}

int http_authorise(struct http_req *r, bool again)
{
	int status;

	r->pub.project = project_of(r, &r->pub.operator);
	if (r->route->auth == HTTP_OPEN)
		return 0;
	if (!r->pub.project)
		return refuse_token(r, has_token(r));
	status = again ? 0 : check_rate(r);
	if (status == 0 && r->route->auth == HTTP_PROJECT)
		status = check_project(r);
	if (status == 0 && r->route->auth == HTTP_OPERATOR && !r->pub.operator) {
		http_refuse(r, MHD_HTTP_FORBIDDEN, 0, "this needs an operator's token");
		status = -EACCES;
	}
	return status;
}

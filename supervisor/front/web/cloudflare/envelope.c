// SPDX-License-Identifier: Apache-2.0
/* {"success", "errors", "messages", "result"}: around every answer below CF_PATH. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/web/cloudflare/assets.h"

json_t *cf_shape(const struct http_request *r, json_t *reply)
{
	(void)r;
	return json_pack("{s:b, s:[], s:[], s:o}", "success", 1, "errors", "messages", "result",
			 reply);
}

json_t *cf_shape_none(const struct http_request *r, json_t *reply)
{
	json_decref(reply);
	return cf_shape(r, json_null());
}

static enum cf_code code_of(const struct http_request *r, unsigned status, const struct err *e)
{
	if (status == 401 || status == 403)
		return CF_AUTHENTICATION;
	if (status == 429)
		return CF_TOO_MANY;
	if (status == 413)
		return CF_TOO_MUCH;
	if (!e)
		return status == 404 ? CF_NO_ROUTE : CF_FAILED;
	switch (e->code) {
	case ERR_INPUT:
		return strncmp(e->msg, CF_INHERIT_TEXT, strlen(CF_INHERIT_TEXT)) == 0 ? CF_INHERIT
										      : CF_INVALID;
	case ERR_NOT_FOUND:
		if (strncmp(e->msg, "there is no key", strlen("there is no key")) == 0)
			return CF_NO_KEY;
		/* Of a namespace Cloudflare says 10013. */
		return strstr(r->route->path, "/storage/kv/") ? CF_FAILED : CF_NO_SCRIPT;
	case ERR_CONFLICT:
		return CF_CONFLICT;
	default:
		return CF_FAILED;
	}
}

/*
 * Where the message of CF_INVALID has the word "startup", wrangler runs the worker in a program of
 * its own, to see where the time goes: that one cannot run Python, and its crash would be printed
 * before the message.
 */
static char *write_apart(const char *text, const char *detail)
{
	static const char word[] = "startup";
	const size_t head = strlen("start"), whole = strlen(word);
	char *buf = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&buf, &len);

	for (unsigned i = 0; out && i < 2; i++) {
		const char *at = i == 0 ? text : detail;

		if (!at)
			break;
		if (i > 0)
			(void)fputc('\n', out);
		for (const char *next; (next = strcasestr(at, word)); at = next + whole)
			(void)fprintf(out, "%.*s-%.*s", (int)((size_t)(next - at) + head), at,
				      (int)(whole - head), next + head);
		(void)fputs(at, out);
	}
	if (out && fclose(out) != 0)
		util_free_ptr(&buf);
	return buf;
}

/* text, and in lines of its own what is told beside it, or NULL. */
static json_t *error_json(enum cf_code code, const char *text, const char *detail)
{
	_cleanup_free_ char *shown = write_apart(text, detail);
	json_t *message = shown ? json_string(shown) : NULL;

	if (!message)
		message = json_string("the request holds text that is not UTF-8");
	return json_pack("{s:b, s:[{s:i, s:o}], s:[], s:n}", "success", 0, "errors", "code",
			 (int)code, "message", message, "messages", "result");
}

json_t *cf_error(enum cf_code code, const char *text)
{
	return error_json(code, text, NULL);
}

static json_t *error(const struct http_request *r, unsigned status, const struct err *e,
		     const char *text)
{
	const enum cf_code code = code_of(r, status, e);

	if (code == CF_NO_ROUTE)
		text = "there is no such account for this token: CLOUDFLARE_ACCOUNT_ID must be the "
		       "id of the token's project";
	else if (code == CF_AUTHENTICATION && !e)
		text = "Authentication error: the token must be one of a project of this server: "
		       "CLOUDFLARE_API_TOKEN";
	return error_json(code, text, r->detail);
}

const struct http_dialect cf_dialect = {.token_header = "X-Auth-Key", .error = error};
const struct http_dialect cf_asset_dialect = {.holder = cf_asset_holder, .error = error};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request's first lines say, taken apart: pure functions on text that anybody sends
 * (fuzzed). Nothing here knows of sockets or projects.
 */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_URI_H
#define SUPERVISOR_FRONT_SERVE_HTTP_URI_H

#include "lib/util.h"
#include "supervisor/front/serve/http/http.h"

#define HTTP_SEGMENTS_MAX 12
#define HTTP_PARAMS_MAX 48

/* A request target, decoded in place: all text is in the string that was parsed. */
struct http_target {
	char *authority; /* HOST or HOST:PORT of http://HOST/...; NULL: a path alone was asked for */
	char *segments[HTTP_SEGMENTS_MAX]; /* decoded: no controls, valid UTF-8, no ".." */
	bool slashed;			   /* one of them has '/' in it */
	unsigned n_segments;
	struct {
		char *name, *value;
	} params[HTTP_PARAMS_MAX];
	unsigned n_params;
};

/* The path of the target as it was sent, with nothing decoded; the caller frees it. */
char *http_target_path(const char *uri);
/*
 * Takes "/a/b%20c?x=1&y" apart, or the same after "http://HOST"; uri is written to and must
 * outlive *ret. One '/' at the end is as none. -EINVAL with *e for what is not of this form.
 */
int http_target_parse(char *uri, struct http_target *ret, struct err *e);
/* The first parameter of that name, or NULL. */
const char *http_target_param(const struct http_target *t, const char *name);

/*
 * The row that the target matches; of several the one with words where the others have {}.
 * NULL: none does with this method; allow then has the methods that would ("" when no row
 * has this path). HEAD is answered by GET. parts: what stood for each {}.
 */
#define HTTP_ALLOW_MAX 64
const struct http_route *http_route_find(const struct http_route *const *tables, unsigned n_tables,
					 const char *method, const struct http_target *t,
					 const char *parts[HTTP_PARTS_MAX],
					 char allow[HTTP_ALLOW_MAX]);

/* The token of "OAuth TOKEN" or "Bearer TOKEN", or of the parameter when there is no header.
 * NULL: none, or none of a token's form. */
const char *http_token_text(const char *authorization, const char *param);

/* True when a browser that was led here by another site's name would not say this: localhost
 * and loopback addresses, with any port. */
bool http_host_is_loopback(const char *host);

/* 1: multipart/form-data with a boundary that is good; 0: another type; -EINVAL. */
int http_multipart_check(const char *content_type, struct err *e);

/* A decimal number and nothing else: 0 or -EINVAL. */
int http_number(const char *text, uint64_t *ret);

#endif

// SPDX-License-Identifier: Apache-2.0
/* A request's target, as sent; and the same bytes as each header that is taken apart. */
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/front.h"
#include "supervisor/front/serve/http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	uint32_t c;
	int n;

	for (; *p; p += n) {
		n = log_text_utf8(p, strlen((const char *)p), &c);
		if (n <= 0)
			__builtin_trap();
	}
}

static void check_target(const struct http_target *t)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};
	const char *parts[HTTP_PARTS_MAX] = {NULL};
	char allow[HTTP_ALLOW_MAX];
	static const struct http_route *const *tables;
	static unsigned n_tables;

	if (!tables)
		tables = verb_tables(front_capabilities, &n_tables);
	for (unsigned i = 0; i < t->n_segments; i++) {
		const char *s = t->segments[i];

		check_text(s);
		if (!*s || (strchr(s, '/') && !t->slashed) || strcmp(s, "..") == 0 ||
		    strcmp(s, ".") == 0)
			__builtin_trap();
		for (; *s; s++)
			if ((unsigned char)*s < 0x20 || *s == 0x7f)
				__builtin_trap();
	}
	for (unsigned i = 0; i < t->n_params; i++) {
		check_text(t->params[i].name);
		check_text(t->params[i].value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (http_route_find(tables, n_tables, methods[i], t, parts, allow) && !*allow)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct http_target target;
	struct err e = {0};
	const char *token;
	uint64_t n;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	token = http_token_text(text, NULL);
	if ((token && strlen(token) != TOKEN_LEN) || http_token_text("Basic x", text))
		__builtin_trap();
	(void)http_token_text(NULL, text);
	(void)http_host_is_loopback(text);
	(void)http_multipart_check(text, &e);
	(void)http_number(text, &n);
	memset(&e, 0, sizeof(e));
	if (http_target_parse(text, &target, &e) == 0)
		check_target(&target);
	else if (!*e.msg)
		__builtin_trap();
	free(text);
	return 0;
}

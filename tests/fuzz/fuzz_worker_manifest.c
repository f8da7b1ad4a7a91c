// SPDX-License-Identifier: Apache-2.0
/* The manifest that a build run sends, and the patterns of routes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/worker_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool so)
{
	if (!so)
		abort();
}

static void check_route(const struct route_pattern *p)
{
	char buf[ROUTE_PATTERN_MAX + ROUTE_HOST_MAX], again[sizeof(buf)];
	struct route_pattern same;
	struct err e = {0};

	/* What nginx is told. */
	need(strspn(p->host, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(p->host));
	need(*p->host && *p->path == '/' && !strpbrk(p->path, "*?# \"\\{}\n\r"));
	need(route_pattern_parse(route_pattern_format(p, buf, sizeof(buf)), false, &same, &e) == 0);
	need(strcmp(route_pattern_format(&same, again, sizeof(again)), buf) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker_manifest m;
	struct route_pattern p;
	struct err e = {0};
	char *text;

	if (worker_manifest_read("manifest", (const char *)data, size, &m, &e) < 0) {
		need(e.code != ERR_NONE && e.msg[0] && !m.doc && !m.bindings && !m.routes);
	} else {
		need(worker_manifest_is_name(m.name) && !strchr(m.main_file, '/'));
		need(m.sandbox.min <= m.sandbox.max && util_is_name(m.sandbox.policy));
		for (size_t i = 0; i < m.n_bindings; i++)
			need(m.bindings[i].name && m.bindings[i].type < BINDING_N &&
			     (m.bindings[i].target ||
			      !binding_table[m.bindings[i].type].need_target));
		for (size_t i = 0; i < m.n_routes; i++)
			check_route(&m.routes[i].pattern);
		worker_manifest_clear(&m);
	}
	text = strndup((const char *)data, size);
	if (text && route_pattern_parse(text, size % 2, &p, &e) == 0)
		check_route(&p);
	free(text);
	return 0;
}

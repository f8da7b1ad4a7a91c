// SPDX-License-Identifier: Apache-2.0
/* Where the edge listens, as the monitor has written it into RUN. */
#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "supervisor/front/edge/edge.h"

/* A file of RUN: text, without a newline; "": there is none. */
static void read_run(struct front *f, const char *name, char *buf, size_t size)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	char path[64];

	buf[0] = '\0';
	(void)snprintf(path, sizeof(path), "../%s", name);
	if (util_read_file_at(f->cfg.edge_dirfd, path, size - 1, &text, &len) == 0)
		(void)snprintf(buf, size, "%.*s", (int)strcspn(text, "\n"), text);
}

void edge_domain(struct front *f, char *buf, size_t size)
{
	read_run(f, "edge-domain", buf, size);
}

void edge_url(struct front *f, const char *name, const char *project, char *buf, size_t size)
{
	char domain[256], at[128];
	const char *scheme = "http", *port;

	edge_domain(f, domain, sizeof(domain));
	read_run(f, "edge-http", at, sizeof(at));
	if (!*at) {
		scheme = "https";
		read_run(f, "edge-https", at, sizeof(at));
	}
	port = strrchr(at, ':');
	if (port && strcmp(port, strcmp(scheme, "http") == 0 ? ":80" : ":443") == 0)
		port = "";
	buf[0] = '\0';
	if (*domain && port)
		(void)snprintf(buf, size, "%s://%s.%s.%s%s", scheme, name, project, domain, port);
}

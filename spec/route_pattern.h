/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pattern of a worker's route, as people write it in wrangler.toml:
 *
 *	example.com/api*	all paths of this host that begin so
 *	*.example.com/a*	the same for every host below it, at any depth
 *	example.com/about	this path alone
 *	example.com		the same as example.com/
 *
 * "http://" or "https://" in front changes nothing. A custom domain is a host alone, and means all
 * of its paths.
 */
#ifndef SPEC_ROUTE_PATTERN_H
#define SPEC_ROUTE_PATTERN_H

#include "lib/util.h"

#define ROUTE_PATTERN_MAX 1024
#define ROUTE_HOST_MAX 253 /* characters of a name in DNS */

struct route_pattern {
	bool below; /* every host below this one, and not this one itself */
	/* the path is what paths begin with; else it is a path */
	bool prefix;
	char host[ROUTE_HOST_MAX + 1]; /* lower case, without a dot at its end */
	char path[ROUTE_PATTERN_MAX];  /* begins with '/' */
};

/* Reads a pattern; the error says what is wrong with it and what to write. */
int route_pattern_parse(const char *text, bool custom_domain, struct route_pattern *ret,
			struct err *e);
/* Writes the pattern in the one form that all ways of writing it have. buf has
 * ROUTE_PATTERN_MAX + ROUTE_HOST_MAX bytes. Returns buf. */
char *route_pattern_format(const struct route_pattern *p, char *buf, size_t size);
/* Whether the host is one of those below base, at any depth. */
bool route_host_is_below(const char *host, const char *base);

#endif

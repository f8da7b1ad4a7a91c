// SPDX-License-Identifier: Apache-2.0
/*
 * What came of warm-ups: a recipe that has failed is not tried again for a while, longer each
 * time, and its tasks are told why. A changed package is another recipe; so that it can not be
 * changed to be tried without end, lists that name a package's module have a pause of their
 * own, whatever the package.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/monitor.h"

#define SECOND 1000000000ULL
#define PASTS_MAX 128
#define RETRY_NS SECOND
/* A warm-up may last half a minute: ten minutes, so that one which always does takes a
 * twentieth of its place. */
#define DOUBLINGS_MAX 9
/* Between two of one list: a tenant's failures are not to keep others out for long. */
#define LIST_DOUBLINGS_MAX 5

struct warm_past {
	struct warm_past *next;
	bool any_package;
	struct recipe of; /* its package_fd is -1 */
	unsigned failures;
	uint64_t retry_ns; /* CLOCK_MONOTONIC */
	char why[PROTO_TEXT_MAX];
};

static struct warm_past *find(const struct monitor *m, const struct recipe *of, bool any_package)
{
	struct recipe like = *of;

	like.owner = recipe_dumped_by(of);
	if (any_package)
		memset(like.package, 0, sizeof(like.package));
	for (struct warm_past *p = m->warm_pasts; p; p = p->next)
		if (p->any_package == any_package && recipe_is(&p->of, &like))
			return p;
	return NULL;
}

/* The newest is first; the oldest of too many is forgotten. */
static struct warm_past *add(struct monitor *m, const struct recipe *of, bool any_package)
{
	struct warm_past *p = calloc(1, sizeof(*p)), **last = &m->warm_pasts;

	if (!p)
		return NULL;
	p->of = *of;
	p->of.owner = recipe_dumped_by(of);
	p->of.package_fd = -1;
	p->any_package = any_package;
	if (any_package)
		memset(p->of.package, 0, sizeof(p->of.package));
	p->next = m->warm_pasts;
	m->warm_pasts = p;
	for (unsigned n = 0; *last && n < PASTS_MAX; n++)
		last = &(*last)->next;
	if (*last) {
		free(*last);
		*last = NULL;
	}
	return p;
}

static void forget(struct monitor *m, struct warm_past *past)
{
	struct warm_past **p = &m->warm_pasts;

	while (*p && *p != past)
		p = &(*p)->next;
	if (*p)
		*p = past->next;
	free(past);
}

static void fail(struct warm_past *p, unsigned doublings_max)
{
	unsigned n = p->failures < doublings_max ? p->failures : doublings_max;

	p->failures++;
	p->retry_ns = util_monotonic_ns() + (RETRY_NS << n);
}

const char *warm_past_why(const struct monitor *m, const struct recipe *of)
{
	const struct warm_past *p = find(m, of, false);

	return p ? p->why : "";
}

uint64_t warm_past_retry_ns(const struct monitor *m, const struct recipe *of)
{
	const struct warm_past *own = find(m, of, false), *list = find(m, of, true);
	uint64_t a = own ? own->retry_ns : 0, b = list ? list->retry_ns : 0;

	return a > b ? a : b;
}

bool warm_past_allows(const struct monitor *m, const struct recipe *of)
{
	return util_monotonic_ns() >= warm_past_retry_ns(m, of);
}

void warm_past_begin(struct monitor *m, const struct recipe *of)
{
	struct warm_past *list;

	if (of->package_fd < 0)
		return;
	list = find(m, of, true);
	if (!list)
		list = add(m, of, true);
	if (list)
		list->retry_ns = util_monotonic_ns() + RETRY_NS;
}

void warm_past_end(struct monitor *m, const struct recipe *of, const char *why)
{
	struct warm_past *own = find(m, of, false), *list;

	if (*why && !own)
		own = add(m, of, false);
	/* After that: add forgets the oldest. */
	list = find(m, of, true);
	if (!*why) {
		if (own)
			forget(m, own);
		if (list)
			list->failures = 0;
		return;
	}
	if (own) {
		(void)snprintf(own->why, sizeof(own->why), "%s", why);
		fail(own, DOUBLINGS_MAX);
	}
	if (list)
		fail(list, LIST_DOUBLINGS_MAX);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * What came of warm-ups: a recipe that has failed is not tried again for a while, longer each
 * time, and its tasks are told why. What a project's tasks name themselves, a list or a package,
 * fails by their limits and their code, and holds up that project alone; the images' own lists
 * are everybody's.
 *
 * A changed package is another recipe. So that it can not be changed to be tried without end, a
 * project's lists that name a package's module have a short pause between any two, whatever the
 * package; it does not grow with failures, which may be another package's.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/monitor/monitor.h"

#define SECOND 1000000000ULL
#define PASTS_MAX 128
#define RETRY_NS SECOND
#define LIST_PAUSE_NS SECOND
/* A warm-up may last half a minute: ten minutes, so that one which always does takes a
 * twentieth of its place. */
#define DOUBLINGS_MAX 9

struct warm_past {
	struct warm_past *next;
	bool any_package; /* the pause of a list, whatever the package */
	struct recipe of; /* its package_fd is -1, its owner who is held up by it */
	unsigned failures;
	uint64_t retry_ns; /* CLOCK_MONOTONIC */
	char why[PROTO_TEXT_MAX];
};

static struct recipe past_key(const struct recipe *of, enum warm_for list, bool any_package)
{
	struct recipe key = *of;

	if (list != WARM_FOR_TASK)
		key.owner = recipe_dumped_by(of);
	key.package_fd = -1;
	if (any_package)
		memset(key.package, 0, sizeof(key.package));
	return key;
}

static struct warm_past *find(const struct monitor *m, const struct recipe *key, bool any_package)
{
	for (struct warm_past *p = m->warm_pasts; p; p = p->next)
		if (p->any_package == any_package && recipe_is(&p->of, key))
			return p;
	return NULL;
}

static unsigned count(const struct monitor *m, uint32_t owner)
{
	unsigned n = 0;

	for (const struct warm_past *p = m->warm_pasts; p; p = p->next)
		n += p->of.owner == owner;
	return n;
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

/* Of too many the oldest of who has most: nobody makes others' pasts forgotten. */
static void make_room(struct monitor *m)
{
	struct warm_past *victim = NULL;
	unsigned n = 0, most = 0;

	for (struct warm_past *p = m->warm_pasts; p; p = p->next) {
		const unsigned of_owner = count(m, p->of.owner);

		n++;
		/* The newest is first. */
		if (of_owner >= most) {
			most = of_owner;
			victim = p;
		}
	}
	if (victim && n >= PASTS_MAX)
		forget(m, victim);
}

static struct warm_past *add(struct monitor *m, const struct recipe *key, bool any_package)
{
	struct warm_past *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	make_room(m);
	p->of = *key;
	p->any_package = any_package;
	p->next = m->warm_pasts;
	m->warm_pasts = p;
	return p;
}

const char *warm_past_why(const struct monitor *m, const struct recipe *of, enum warm_for list)
{
	const struct recipe key = past_key(of, list, false);
	const struct warm_past *p = find(m, &key, false);

	return p ? p->why : "";
}

bool warm_past_allows(const struct monitor *m, const struct recipe *of, enum warm_for list,
		      uint64_t now_ns)
{
	const struct recipe key = past_key(of, list, false), any = past_key(of, list, true);
	const struct warm_past *own = find(m, &key, false), *pause = find(m, &any, true);

	return (!own || now_ns >= own->retry_ns) && (!pause || now_ns >= pause->retry_ns);
}

void warm_past_begin(struct monitor *m, const struct recipe *of, uint64_t now_ns)
{
	const struct recipe any = past_key(of, WARM_FOR_TASK, true);
	struct warm_past *pause;

	if (of->package_fd < 0)
		return;
	pause = find(m, &any, true);
	if (!pause)
		pause = add(m, &any, true);
	if (pause)
		pause->retry_ns = now_ns + LIST_PAUSE_NS;
}

/* A checkpoint of the image alone is everybody's: it does not matter who made it. */
static void forget_all(struct monitor *m, const struct recipe *of)
{
	struct warm_past *next;

	for (struct warm_past *p = m->warm_pasts; p; p = next) {
		struct recipe like = *of;

		next = p->next;
		if (recipe_dumped_by(of) == SANDBOX_OWNER_SHARED)
			like.owner = p->of.owner;
		if (!p->any_package && recipe_is(&p->of, &like))
			forget(m, p);
	}
}

void warm_past_end(struct monitor *m, const struct recipe *of, enum warm_for list, const char *why,
		   uint64_t now_ns)
{
	const struct recipe key = past_key(of, list, false);
	struct warm_past *p;
	unsigned n;

	if (!*why) {
		forget_all(m, of);
		return;
	}
	p = find(m, &key, false);
	if (!p)
		p = add(m, &key, false);
	if (!p)
		return;
	n = p->failures < DOUBLINGS_MAX ? p->failures : DOUBLINGS_MAX;
	p->failures++;
	p->retry_ns = now_ns + (RETRY_NS << n);
	(void)snprintf(p->why, sizeof(p->why), "%s", why);
}

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
 *
 * A checkpoint that is made, and then turns out not to be what was dumped, is a failure of its
 * own kind: the next warm-up is likely to end well, and to be of no more use. It is over when one
 * has been restored.
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

enum past_kind {
	PAST_FAILED,
	PAST_PAUSE, /* of a list, whatever the package */
	PAST_BAD,   /* of the checkpoint itself: its owner is who has dumped it */
};

struct warm_past {
	struct warm_past *next;
	enum past_kind kind;
	struct recipe of; /* its package_fd is -1, its owner who is held up by it */
	unsigned failures;
	uint64_t retry_ns; /* CLOCK_MONOTONIC */
	char why[PROTO_TEXT_MAX];
};

static struct recipe past_key(const struct recipe *of, enum warm_for list, enum past_kind kind)
{
	struct recipe key = *of;

	if (list != WARM_FOR_TASK || kind == PAST_BAD)
		key.owner = recipe_dumped_by(of);
	key.package_fd = -1;
	if (kind == PAST_PAUSE)
		memset(key.package, 0, sizeof(key.package));
	return key;
}

static struct warm_past *find(const struct monitor *m, const struct recipe *key,
			      enum past_kind kind)
{
	for (struct warm_past *p = m->warm_pasts; p; p = p->next)
		if (p->kind == kind && recipe_is(&p->of, key))
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

static struct warm_past *add(struct monitor *m, const struct recipe *key, enum past_kind kind)
{
	struct warm_past *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	make_room(m);
	p->of = *key;
	p->kind = kind;
	p->next = m->warm_pasts;
	m->warm_pasts = p;
	return p;
}

/* What of this kind there is for a recipe. */
static struct warm_past *look_up(const struct monitor *m, const struct recipe *of,
				 enum warm_for list, enum past_kind kind)
{
	const struct recipe key = past_key(of, list, kind);

	return find(m, &key, kind);
}

const char *warm_past_why(const struct monitor *m, const struct recipe *of, enum warm_for list)
{
	const struct warm_past *p = look_up(m, of, list, PAST_FAILED);

	if (!p)
		p = look_up(m, of, list, PAST_BAD);
	return p ? p->why : "";
}

bool warm_past_allows(const struct monitor *m, const struct recipe *of, enum warm_for list,
		      uint64_t now_ns)
{
	for (enum past_kind kind = PAST_FAILED; kind <= PAST_BAD; kind++) {
		const struct warm_past *p = look_up(m, of, list, kind);

		if (p && now_ns < p->retry_ns)
			return false;
	}
	return true;
}

void warm_past_begin(struct monitor *m, const struct recipe *of, uint64_t now_ns)
{
	const struct recipe any = past_key(of, WARM_FOR_TASK, PAST_PAUSE);
	struct warm_past *pause;

	if (of->package_fd < 0)
		return;
	pause = find(m, &any, PAST_PAUSE);
	if (!pause)
		pause = add(m, &any, PAST_PAUSE);
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
		if (p->kind == PAST_FAILED && recipe_is(&p->of, &like))
			forget(m, p);
	}
}

/* Once more, and each time for longer. */
static void note(struct monitor *m, const struct recipe *of, enum warm_for list,
		 enum past_kind kind, const char *why, uint64_t now_ns)
{
	const struct recipe key = past_key(of, list, kind);
	struct warm_past *p = find(m, &key, kind);
	unsigned n;

	if (!p)
		p = add(m, &key, kind);
	if (!p)
		return;
	n = p->failures < DOUBLINGS_MAX ? p->failures : DOUBLINGS_MAX;
	p->failures++;
	p->retry_ns = now_ns + (RETRY_NS << n);
	(void)snprintf(p->why, sizeof(p->why), "%s", why);
}

void warm_past_end(struct monitor *m, const struct recipe *of, enum warm_for list, const char *why,
		   uint64_t now_ns)
{
	if (*why)
		note(m, of, list, PAST_FAILED, why, now_ns);
	else
		forget_all(m, of);
}

void warm_past_bad(struct monitor *m, const struct recipe *of, const char *why, uint64_t now_ns)
{
	char text[PROTO_TEXT_MAX];

	(void)snprintf(text, sizeof(text),
		       "the last checkpoint was not right and was removed: %.400s", why);
	note(m, of, WARM_FOR_NOBODY, PAST_BAD, text, now_ns);
}

void warm_past_good(struct monitor *m, const struct recipe *of)
{
	struct warm_past *p = look_up(m, of, WARM_FOR_NOBODY, PAST_BAD);

	if (p)
		forget(m, p);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * What became of warm-ups. A recipe that has failed is not tried again for a while, which grows
 * with each failure, and tasks of the recipe are told why. A list or a package that a project's
 * tasks name fails because of their limits and their code, so it is only held back for that
 * project. The list of an image is held back for everybody.
 *
 * A changed package is another recipe. A project could change a package to have it tried without
 * end, so there is a short pause between any two warm-ups of a project's list that names a module
 * of a package, whatever the package is. This pause does not grow with failures, which may be
 * another package's.
 *
 * A checkpoint that was made, and is not what was dumped when it is restored, is a failure of its
 * own kind: the next warm-up is likely to succeed, and its checkpoint to be as useless. Such a
 * failure is forgotten when a checkpoint of the recipe has been restored.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/monitor/monitor.h"

#define PASTS_MAX 128
#define RETRY_NS SEC
#define LIST_PAUSE_NS SEC
/* The longest pause is about ten minutes: a warm-up may last half a minute, and one that always
 * does takes a twentieth of a place then. */
#define DOUBLINGS_MAX 9

enum past_kind {
	PAST_FAILED,
	PAST_PAUSE, /* between two warm-ups of a list, whatever the package */
	PAST_BAD,   /* its checkpoint was not right; the owner is who has dumped it */
};

struct warm_past {
	struct warm_past *next;
	enum past_kind kind;
	struct recipe of; /* its package_fd is -1; its owner is the project that is held back */
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

static struct warm_past *past_find(const struct monitor *m, const struct recipe *key,
				   enum past_kind kind)
{
	for (struct warm_past *p = m->warm_pasts; p; p = p->next)
		if (p->kind == kind && recipe_is(&p->of, key))
			return p;
	return NULL;
}

static unsigned past_count(const struct monitor *m, uint32_t owner)
{
	unsigned n = 0;

	for (const struct warm_past *p = m->warm_pasts; p; p = p->next)
		n += p->of.owner == owner;
	return n;
}

static void past_forget(struct monitor *m, struct warm_past *past)
{
	struct warm_past **p = &m->warm_pasts;

	while (*p && *p != past)
		p = &(*p)->next;
	if (*p)
		*p = past->next;
	free(past);
}

/* When there are too many, forgets the oldest of the project that has most, so that no project can
 * make another one's forgotten. */
static void past_make_room(struct monitor *m)
{
	struct warm_past *victim = NULL;
	unsigned n = 0, most = 0;

	for (struct warm_past *p = m->warm_pasts; p; p = p->next) {
		const unsigned of_owner = past_count(m, p->of.owner);

		n++;
		/* The newest is the first in the list. */
		if (of_owner >= most) {
			most = of_owner;
			victim = p;
		}
	}
	if (victim && n >= PASTS_MAX)
		past_forget(m, victim);
}

static struct warm_past *past_add(struct monitor *m, const struct recipe *key, enum past_kind kind)
{
	struct warm_past *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	past_make_room(m);
	p->of = *key;
	p->kind = kind;
	p->next = m->warm_pasts;
	m->warm_pasts = p;
	return p;
}

/* The failure of this kind that a recipe has, or NULL. */
static struct warm_past *past_look_up(const struct monitor *m, const struct recipe *of,
				      enum warm_for list, enum past_kind kind)
{
	const struct recipe key = past_key(of, list, kind);

	return past_find(m, &key, kind);
}

const char *warm_past_why(const struct monitor *m, const struct recipe *of, enum warm_for list)
{
	const struct warm_past *p = past_look_up(m, of, list, PAST_FAILED);

	if (!p)
		p = past_look_up(m, of, list, PAST_BAD);
	return p ? p->why : "";
}

int warm_past_check(const struct monitor *m, const struct recipe *of, enum warm_for list,
		    uint64_t now_ns, struct err *e)
{
	static const enum past_kind failures[] = {PAST_FAILED, PAST_BAD};
	const struct warm_past *p;

	for (unsigned i = 0; i < ARRAY_SIZE(failures); i++) {
		p = past_look_up(m, of, list, failures[i]);
		if (!p || now_ns >= p->retry_ns)
			continue;
		(void)err_set(e, ERR_LIMIT, 0, "it has failed lately: %s", p->why);
		return -EAGAIN;
	}
	p = past_look_up(m, of, list, PAST_PAUSE);
	if (!p || now_ns >= p->retry_ns)
		return 0;
	(void)err_set(e, ERR_LIMIT, 0,
		      "another one of the project's, with the same list, has begun just now");
	return -EBUSY;
}

bool warm_past_allows(const struct monitor *m, const struct recipe *of, enum warm_for list,
		      uint64_t now_ns)
{
	return warm_past_check(m, of, list, now_ns, NULL) == 0;
}

void warm_past_begin(struct monitor *m, const struct recipe *of, uint64_t now_ns)
{
	const struct recipe any = past_key(of, WARM_FOR_TASK, PAST_PAUSE);
	struct warm_past *pause;

	if (of->package_fd < 0)
		return;
	pause = past_find(m, &any, PAST_PAUSE);
	if (!pause)
		pause = past_add(m, &any, PAST_PAUSE);
	if (pause)
		pause->retry_ns = now_ns + LIST_PAUSE_NS;
}

/* A warm-up has succeeded: forgets its failures. A checkpoint of an image alone is for everybody,
 * so then those of all projects are forgotten. */
static void past_forget_all(struct monitor *m, const struct recipe *of)
{
	struct warm_past *next;

	for (struct warm_past *p = m->warm_pasts; p; p = next) {
		struct recipe like = *of;

		next = p->next;
		if (recipe_dumped_by(of) == SANDBOX_OWNER_SHARED)
			like.owner = p->of.owner;
		if (p->kind == PAST_FAILED && recipe_is(&p->of, &like))
			past_forget(m, p);
	}
}

/* Notes one more failure; the pause grows each time. */
static void past_note(struct monitor *m, const struct recipe *of, enum warm_for list,
		      enum past_kind kind, const char *why, uint64_t now_ns)
{
	const struct recipe key = past_key(of, list, kind);
	struct warm_past *p = past_find(m, &key, kind);
	unsigned n;

	if (!p)
		p = past_add(m, &key, kind);
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
		past_note(m, of, list, PAST_FAILED, why, now_ns);
	else
		past_forget_all(m, of);
}

void warm_past_bad(struct monitor *m, const struct recipe *of, const char *why, uint64_t now_ns)
{
	char text[PROTO_TEXT_MAX];

	(void)snprintf(text, sizeof(text),
		       "the last checkpoint was not right and was removed: %.400s", why);
	past_note(m, of, WARM_FOR_NOBODY, PAST_BAD, text, now_ns);
}

void warm_past_good(struct monitor *m, const struct recipe *of)
{
	struct warm_past *p = past_look_up(m, of, WARM_FOR_NOBODY, PAST_BAD);

	if (p)
		past_forget(m, p);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Templates are the monitor's: the front asks it (MON_TEMPLATES) and gathers what it says
 * (MON_TEMPLATE, one for each, the last one empty) into one answer for who asked. The
 * monitor going away is this role's own end; then those who wait are told so.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "lib/dir.h"
#include "lib/json_put.h"
#include "supervisor/front/run/run.h"

/* Questions that the monitor has not answered: more only when it hangs. */
#define ASKED_MAX 64

static const char *const state_names[TEMPLATE_STATE_MAX] = {
	[TEMPLATE_MAKING] = "making",
	[TEMPLATE_READY] = "ready",
	[TEMPLATE_RETIRED] = "retired",
	[TEMPLATE_WARMING] = "warming",
};

struct template_ask {
	struct template_ask *next;
	template_fn done;
	void *arg;
	uint32_t tag;
	char id[TEMPLATE_ID_LEN + 1]; /* "": all, or a list */
	json_t *rows;		      /* owned */
};

struct image_name {
	const char *hex;
	char found[NAME_MAX + 1];
};

static int match_name(int dir, const char *name, void *arg, struct err *e)
{
	struct image_name *of = arg;
	char target[80];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	(void)e;
	if (n != 67 || strncmp(target, "../", 3) != 0 || memcmp(target + 3, of->hex, 64) != 0 ||
	    !util_is_name(name))
		return 0;
	if (!*of->found || strcmp(name, of->found) < 0)
		(void)snprintf(of->found, sizeof(of->found), "%s", name);
	return 0;
}

/* An image's name, the first by the alphabet of those that it has now; NULL when none. */
static json_t *image_name(struct front *f, const char *hex)
{
	_cleanup_fd_ int fd =
		openat(f->cfg.state_dirfd, "images/by-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct image_name of = {.hex = hex};

	(void)dir_each(fd, match_name, &of, NULL);
	return *of.found ? json_string(of.found) : NULL;
}

json_t *template_imports_json(const char *warm)
{
	json_t *list = json_array();

	while (*warm) {
		size_t n = strcspn(warm, "\n");

		if (n > 0)
			(void)json_array_append_new(list, json_stringn(warm, n));
		warm += n + (warm[n] == '\n');
	}
	return list;
}

/* Whose tasks are forked from it; NULL: everybody's, as a warm-up of the image alone. */
static const char *owner_name(const struct front *f, uint32_t slot)
{
	const struct project *p = f->core->projects;

	while (p && p->slot != slot)
		p = p->next;
	return p ? p->name : NULL;
}

static json_t *template_json(struct front *f, const struct mon_template *m)
{
	char image[65], policy[65];

	util_hex(m->image, sizeof(m->image), image);
	util_hex(m->policy, sizeof(m->policy), policy);
	return json_pack(
		"{s:s, s:s?, s:o?, s:s, s:s, s:s, s:o, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:I}",
		"id", m->id, "project", owner_name(f, m->owner), "image", image_name(f, image),
		"image_digest", image, "policy", m->policy_name, "policy_digest", policy, "warm",
		template_imports_json(m->warm), "checkpoint", m->key, "state",
		m->state < TEMPLATE_STATE_MAX ? state_names[m->state] : "unknown", "parked",
		(json_int_t)m->parked, "running", (json_int_t)m->running, "forks",
		(json_int_t)m->forks, "created_at", json_time_exact(m->created_ns), "used_at",
		json_time_exact(m->used_ns), "memory_bytes", (json_int_t)m->memory_bytes);
}

static void answer(struct template_ask *ask, const struct err *e)
{
	ask->done(ask->arg, e ? NULL : ask->rows, e);
	json_decref(ask->rows);
	free(ask);
}

void template_row(struct front *f, const struct mon_template *m)
{
	struct template_ask **p = &f->run->template_asks, *ask;
	struct err e = {0};

	while (*p && (*p)->tag != m->tag)
		p = &(*p)->next;
	ask = *p;
	if (!ask)
		return;
	if (!m->last) {
		(void)json_array_append_new(ask->rows, template_json(f, m));
		return;
	}
	*p = ask->next;
	if (*ask->id && json_array_size(ask->rows) == 0) {
		(void)err_set(&e, ERR_NOT_FOUND, 0,
			      "there is no template %s: sandboxctl template ls shows what there is",
			      ask->id);
		answer(ask, &e);
		return;
	}
	answer(ask, NULL);
}

/* Who waits will get no answer. */
static void template_stop(struct front *f)
{
	const struct err e = {
		.code = ERR_UNAVAILABLE,
		.msg = "the daemon's monitor went away before it answered: ask again"};

	while (f->run->template_asks) {
		struct template_ask *ask = f->run->template_asks;

		f->run->template_asks = ask->next;
		answer(ask, &e);
	}
}

const struct capability template_capability = {.name = "templates", .stop = template_stop};

int template_ask(struct front *f, enum template_verb verb, const char *id, template_fn done,
		 void *arg, struct err *e)
{
	struct template_ask *ask, **p = &f->run->template_asks;
	union proto_msg m = {0};
	unsigned n = 0;
	int r;

	for (; *p; p = &(*p)->next)
		n++;
	if (n >= ASKED_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "%u questions about templates wait for their answers already: try "
			       "again later",
			       n);
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return err_set(e, ERR_SYSTEM, ENOMEM, "templates");
	proto_init(&m, MON_TEMPLATES);
	m.templates.tag = ask->tag = ++f->run->template_tag;
	m.templates.verb = (uint8_t)verb;
	m.templates.all = !id;
	(void)snprintf(m.templates.id, sizeof(m.templates.id), "%s", id ? id : "");
	(void)snprintf(ask->id, sizeof(ask->id), "%s", id ? id : "");
	r = chan_send(&f->run->monitor, &m, NULL, 0);
	if (r < 0) {
		free(ask);
		return err_set(e, ERR_UNAVAILABLE, -r, "the monitor does not answer");
	}
	ask->rows = json_array();
	ask->done = done;
	ask->arg = arg;
	*p = ask;
	return 0;
}

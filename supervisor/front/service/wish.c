// SPDX-License-Identifier: Apache-2.0
/* A change of what the store has of a service: its row, a version more, or that it goes. */
#include <string.h>

#include "supervisor/front/service/service.h"

static int wish_write(struct front *f, struct change *c, struct err *e)
{
	struct service_wish *w = OWNER(c, struct service_wish, change);
	struct service_version *v;
	int r;

	if (w->remove) {
		r = w->service->background ? f->services->hooks->remove(f, w->service, e) : 0;
		return r < 0 ? r : store_service_delete(f->store, &w->row, e);
	}
	r = store_service_put(f->store, &w->row, e);
	if (r == 0 && w->put)
		r = store_service_version_put(f->store, &w->put->row, e);
	if (r == 0 && w->put && w->service->background)
		r = f->services->hooks->write(f, w->service, e);
	LIST_FOREACH(v, &w->service->versions, next)
		if (r == 0 && v->goes)
			r = store_service_version_delete(f->store, w->row.id, v->row.number, e);
	return r;
}

static void drop_oldest(struct service *s)
{
	struct service_version *v, *next;

	for (v = LIST_FIRST(&s->versions); v; v = next) {
		next = LIST_NEXT(v, next);
		if (v->goes)
			service_version_free(v);
	}
}

static void wish_adopt(struct front *f, struct change *c, bool durable)
{
	struct service_wish *w = OWNER(c, struct service_wish, change);
	struct service *s = w->service;
	struct service_version *v;

	s->project->n_coming--;
	s->wish = NULL;
	if (!durable) {
		s->going = false;
		LIST_FOREACH(v, &s->versions, next)
			v->goes = false;
		return;
	}
	if (w->remove)
		return;
	s->row = w->row;
	s->stored = true;
	if (w->put)
		w->put->stored = true;
	if (w->put && s->background)
		f->services->hooks->adopt(f, s);
	drop_oldest(s);
	service_packages_count(s->project);
}

static void wish_done(struct front *f, struct change *c, const struct err *error)
{
	struct service_wish *w = OWNER(c, struct service_wish, change);

	w->done(f, w, error);
}

/* Of the versions that are more than the project's quota, the oldest that nothing runs go with it. */
static void mark_oldest(struct service_wish *w)
{
	const struct quota *quota = &w->service->project->quota;
	const unsigned max =
		quota->service_versions ? quota->service_versions : SERVICE_VERSIONS_MAX;
	struct service_version *v, *oldest = w->put;
	unsigned n = 0;

	LIST_FOREACH(v, &w->service->versions, next)
		n += v->stored || v == w->put;
	for (; n > max && oldest; n--) {
		oldest = NULL;
		/* The newest are first. */
		LIST_FOREACH(v, &w->service->versions, next)
			if (v->stored && !v->goes && v->n_replicas == 0 &&
			    v->row.number != w->row.live && v->row.number != w->row.previous)
				oldest = v;
		if (oldest)
			oldest->goes = true;
	}
}

int service_wish_begin(struct front *f, struct service_wish *w, struct err *e)
{
	struct service *s = w->service;

	if (s->going)
		return err_set(e, ERR_CONFLICT, 0, "%s/%s is being removed", s->row.app,
			       s->row.name);
	if (s->wish)
		return err_set(e, ERR_CONFLICT, 0, "%s/%s is being changed: try again", s->row.app,
			       s->row.name);
	if (w->put && w->put->manifest.background.is &&
	    (!f->services->hooks || f->services->hooks->begin(f, s, e) < 0))
		return e->code ? -EBUSY
			       : err_set(e, ERR_UNAVAILABLE, 0,
					 "there are no background workers here");
	w->change = (struct change){.write = wish_write, .adopt = wish_adopt, .done = wish_done};
	w->row.changed_ns = util_realtime_ns();
	s->wish = w;
	s->going = w->remove;
	if (w->put)
		mark_oldest(w);
	s->project->n_coming++;
	change_mark(f, &w->change, turn_holder(s->project),
		    w->put ? strlen(w->put->row.manifest) : 0);
	return 0;
}

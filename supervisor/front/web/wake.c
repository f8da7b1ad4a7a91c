// SPDX-License-Identifier: Apache-2.0
/* Requests for which the edge has no instance of an HTTP worker (edge/wake.c). */
#include <stdio.h>

#include "supervisor/front/web/web.h"

void web_wake_answer(struct front *f, struct web_version *v, struct web_instance *i,
		     const struct err *error)
{
	web_calls_answer(f, v, i, error);
	edge_wake_answer(&v->wakes, i ? i->run : NULL, error);
}

static int wake(struct front *f, const char *project, const char *name, const char *version,
		struct edge_wakes **ret, struct err *e)
{
	struct project *p = project_find(f, project);
	struct web_worker *w = p && !p->going ? web_worker_find(p, name) : NULL;
	struct web_version *v = w ? web_version_find(w, version) : NULL;

	if (!v || !web_version_serves(v))
		return -ENOENT;
	/* Its requests have runs of their own, and wait at its door; an instance is for calls alone. */
	if (v->door)
		return err_set(e, ERR_UNAVAILABLE, 0, "as many requests wait as may");
	w->wakes++;
	*ret = &v->wakes;
	return web_wake_version(f, v, e);
}

void web_wake_start(struct front *f)
{
	edge_on_wake(f, wake);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Requests that wait for their tasks' end ("sync"). They are few, and what they wait for is looked
 * at a few times a second: no other part needs to know of them. A project has no more than are left
 * for others, so that there is always one for one more project.
 */
#include <string.h>

#include "supervisor/front/api/iron/iron.h"

#define SYNC_MAX 64
#define SYNC_NS (300 * SEC)
#define LOOK_USEC 50000
#define LOOK_MAX 100u /* tasks that one turn looks up */

struct sync_wait {
	struct sync_wait *next;
	char project[PROJECT_ID_LEN + 1];
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	const struct iron_later *asker;
	iron_sync_fn done;
	void *arg;
	size_t n, i; /* those before i have ended */
	char ids[][TASK_ID_LEN + 1];
};

/* The id of the next attempt takes a task's place: what is waited for is its last one. */
static bool has_ended(struct front *f, struct sync_wait *w, unsigned *left)
{
	for (; w->i < w->n; w->i++) {
		const struct project *p = project_by_id(f, w->project);
		struct task_record rec = {0};
		struct err e;

		if (!p)
			return true;
		if (*left == 0)
			return false;
		--*left;
		queue_last_attempt(f, p, w->ids[w->i], w->ids[w->i]);
		if (queue_get(f, p, w->ids[w->i], &rec, &e) < 0)
			continue;
		free(rec.spec);
		if (!task_state_final((enum task_state)rec.state))
			return false;
	}
	return true;
}

static int look(sd_event_source *s, uint64_t usec, void *arg)
{
	struct front *f = arg;
	struct sync_wait **p = &f->api->sync_waits, *ready = NULL;
	uint64_t now = util_monotonic_ns();
	unsigned left = LOOK_MAX;

	while (*p) {
		struct sync_wait *w = *p;

		if (w->until_ns > now && w->asker->r && !has_ended(f, w, &left)) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->next = ready;
		ready = w;
	}
	while (ready) {
		struct sync_wait *w = ready;

		ready = w->next;
		w->done(w->arg);
		free(w);
	}
	if (!f->api->sync_waits) {
		f->api->sync_timer = sd_event_source_disable_unref(f->api->sync_timer);
		return 0;
	}
	(void)sd_event_source_set_time(s, usec + LOOK_USEC);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int iron_sync(struct front *f, const char *project_id, char (*ids)[TASK_ID_LEN + 1], size_t n,
	      const struct iron_later *asker, iron_sync_fn done, void *arg, struct err *e)
{
	unsigned waiting = 0, of_one = 0;
	struct sync_wait *w;
	int r = 0;

	for (w = f->api->sync_waits; w; w = w->next) {
		waiting++;
		of_one += strcmp(w->project, project_id) == 0;
	}
	if (of_one >= SYNC_MAX - waiting)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "%u requests wait for their tasks' end, %u of this project's",
			       waiting, of_one);
	w = calloc(1, sizeof(*w) + n * sizeof(w->ids[0]));
	if (w && !f->api->sync_timer)
		r = sd_event_add_time_relative(f->event, &f->api->sync_timer, CLOCK_MONOTONIC,
					       LOOK_USEC, 0, look, f);
	if (!w || r < 0) {
		free(w);
		return err_set(e, ERR_SYSTEM, w ? -r : ENOMEM, "cannot wait for a task's end");
	}
	memcpy(w->project, project_id, sizeof(w->project) - 1);
	memcpy(w->ids, ids, n * sizeof(w->ids[0]));
	w->n = n;
	w->until_ns = util_monotonic_ns() + SYNC_NS;
	w->asker = asker;
	w->done = done;
	w->arg = arg;
	w->next = f->api->sync_waits;
	f->api->sync_waits = w;
	return 0;
}

void iron_sync_clear(struct front *f)
{
	f->api->sync_timer = sd_event_source_disable_unref(f->api->sync_timer);
	while (f->api->sync_waits) {
		struct sync_wait *w = f->api->sync_waits;

		f->api->sync_waits = w->next;
		w->done(w->arg);
		free(w);
	}
}

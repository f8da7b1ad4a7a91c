// SPDX-License-Identifier: Apache-2.0
/*
 * Snapshots of versions: the checkpoints that their instances are started from. One is good for one
 * digest of the image, one policy, kernel, CRIU and sandboxd; where any of these is another one, an
 * instance starts the slower way until there is a checkpoint again. Those of the versions that serve
 * are made anew behind them: when the front starts, and when images or policies were changed, which
 * the time of the folder with their names tells. The monitor keeps a checkpoint that is still good, so
 * that to ask for one costs little.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/msg.h"
#include "supervisor/front/web/web.h"

#define LOOK_EVERY_NS (2 * SEC)
#define LOOK_SOON_NS (50 * MSEC)
/* One that could not be made is tried again after so long. */
#define RETRY_NS (300 * SEC)
/* Checkpoints that are made anew at a time: tasks and deploys want some as well. */
#define AT_A_TIME 2u

/* An image in which the worker's packages were resolved for another Python would import them in vain. */
static int check_python(const struct web_version *v, const struct image_head *image, struct err *e)
{
	const char *wanted = v->manifest.python;
	const size_t len = strlen(wanted);

	if (strncmp(image->python_version, wanted, len) == 0 &&
	    (image->python_version[len] == '\0' || image->python_version[len] == '.'))
		return 0;
	return err_set(
		e, ERR_CONFLICT, 0,
		"the image %s has Python %s now, and the version was built for %s: deploy it "
		"again",
		v->row.image, image->python_version, wanted);
}

static int fill(struct front *f, struct web_version *v, enum web_snapshot kind, bool built,
		struct warm *w, struct err *e)
{
	struct policy_head policy = {0};
	struct image_head image;
	const char *name;
	int r = web_version_open(v, e);

	if (r < 0)
		return r;
	name = v->manifest.sandbox.policy;
	r = resolve_image(f, v->row.image, w->image, &image, e);
	if (r == 0 && built)
		r = check_python(v, &image, e);
	if (r == 0)
		r = resolve_policy(f, name ? name : image.policy, w->policy, &policy, e);
	if (r == 0)
		r = web_warm_list(v, kind, w->imports, sizeof(w->imports), e);
	if (r < 0)
		return r;
	w->has_package = strstr(w->imports, WARM_MODULE) != NULL;
	if (w->has_package)
		memcpy(w->package, v->row.package, sizeof(w->package));
	w->limits = policy.limits;
	w->memory = policy.limits.memory;
	return 0;
}

struct warm *web_snapshot_request(struct front *f, struct web_version *v, enum web_snapshot kind,
				  uint8_t image[32], struct err *e)
{
	struct warm w = {.wish = WARM_FOR_TASK, .owner = v->worker->project->slot};

	if (fill(f, v, kind, false, &w, e) < 0)
		return NULL;
	memcpy(image, w.image, sizeof(w.image));
	return warm_request(f, &w, e);
}

const char *web_snapshot_state(const struct web_version *v)
{
	if (v->snapshot_warm)
		return "being made";
	if (v->snapshot_due)
		return "waits";
	return v->snapshot_error ? "missing" : "ready";
}

/* All versions that serve from a snapshot: fn returns true to end the walk. */
static struct web_version *each(struct front *f, bool (*fn)(struct web_version *v, const void *arg),
				const void *arg)
{
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct web_worker *w;
		struct web_version *v;

		LIST_FOREACH(w, &p->web->workers, next)
			LIST_FOREACH(v, &w->versions, next)
				if (fn(v, arg))
					return v;
	}
	return NULL;
}

static bool mark_due(struct web_version *v, const void *arg)
{
	(void)arg;
	v->snapshot_due =
		v->row.number && v->row.snapshot != WEB_SNAPSHOT_NONE && web_version_serves(v);
	return false;
}

static bool mark_missing(struct web_version *v, const void *arg)
{
	return v->snapshot_error ? mark_due(v, arg) : false;
}

static bool is_due(struct web_version *v, const void *arg)
{
	(void)arg;
	return v->snapshot_due && !v->snapshot_warm;
}

static bool is_made(struct web_version *v, const void *warm)
{
	return v->snapshot_warm && (!warm || v->snapshot_warm == warm);
}

static unsigned count_made(struct front *f)
{
	unsigned n = 0;

	for (const struct warm *w = f->run->warms; w; w = w->next)
		n += each(f, is_made, w) != NULL;
	return n;
}

static void set_error(struct web_version *v, const char *why)
{
	char shown[ERR_MSG_MAX];

	free(v->snapshot_error);
	v->snapshot_error = why ? strdup(util_escape(why, shown, sizeof(shown))) : NULL;
	if (why)
		msg_warn("HTTP worker %s: version %s starts without its snapshot: %s",
			 v->worker->row.name, v->row.id, shown);
}

/* Asks for the next ones. False: there is no room for one, later there is. */
static bool ask_some(struct front *f)
{
	unsigned n = count_made(f);
	struct web_version *v;

	while (n < AT_A_TIME && (v = each(f, is_due, NULL))) {
		struct warm w = {.wish = WARM_FOR_TASK, .owner = v->worker->project->slot};
		struct err e = {0};

		if (fill(f, v, v->row.snapshot, true, &w, &e) < 0) {
			v->snapshot_due = false;
			set_error(v, e.msg);
			continue;
		}
		v->snapshot_warm = warm_request(f, &w, &e);
		if (!v->snapshot_warm)
			return false;
		v->snapshot_due = false;
		n++;
	}
	return true;
}

static uint64_t changed_ns(struct front *f, const char *folder)
{
	struct stat st;

	if (fstatat(f->cfg.state_dirfd, folder, &st, 0) < 0)
		return 0;
	return (uint64_t)st.st_mtim.tv_sec * SEC + (uint64_t)st.st_mtim.tv_nsec;
}

/* Whether names of images or policies were changed since the last call. */
static bool see_changes(struct front *f)
{
	const uint64_t images = changed_ns(f, "images/by-name");
	const uint64_t policies = changed_ns(f, "policies");
	const bool changed = images != f->web->images_ns || policies != f->web->policies_ns;

	f->web->images_ns = images;
	f->web->policies_ns = policies;
	return changed;
}

static void look(struct front *f, struct timer *t)
{
	uint64_t next = LOOK_EVERY_NS;

	/* At the front's start the monitor tells what runs first. */
	if (!f->run->ready) {
		timer_set(f, t, util_monotonic_ns() + LOOK_SOON_NS, look);
		return;
	}
	if (see_changes(f))
		(void)each(f, mark_due, NULL);
	if (util_monotonic_ns() - f->web->retried_ns >= RETRY_NS) {
		f->web->retried_ns = util_monotonic_ns();
		(void)each(f, mark_missing, NULL);
	}
	if (!ask_some(f))
		next = LOOK_SOON_NS;
	timer_set(f, t, util_monotonic_ns() + next, look);
}

static void on_warmed(struct front *f, struct warm *w, const struct mon_warmed *m)
{
	struct web_version *v;
	bool later = false;

	/* One checkpoint may be that of several versions. */
	while ((v = each(f, is_made, w))) {
		v->snapshot_warm = NULL;
		/* Not now: there is a pause between two of a project's that have like lists. */
		if (m->status == -EAGAIN || m->status == -EBUSY) {
			v->snapshot_due = true;
			later = true;
			continue;
		}
		set_error(v, m->status == 0 ? NULL : m->error);
		if (m->status == 0)
			memcpy(v->row.image_digest, w->image, sizeof(w->image));
	}
	/* This one is among those that are being made until the event is over. */
	if (!later && each(f, is_due, NULL))
		timer_set(f, &f->web->look_timer, util_monotonic_ns(), look);
}

static int snapshot_start(struct front *f, struct err *e)
{
	(void)e;
	if (f->cfg.edge_dirfd < 0)
		return 0;
	(void)see_changes(f);
	(void)each(f, mark_due, NULL);
	f->web->retried_ns = util_monotonic_ns();
	timer_set(f, &f->web->look_timer, util_monotonic_ns(), look);
	return 0;
}

static const struct listener listener = {.warmed = on_warmed};

const struct capability web_snapshot_capability = {
	.name = "web snapshots", .start = snapshot_start, .listener = &listener};

// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/dev/prepare.h"

#include <string.h>
#include <sys/mman.h>

/* The first run that wants modules imported ahead has the node make a snapshot with them; the first one that
 * is not started cold says that this is ready. */
#define AGAIN_US 400000u
#define TRIES_MAX 25u
#define EMPTY_TAR 1024
#define NOTE_MAX (1u << 20)
#define NOTHING "gc:enable" /* what the run calls */

struct prepare {
	struct ctl *ctl;
	sd_event *loop;
	sd_event_source *again;
	int package_fd; /* an archive with nothing in it */
	int state;	/* borrowed */
	char note[32];	/* a file in it: what was prepared */
	json_t *wanted; /* what is prepared: a task that does nothing; NULL: nothing is */
	json_t *has;	/* what was, at last */
	char project[64], image[64];
	struct served *run; /* NULL: none is under way */
	json_t *running;    /* what for */
	bool cold;	    /* its start */
	unsigned tries;
};

static json_t *task_of(const struct serve_worker_spec *spec)
{
	struct serve_worker_spec own = *spec;
	json_t *task;

	own.baseline = false;
	task = serve_worker_task(&own);
	if (!task)
		return NULL;

	(void)json_object_del(task, "payload");
	(void)json_object_set_new(task, "entry", json_string(NOTHING));
	return task;
}

static void begin(struct prepare *p);

static int on_again(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	begin(arg);
	return 0;
}

static void on_frame(void *arg, const char *op, json_t *head, const void *body, size_t len)
{
	(void)arg;
	(void)op;
	(void)head;
	(void)body;
	(void)len;
}

static void on_started(void *arg, const char *mode, double ms)
{
	struct prepare *p = arg;

	(void)ms;
	p->cold = strcmp(mode, "cold") == 0;
}

/* Without a note the next command prepares it anew. */
static void write_note(const struct prepare *p)
{
	_cleanup_free_ char *text = json_dumps(p->has, JSON_COMPACT);

	if (text)
		(void)util_write_file_at(p->state, p->note, 0644, text, strlen(text));
}

static void read_note(struct prepare *p)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (util_read_file_at(p->state, p->note, NOTE_MAX, &text, &len) == 0)
		p->has = json_loadb(text, len, 0, NULL);
}

void prepare_lost(struct prepare *p)
{
	json_decref(p->has);
	p->has = NULL;
	(void)unlinkat(p->state, p->note, 0);
}

static void on_over(void *arg, const char *error, int exit_code)
{
	struct prepare *p = arg;
	const bool same = json_equal(p->running, p->wanted);

	p->run = NULL;
	if (same && !p->cold && !*error && exit_code == 0) {
		json_decref(p->has);
		p->has = json_incref(p->wanted);
		write_note(p);
		return;
	}
	/* What it was for may not be what is wanted by now. */
	if (same && p->tries >= TRIES_MAX)
		return;
	(void)sd_event_source_set_time_relative(p->again, AGAIN_US);
	(void)sd_event_source_set_enabled(p->again, SD_EVENT_ONESHOT);
}

/* What cannot be begun is not prepared, and instances start all the same. */
static void begin(struct prepare *p)
{
	static const struct served_calls calls = {
		.frame = on_frame, .started = on_started, .over = on_over};
	const struct served_spec spec = {.project = p->project,
					 .image = p->image,
					 .task = p->wanted,
					 .build = true,
					 .package_fd = p->package_fd,
					 .input_fd = -1};
	struct err e;

	if (p->run || !p->wanted)
		return;
	p->tries++;
	p->cold = true;
	json_decref(p->running);
	p->running = json_incref(p->wanted);
	if (served_start(p->ctl, p->loop, &spec, &calls, p, &p->run, &e) < 0)
		p->run = NULL;
}

void prepare_for(struct prepare *p, const struct serve_worker_spec *spec)
{
	const struct worker_manifest *m = &spec->made->manifest;
	json_t *task = task_of(spec);

	if (json_equal(task, p->wanted)) {
		json_decref(task);
		return;
	}
	json_decref(p->wanted);
	p->wanted = task;
	p->tries = 0;
	(void)snprintf(p->project, sizeof(p->project), "%s", spec->project);
	(void)snprintf(p->image, sizeof(p->image), "%s",
		       m->sandbox.image ? m->sandbox.image : "web");
	(void)sd_event_source_set_time_relative(p->again, 0);
	(void)sd_event_source_set_enabled(p->again, SD_EVENT_ONESHOT);
}

bool prepare_has(const struct prepare *p, const struct serve_worker_spec *spec)
{
	json_auto_t *task = task_of(spec);

	return task && json_equal(task, p->has);
}

int prepare_new(struct ctl *ctl, sd_event *loop, int state, const char *note, struct prepare **ret,
		struct err *e)
{
	struct prepare *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin");
	p->ctl = ctl;
	p->loop = loop;
	p->state = state;
	(void)snprintf(p->note, sizeof(p->note), "%s", note);
	read_note(p);
	p->package_fd = memfd_create("package", MFD_CLOEXEC);
	r = p->package_fd < 0 || ftruncate(p->package_fd, EMPTY_TAR) < 0 ? -errno : 0;
	if (r == 0)
		r = sd_event_add_time(loop, &p->again, CLOCK_MONOTONIC, 0, 1000, on_again, p);
	if (r >= 0)
		r = sd_event_source_set_enabled(p->again, SD_EVENT_OFF);
	if (r < 0) {
		prepare_free(p);
		return err_set(e, ERR_SYSTEM, -r, "cannot begin");
	}
	*ret = p;
	return 0;
}

void prepare_free(struct prepare *p)
{
	if (!p)
		return;
	if (p->run)
		served_end(p->run);
	p->again = sd_event_source_disable_unref(p->again);
	util_close_fd(&p->package_fd);
	json_decref(p->wanted);
	json_decref(p->running);
	json_decref(p->has);
	free(p);
}

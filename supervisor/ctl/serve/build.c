// SPDX-License-Identifier: Apache-2.0
/*
 * A build for this command: the same program, in a sandbox of its own, that builds what is deployed. A
 * configuration is read there alone; what comes out is held to the rules of manifests here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/json_strict.h"
#include "lib/text.h"
#include "supervisor/ctl/pack.h"
#include "supervisor/ctl/pip_index.h"
#include "supervisor/ctl/serve/serve.h"

#define BUILD_MODULE "_sandboxd_deploy.build"
#define ENTRY BUILD_MODULE ":main"
#define POLICY_BUILD "build" /* in which pip may run: one with an index */
#define IMAGE_FIRST "web"    /* in which configurations are read */
#define BUILD_TIMEOUT_S 600
#define PACKAGE_MAX ((1ULL << 30) + (64u << 20))
#define WORKERS_MAX 200u

struct made_entry {
	STAILQ_ENTRY(made_entry) next;
	struct serve_made *made;
};

struct serve_build {
	struct ctl *ctl;
	sd_event *loop;
	struct serve_build_ask ask; /* dir is not kept */
	struct served *run;
	struct pip_index index;
	json_t *told;	/* what pip is told; NULL: there is no index */
	json_t *images; /* [[name, python]] */
	int archive;
	char image[64]; /* of the run */
	char *config;	/* what was read in another image; NULL: nothing was */
	bool again;	/* the run that ends is followed by another one */
	int package_fd; /* that is being received; -1 */
	uint64_t package_bytes;
	STAILQ_HEAD(, made_entry) made;
	unsigned n_made;
	json_t *services;
	struct err error; /* what it has failed by */
	bool cancelled;
};

static int start(struct serve_build *b, struct err *e);

void serve_made_free(struct serve_made *m)
{
	if (!m)
		return;
	worker_manifest_clear(&m->manifest);
	free(m->text);
	free(m->service);
	util_close_fd(&m->package_fd);
	free(m);
}

struct serve_made *serve_build_take(struct serve_build *b)
{
	struct made_entry *entry = STAILQ_FIRST(&b->made);
	struct serve_made *m = entry ? entry->made : NULL;

	if (entry)
		STAILQ_REMOVE_HEAD(&b->made, next);
	free(entry);
	return m;
}

json_t *serve_build_services(struct serve_build *b)
{
	return b->services;
}

static void build_free(struct serve_build *b)
{
	struct serve_made *m;

	while ((m = serve_build_take(b)))
		serve_made_free(m);
	pip_index_stop(&b->index);
	json_decref(b->told);
	json_decref(b->images);
	json_decref(b->services);
	json_decref(b->ask.payload);
	util_close_fd(&b->archive);
	util_close_fd(&b->package_fd);
	free(b->config);
	free(b);
}

static int fail(struct serve_build *b, const char *text)
{
	if (!b->error.code)
		(void)err_set(&b->error, ERR_INPUT, 0, "%s", text);
	served_end(b->run);
	return -EINVAL;
}

static void take_failed(struct serve_build *b, const json_t *head)
{
	const char *message = ctl_text(head, "message"), *file = ctl_text(head, "file");
	const json_int_t line = json_integer_value(json_object_get(head, "line"));
	char shown[ERR_MSG_MAX], at[300], text[ERR_MSG_MAX + 340];

	(void)util_escape(*message ? message : "it has failed", shown, sizeof(shown));
	(void)util_escape(file, at, sizeof(at));
	if (*file && line > 0)
		(void)snprintf(text, sizeof(text), "%s:%lld: %s", at, (long long)line, shown);
	else
		(void)snprintf(text, sizeof(text), "%s%s%s", at, *file ? ": " : "", shown);
	(void)fail(b, text);
}

static void take_progress(struct serve_build *b, const json_t *head)
{
	char step[64], text[ERR_MSG_MAX];

	if (!b->ask.progress)
		return;
	(void)util_escape(ctl_text(head, "step"), step, sizeof(step));
	(void)util_escape(ctl_text(head, "text"), text, sizeof(text));
	b->ask.progress(b->ask.arg, step, json_number_value(json_object_get(head, "ms")), text);
}

static void take_package(struct serve_build *b, const void *body, size_t len)
{
	if (b->package_fd < 0)
		b->package_fd = memfd_create("package", MFD_CLOEXEC);
	b->package_bytes += len;
	if (b->package_bytes > PACKAGE_MAX)
		(void)fail(b, "the packages are larger than 1 GiB");
	else if (b->package_fd < 0 || util_write_all(b->package_fd, body, len) < 0)
		(void)fail(b, "the package cannot be kept");
}

static void take_manifest(struct serve_build *b, const json_t *head, const void *body, size_t len)
{
	struct made_entry *entry = calloc(1, sizeof(*entry));
	struct serve_made *m = calloc(1, sizeof(*m));
	const char *service = ctl_text(head, "service");
	struct err e = {0};

	if (!entry || !m || b->n_made >= WORKERS_MAX) {
		free(entry);
		free(m);
		(void)fail(b, "the configuration has too many workers");
		return;
	}
	m->package_fd = TAKE_FD(b->package_fd);
	m->text = strndup(body, len);
	m->service = *service ? strdup(service) : NULL;
	entry->made = m;
	STAILQ_INSERT_TAIL(&b->made, entry, next);
	b->n_made++;
	if (worker_manifest_read("manifest", body, len, &m->manifest, &e) < 0)
		(void)fail(b, e.msg);
	else if (m->package_fd < 0 && !json_is_true(json_object_get(b->ask.payload, "dry_run")))
		(void)fail(b, "the build has sent no package");
}

/* The workers' image is another one: what they need is resolved there, by what was read here. */
static void take_again(struct serve_build *b, const json_t *head, const void *body, size_t len)
{
	const char *image = ctl_text(head, "image");

	if (!util_is_name(image) || strlen(image) >= sizeof(b->image) || b->config) {
		(void)fail(b, "the build asks for an image that it may not have");
		return;
	}
	strcpy(b->image, image);
	b->config = strndup(body, len);
	b->again = true;
	served_end(b->run);
}

static void take_services(struct serve_build *b, const void *body, size_t len)
{
	struct err e = {0};

	if (b->services ||
	    json_strict_load("services", body, len, MANIFEST_MAX, &b->services, &e) < 0)
		(void)fail(b, e.code ? e.msg : "services: are there twice");
}

static void frame(void *arg, const char *op, json_t *head, const void *body, size_t len)
{
	struct serve_build *b = arg;

	if (strcmp(op, "progress") == 0)
		take_progress(b, head);
	else if (strcmp(op, "failed") == 0)
		take_failed(b, head);
	else if (strcmp(op, "package") == 0)
		take_package(b, body, len);
	else if (strcmp(op, "manifest") == 0)
		take_manifest(b, head, body, len);
	else if (strcmp(op, "services") == 0)
		take_services(b, body, len);
	else if (strcmp(op, "again") == 0)
		take_again(b, head, body, len);
}

static void over(void *arg, const char *error, int exit_code)
{
	struct serve_build *b = arg;

	b->run = NULL;
	if (b->cancelled) {
		build_free(b);
		return;
	}
	if (b->again && !b->error.code) {
		b->again = false;
		if (start(b, &b->error) == 0)
			return;
	} else if (!b->error.code && (*error || exit_code != 0 || b->n_made == 0)) {
		(void)err_set(&b->error, ERR_INPUT, 0, "the build has ended without an answer%s%s",
			      *error ? ": " : "", error);
	}
	b->ask.done(b->ask.arg, b->error.code ? &b->error : NULL);
	build_free(b);
}

static json_t *task_of(struct serve_build *b)
{
	json_auto_t *payload = json_copy(b->ask.payload);
	_cleanup_free_ char *text = NULL;
	json_t *task;

	(void)json_object_update_new(payload, json_pack("{s:s, s:O, s:O*, s:s*}", "image", b->image,
							"images", b->images, "index", b->told,
							"config", b->config));
	text = json_dumps(payload, JSON_COMPACT);
	task = json_pack("{s:s, s:s*, s:{s:i}, s:{s:[s*]}, s:s, s:s*}", "entry", ENTRY, "payload",
			 text, "limits", "timeout", BUILD_TIMEOUT_S, "warm", "imports",
			 b->told ? NULL : BUILD_MODULE, "label", "build", "policy",
			 b->told ? POLICY_BUILD : NULL);
	/* One that has a socket as its stdin. */
	if (b->told)
		(void)json_object_set_new(task, "start", json_string("cold"));
	return task;
}

static int start(struct serve_build *b, struct err *e)
{
	static const struct served_calls calls = {.frame = frame, .over = over};
	json_auto_t *task = task_of(b);
	const struct served_spec spec = {.project = b->ask.project,
					 .image = b->image,
					 .task = task,
					 .build = true,
					 .package_fd = b->archive,
					 .input_fd = b->index.sock};

	if (!task)
		return err_set(e, ERR_INPUT, 0, "the build's payload must be UTF-8");
	return served_start(b->ctl, b->loop, &spec, &calls, b, &b->run, e);
}

static int pack(const char *path, int keep_fd, int *ret_fd, struct err *e)
{
	_cleanup_fd_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pack_left_out left_out;

	if (dir < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	return pack_project_and(dir, path, keep_fd, ".sandboxd/package.tar", ret_fd, &left_out, e);
}

int serve_build_begin(struct ctl *ctl, sd_event *loop, const struct serve_build_ask *ask,
		      struct serve_build **ret, struct err *e)
{
	struct serve_build *b = calloc(1, sizeof(*b));
	json_t *reply = NULL, *images = NULL;
	int r;

	if (!b)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin a build");
	*b = (struct serve_build){.ctl = ctl,
				  .loop = loop,
				  .ask = *ask,
				  .index = PIP_INDEX_INIT,
				  .archive = -1,
				  .package_fd = -1,
				  .image = IMAGE_FIRST};
	(void)json_incref(b->ask.payload); /* the caller's until it has begun */
	if (ask->image)
		(void)snprintf(b->image, sizeof(b->image), "%s", ask->image);
	STAILQ_INIT(&b->made);
	r = pack(ask->dir, ask->keep_fd, &b->archive, e);
	if (r == 0)
		r = ctl_ask(ctl,
			    json_pack("{s:s, s:s}", "op", "web_images", "project", ask->project),
			    "images", JSON_ARRAY, &reply, &images, e);
	b->images = json_incref(images);
	json_decref(reply);
	if (r == 0 && ask->index)
		r = pip_index_begin(&b->index, &b->told, e);
	if (r == 0)
		r = start(b, e);
	if (r < 0) {
		build_free(b);
		return r;
	}
	json_decref(ask->payload);
	*ret = b;
	return 0;
}

void serve_build_cancel(struct serve_build *b)
{
	b->cancelled = true;
	served_end(b->run);
}

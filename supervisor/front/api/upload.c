// SPDX-License-Identifier: Apache-2.0
/*
 * Uploads: the part "data" is read, the zip unpacked by a child (package.h), what is to be run
 * looked for in it, and only then is there a worker or a revision more. Of a project one revision
 * comes at a time: the others wait until it is durable, and look at what there is anew.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "spec/worker_file.h"
#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/core/package/package.h"

struct upload {
	struct change change; /* while it waits for another revision, and then for its own */
	struct waiter *waiter;
	char project[PROJECT_ID_LEN + 1], worker[PROJECT_ID_LEN + 1];
	struct worker_spec spec;  /* with a zip */
	struct package_size size; /* of what the zip was unpacked to */
	char *text; /* without one: the part "data", owned, read when the worker is looked at */
	bool strict;
};

static void upload_free(struct upload *u)
{
	worker_spec_clear(&u->spec);
	free(u->text);
	free(u);
}

/* Opens a file of the unpacked zip. A link may lead out of it by way of another link; an uploader
 * must not learn what there is outside. */
static int open_beneath(int dir, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int fd = -1;

	/* EAGAIN: something was renamed while it went up. */
	for (int i = 0; i < 100 && fd < 0; i++) {
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd < 0 && errno != EAGAIN)
			break;
	}
	return fd;
}

/* What users complained of: an upload without anything to run was found out by its tasks. */
static int check_exec(struct front *f, const struct worker_spec *spec, const struct worker *old,
		      struct err *e)
{
	/* Without a zip the former revision's stays. */
	const struct worker_spec *holder = spec->has_package || !old ? spec : &old->spec;
	_cleanup_fd_ int dir = -1, file = -1;
	char shown[WORKER_FILE_NAME_MAX * 2 + 1];
	struct stat st;

	if (*spec->command)
		return 0;
	if (!*spec->file_name)
		return err_set(e, ERR_INPUT, 0,
			       "data: file_name: No exec specified: name the file of the zip that "
			       "is to be run, or give \"command\"");
	(void)util_escape(spec->file_name, shown, sizeof(shown));
	if (!holder->has_package)
		return err_set(e, ERR_INPUT, 0, "file: must be a zip that holds data.file_name, %s",
			       shown);
	dir = package_open(f, holder->package);
	if (dir < 0)
		return err_set(e, ERR_UNAVAILABLE, -dir, "file: its folder has gone: upload again");
	file = open_beneath(dir, spec->file_name);
	if (file < 0 || fstat(file, &st) < 0)
		return err_set(e, ERR_INPUT, 0, "data: file_name: the zip holds no %s", shown);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "data: file_name: %s is no file", shown);
	return 0;
}

/*
 * Names of images and policies are looked at now, not when the first task fails of them. What a
 * project may not name is refused before it is looked for: nothing is told of what there is.
 */
static int check_names(struct front *f, const struct project *p, const struct worker_spec *spec,
		       struct err *e)
{
	const char *name = *spec->image ? spec->image : WORKER_IMAGE_DEFAULT;
	uint8_t digest[32], id[32];
	struct policy_head policy;
	struct image_head image;
	int r;

	r = project_may_name(p, spec->policy, name, e);
	if (r == 0)
		r = resolve_image(f, name, digest, &image, e);
	/* Without one of its own it is the image's. */
	if (r == 0)
		r = project_may_name(p, *spec->policy ? spec->policy : image.policy, NULL, e);
	if (r == 0 && *spec->policy)
		r = resolve_policy(f, spec->policy, id, &policy, e);
	if (r < 0 && e->code == ERR_NOT_FOUND)
		e->code = ERR_INPUT;
	return r < 0 ? err_wrap(e, r, "data") : 0;
}

/* The old clients' "stack" is an image where there is one of that name that may be named. */
static void image_of_stack(struct front *f, const struct project *p, struct worker_spec *spec)
{
	const char *name = worker_stack_image(spec->stack);
	struct image_head image;
	uint8_t digest[32];

	if (*spec->image || !*spec->stack || !util_is_name(name) ||
	    project_may_name(p, NULL, name, NULL) < 0)
		return;
	if (resolve_image(f, name, digest, &image, NULL) == 0)
		(void)snprintf(spec->image, sizeof(spec->image), "%s", name);
}

/* Without a file it is a change of a worker that is there: what is not named stays. */
static int read_data(struct project *p, const char *text, bool strict, bool has_zip,
		     struct worker_spec *ret, struct err *e)
{
	const struct worker *old;
	bool has_file;
	int r = iron_code_parse(text, strlen(text), strict, ret, e);

	if (r < 0)
		return r;
	old = has_zip ? NULL : worker_by_name(p, ret->name);
	/* A command that is named is another worker under the name, which has no file. */
	if (!old || *ret->command)
		return 0;
	has_file = *ret->file_name;
	worker_spec_clear(ret);
	if (worker_spec_copy(ret, &old->spec) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot change the worker");
	if (has_file)
		ret->command[0] = '\0';
	return iron_code_change(text, strlen(text), strict, ret, e);
}

static int read_spec(struct front *f, struct project *p, const char *text, bool strict,
		     bool has_zip, struct worker_spec *ret, struct err *e)
{
	int r = read_data(p, text, strict, has_zip, ret, e);

	if (r < 0)
		return r;
	image_of_stack(f, p, ret);
	return check_names(f, p, ret, e);
}

/* NULL: it fails, or waits for its turn. */
static struct change *put(struct front *f, struct upload *u, struct err *e)
{
	struct project *p = project_by_id(f, u->project);
	int r;

	if (!p) {
		(void)err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
		return NULL;
	}
	if (p->worker_put) {
		change_add_with(p->worker_put, &u->change);
		return NULL;
	}
	r = u->text ? read_spec(f, p, u->text, u->strict, false, &u->spec, e) : 0;
	if (r == 0)
		r = check_exec(f, &u->spec, worker_by_name(p, u->spec.name), e);
	return r < 0 ? NULL : worker_put(f, p, &u->spec, u->worker, e);
}

/* Answers, and frees. The worker is there where there is no error. */
static void upload_end(struct front *f, struct upload *u, const struct err *error)
{
	struct project *p = project_by_id(f, u->project);
	const struct worker *worker = p && !error ? worker_by_id(p, u->worker) : NULL;
	json_auto_t *shown = worker ? iron_code_json(f, worker) : NULL;
	json_t *reply = NULL;

	if (worker)
		reply = json_pack("{s:s, s:s, s:i, s:O, s:O}", "msg", "Upload successful.", "id",
				  worker->id, "rev", (int)worker->revision, "revision_id",
				  json_object_get(shown, "latest_history_id"), "name",
				  json_object_get(shown, "name"));
	/* Without the worker the unpacked package may belong to no worker. */
	if (error && u->size.bytes)
		package_left(f, p, &u->size);
	waiter_end(u->waiter, reply, error);
	upload_free(u);
}

static void upload_told(struct front *f, struct change *c, const struct err *error)
{
	upload_end(f, OWNER(c, struct upload, change), error);
}

static void upload_again(struct front *f, struct change *c, const struct err *error);

/* A client that has gone has its worker none the less. */
static void upload_put(struct front *f, struct upload *u)
{
	struct change *change;
	struct err e = {0};

	u->change = (struct change){.done = upload_again};
	change = put(f, u, &e);
	if (change) {
		u->change.done = upload_told;
		change_add_with(change, &u->change);
	} else if (e.code) {
		upload_end(f, u, &e);
	}
}

/* Whether the other one could be written does not matter. */
static void upload_again(struct front *f, struct change *c, const struct err *error)
{
	(void)error;
	upload_put(f, OWNER(c, struct upload, change));
}

/* It may be called before package_unpack_zip returns. */
static void unpacked(struct front *f, void *arg, const struct unpacked *is, const struct err *error)
{
	struct upload *u = arg;

	if (error) {
		upload_end(f, u, error);
		return;
	}
	u->spec.has_package = true;
	memcpy(u->spec.package, is->package, 32);
	memcpy(u->spec.zip, is->zip, 32);
	u->spec.zip_bytes = is->zip_bytes;
	u->spec.package_bytes = is->size.bytes;
	u->spec.package_files = is->size.files;
	u->size = is->size;
	upload_put(f, u);
}

/* Tells what an upload of this "data" would be refused for, before the client builds its zip. */
int verb_upload_check(struct call *c, struct err *e)
{
	struct worker_spec spec = {0};
	int r = call_end_project(c, e);

	if (r < 0)
		return r;
	if (!c->http->read)
		return err_set(e, ERR_INPUT, 0, "data: must be there, as JSON");
	r = iron_code_parse(c->http->read, strlen(c->http->read), !c->lenient, &spec, e);
	if (r < 0)
		return r;
	image_of_stack(c->f, c->project, &spec);
	r = check_names(c->f, c->project, &spec, e);
	worker_spec_clear(&spec);
	if (r == 0)
		call_message(c, "Right");
	return r;
}

int verb_upload(struct call *c, struct err *e)
{
	const char *text = c->http->read;
	const bool has_zip = c->http->upload_fd >= 0;
	struct upload *u;
	int r = call_end_project(c, e);

	if (r < 0)
		return r;
	if (!text)
		return err_set(e, ERR_INPUT, 0,
			       "data: must be there: multipart/form-data with the parts \"data\" "
			       "(JSON) and \"file\" (zip)");
	u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot take an upload");
	memcpy(u->project, c->project->id, sizeof(u->project));
	u->strict = !c->lenient;
	/* With a zip, what can be refused is refused before it is unpacked. */
	if (has_zip)
		r = read_spec(c->f, c->project, text, u->strict, true, &u->spec, e);
	else if (!(u->text = strdup(text)))
		r = err_set(e, ERR_SYSTEM, ENOMEM, "cannot take an upload");
	if (r == 0) {
		u->waiter = call_later(c, e);
		r = u->waiter ? 0 : -EBUSY;
	}
	if (r < 0) {
		upload_free(u);
		return r;
	}
	/* A worker that is a command of its image has no file, nor has a change of a worker. */
	if (has_zip)
		package_unpack_zip(c->f, c->project, TAKE_FD(c->http->upload_fd), unpacked, u);
	else
		upload_put(c->f, u);
	return 0;
}

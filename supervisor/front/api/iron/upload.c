// SPDX-License-Identifier: Apache-2.0
/*
 * Uploads: the part "data" is read, the zip unpacked by a child (package.h), what is to be run
 * looked for in it, and only then is there a code or a revision more.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/core/package/package.h"

struct upload {
	struct iron_later *later;
	bool waits; /* the handler has returned */
	bool over;  /* answered, or failed with err, while it had not */
	char project[PROJECT_ID_LEN + 1];
	struct code_spec spec;
	struct err err;
};

static void upload_free(struct upload *u)
{
	(void)iron_later_take(u->later);
	code_spec_clear(&u->spec);
	free(u);
}

/* A link may lead out of the zip by way of another one: what is there is nobody's to know. */
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
static int check_exec(struct front *f, const struct code_spec *spec, const struct code *old,
		      struct err *e)
{
	/* Without a zip the former revision's stays. */
	const struct code_spec *holder = spec->has_package || !old ? spec : &old->spec;
	_cleanup_fd_ int dir = -1, file = -1;
	char shown[CODE_FILE_MAX * 2 + 1];
	struct stat st;

	if (*spec->command)
		return 0;
	if (!*spec->file_name)
		return err_set(e, ERR_INPUT, 0,
			       "data: file_name: No exec specified: name the file of the zip that "
			       "is to be run, or give \"command\"");
	(void)json_strict_escape(spec->file_name, shown, sizeof(shown));
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
static int check_names(struct front *f, const struct project *p, const struct code_spec *spec,
		       struct err *e)
{
	const char *name = *spec->image ? spec->image : CODE_IMAGE_DEFAULT;
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
static void image_of_stack(struct front *f, const struct project *p, struct code_spec *spec)
{
	struct image_head image;
	uint8_t digest[32];

	if (*spec->image || !*spec->stack || !util_is_name(spec->stack) ||
	    project_may_name(p, NULL, spec->stack, NULL) < 0)
		return;
	if (resolve_image(f, spec->stack, digest, &image, NULL) == 0)
		memcpy(spec->image, spec->stack, sizeof(spec->image));
}

static int put(struct front *f, struct upload *u, struct code **ret, struct err *e)
{
	struct project *p = project_by_id(f, u->project);
	int r;

	if (!p)
		return err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
	r = check_exec(f, &u->spec, code_by_name(p, u->spec.name), e);
	return r < 0 ? r : code_put(f, p, &u->spec, ret, e);
}

static void answer(struct front *f, struct http_request *r, const struct code *c)
{
	json_t *code = iron_code_json(f, c);

	http_json(r, 200,
		  json_pack("{s:s, s:s, s:i, s:O, s:O}", "msg", "Upload successful.", "id", c->id,
			    "rev", (int)c->revision, "revision_id",
			    json_object_get(code, "latest_history_id"), "name",
			    json_object_get(code, "name")));
	json_decref(code);
}

static void unpacked(struct front *f, void *arg, const struct unpacked *is, const struct err *error)
{
	struct upload *u = arg;
	struct code *c = NULL;

	if (error) {
		u->err = *error;
	} else {
		u->spec.has_package = true;
		memcpy(u->spec.package, is->package, 32);
		memcpy(u->spec.zip, is->zip, 32);
		u->spec.zip_bytes = is->zip_bytes;
		u->spec.package_bytes = is->size.bytes;
		u->spec.package_files = is->size.files;
		/* It may be nobody's then. */
		if (put(f, u, &c, &u->err) < 0)
			package_left(f, project_by_id(f, u->project), &is->size);
	}
	u->over = true;
	/* A client that has gone has its code none the less. */
	if (c && u->later->r)
		answer(f, u->later->r, c);
	else if (u->waits && u->later->r)
		iron_fail(u->later->r, &u->err);
	if (u->waits)
		upload_free(u);
}

static int unpack(struct http_request *r, const struct project *p, struct upload *u, struct err *e)
{
	int res;

	package_unpack_zip(r->f, p, TAKE_FD(r->upload_fd), unpacked, u);
	if (u->over) {
		res = u->err.code ? -EINVAL : 0;
		*e = u->err;
		return res;
	}
	u->waits = true;
	iron_later_wait(u->later);
	return 0;
}

/* A code that is a command of its image has no file. */
static int put_now(struct http_request *r, struct upload *u, struct err *e)
{
	struct code *c = NULL;
	int res = put(r->f, u, &c, e);

	if (res == 0 && c)
		answer(r->f, r, c);
	return res;
}

/* Without a file it is a change of a code that is there: what is not named stays. */
static int read_data(const struct http_request *r, struct project *p, struct code_spec *ret,
		     struct err *e)
{
	const char *text = r->read;
	const size_t len = strlen(text);
	const struct code *old;
	bool has_file;
	int res = iron_code_parse(text, len, iron_strict(r), ret, e);

	old = res == 0 && r->upload_fd < 0 ? code_by_name(p, ret->name) : NULL;
	/* A command that is named is another code under the name, which has no file. */
	if (!old || *ret->command)
		return res;
	has_file = *ret->file_name;
	code_spec_clear(ret);
	if (code_spec_copy(ret, &old->spec) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot change the code");
	if (has_file)
		ret->command[0] = '\0';
	return iron_code_change(text, len, iron_strict(r), ret, e);
}

int iron_upload(struct http_request *r, struct err *e)
{
	struct project *p = NULL;
	struct upload *u;
	int res = iron_project(r, &p, e);

	if (res < 0)
		return res;
	if (!r->read)
		return err_set(e, ERR_INPUT, 0,
			       "data: must be there: multipart/form-data with the parts \"data\" "
			       "(JSON) and \"file\" (zip)");
	u = calloc(1, sizeof(*u));
	if (u)
		u->later = iron_later_new(r, u, e);
	if (!u || !u->later) {
		free(u);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot take an upload");
	}
	memcpy(u->project, p->id, sizeof(u->project));
	res = read_data(r, p, &u->spec, e);
	if (res == 0) {
		image_of_stack(r->f, p, &u->spec);
		res = check_names(r->f, p, &u->spec, e);
	}
	if (res == 0)
		res = r->upload_fd >= 0 ? unpack(r, p, u, e) : put_now(r, u, e);
	if (!u->waits)
		upload_free(u);
	return res;
}

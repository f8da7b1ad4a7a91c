// SPDX-License-Identifier: Apache-2.0
/*
 * sandboxctl image build: from image.json to STATE/images/DIGEST, all or nothing. The tree grows in
 * STATE/images/.build-XXXXXX, is checked there and gets its digest, and becomes the image by two
 * renames.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "spec/image_json.h"
#include "supervisor/ctl/image.h"

struct build {
	struct ctl *ctl;
	char src[PATH_MAX], runtime_dir[PATH_MAX];
	char *text; /* image.json */
	size_t len;
	json_t *doc, *modules;
	struct image_head head;
	uint8_t inputs[32];
	int images, name_lock;
	int tmp_fd; /* the temporary folder; flock'ed */
	char tmp[32];
	struct image_tree tree;
	char hex[65];
	uint64_t started_ns;
};

static void build_clear(struct build *b)
{
	free(b->text);
	json_decref(b->doc);
	json_decref(b->modules);
	util_close_fd(&b->images);
	util_close_fd(&b->name_lock);
	util_close_fd(&b->tmp_fd);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The source is the folder DIR itself, or the folder NAME among what is installed with sandboxd. */
static int find_source(struct build *b, const char *arg, struct err *e)
{
	_cleanup_free_ char *real = NULL;
	const char *share = store_share_dir();
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/image.json", arg);
	if (strchr(arg, '/') || access(path, F_OK) == 0)
		(void)snprintf(path, sizeof(path), "%s", arg);
	else
		(void)snprintf(path, sizeof(path), "%s/images/%s", share, arg);
	real = realpath(path, NULL);
	if (!real || !is_dir(real))
		return err_set(e, ERR_NOT_FOUND, 0,
			       "%s: there is no such folder with an image.json", path);
	(void)snprintf(b->src, sizeof(b->src), "%s", real);
	runtime_dir(b->runtime_dir);
	return 0;
}

static int read_source(struct build *b, struct err *e)
{
	char path[PATH_MAX + 16];
	int r;

	(void)snprintf(path, sizeof(path), "%s/image.json", b->src);
	r = store_read_file(path, IMAGE_JSON_MAX, &b->text, &b->len, e);
	if (r == 0)
		r = image_json_read(path, b->text, b->len, &b->head, &b->doc, e);
	if (r == 0)
		r = image_input_digest(b->text, b->len, b->runtime_dir, b->inputs, e);
	return r;
}

/* Whether the image that is installed under this name was made from the same input and is whole. */
static bool up_to_date(struct build *b)
{
	_cleanup_image_entry_ struct image_entry entry = {0};
	_cleanup_fd_ int rootfs = -1;
	struct image_head head;
	struct err ignored = {0};
	uint8_t digest[32];
	char inputs[65];

	if (image_entry_read(b->images, b->head.name, &entry, &ignored) < 0)
		return false;
	util_hex(b->inputs, sizeof(b->inputs), inputs);
	if (strcmp(ctl_text(entry.doc, "inputs"), inputs) != 0 ||
	    util_unhex(entry.hex, sizeof(digest), digest) < 0 ||
	    image_load(b->images, digest, &head, &rootfs, &ignored) < 0)
		return false;
	memcpy(b->hex, entry.hex, sizeof(b->hex));
	return true;
}

/* The folder is locked before another command could take it for that of a dead build. */
static int make_tmp(struct build *b, struct err *e)
{
	_cleanup_fd_ int lock = -1;
	uint8_t random[12];
	char id[2 * sizeof(random) + 1];
	int r;

	r = image_lock(b->images, NULL, &lock, e);
	if (r < 0)
		return r;
	image_collect(b->ctl, b->images);
	util_new_id(id);
	(void)snprintf(b->tmp, sizeof(b->tmp), ".build-%s", id + 8);
	if (mkdirat(b->images, b->tmp, 0700) < 0)
		r = -errno;
	else
		b->tmp_fd = openat(b->images, b->tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0 || b->tmp_fd < 0 || flock(b->tmp_fd, LOCK_EX) < 0)
		return err_set(e, ERR_SYSTEM, r < 0 ? -r : errno, "a folder to build in");
	return 0;
}

static int run_build(struct build *b, struct err *e)
{
	char out[64 + PATH_MAX];

	(void)snprintf(out, sizeof(out), "%s/images/%s", b->ctl->state_dir, b->tmp);
	/* The build's commands run under the policies of this state folder. */
	if (setenv("SANDBOXD_STATE", b->ctl->state_dir, 1) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the environment");
	return image_run_script(b->src, out, b->runtime_dir, b->tmp_fd, e);
}

/* Checks what was built, and takes its digest. */
static int check_build(struct build *b, struct err *e)
{
	_cleanup_fd_ int rootfs = -1, runtime = -1;
	_cleanup_free_ char *modules = NULL;
	struct image_tree sub;
	size_t len;
	int r;

	r = util_read_file_at(b->tmp_fd, "modules.json", IMAGE_MODULES_MAX, &modules, &len);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "modules.json of the build");
	r = image_modules_read("modules.json", modules, len, &b->head, &b->modules, e);
	if (r < 0)
		return r;
	rootfs = openat(b->tmp_fd, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rootfs < 0)
		return err_set(e, ERR_SYSTEM, errno, "rootfs of the build");
	r = image_tree_check(rootfs, b->head.interpreter, e);
	if (r < 0)
		return r;
	runtime = openat(rootfs, IMAGE_RUNTIME_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (runtime < 0)
		return err_set(e, ERR_SYSTEM, errno, "rootfs/" IMAGE_RUNTIME_PATH);
	r = image_tree_digest(runtime, &image_signal, &sub, e);
	if (r == 0)
		r = image_tree_digest(rootfs, &image_signal, &b->tree, e);
	if (r < 0)
		return r;
	memcpy(b->head.runtime_digest, sub.digest, sizeof(sub.digest));
	return image_digest_join(b->tree.digest, &b->head, b->hex, e);
}

static json_t *describe(const struct build *b)
{
	json_t *doc = json_copy(b->doc);
	char inputs[65], now[40];

	util_hex(b->inputs, sizeof(b->inputs), inputs);
	util_format_time(util_realtime_ns(), now, sizeof(now));
	(void)json_object_set(doc, "python", json_object_get(b->modules, "python"));
	(void)json_object_set(doc, "modules", json_object_get(b->modules, "modules"));
	(void)json_object_set_new(doc, "digest", json_string(b->hex));
	(void)json_object_set_new(doc, "inputs", json_string(inputs));
	(void)json_object_set_new(doc, "built_at", json_string(now));
	(void)json_object_set_new(doc, "size", json_integer((json_int_t)b->tree.bytes));
	(void)json_object_set_new(doc, "files", json_integer((json_int_t)b->tree.files));
	return doc;
}

static int write_description(const struct build *b, int dirfd)
{
	json_auto_t *doc = describe(b);
	_cleanup_free_ char *text = json_dumps(doc, JSON_INDENT(2));

	return text ? util_write_file_at(dirfd, "image.json", 0644, text, strlen(text)) : -ENOMEM;
}

/* There is an image of this digest already, by another name or because of --force. Its content is
 * the same, so only its description is replaced. */
static int refresh(const struct build *b)
{
	_cleanup_fd_ int fd = -1;

	fd = openat(b->images, b->hex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : write_description(b, fd);
}

static int install(struct build *b, struct err *e)
{
	_cleanup_fd_ int lock = -1, by_name = -1;
	char target[80];
	int r;

	r = util_write_file_at(b->tmp_fd, "image.bin", 0644, &b->head, sizeof(b->head));
	if (r == 0)
		r = write_description(b, b->tmp_fd);
	/* Synced to the disk before it becomes the image: after a crash there is the old image or
	 * the new one. */
	if (r == 0 && (unlinkat(b->tmp_fd, "modules.json", 0) < 0 || fchmod(b->tmp_fd, 0755) < 0 ||
		       syncfs(b->tmp_fd) < 0))
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "finishing the image");
	r = image_lock(b->images, NULL, &lock, e);
	if (r == 0)
		r = image_by_name(b->images, true, &by_name, e);
	if (r < 0)
		return r;
	if (image_signal)
		return err_set(e, ERR_SYSTEM, EINTR, "installing the image");
	if (renameat(b->images, b->tmp, b->images, b->hex) == 0)
		b->tmp[0] = '\0';
	else
		r = errno == ENOTEMPTY || errno == EEXIST ? refresh(b) : -errno;
	(void)snprintf(target, sizeof(target), "../%s", b->hex);
	if (r == 0)
		r = store_link(by_name, b->head.name, target);
	if (r == 0 && (fsync(by_name) < 0 || fsync(b->images) < 0))
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "installing the image");
	image_collect(b->ctl, b->images);
	return 0;
}

static int build_locked(struct build *b, struct err *e)
{
	int r = make_tmp(b, e);

	if (r == 0)
		r = run_build(b, e);
	if (r == 0)
		r = check_build(b, e);
	if (r == 0)
		r = install(b, e);
	if (b->tmp[0]) {
		int left = dir_remove_tree(b->images, b->tmp);

		if (left < 0)
			ctl_say("%s/images/%s cannot be removed: %s", b->ctl->state_dir, b->tmp,
				strerror(-left));
	}
	return r;
}

static int report(const struct build *b, bool built)
{
	double seconds = (double)(util_monotonic_ns() - b->started_ns) / 1e9;

	if (b->ctl->json) {
		json_auto_t *out = json_pack("{s:s, s:s, s:b}", "name", b->head.name, "digest",
					     b->hex, "built", built);

		return ctl_flush(ctl_print_json(out));
	}
	if (built)
		printf("%s: built %.12s: Python %s, %.0f MB, %.1f s\n", b->head.name, b->hex,
		       b->head.python_version, (double)b->tree.bytes / 1e6, seconds);
	else
		printf("%s: up to date (%.12s)\n", b->head.name, b->hex);
	return ctl_flush(0);
}

static int build_one(struct build *b, const char *arg, bool force)
{
	struct err e = {0};
	bool built = false;
	int r;

	r = store_need_root("image build", &e);
	if (r < 0)
		return ctl_fail(&e);
	r = find_source(b, arg, &e);
	if (r < 0)
		return ctl_fail(&e);
	r = read_source(b, &e);
	if (r < 0)
		return ctl_fail(&e);
	r = store_open(b->ctl, "images", true, &b->images, &e);
	if (r < 0)
		return ctl_fail(&e);
	if (!force && up_to_date(b))
		return report(b, false);
	image_catch_signals();
	r = image_lock(b->images, b->head.name, &b->name_lock, &e);
	/* Another command may have built it while this one waited for the lock. */
	if (r == 0 && (force || !up_to_date(b))) {
		built = true;
		r = build_locked(b, &e);
		if (r < 0)
			(void)err_wrap(&e, r, "image %s", b->head.name);
	}
	if (image_signal) {
		ctl_say("image %s: interrupted; nothing has changed", b->head.name);
		return 128 + image_signal;
	}
	return r < 0 ? ctl_fail(&e) : report(b, built);
}

int image_build(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {0}};
	bool force = false;
	int c, status = 0;

	while ((c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (c != 'f')
			return ctl_bad_option("image", argv);
		force = true;
	}
	if (optind >= argc)
		return ctl_usage("image", "build names no folder with an image.json");
	for (int i = optind; i < argc && !image_signal; i++) {
		struct build *b = calloc(1, sizeof(*b));
		int r = err_exit_status(ERR_SYSTEM);

		if (b) {
			b->ctl = ctl;
			b->images = b->name_lock = b->tmp_fd = -1;
			b->started_ns = util_monotonic_ns();
			r = build_one(b, argv[i], force);
			build_clear(b);
		}
		free(b);
		status = r ? r : status;
	}
	return status;
}

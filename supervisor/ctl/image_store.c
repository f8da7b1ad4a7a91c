// SPDX-License-Identifier: Apache-2.0
/* STATE/images as a store: finding images, locking, and removing what is not needed. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "lib/json_strict.h"
#include "supervisor/ctl/image.h"

#define MANIFEST_MAX (1u << 20)
#define ENTRY_MAX (8u << 20) /* image.json of an installed image, with its modules */

void image_entry_clear(struct image_entry *entry)
{
	json_decref(entry->doc);
	entry->doc = NULL;
}

int image_by_name(int images, bool create, int *ret, struct err *e)
{
	if (create && mkdirat(images, "by-name", 0755) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "images/by-name");
	*ret = openat(images, "by-name", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM,
			       errno == ENOENT ? 0 : errno,
			       errno == ENOENT ? "there are no images yet; see 'sandboxctl image "
						 "build'"
					       : "images/by-name");
	return 0;
}

/* Reads the HEX of a link to "../HEX". False: the link is another one. */
static bool read_link(int by_name, const char *name, char hex[65])
{
	char target[80];
	ssize_t n = readlinkat(by_name, name, target, sizeof(target) - 1);
	uint8_t digest[32];

	if (n != 67 || strncmp(target, "../", 3) != 0)
		return false;
	target[n] = '\0';
	memcpy(hex, target + 3, 65);
	return util_unhex(hex, sizeof(digest), digest) == 0;
}

int image_entry_find(int images, const char *name, struct image_entry *ret, struct err *e)
{
	_cleanup_fd_ int by_name = -1;
	struct stat st;
	int r;

	if (!util_is_name(name))
		return err_set(e, ERR_INPUT, 0, "'%s' is not an image's name", name);
	r = image_by_name(images, false, &by_name, e);
	if (r < 0)
		return r;
	if (fstatat(by_name, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "there is no image %s; 'sandboxctl image ls' lists them", name);
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	if (!read_link(by_name, name, ret->hex))
		return err_set(e, ERR_INPUT, 0, "image %s: its link is broken; build it again",
			       name);
	return 0;
}

int image_entry_read(int images, const char *name, struct image_entry *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	size_t len = 0;
	int r;

	r = image_entry_find(images, name, ret, e);
	if (r < 0)
		return r;
	fd = openat(images, ret->hex, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : util_read_file_at(fd, "image.json", ENTRY_MAX, &text, &len);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "image %s: its description", name);
	r = json_strict_load("image.json", text, len, ENTRY_MAX, &ret->doc, e);
	return r < 0 ? err_wrap(e, r, "image %s", name) : 0;
}

int image_lock(int images, const char *name, int *ret, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	char file[96];

	(void)snprintf(file, sizeof(file), ".lock%s%s", name ? "-" : "", name ? name : "");
	fd = openat(images, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "images/%s", file);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (name)
			ctl_say("image %s is being built by another command; waiting", name);
		if (flock(fd, LOCK_EX) < 0)
			return err_set(e, ERR_SYSTEM, errno, "waiting for images/%s", file);
	}
	*ret = TAKE_FD(fd);
	return 0;
}

/* Asks which images tasks use: {"images": [{name, digest, tasks}]}. */
static int ask_in_use(struct ctl *ctl, json_t **ret, struct err *e)
{
	return ctl_call(ctl, json_pack("{s:s}", "op", "image_in_use"), NULL, 0, ret, e);
}

static int64_t tasks_of(const json_t *reply, const char *hex)
{
	int64_t tasks = 0;
	json_t *image;
	size_t i;

	json_array_foreach(json_object_get(reply, "images"), i,
			   image) if (strcmp(ctl_text(image, "digest"), hex) == 0) tasks +=
		json_integer_value(json_object_get(image, "tasks"));
	return tasks;
}

int image_tasks(struct ctl *ctl, const char *hex, int64_t *ret, struct err *e)
{
	json_auto_t *reply = NULL;
	int r = ask_in_use(ctl, &reply, e);

	if (r == 0)
		*ret = tasks_of(reply, hex);
	return r;
}

static bool has_name(int images, const char *hex)
{
	_cleanup_fd_ int by_name = -1;
	_cleanup_dir_names_ struct dir_names names = {0};
	struct err ignored;
	bool found = false;

	if (image_by_name(images, false, &by_name, &ignored) < 0 ||
	    store_links(by_name, &names) < 0)
		return true; /* it cannot be known, so the checkpoint stays */
	for (size_t i = 0; i < names.n && !found; i++) {
		char other[65];

		found = read_link(by_name, names.names[i], other) && strcmp(other, hex) == 0;
	}
	return found;
}

/* Whether the manifest of this checkpoint names the image. */
static bool made_from(int checkpoints, const char *name, const char *hex)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	json_auto_t *doc = NULL;
	struct err ignored = {0};
	size_t len = 0;

	fd = openat(checkpoints, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || util_read_file_at(fd, "manifest.json", MANIFEST_MAX, &text, &len) < 0 ||
	    json_strict_load("manifest.json", text, len, MANIFEST_MAX, &doc, &ignored) < 0)
		return false;
	return strcmp(ctl_text(doc, "image"), hex) == 0;
}

static void drop_checkpoints(struct ctl *ctl, const char *hex)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_dir_names_ struct dir_names names = {0};
	struct err ignored = {0};

	if (store_open(ctl, "checkpoints", false, &fd, &ignored) < 0)
		return;
	(void)dir_names_read(fd, SIZE_MAX, &names);
	for (size_t i = 0; i < names.n; i++)
		if (names.names[i][0] != '.' && made_from(fd, names.names[i], hex))
			(void)dir_remove_tree(fd, names.names[i]);
}

/* No task can use these templates any longer, and they would hold memory until they are old. */
static void retire_templates(struct ctl *ctl, const char *hex)
{
	json_auto_t *reply = NULL;
	struct err ignored = {0};
	const json_t *t;
	size_t i;

	(void)ctl_call(ctl, json_pack("{s:s}", "op", "templates"), NULL, 0, &reply, &ignored);
	json_array_foreach(json_object_get(reply, "templates"), i, t)
	{
		if (strcmp(ctl_text(t, "image_digest"), hex) == 0)
			(void)ctl_call(ctl,
				       json_pack("{s:s, s:s}", "op", "template_retire", "id",
						 ctl_text(t, "id")),
				       NULL, 0, NULL, &ignored);
	}
}

int image_drop(struct ctl *ctl, int images, const char *hex, struct err *e)
{
	char old[80];
	int r = 0;

	if (has_name(images, hex))
		return 0;
	retire_templates(ctl, hex);
	/* Renamed first: after a crash there is a dead build's folder, and never half an image. */
	(void)snprintf(old, sizeof(old), ".build-old-%.32s", hex);
	if (renameat(images, hex, images, old) < 0)
		r = errno == ENOENT ? 0 : -errno;
	else
		r = dir_remove_tree(images, old);
	drop_checkpoints(ctl, hex);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "removing image %.12s", hex) : 0;
}

/* Removes a build's folder if the build is dead, which means that nobody holds the folder's
 * lock. */
static void sweep_build(int images, const char *name)
{
	_cleanup_fd_ int fd = -1;
	int r;

	fd = openat(images, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	r = dir_remove_tree(images, name);
	if (r < 0)
		ctl_say("images/%s, left by a build that died, cannot be removed: %s", name,
			strerror(-r));
}

void image_collect(struct ctl *ctl, int images)
{
	_cleanup_dir_names_ struct dir_names names = {0};
	json_auto_t *in_use = NULL;
	struct err e = {0};
	bool asked = false;
	uint8_t digest[32];

	/* All names before the first is removed: removing makes new ones. */
	(void)dir_names_read(images, SIZE_MAX, &names);
	for (size_t i = 0; i < names.n; i++) {
		const char *name = names.names[i];

		if (strncmp(name, ".build-", 7) == 0) {
			sweep_build(images, name);
		} else if (util_unhex(name, sizeof(digest), digest) == 0 &&
			   !has_name(images, name)) {
			if (!asked && ask_in_use(ctl, &in_use, &e) < 0)
				in_use = NULL;
			asked = true;
			if (in_use && tasks_of(in_use, name) == 0 &&
			    image_drop(ctl, images, name, &e) < 0)
				ctl_say("%s", e.msg);
		}
	}
}

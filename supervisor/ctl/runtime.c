// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/runtime.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "supervisor/ctl/state_dir.h"

#define FILE_MAX (1u << 20)

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void runtime_dir(char *path)
{
	const char *share = store_share_dir(), *env = getenv("RUNTIME_DIR");

	if (env && *env) {
		(void)snprintf(path, PATH_MAX, "%s", env);
		return;
	}
	(void)snprintf(path, PATH_MAX, "%s/runtime", share);
	/* SANDBOXD_SHARE may be a source tree, which has the runtime in images/. */
	if (!is_dir(path))
		(void)snprintf(path, PATH_MAX, "%s/images/runtime", share);
}

/* The files that a build copies; bytecode is made in the image. */
static bool is_copied(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (!strcmp(dot, ".py") || !strcmp(dot, ".so"));
}

static bool same_file(int a, int b, const char *name)
{
	_cleanup_free_ char *text_a = NULL, *text_b = NULL;
	size_t len_a = 0, len_b = 0;

	return util_read_file_at(a, name, FILE_MAX, &text_a, &len_a) == 0 &&
	       util_read_file_at(b, name, FILE_MAX, &text_b, &len_b) == 0 && len_a == len_b &&
	       memcmp(text_a, text_b, len_a) == 0;
}

/* -1: there is none, and so none of its files. */
static int open_folder(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

struct compared {
	int with; /* the other folder */
	int n;
	bool same;
};

static int compare_file(int dir, const char *name, void *arg, struct err *e)
{
	struct compared *c = arg;
	struct stat st;

	if (is_copied(name)) {
		c->n++;
		c->same = c->same && same_file(dir, c->with, name);
		return 0;
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	    strcmp(name, "__pycache__") != 0) {
		_cleanup_fd_ int inner = open_folder(dir, name), with = open_folder(c->with, name);
		struct compared deeper = {.with = with, .same = c->same};
		int r = dir_each(inner, compare_file, &deeper, e);

		c->n += deeper.n;
		c->same = deeper.same;
		return r;
	}
	return 0;
}

/* Whether all files of the folder a are in b, with the same content. *ret: how many; -1 when a
 * cannot be read. */
static bool holds(int b, int a, int *ret)
{
	struct compared c = {.with = b, .same = true};

	*ret = dir_each(a, compare_file, &c, NULL) < 0 ? -1 : c.n;
	return c.same;
}

enum runtime runtime_of_image(int images, const char *name)
{
	_cleanup_fd_ int installed = -1, fd = -1;
	int n_installed = 0, n = 0;
	char path[PATH_MAX];
	bool same;

	runtime_dir(path);
	installed = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "by-name/%s/rootfs/" IMAGE_RUNTIME_PATH, name);
	fd = openat(images, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (installed < 0 || fd < 0)
		return RUNTIME_UNKNOWN;
	same = holds(fd, installed, &n_installed);
	if (n_installed <= 0)
		return RUNTIME_UNKNOWN;
	/* And the image must have no file that only another version has. */
	same = holds(installed, fd, &n) && same;
	return n < 0 ? RUNTIME_UNKNOWN : same ? RUNTIME_CURRENT : RUNTIME_OTHER;
}

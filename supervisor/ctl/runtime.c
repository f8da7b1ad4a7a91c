// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/runtime.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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
	/* SANDBOXD_SHARE may be a source tree, where the runtime is one of images/. */
	if (!is_dir(path))
		(void)snprintf(path, PATH_MAX, "%s/images/runtime", share);
}

/* What a build copies; bytecode is made in the image. */
static int is_copied(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

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

/* Are the files of a all in b, with the same content? Their number in *ret; -1 where a cannot be
 * read. */
static bool holds(int b, int a, int *ret)
{
	struct dirent **entries = NULL;
	bool same = true;

	*ret = scandirat(a, ".", &entries, is_copied, NULL);
	for (int i = 0; i < *ret; i++) {
		same = same && same_file(a, b, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return same;
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
	/* And no file of another version besides. */
	same = holds(installed, fd, &n) && same;
	return n < 0 ? RUNTIME_UNKNOWN : same ? RUNTIME_CURRENT : RUNTIME_OTHER;
}

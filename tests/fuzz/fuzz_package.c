// SPDX-License-Identifier: Apache-2.0
/*
 * Archives of a task's folder: whatever the bytes, nothing is made outside of the folder
 * that is given, and everything in it can be removed again.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "supervisor/front/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const uint8_t *data, size_t size)
{
	char in[512], out[PACKAGE_PATH_MAX];
	struct err e;

	if (size >= sizeof(in))
		return;
	memcpy(in, data, size);
	in[size] = '\0';
	if (package_path(in, out, &e) < 0)
		return;
	if (*out == '/' || strstr(out, "//") || strcmp(out, "..") == 0 ||
	    strncmp(out, "../", 3) == 0 || strstr(out, "/../"))
		abort();
	(void)package_link("a/b", in, &e);
}

/* The folder's parent holds it and nothing else. */
static void check_parent(const char *parent)
{
	DIR *d = opendir(parent);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (!d || n != 3)
		abort();
	(void)closedir(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char parent[] = "/dev/shm/fuzz-XXXXXX", dir[64];
	int tar = memfd_create("tar", MFD_CLOEXEC), at;
	uint8_t digest[32];
	struct err e = {0};

	check_path(data, size);
	if (tar < 0 || util_write_all(tar, data, size) < 0 || !mkdtemp(parent))
		abort();
	(void)snprintf(dir, sizeof(dir), "%s/in", parent);
	if (mkdir(dir, 0700) < 0)
		abort();
	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (package_extract_tar(tar, at, 1 << 20, digest, &e) < 0 && e.code == ERR_NONE)
		abort();
	check_parent(parent);
	package_remove(AT_FDCWD, parent);
	if (access(parent, F_OK) == 0)
		abort();
	util_close_fd(&at);
	util_close_fd(&tar);
	return 0;
}

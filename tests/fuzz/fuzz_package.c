// SPDX-License-Identifier: Apache-2.0
/*
 * Archives of a task's folder: whatever the bytes, nothing is made outside of the folder
 * that is given, and everything in it can be removed again.
 */
#include <sys/mman.h>

#include "tests/fuzz/folder.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int tar = memfd_create("tar", MFD_CLOEXEC);
	uint8_t digest[32];
	struct folder folder;
	struct err e = {0};

	check_path(data, size);
	if (tar < 0 || util_write_all(tar, data, size) < 0)
		abort();
	folder_make(&folder);
	if (package_extract_tar(tar, folder.at, 1 << 20, digest, &e) < 0 && e.code == ERR_NONE)
		abort();
	folder_remove(&folder);
	util_close_fd(&tar);
	return 0;
}

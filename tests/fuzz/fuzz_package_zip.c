// SPDX-License-Identifier: Apache-2.0
/*
 * Zips of codes: whatever the bytes, nothing is made outside of the folder that is given,
 * no more than was allowed, and everything in it can be removed again.
 */
#include <string.h>

#include "supervisor/front/core/package/zip_index.h"
#include "tests/fuzz/folder.h"

#define BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is in the folder, and in those in it. */
static uint64_t count_made(int at)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	uint64_t n = 0;

	while (d && (entry = readdir(d))) {
		int in;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		n++;
		in = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (in >= 0)
			n += count_made(in);
		util_close_fd(&in);
	}
	if (d)
		(void)closedir(d);
	return n;
}

/* What it says that it will make is no less than what is made; a folder whose name has no slash at
 * its end is taken for a file, in which something may be too. */
static void check_size(const uint8_t *data, size_t size, int at)
{
	struct package_size told = {0};
	struct zip_index index = {0};
	struct err e = {0};
	uint64_t made;

	if (package_zip_index(data, size, UINT64_MAX, &index, &e) < 0 ||
	    package_zip_size(&index, size, &told, &e) < 0)
		abort();
	made = count_made(at);
	if (told.files < made + 2 || told.files > made + 2 + index.n ||
	    told.bytes < told.files * PACKAGE_BLOCK)
		abort();
	package_zip_index_clear(&index);
}

/* What is taken fills the bytes, each once. */
static void check_index(const uint8_t *data, size_t size)
{
	struct zip_index index = {0};
	struct err e = {0};
	uint64_t at = 0;

	if (package_zip_index(data, size, UINT64_MAX, &index, &e) < 0) {
		if (e.code == ERR_NONE || index.entries)
			abort();
		return;
	}
	for (size_t i = 0; i < index.n; i++) {
		const struct zip_entry *entry = &index.entries[i];

		if (entry->at < at || entry->at - at > 24 || entry->end < entry->at ||
		    !*entry->name || strlen(entry->name) >= PACKAGE_PATH_MAX ||
		    strchr(entry->name, '\\'))
			abort();
		at = entry->end;
	}
	if (index.n == 0 || at > index.directory_at || index.directory_at > size)
		abort();
	package_zip_index_clear(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct folder folder;
	struct err e = {0};
	uint64_t bytes = 0;
	int r;

	check_index(data, size);
	folder_make(&folder);
	r = package_extract_zip(data, size, folder.at, BYTES_MAX, &bytes, &e);
	if ((r < 0) != (e.code != ERR_NONE) || bytes > BYTES_MAX)
		abort();
	if (r == 0)
		check_size(data, size, folder.at);
	folder_remove(&folder);
	return 0;
}

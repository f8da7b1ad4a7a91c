// SPDX-License-Identifier: Apache-2.0
/*
 * Zips of workers: whatever the bytes, nothing is made outside of the given folder and no more than
 * is allowed, and everything in the folder can be removed again.
 */
#include <string.h>

#include "supervisor/front/core/package/zip.h"
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

/* What the zip says that it will make is no less than what is made. A folder whose name has no
 * slash at its end is taken for a file, and may have something in it too. */
static void check_size(const struct zip_package *zip, int at)
{
	struct package_size told = {0};
	struct err e = {0};
	uint64_t made;

	if (package_zip_size(zip, &told, &e) < 0)
		abort();
	made = count_made(at);
	if (told.files < made + 2 || told.files > made + 2 + zip->layout.n ||
	    told.bytes < told.files * PACKAGE_BLOCK)
		abort();
}

/* What is taken fills the bytes, each once, and is what libzip finds there. */
static void check_entries(const struct zip_package *zip, size_t size)
{
	const struct zip_layout *l = &zip->layout;
	uint64_t at = 0, bytes = 0;

	for (uint64_t i = 0; i < l->n; i++) {
		const struct zip_place *place = &l->places[i];
		const char *name = zip->entries[i].name;

		if (place->at < at || place->at - at > 24 || place->end < place->at || !*name ||
		    strlen(name) >= PACKAGE_PATH_MAX || strchr(name, '\\'))
			abort();
		at = place->end;
		bytes += zip->entries[i].size;
	}
	if (l->n == 0 || at > l->directory_at || l->directory_at > size || bytes != zip->bytes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zip_package zip;
	struct folder folder;
	struct err e = {0};
	int r;

	r = package_zip_open(data, size, BYTES_MAX, &zip, &e);
	if ((r < 0) != (e.code != ERR_NONE) || (r < 0 && (zip.zip || zip.entries)) ||
	    zip.bytes > BYTES_MAX)
		abort();
	if (r < 0)
		return 0;
	check_entries(&zip, size);
	folder_make(&folder);
	r = package_zip_extract(&zip, folder.at, &e);
	if ((r < 0) != (e.code != ERR_NONE))
		abort();
	if (r == 0)
		check_size(&zip, folder.at);
	package_zip_close(&zip);
	folder_remove(&folder);
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * What a zip takes when it is unpacked, before anything of it is: the folders above its files are
 * in no list of the zip's, and an empty file takes an inode and a place in its folder all the same.
 */
#include <string.h>

#include "supervisor/front/core/package/extract.h"
#include "supervisor/front/core/package/zip_index.h"

/* The path as it will be made; a folder's ends in a slash, "" is the package itself. */
static int copy_path(const struct zip_entry *entry, char **ret, struct err *e)
{
	char path[PACKAGE_PATH_MAX + 2];
	int r = package_path(entry->name, path, e);

	if (r < 0)
		return r;
	if (*path && entry->name[strlen(entry->name) - 1] == '/')
		strcat(path, "/");
	*ret = strdup(path);
	return *ret ? 0 : extract_cannot_keep(e, ENOMEM, "it");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static unsigned count_slashes(const char *path, size_t len)
{
	unsigned n = 0;

	for (const char *end = path + len; (path = memchr(path, '/', (size_t)(end - path))); path++)
		n++;
	return n;
}

/* Folders of path that before, which is sorted in front of it, has too: all that have been met
 * of path's are there, for what is in one folder stands together. */
static unsigned common_folders(const char *before, const char *path)
{
	size_t same = 0;

	while (before[same] && before[same] == path[same])
		same++;
	return count_slashes(path, same);
}

static uint64_t in_blocks(uint64_t bytes)
{
	return bytes ? (bytes + PACKAGE_BLOCK - 1) / PACKAGE_BLOCK * PACKAGE_BLOCK : PACKAGE_BLOCK;
}

/* Of paths that are sorted: each file and link, and each folder once. */
static uint64_t count_made(char *const *paths, size_t n)
{
	uint64_t made = 0;

	for (size_t i = 0; i < n; i++) {
		const size_t len = strlen(paths[i]);

		made += count_slashes(paths[i], len);
		made -= i ? common_folders(paths[i - 1], paths[i]) : 0;
		made += len && paths[i][len - 1] != '/';
	}
	return made;
}

int package_zip_size(const struct zip_index *index, uint64_t zip_bytes, struct package_size *ret,
		     struct err *e)
{
	char **paths = calloc(index->n, sizeof(*paths));
	uint64_t made, bytes = 0;
	size_t n = 0, names = 0;
	int r = 0;

	if (!paths)
		return extract_cannot_keep(e, ENOMEM, "it");
	for (; r == 0 && n < index->n; n++) {
		r = copy_path(&index->entries[n], &paths[n], e);
		names += r == 0 ? strlen(paths[n]) : 0;
		if (names > PACKAGE_NAMES_MAX)
			r = extract_refuse(e, "archive",
					   "the names of all files have more than 16 MiB");
		/* Its first block is counted with all that is made. */
		bytes += in_blocks(index->entries[n].size) - PACKAGE_BLOCK;
	}
	if (r == 0) {
		qsort(paths, n, sizeof(*paths), by_name);
		made = count_made(paths, n);
		if (made > PACKAGE_ENTRIES_MAX)
			r = extract_refuse(e, "archive",
					   "it has more than 100000 files and folders");
		/* And the folder and the zip themselves. */
		ret->files = made + 2;
		ret->bytes = bytes + (made + 1) * PACKAGE_BLOCK + in_blocks(zip_bytes);
	}
	for (size_t i = 0; i < index->n; i++)
		free(paths[i]);
	free(paths);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Zips of codes: whatever the bytes, nothing is made outside of the folder that is given,
 * no more than was allowed, and everything in it can be removed again.
 */
#include <string.h>

#include "supervisor/front/package_zip_index.h"
#include "tests/fuzz/folder.h"

#define BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	folder_remove(&folder);
	return 0;
}

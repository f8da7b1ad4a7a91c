// SPDX-License-Identifier: Apache-2.0
/* The address of a database: what is taken has all five variables, which fit in the URL. */
#include <string.h>

#include "spec/attach_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *url = strndup((const char *)data, size);
	json_t *o = NULL, *value;
	struct err e = {0};
	const char *key;

	if (!url)
		return 0;
	if (attach_variables("db", "postgresql", url, &o, &e) < 0) {
		if (e.code != ERR_INPUT || o)
			abort();
	} else {
		if (json_object_size(o) != 5)
			abort();
		json_object_foreach(o, key, value) if (strncmp(key, "DOTCLOUD_DB_SQL_", 16) != 0 ||
						       json_string_length(value) > size + 5)
			abort();
	}
	json_decref(o);
	free(url);
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* iron.json. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/client_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_config c = {0};
	struct err e = {0};
	bool found = false;

	if (client_config_read("iron.json", (const char *)data, size, "dev", &c, &found, &e) < 0) {
		if (e.code == ERR_NONE || e.msg[0] == '\0')
			abort();
		return 0;
	}
	/* What stands in a URL and in a header. */
	if (strpbrk(c.token, "\r\n \"") || strpbrk(c.project_id, "/?#%.") ||
	    strpbrk(c.host, "/?#@\r\n ") || c.port > 65535)
		abort();
	return 0;
}

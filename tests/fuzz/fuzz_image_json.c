// SPDX-License-Identifier: Apache-2.0
/* image.json and modules.json. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/image_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct image_head head;
	struct err e = {0};
	json_t *doc = NULL;

	if (image_json_read("image.json", text, size, &head, &doc, &e) == 0) {
		/* What the privileged side relies on. */
		if (!util_is_name(head.name) || !util_is_name(head.policy) ||
		    head.interpreter[0] != '/' ||
		    strnlen(head.warm, sizeof(head.warm)) == sizeof(head.warm))
			abort();
		json_decref(doc);
	} else if (doc || e.code == ERR_NONE || e.msg[0] == '\0') {
		abort();
	}
	doc = NULL;
	e = (struct err){0};
	memset(&head, 0, sizeof(head));
	if (image_modules_read("modules.json", text, size, &head, &doc, &e) == 0)
		json_decref(doc);
	else if (doc || e.code == ERR_NONE)
		abort();
	return 0;
}

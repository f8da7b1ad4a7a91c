// SPDX-License-Identifier: Apache-2.0
/* What code says of a request, and the filters of who looks at it: two lines of JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json_strict.h"
#include "supervisor/front/web/tail_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *read_json(const char *text, size_t len)
{
	json_t *doc = NULL;
	struct err e = {0};

	return json_strict_load("fuzz", text, len, 1u << 20, &doc, &e) < 0 ? NULL : doc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	const size_t n = end ? (size_t)(end - data) : size;
	json_auto_t *head = read_json((const char *)data, n);
	json_auto_t *filters = end ? read_json((const char *)end + 1, size - n - 1) : json_array();
	json_auto_t *event = head ? tail_event_read(head) : NULL;
	struct tail_filter f;
	struct err e = {0};

	if (head && (!event || !json_is_array(json_object_get(event, "logs"))))
		abort();
	if (tail_filter_read(filters, &f, &e) < 0) {
		if (!e.code)
			abort();
		return 0;
	}
	if (event)
		(void)tail_filter_takes(&f, event, "v", 0.5);
	tail_filter_clear(&f);
	return 0;
}

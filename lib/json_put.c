// SPDX-License-Identifier: Apache-2.0
#include "lib/json_put.h"

#include "lib/timefmt.h"
#include "lib/util.h"

void json_put(json_t **o, const char *key, json_t *value)
{
	/* json_object_set_new takes the value also where it fails. */
	if (json_object_set_new(*o, key, value) == 0)
		return;
	json_decref(*o);
	*o = NULL;
}

json_t *json_text(const char *text)
{
	json_t *s = json_string(text);

	return s ? s : json_string("(not UTF-8)");
}

json_t *json_text_or_null(const char *text)
{
	return *text ? json_text(text) : json_null();
}

json_t *json_count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

json_t *json_hex(const uint8_t bytes[32])
{
	char hex[65];

	util_hex(bytes, 32, hex);
	return json_string(hex);
}

json_t *json_time(uint64_t realtime_ns)
{
	char text[TIMEFMT_MAX];

	return json_string(timefmt_print(realtime_ns, text));
}

json_t *json_time_or_null(uint64_t realtime_ns)
{
	return realtime_ns ? json_time(realtime_ns) : json_null();
}

json_t *json_time_exact(uint64_t realtime_ns)
{
	char text[40];

	if (!realtime_ns)
		return json_null();
	util_format_time(realtime_ns, text, sizeof(text));
	return json_string(text);
}

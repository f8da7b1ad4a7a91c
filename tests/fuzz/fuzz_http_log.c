// SPDX-License-Identifier: Apache-2.0
/*
 * A log's frames as server-sent events and as text: pieces of 1 + (first byte) bytes, each a
 * frame whose type the next byte names. An event is always one, and its data JSON.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/serve/http/log_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(char *event)
{
	char *text = strstr(event, "data: ");
	json_t *json;

	if (strncmp(event, "event: ", 7) != 0 || !text)
		__builtin_trap();
	json = json_loads(text + strlen("data: "), JSON_ALLOW_NUL, NULL);
	if (!json_is_object(json))
		__builtin_trap();
	json_decref(json);
}

/* Each ends with an empty line, and has none in it. */
static void check_events(char *text, size_t len)
{
	char *end;

	if (!text)
		return;
	text[len] = '\0';
	if (strlen(text) != len)
		__builtin_trap();
	for (; *text; text = end + 2) {
		end = strstr(text, "\n\n");
		if (!end)
			__builtin_trap();
		*end = '\0';
		check_event(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_log_format text = {0}, events = {.events = true};
	char *text_buf = NULL, *events_buf = NULL;
	size_t text_len = 0, events_len = 0;

	while (size >= 2) {
		size_t len = data[0] < size - 2 ? data[0] : size - 2;
		struct log_frame head = {.type = (uint8_t)(1 + data[1] % 4),
					 .len = (uint32_t)len,
					 .reason = data[1] >> 7,
					 .partial = data[1] & 4,
					 .aux = data[1]};
		uint8_t kept[sizeof(uint64_t)] = {1};
		const uint8_t *p = data + 2;

		if (head.type == LOG_FRAME_DROPPED) {
			head.len = sizeof(kept);
			p = kept;
		} else if (head.type == LOG_FRAME_END) {
			head.len = 0;
		}
		(void)http_log_format(&events, &head, p, &events_buf, &events_len);
		(void)http_log_format(&text, &head, p, &text_buf, &text_len);
		data += 2 + len;
		size -= 2 + len;
	}
	check_events(events_buf, events_len);
	free(events_buf);
	free(text_buf);
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The control socket's frames, cut into pieces as the first byte says: they come out
 * the same however they are cut, and memory follows what arrived, not what was announced.
 */
#include <string.h>

#include "lib/json_strict.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handle(const struct frame *frame)
{
	json_auto_t *doc = NULL;
	struct json_strict in;
	struct err e = {0};
	int64_t n;
	bool b;

	if (json_strict_load("request", frame->body, frame->len, CONTROL_FRAME_MAX, &doc, &e) < 0 ||
	    json_strict_begin(&in, "request", doc, &e) < 0)
		return;
	(void)json_strict_string(&in, "op", 32);
	(void)json_strict_string(&in, "id", TASK_ID_LEN);
	(void)json_strict_int(&in, "cursor", 0, INT64_MAX, &n);
	(void)json_strict_bool(&in, "all", &b);
	(void)json_strict_array(&in, "imports", 16);
	if (json_strict_end(&in) < 0 && e.code == ERR_NONE)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame frame = {0};
	size_t step, at = 1;

	if (size < 1)
		return 0;
	step = (size_t)data[0] + 1;
	while (at < size) {
		size_t room, n;
		void *to;
		int r;

		if (frame_room(&frame, &to, &room) < 0)
			break;
		n = room < step ? room : step;
		n = n < size - at ? n : size - at;
		if (room == 0 || frame.allocated > 2 * size + 4096)
			abort();
		memcpy(to, data + at, n);
		at += n;
		r = frame_took(&frame, n);
		if (r < 0)
			break;
		if (r == 0)
			continue;
		if (frame.got != sizeof(frame.head) + frame.len || frame.len < 1 ||
		    frame.len > CONTROL_FRAME_MAX)
			abort();
		handle(&frame);
		frame_clear(&frame);
	}
	frame_clear(&frame);
	return 0;
}

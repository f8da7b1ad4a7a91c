// SPDX-License-Identifier: Apache-2.0
/* Frames of a WebSocket's client: whole, and in pieces of any size, which is the same. The first byte says
 * whether masks are asked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/serve/http/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
	uint64_t sum;
	unsigned n;
};

static void control(void *arg, enum ws_opcode op, const uint8_t *data, size_t len)
{
	struct heard *h = arg;

	if (len > WS_CONTROL_MAX || op < WS_CLOSE || op > WS_PONG)
		abort();
	h->n++;
	h->sum = h->sum * 31 + op + len;
	for (size_t i = 0; i < len; i++)
		h->sum = h->sum * 31 + data[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole = {0}, pieces = {0};
	struct ws_in a = {.may_be_plain = size > 0 && data[0] & 1}, b = a;
	unsigned was, is = 0;
	size_t step;

	if (size < 2)
		return 0;
	step = 1 + data[0] / 2;
	data++;
	size--;
	was = ws_feed(&a, data, size, control, &whole);
	for (size_t at = 0; at < size && !is; at += step)
		is = ws_feed(&b, data + at, size - at < step ? size - at : step, control, &pieces);
	if (was != is || whole.n != pieces.n || whole.sum != pieces.sum ||
	    (!was && a.message > WS_MESSAGE_MAX))
		abort();
	return 0;
}

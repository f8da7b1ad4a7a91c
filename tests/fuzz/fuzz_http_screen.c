// SPDX-License-Identifier: Apache-2.0
/* The bytes of a connection: however they are cut into pieces, what is let through is the same, is
 * no more than there was, and holds no head that says two things of its length. */
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/serve/http/screen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As http_recv.c does it, without a bound of room. */
static size_t screen(struct http_screen *s, const uint8_t *data, size_t size, size_t step,
		     char *out)
{
	size_t n_out = 0;

	for (size_t at = 0; at < size && s->state != SCREEN_REFUSED; at += step) {
		size_t n = size - at < step ? size - at : step, held = s->n_held, given;
		/* In memory of exactly its length, so that a sanitizer sees a read of one byte
		 * more. */
		char *buf = malloc(held + n);

		if (!buf)
			abort();
		if (held > 0)
			memcpy(buf, s->held, held);
		memcpy(buf + held, data + at, n);
		given = http_screen(s, buf, held + n);
		if (given > held + n || s->n_held >= HTTP_HEADER_MAX + step)
			__builtin_trap();
		memcpy(out + n_out, buf, given);
		n_out += given;
		free(buf);
	}
	http_screen_end(s);
	return n_out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = {1, 2, 7};
	struct http_screen whole = {0};
	char *a = malloc(size + 1), *b = malloc(size + 1);
	size_t n_a, n_b;

	if (!a || !b)
		abort();
	if (size > 0)
		(void)http_screen_is_host((const char *)data, size);
	n_a = screen(&whole, data, size, size ? size : 1, a);
	if (n_a > size || (whole.state == SCREEN_REFUSED) != (whole.status != 0) ||
	    (whole.status && !*whole.why))
		__builtin_trap();
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct http_screen pieces = {0};

		n_b = screen(&pieces, data, size, steps[i], b);
		if (n_a != n_b || memcmp(a, b, n_a) != 0 || whole.status != pieces.status ||
		    whole.state != pieces.state || whole.heads != pieces.heads)
			__builtin_trap();
		http_screen_clear(&pieces);
	}
	http_screen_clear(&whole);
	free(a);
	free(b);
	return 0;
}

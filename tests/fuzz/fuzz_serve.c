// SPDX-License-Identifier: Apache-2.0
/* What a sandbox may send to the front, in pieces of any size. First byte: the pieces. */
#include <string.h>

#include "wire/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct serve_in in = {.body_max = 100000};
	size_t step, at = 1;
	int r = 0;

	if (size < 2)
		return 0;
	step = (size_t)data[0] + 1;
	while (at < size && r >= 0) {
		size_t n;
		void *to;

		if (serve_in_room(&in, &to, &n) < 0 || n == 0)
			__builtin_trap();
		n = n < step ? n : step;
		n = n < size - at ? n : size - at;
		memcpy(to, data + at, n);
		at += n;
		r = serve_in_took(&in, n);
		if (r > 0) {
			if (in.head_len > SERVE_HEAD_MAX || in.body_len > in.body_max ||
			    in.head[in.head_len] != '\0')
				__builtin_trap();
			serve_in_next(&in);
		}
	}
	serve_in_clear(&in);
	return 0;
}

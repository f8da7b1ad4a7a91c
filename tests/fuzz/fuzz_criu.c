// SPDX-License-Identifier: Apache-2.0
/* What criu answers, and the image of a process that it has dumped. First byte: which. */
#include <stdlib.h>
#include <string.h>

#include "sandbox/checkpoint_internal.h"
#include "sandbox/criu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const uint8_t *data, size_t size, bool dump)
{
	struct err e = {0};
	pid_t pid = -1;

	if (criu_read_answer(data, size, dump, &pid, &e) == 0 && pid < 0)
		__builtin_trap();
}

static void image(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1), *again = malloc(size + 1);
	struct err e = {0};
	size_t changed = 0;

	if (!copy || !again)
		abort();
	memcpy(copy, data, size);
	(void)checkpoint_core_is_still(copy, size, &e);
	(void)checkpoint_tree_is_one(copy, size, &e);
	if (checkpoint_image_unfiltered(copy, size, &e) == 0) {
		/* Only the two modes may have changed, and a second call changes nothing. */
		for (size_t i = 0; i < size; i++)
			changed += copy[i] != data[i];
		memcpy(again, copy, size);
		if (changed > 2 || checkpoint_image_unfiltered(again, size, &e) < 0 ||
		    memcmp(again, copy, size) != 0)
			__builtin_trap();
	}
	free(copy);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 2)
		image(data + 1, size - 1);
	else
		answer(data + 1, size - 1, data[0] & 1);
	return 0;
}

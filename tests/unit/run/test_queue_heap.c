// SPDX-License-Identifier: Apache-2.0
/* What is delayed: always the one that is due first, whatever was added and taken before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "supervisor/front/run/queue/heap.h"

#define MANY 200u

static void check_heap(const struct queue_heap *h)
{
	for (uint32_t i = 1; i <= h->n; i++) {
		assert_int_equal(h->at[i]->heap_at, i);
		if (i > 1)
			assert_true(h->at[i / 2]->not_before_ns <= h->at[i]->not_before_ns);
	}
}

/* A multiplier of Knuth's: the same numbers in every run. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void test_order(void **state)
{
	static struct queued all[MANY];
	struct queue_heap h = {0};
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		uint64_t last = 0;

		for (unsigned i = 0; i < MANY; i++) {
			all[i] = (struct queued){.not_before_ns = next_random(&seed) % 300 + 1};
			assert_int_equal(queue_heap_add(&h, &all[i]), 0);
			check_heap(&h);
		}
		/* Some go from the middle, as those that are cancelled do. */
		for (unsigned i = 0; i < MANY; i += 3) {
			queue_heap_take(&h, &all[i]);
			assert_int_equal(all[i].heap_at, 0);
			check_heap(&h);
		}
		assert_int_equal(h.n, MANY - (MANY + 2) / 3);
		while (h.n) {
			struct queued *first = h.at[1];

			assert_true(first->not_before_ns >= last);
			last = first->not_before_ns;
			queue_heap_take(&h, first);
			check_heap(&h);
		}
	}
	free(h.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

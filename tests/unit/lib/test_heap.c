// SPDX-License-Identifier: Apache-2.0
/* The first node of the heap is always the smallest, whatever was added and removed before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/heap.h"

#define MANY 200u

/* Counts the node and all nodes below it. */
static size_t check_below(const struct heap_node *node, const struct heap_node *parent)
{
	if (!node)
		return 0;
	assert_ptr_equal(node->parent, parent);
	assert_true(node->key > 0 && (!parent || parent->key <= node->key));
	return 1 + check_below(node->left, node) + check_below(node->right, node);
}

static unsigned height(const struct heap_node *node)
{
	unsigned n = 0;

	for (; node; node = node->left)
		n++;
	return n;
}

static void check_heap(const struct heap *h)
{
	assert_int_equal(check_below(h->first, NULL), h->n);
	/* The heap is no higher than a complete tree of as many nodes. */
	assert_true(h->n == 0 || h->n >> (height(h->first) - 1) == 1);
}

/* A generator with Knuth's multiplier, so that each run has the same numbers. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void test_order(void **state)
{
	static struct heap_node all[MANY];
	struct heap h = {0};
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		uint64_t last = 0;

		for (unsigned i = 0; i < MANY; i++) {
			heap_add(&h, &all[i], next_random(&seed) % 300 + 1);
			check_heap(&h);
		}
		/* Some nodes are removed from the middle, as the timers of cancelled tasks are. */
		for (unsigned i = 0; i < MANY; i += 3) {
			heap_take(&h, &all[i]);
			assert_int_equal(all[i].key, 0);
			check_heap(&h);
			heap_take(&h, &all[i]); /* the node is not in the heap: nothing happens */
		}
		assert_int_equal(h.n, MANY - (MANY + 2) / 3);
		while (h.n) {
			assert_true(h.first->key >= last);
			last = h.first->key;
			heap_take(&h, h.first);
			check_heap(&h);
		}
		assert_null(h.first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

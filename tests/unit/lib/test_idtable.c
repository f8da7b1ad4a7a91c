// SPDX-License-Identifier: Apache-2.0
/* A table by ids: everything that was added and not removed is found, each thing once. */
#include <stdio.h>
#include <string.h>

#include "lib/idtable.h"
#include "tests/unit/rig.h"

#define THINGS 100

struct thing {
	char id[8];
	unsigned seen;
	struct idnode node;
};

static struct thing things[THINGS];

/* There are more things than buckets, so that several share a bucket. */
static void fill(struct idtable *t)
{
	assert_int_equal(idtable_init(t, 16), 0);
	for (unsigned i = 0; i < THINGS; i++) {
		things[i] = (struct thing){0};
		(void)snprintf(things[i].id, sizeof(things[i].id), "t%u", i);
		idtable_add(t, &things[i].node, things[i].id);
	}
	assert_int_equal(t->n, THINGS);
}

static void test_found(void **state)
{
	struct idtable t;

	(void)state;
	fill(&t);
	for (unsigned i = 0; i < THINGS; i += 2)
		idtable_remove(&t, &things[i].node);
	idtable_remove(&t, &things[0].node); /* a second removal does nothing */
	assert_int_equal(t.n, THINGS / 2);
	for (unsigned i = 0; i < THINGS; i++) {
		struct thing *found = OWNER_OF(idtable_find(&t, things[i].id), struct thing, node);

		assert_ptr_equal(found, i % 2 ? &things[i] : NULL);
	}
	assert_null(idtable_find(&t, "nosuch"));
	idtable_clear(&t);
	assert_null(idtable_find(&t, things[1].id));
}

/* Each node is found once, even if it is removed meanwhile. */
static void test_each(void **state)
{
	struct idtable t;
	struct idnode *next;
	unsigned n = 0;

	(void)state;
	fill(&t);
	for (struct idnode *node = idtable_next(&t, NULL); node; node = next) {
		struct thing *thing = OWNER_OF(node, struct thing, node);

		next = idtable_next(&t, node);
		thing->seen++;
		if (n++ % 3 == 0)
			idtable_remove(&t, node);
	}
	assert_int_equal(n, THINGS);
	for (unsigned i = 0; i < THINGS; i++)
		assert_int_equal(things[i].seen, 1);
	assert_int_equal(t.n, THINGS - (THINGS + 2) / 3);
	idtable_clear(&t);
	assert_null(idtable_next(&t, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

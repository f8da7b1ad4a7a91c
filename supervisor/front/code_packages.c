// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "supervisor/front/code.h"
#include "supervisor/front/internal.h"
#include "supervisor/front/store_code.h"

struct known {
	uint8_t (*list)[32];
	size_t n, allocated;
};

static int add(void *arg, const struct code_revision *v)
{
	struct known *k = arg;

	if (!v->has_package)
		return 0;
	if (k->n + 2 > k->allocated) {
		size_t want = k->allocated ? 2 * k->allocated : 64;
		void *more = realloc(k->list, want * sizeof(*k->list));

		if (!more)
			return -ENOMEM;
		k->list = more;
		k->allocated = want;
	}
	memcpy(k->list[k->n++], v->package, 32);
	memcpy(k->list[k->n++], v->zip, 32);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

int code_packages_know(struct front *f, struct err *e)
{
	struct known k = {.list = calloc(1, sizeof(*k.list)), .allocated = 1};
	int r;

	if (f->code_packages || !k.list) {
		free(k.list);
		return f->code_packages ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "codes' packages");
	}
	r = store_code_revisions(f->store, NULL, 0, add, &k, e);
	if (r < 0) {
		free(k.list);
		return r;
	}
	qsort(k.list, k.n, sizeof(*k.list), compare);
	f->code_packages = k.list;
	f->n_code_packages = k.n;
	return 0;
}

bool code_uses_package(const struct front *f, const uint8_t digest[32])
{
	/* Not known: it stays. */
	return !f->code_packages || bsearch(digest, f->code_packages, f->n_code_packages,
					    sizeof(*f->code_packages), compare);
}

void code_packages_clear(struct front *f)
{
	free(f->code_packages);
	f->code_packages = NULL;
	f->n_code_packages = 0;
}

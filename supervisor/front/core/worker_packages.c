// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "supervisor/front/core/core.h"
#include "supervisor/front/core/worker.h"
#include "supervisor/front/store/workers.h"

/* Revisions that one turn reads: each is a small text of JSON. */
#define SLICE 100u

struct known {
	struct work work;
	struct store_revision_at at;
	uint8_t (*list)[32];
	size_t n, allocated;
	bool failed;
	worker_packages_fn done;
};

static int add(void *arg, const struct worker_revision *v)
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

static void known_free(struct front *f, struct known *k)
{
	f->core->worker_known = NULL;
	free(k->list);
	free(k);
}

static void known_drop(struct front *f, struct work *w)
{
	known_free(f, (struct known *)w);
}

static bool known_slice(struct front *f, struct work *w)
{
	struct known *k = (struct known *)w;
	struct err e = {0};
	bool more = false;
	int r;

	r = store_worker_revisions_after(f->store, &k->at, SLICE, add, k, &more, &e);
	r = r == 0 && k->failed ? -ENOMEM : r;
	if (r == 0 && more)
		return true;
	if (r < 0 && !e.code)
		(void)err_set(&e, ERR_SYSTEM, -r, "workers' packages");
	f->core->worker_packages = k->list;
	f->core->n_worker_packages = k->n;
	k->done(f, r < 0 ? &e : NULL);
	f->core->worker_packages = NULL;
	f->core->n_worker_packages = 0;
	known_free(f, k);
	return false;
}

int worker_packages_know(struct front *f, worker_packages_fn done, struct err *e)
{
	struct known *k = calloc(1, sizeof(*k));

	if (k)
		k->list = calloc(1, sizeof(*k->list));
	if (!k || !k->list) {
		free(k);
		return err_set(e, ERR_SYSTEM, ENOMEM, "workers' packages");
	}
	k->allocated = 1;
	k->work = (struct work){.slice = known_slice, .drop = known_drop};
	k->done = done;
	f->core->worker_known = k;
	turn_add(f, TURN_NOBODY, TURN_QUERY, &k->work);
	return 0;
}

void worker_packages_add(struct front *f, const struct worker_spec *spec)
{
	struct worker_revision v = {.has_package = spec->has_package};

	memcpy(v.package, spec->package, sizeof(v.package));
	memcpy(v.zip, spec->zip, sizeof(v.zip));
	/* Not known whole: nothing is removed. */
	if (f->core->worker_known && add(f->core->worker_known, &v) < 0)
		f->core->worker_known->failed = true;
}

void worker_packages_sort(struct front *f)
{
	qsort(f->core->worker_packages, f->core->n_worker_packages,
	      sizeof(*f->core->worker_packages), compare);
}

bool worker_uses_package(const struct front *f, const uint8_t digest[32])
{
	/* Not known: it stays. */
	return !f->core->worker_packages ||
	       bsearch(digest, f->core->worker_packages, f->core->n_worker_packages,
		       sizeof(*f->core->worker_packages), compare);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table that finds things by their id. Its nodes are members of the things, so that an
 * addition needs no memory. Ids are random, or few and chosen by their owner, so nobody gains by
 * choosing one, and the hash need not be secret. The number of buckets stays, so that every
 * addition takes equally long. The table owns only its buckets: a thing is removed before it is
 * freed.
 */
#ifndef LIB_IDTABLE_H
#define LIB_IDTABLE_H

#include <stdint.h>

#include "lib/util.h"

/* The FNV-1a hash (draft-eastlake-fnv) of a name or an id. */
uint32_t id_hash(const char *text);

struct idnode {
	struct idnode *next;
	/* the thing's own text, which must not change while the node is in a table */
	const char *id;
};

struct idtable {
	struct idnode **buckets;
	uint32_t size, n;
};

/* Allocates the buckets. size: a power of two. 0 or -ENOMEM. */
int idtable_init(struct idtable *t, uint32_t size);
/* The same with buckets that are the caller's, all zeros; idtable_clear must not be called for such
 * a table. */
void idtable_use(struct idtable *t, struct idnode **buckets, uint32_t size);
/* Frees the buckets; the nodes are the caller's. */
void idtable_clear(struct idtable *t);

void idtable_add(struct idtable *t, struct idnode *node, const char *id);
/* A node that is in no table is left alone. */
void idtable_remove(struct idtable *t, struct idnode *node);
struct idnode *idtable_find(const struct idtable *t, const char *id); /* or NULL */

/* Goes through the nodes in no order; NULL is before the first and behind the last. The current
 * node may be removed once the next one has been asked for. */
struct idnode *idtable_next(const struct idtable *t, const struct idnode *node);

#endif

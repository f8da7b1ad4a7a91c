/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things that are found by their id: a hash table whose nodes are members of the things. Ids are
 * random or their owner's own choice among few, so that nobody gains by choosing one: the hash is
 * no secret. The number of buckets stays, so that no addition takes longer than another.
 */
#ifndef LIB_IDTABLE_H
#define LIB_IDTABLE_H

#include <stdint.h>

/* FNV-1a (draft-eastlake-fnv), of names and ids. */
uint32_t id_hash(const char *text);

struct idnode {
	struct idnode *next;
	const char *id; /* the thing's own; it may not change as long as this is in a table */
};

struct idtable {
	struct idnode **buckets;
	uint32_t size, n;
};

/* size: a power of two. 0 or -ENOMEM. */
int idtable_init(struct idtable *t, uint32_t size);
/* The same with an array of the caller's, all zeros, which idtable_clear must not be called with. */
void idtable_use(struct idtable *t, struct idnode **buckets, uint32_t size);
/* The nodes are the caller's. */
void idtable_clear(struct idtable *t);

void idtable_add(struct idtable *t, struct idnode *node, const char *id);
/* One that is in no table: nothing. */
void idtable_remove(struct idtable *t, struct idnode *node);
struct idnode *idtable_find(const struct idtable *t, const char *id); /* or NULL */

/* One after the other, in no order; NULL is before the first and after the last. While a node is
 * looked at it may be removed if the next one was asked for before. */
struct idnode *idtable_next(const struct idtable *t, const struct idnode *node);

/* The thing of a node that is its member; NULL of NULL. */
#define ID_OWNER(node, type, member)                                                               \
	((node) ? (type *)(void *)((char *)(node) - __builtin_offsetof(type, member)) : NULL)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binary heap: of all things in it, the one with the smallest key is first. Its nodes are members
 * of the things, so that an addition needs no memory and cannot fail. Adding and taking cost as
 * many steps as the heap is high, whatever was done to it before. The heap owns nothing: a thing is
 * taken out before it is freed.
 */
#ifndef LIB_HEAP_H
#define LIB_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	struct heap_node *parent, *left, *right;
	uint64_t key; /* 0: the node is in no heap */
};

struct heap {
	struct heap_node *first; /* NULL: the heap is empty */
	size_t n;
};

/* Adds a node that is in no heap. key is not 0. */
void heap_add(struct heap *h, struct heap_node *node, uint64_t key);
/* Takes a node out. One that is in no heap is left alone. */
void heap_take(struct heap *h, struct heap_node *node);

#endif

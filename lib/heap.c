// SPDX-License-Identifier: Apache-2.0
/*
 * The tree is complete. Its nodes are numbered from the root, 1, level by level, and the bits of a
 * node's number after the first one are the way to it: 0 to the left, 1 to the right.
 */
#include "lib/heap.h"

/* The pointer to the node of this number, which exists or is the next one to be added. *ret_parent:
 * its parent. */
static struct heap_node **heap_place(struct heap *h, size_t number, struct heap_node **ret_parent)
{
	struct heap_node **at = &h->first;

	*ret_parent = NULL;
	for (int bit = (int)sizeof(long) * 8 - 1 - __builtin_clzl(number); bit-- > 0;) {
		*ret_parent = *at;
		at = number >> bit & 1 ? &(*at)->right : &(*at)->left;
	}
	return at;
}

/* The pointer to a node in the heap. */
static struct heap_node **heap_holder(struct heap *h, struct heap_node *node)
{
	struct heap_node *parent = node->parent;

	if (!parent)
		return &h->first;
	return parent->left == node ? &parent->left : &parent->right;
}

static void set_children(struct heap_node *node, struct heap_node *left, struct heap_node *right)
{
	node->left = left;
	node->right = right;
	if (left)
		left->parent = node;
	if (right)
		right->parent = node;
}

/* Swaps a node with its parent. */
static void heap_rise(struct heap *h, struct heap_node *node)
{
	struct heap_node *parent = node->parent, *left = node->left, *right = node->right;

	*heap_holder(h, parent) = node;
	node->parent = parent->parent;
	if (parent->left == node)
		set_children(node, parent, parent->right);
	else
		set_children(node, parent->left, parent);
	set_children(parent, left, right);
}

static void heap_settle(struct heap *h, struct heap_node *node)
{
	while (node->parent && node->parent->key > node->key)
		heap_rise(h, node);
	for (;;) {
		struct heap_node *child = node->left;

		if (child && node->right && node->right->key < child->key)
			child = node->right;
		if (!child || child->key >= node->key)
			return;
		heap_rise(h, child);
	}
}

void heap_add(struct heap *h, struct heap_node *node, uint64_t key)
{
	struct heap_node *parent;

	*heap_place(h, ++h->n, &parent) = node;
	*node = (struct heap_node){.parent = parent, .key = key};
	heap_settle(h, node);
}

void heap_take(struct heap *h, struct heap_node *node)
{
	struct heap_node *last, *parent, **place;

	if (!node->key)
		return;
	place = heap_place(h, h->n--, &parent);
	last = *place;
	*place = NULL;
	if (last != node) {
		*heap_holder(h, node) = last;
		last->parent = node->parent;
		set_children(last, node->left, node->right);
		heap_settle(h, last);
	}
	*node = (struct heap_node){0};
}

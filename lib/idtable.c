// SPDX-License-Identifier: Apache-2.0
#include "lib/idtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t id_hash(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

static struct idnode **bucket(const struct idtable *t, const char *id)
{
	return &t->buckets[id_hash(id) & (t->size - 1)];
}

int idtable_init(struct idtable *t, uint32_t size)
{
	*t = (struct idtable){.buckets = calloc(size, sizeof(struct idnode *)), .size = size};
	return t->buckets ? 0 : -ENOMEM;
}

void idtable_use(struct idtable *t, struct idnode **buckets, uint32_t size)
{
	*t = (struct idtable){.buckets = buckets, .size = size};
}

void idtable_clear(struct idtable *t)
{
	free(t->buckets);
	*t = (struct idtable){0};
}

void idtable_add(struct idtable *t, struct idnode *node, const char *id)
{
	struct idnode **b = bucket(t, id);

	node->id = id;
	node->next = *b;
	*b = node;
	t->n++;
}

void idtable_remove(struct idtable *t, struct idnode *node)
{
	struct idnode **p = node->id ? bucket(t, node->id) : NULL;

	while (p && *p && *p != node)
		p = &(*p)->next;
	if (!p || !*p)
		return;
	*p = node->next;
	*node = (struct idnode){0};
	t->n--;
}

struct idnode *idtable_find(const struct idtable *t, const char *id)
{
	struct idnode *node = t->size ? *bucket(t, id) : NULL;

	while (node && strcmp(node->id, id) != 0)
		node = node->next;
	return node;
}

struct idnode *idtable_next(const struct idtable *t, const struct idnode *node)
{
	uint32_t i = 0;

	if (node && node->next)
		return node->next;
	if (node)
		i = (uint32_t)(bucket(t, node->id) - t->buckets) + 1;
	while (i < t->size && !t->buckets[i])
		i++;
	return i < t->size ? t->buckets[i] : NULL;
}

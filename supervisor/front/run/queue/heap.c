// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/queue/heap.h"

#include <errno.h>
#include <stdlib.h>

static void heap_put(struct queue_heap *h, uint32_t at, struct queued *w)
{
	h->at[at] = w;
	w->heap_at = at;
}

static void heap_up(struct queue_heap *h, uint32_t at, struct queued *w)
{
	for (; at > 1 && h->at[at / 2]->not_before_ns > w->not_before_ns; at /= 2)
		heap_put(h, at, h->at[at / 2]);
	heap_put(h, at, w);
}

static void heap_down(struct queue_heap *h, uint32_t at, struct queued *w)
{
	for (uint32_t child; (child = 2 * at) <= h->n; at = child) {
		if (child < h->n && h->at[child + 1]->not_before_ns < h->at[child]->not_before_ns)
			child++;
		if (h->at[child]->not_before_ns >= w->not_before_ns)
			break;
		heap_put(h, at, h->at[child]);
	}
	heap_put(h, at, w);
}

int queue_heap_add(struct queue_heap *h, struct queued *w)
{
	if (h->n + 1 >= h->size) {
		uint32_t size = h->size ? 2 * h->size : 64;
		struct queued **heap = reallocarray(h->at, size, sizeof(struct queued *));

		if (!heap)
			return -ENOMEM;
		h->at = heap;
		h->size = size;
	}
	heap_up(h, ++h->n, w);
	return 0;
}

void queue_heap_take(struct queue_heap *h, struct queued *w)
{
	struct queued *last = h->at[h->n--];
	uint32_t at = w->heap_at;

	w->heap_at = 0;
	if (last == w)
		return;
	if (at > 1 && h->at[at / 2]->not_before_ns > last->not_before_ns)
		heap_up(h, at, last);
	else
		heap_down(h, at, last);
}

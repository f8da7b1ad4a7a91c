/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a worker live: what each of its requests has printed, and how it ended. Its instances
 * are told to say so only while somebody looks, and what they say is kept for nobody else.
 */
#ifndef SUPERVISOR_FRONT_WEB_TAIL_H
#define SUPERVISOR_FRONT_WEB_TAIL_H

#include "supervisor/front/web/tail_filter.h"
#include "supervisor/front/web/web.h"

#define WEB_TAILS_MAX 16u /* of a worker, at a time */
/* What waits for one that does not read; events beyond it are counted and not kept. */
#define WEB_TAIL_BYTES_MAX (1u << 20)

struct web_tail;
/* One who looks. It owns its filter. */
struct web_tail_reader {
	struct tail_filter filter;
	/* An event, or what else there is to say, as the reader wants it; the caller's reference.
	 * dropped: so many events were not kept, and event is NULL; over: there are no more, why. */
	json_t *(*shape)(json_t *event, uint64_t dropped, const char *over);
	/* There is something to take. It may be called in the middle of anything. */
	void (*wake)(void *arg);
	void *arg;
};

/* ERR_LIMIT: too many look already. What reader owns is the tail's from now on, also on failure. */
struct web_tail *web_tail_begin(struct front *f, struct web_worker *w,
				struct web_tail_reader *reader, struct err *e);
/* The next piece, as struct http_source has it. */
char *web_tail_next(struct web_tail *t, const char **ret_name, size_t *ret_len, bool *ret_over);
void web_tail_free(struct web_tail *t);

#endif

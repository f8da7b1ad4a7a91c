/* SPDX-License-Identifier: Apache-2.0 */
/* One object of a REST request's body: struct json_strict with the manners of iron_body.h. */
#ifndef SUPERVISOR_FRONT_API_IRON_READ_H
#define SUPERVISOR_FRONT_API_IRON_READ_H

#include "lib/json_strict.h"

struct iron_read {
	struct json_strict s;
	bool strict;
};

/* text: an object; nothing but white space counts as {} when empty_ok. raw: the paths of what is
 * passed on as it stands (json_raw.h), or NULL. */
int iron_read_load(const char *text, size_t len, bool strict, bool empty_ok, const char *const *raw,
		   json_t **ret, struct iron_read *in, struct err *e);
/* Object i of the array at key. */
bool iron_read_item(struct iron_read *in, const char *key, size_t i, struct iron_read *ret);
int iron_read_end(struct iron_read *in);
/* Once all was read: what of the object was asked for, as JSON text; NULL: out of memory. */
char *iron_read_known(const struct iron_read *in);

/* NULL and false are "not given", or wrong: iron_read_end tells. A text that is empty is wrong; but
 * where IronWorker's clients send one for nothing, it is as null, under /2. */
json_t *iron_read_get(struct iron_read *in, const char *key);
bool iron_read_int(struct iron_read *in, const char *key, int64_t min, int64_t max, int64_t *ret);
bool iron_read_u32(struct iron_read *in, const char *key, uint32_t min, uint32_t max,
		   uint32_t *ret);
bool iron_read_bool(struct iron_read *in, const char *key, bool *ret);
const char *iron_read_string(struct iron_read *in, const char *key, size_t max);
/* Into a buffer of size bytes; what does not fit is an error. */
bool iron_read_text(struct iron_read *in, const char *key, char *buf, size_t size);
/* A text as it is; any other value as its JSON text. */
const char *iron_read_any(struct iron_read *in, const char *key, size_t max);
/* never: what lies beyond all times that are known stands for no time at all, 0. */
bool iron_read_time(struct iron_read *in, const char *key, bool never, uint64_t *ret_ns);

#endif

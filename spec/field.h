/* SPDX-License-Identifier: Apache-2.0 */
/* Fields that several manifests have in the same way, read by lib/json_strict.h. */
#ifndef SPEC_FIELD_H
#define SPEC_FIELD_H

#include "lib/json_strict.h"

#define FIELD_LOWER "abcdefghijklmnopqrstuvwxyz"
#define FIELD_DIGITS "0123456789"
#define FIELD_ALNUM FIELD_LOWER FIELD_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Whether s has 1 to max characters, all of them of this set. */
bool field_made_of(const char *s, const char *set, size_t max);
bool field_is_python(const char *s); /* a version such as 3.13 */

/* A string that has to be there when needed, and to be right if it is there. ok NULL: any is. */
const char *field_string(struct json_strict *s, const char *key, size_t max, bool needed,
			 bool (*ok)(const char *), const char *must);
/* without: the value where there is none. */
uint32_t field_count(struct json_strict *s, const char *key, uint32_t min, uint32_t max,
		     uint32_t without);
/* One of n words. */
const char *field_word(struct json_strict *s, const char *key, const char *const *words, size_t n,
		       const char *without);

#endif

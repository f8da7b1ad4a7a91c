/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values that are passed on byte for byte. A payload's numbers may have more digits than any
 * type here, and the order of its keys and the escapes in its texts may mean something to whoever
 * reads it. So such values are checked for being JSON (RFC 8259), but never parsed and written
 * again.
 */
#ifndef LIB_JSON_RAW_H
#define LIB_JSON_RAW_H

#include <jansson.h>

#include "lib/util.h"

#define JSON_RAW_DEPTH_MAX 1000 /* levels of arrays and objects */

/*
 * Finds the end of the value at text[*at], after white space; *at is then behind it. -EINVAL: this
 * is not JSON, and *at is where it is wrong.
 */
int json_raw_value(const char *text, size_t len, size_t *at);

/*
 * As json_strict_load, but the value at each path, such as "payload" or "tasks[].payload", is a
 * string in *ret that has the value's text as it is. paths ends with NULL. texts: also a value that
 * is a string, with its quotes, and null; without texts, these two are what they are in any
 * document.
 */
int json_raw_load(const char *what, const char *text, size_t len, size_t max,
		  const char *const *paths, bool texts, json_t **ret, struct err *e);

/*
 * The reverse: the object as text, with the value at key, a string, written as it is. The caller
 * frees it; NULL: out of memory.
 */
char *json_raw_dump(const json_t *object, const char *key);
/* Makes {"key": text, ...the members of object}; text is JSON. The caller frees it; NULL: out of
 * memory. */
char *json_raw_join(const char *key, const char *text, const json_t *object);

#endif

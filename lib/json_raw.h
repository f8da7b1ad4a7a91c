/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values that are passed on as they stand: a payload's numbers may have more digits than any
 * type here, its keys an order and its texts escapes that mean something to whom it is for. They
 * are checked for being JSON (RFC 8259), and never parsed and written anew.
 */
#ifndef LIB_JSON_RAW_H
#define LIB_JSON_RAW_H

#include <jansson.h>

#include "lib/util.h"

#define JSON_RAW_DEPTH_MAX 1000 /* levels of arrays and objects */

/*
 * The value at text[*at], after white space, which *at is behind then. -EINVAL: there is none;
 * *at is where it is wrong.
 */
int json_raw_value(const char *text, size_t len, size_t *at);

/*
 * As json_strict_load; but the value of each path, such as "payload" or "tasks[].payload", is a
 * text in *ret that holds the value as it stands. paths ends with NULL. texts: also a value that is
 * a text, with its quotes, and null; else these two are what they are in any document.
 */
int json_raw_load(const char *what, const char *text, size_t len, size_t max,
		  const char *const *paths, bool texts, json_t **ret, struct err *e);

/*
 * The other way round: the object as text, with the value of key as it stands. Owned by the
 * caller; NULL: out of memory.
 */
char *json_raw_dump(const json_t *object, const char *key);
/* {"key": text, ...the members of object}; text is JSON. The same. */
char *json_raw_join(const char *key, const char *text, const json_t *object);

#endif

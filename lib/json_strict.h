/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict reading of JSON documents that people write (task.json, policies,
 * image.json): every error names the document and the path of the field, as in
 * `task.json: limits.memory: must be a size such as "64M"`.
 *
 * A reader walks one object. The first error sticks: it is stored in the caller's
 * struct err, in this reader and in all its parents, and every later call does
 * nothing and says "absent". So a parser reads all its fields and checks once:
 *
 *	json_auto_t *doc = NULL;
 *	struct json_strict top, limits;
 *
 *	r = json_strict_load("task.json", text, len, 1 << 20, &doc, e);
 *	if (r < 0)
 *		return r;
 *	json_strict_begin(&top, "task.json", doc, e);
 *	name = json_strict_string(&top, "name", 63);
 *	if (json_strict_object(&top, "limits", &limits)) {
 *		json_strict_size(&limits, "memory", 16 << 20, 1ULL << 42, &memory);
 *		json_strict_end(&limits);
 *	}
 *	return json_strict_end(&top);
 *
 * null is a value of a wrong type, not an absent one. All pointers that are
 * returned belong to the document.
 */
#ifndef LIB_JSON_STRICT_H
#define LIB_JSON_STRICT_H

#include <jansson.h>

#include "lib/util.h"

#define JSON_STRICT_DEPTH_MAX 64
#define JSON_STRICT_VALUES_MAX 100000 /* of one document, which takes some tenths of a second */
#define JSON_STRICT_KEYS_MAX 48
#define JSON_STRICT_PATH_MAX 192

struct json_strict {
	const char *what;	    /* the document's name; the caller's */
	struct json_strict *parent; /* NULL at the top; it must live longer than this reader */
	json_t *obj;		    /* the document's; NULL: there is nothing to read */
	struct err *e;
	int status; /* 0, or the first error */
	unsigned n_known;
	const char *known[JSON_STRICT_KEYS_MAX]; /* keys asked for; string constants */
	char path[JSON_STRICT_PATH_MAX];	 /* "" at the top, else "a.b[2]" */
};

/*
 * Parses len bytes, which must be one JSON value and nothing else. Refused, with line and column,
 * are: more than max bytes or JSON_STRICT_VALUES_MAX values, nesting deeper than
 * JSON_STRICT_DEPTH_MAX, a duplicate key, NUL, bad UTF-8, bytes behind the value, and numbers out
 * of range. The caller owns *ret (json_auto_t).
 */
int json_strict_load(const char *what, const char *text, size_t len, size_t max, json_t **ret,
		     struct err *e);
/* The same of a document of at most so many values. */
int json_strict_load_few(const char *what, const char *text, size_t len, size_t max, size_t values,
			 json_t **ret, struct err *e);

/* Begins at the top of a document, which must be an object. */
int json_strict_begin(struct json_strict *s, const char *what, json_t *doc, struct err *e);
/*
 * Ends this reader: a key that nobody has asked for is an error. Returns the first error of this
 * reader and of those below it, or 0.
 */
int json_strict_end(struct json_strict *s);

/*
 * Records an error at s's path, or at key below it if key is not NULL; an earlier error stays.
 * Returns -errno.
 */
int json_strict_fail(struct json_strict *s, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The value of a key, of any type; NULL when it is missing. Marks the key as known. */
json_t *json_strict_get(struct json_strict *s, const char *key);

/* Each of these returns true when the key exists and its value is right; otherwise *ret is left
 * alone. */
bool json_strict_object(struct json_strict *s, const char *key, struct json_strict *ret);
bool json_strict_bool(struct json_strict *s, const char *key, bool *ret);
bool json_strict_int(struct json_strict *s, const char *key, int64_t min, int64_t max,
		     int64_t *ret);
bool json_strict_number(struct json_strict *s, const char *key, double min, double max,
			double *ret);
/* A size in bytes: an integer, or a string such as "64M". */
bool json_strict_size(struct json_strict *s, const char *key, uint64_t min, uint64_t max,
		      uint64_t *ret);

/* NULL when the string is missing or wrong. An empty string is wrong, because it is not a way of
 * giving nothing. max_len is in bytes, without the NUL. */
const char *json_strict_string(struct json_strict *s, const char *key, size_t max_len);
/* The same for a string that may be empty, such as a remark. */
const char *json_strict_note(struct json_strict *s, const char *key, size_t max_len);
/* NULL when the array is missing; it has at most max_items items. Loop with json_array_size. */
json_t *json_strict_array(struct json_strict *s, const char *key, size_t max_items);

/* The items of the array at key, i from 0; errors name key[i]. */
const char *json_strict_item_string(struct json_strict *s, const char *key, size_t i,
				    size_t max_len);
bool json_strict_item_object(struct json_strict *s, const char *key, size_t i,
			     struct json_strict *ret);
int json_strict_item_fail(struct json_strict *s, const char *key, size_t i, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing of JSON documents. Each function that returns a value returns a new reference, which the
 * caller owns; NULL: there is no memory.
 */
#ifndef LIB_JSON_PUT_H
#define LIB_JSON_PUT_H

#include <jansson.h>
#include <stdint.h>

/*
 * Sets a member, and takes the reference to the value. If the value is NULL or there is no memory,
 * the object is freed and *o is NULL from then on, so that the caller who fills an object looks
 * once, at its end.
 */
void json_put(json_t **o, const char *key, json_t *value);

/* The text as a string, or "(not UTF-8)": a text that was cut to its field's size may end inside a
 * character. */
json_t *json_text(const char *text);
json_t *json_text_or_null(const char *text); /* "": null */
json_t *json_count(uint64_t n);
json_t *json_hex(const uint8_t bytes[32]);
json_t *json_time(uint64_t realtime_ns);	 /* to the millisecond; 0 is the year 1 */
json_t *json_time_or_null(uint64_t realtime_ns); /* 0: null */
/* Writes a time to the nanosecond, which keeps records in order; 0 becomes null. */
json_t *json_time_exact(uint64_t realtime_ns);

#endif

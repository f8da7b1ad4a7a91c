// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/iron/read.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_raw.h"
#include "lib/timefmt.h"
#include "supervisor/front/serve/http/http.h"

static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			return false;
	return true;
}

int iron_read_load(const char *text, size_t len, bool strict, bool empty_ok, const char *const *raw,
		   json_t **ret, struct iron_read *in, struct err *e)
{
	static const char *const none[] = {NULL};
	int r;

	if (is_blank(text, len)) {
		if (!empty_ok)
			return err_set(e, ERR_INPUT, 0, "request: the body must be a JSON object");
		text = "{}";
		len = 2;
	}
	r = json_raw_load("request", text, len, HTTP_BODY_MAX, raw ? raw : none, false, ret, e);
	if (r < 0)
		return r;
	in->strict = strict;
	return json_strict_begin(&in->s, "request", *ret, e);
}

bool iron_read_item(struct iron_read *in, const char *key, size_t i, struct iron_read *ret)
{
	ret->strict = in->strict;
	return json_strict_item_object(&in->s, key, i, &ret->s);
}

int iron_read_end(struct iron_read *in)
{
	return in->strict ? json_strict_end(&in->s) : in->s.status;
}

char *iron_read_known(const struct iron_read *in)
{
	json_auto_t *known = json_object();

	for (unsigned i = 0; i < in->s.n_known; i++) {
		json_t *v = json_object_get(in->s.obj, in->s.known[i]);

		if (v && json_object_set(known, in->s.known[i], v) < 0)
			return NULL;
	}
	return json_dumps(known, JSON_COMPACT);
}

/*
 * What IronWorker's clients send for nothing: the one for Go all texts that it knows of, the one
 * for Python an empty msg. What they do not know of is as strict as under /api.
 */
static bool is_none(const struct iron_read *in, const char *key, const json_t *v)
{
	static const char *const keys[] = {"name",  "payload",	 "label", "cluster",
					   "msg",   "runtime",	 "stack", "command",
					   "image", "file_name", "config"};

	if (in->strict || !json_is_string(v) || json_string_length(v) > 0)
		return json_is_null(v);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

json_t *iron_read_get(struct iron_read *in, const char *key)
{
	json_t *v = json_strict_get(&in->s, key);

	return v && is_none(in, key, v) ? NULL : v;
}

/* What old clients take for a whole number: 2, 2.0, "2". */
static bool whole_number(const json_t *v, int64_t *ret)
{
	const char *text = json_string_value(v);
	double real = json_real_value(v);
	char *end;

	if (json_is_integer(v)) {
		*ret = json_integer_value(v);
		return true;
	}
	if (json_is_real(v) && real >= -1e15 && real <= 1e15 && real == (double)(int64_t)real) {
		*ret = (int64_t)real;
		return true;
	}
	if (!text || !*text || strlen(text) > 15 || !strchr("-0123456789", *text))
		return false;
	*ret = strtoll(text, &end, 10);
	return !*end;
}

bool iron_read_int(struct iron_read *in, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	json_t *v = iron_read_get(in, key);
	int64_t n = 0;

	if (!v)
		return false;
	if ((in->strict && !json_is_integer(v)) || !whole_number(v, &n))
		(void)json_strict_fail(&in->s, key, "must be a whole number");
	else if (n < min || n > max)
		(void)json_strict_fail(&in->s, key, "must be from %lld to %lld", (long long)min,
				       (long long)max);
	else
		*ret = n;
	return in->s.status == 0;
}

bool iron_read_u32(struct iron_read *in, const char *key, uint32_t min, uint32_t max, uint32_t *ret)
{
	int64_t n = 0;

	if (!iron_read_int(in, key, min, max, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

bool iron_read_bool(struct iron_read *in, const char *key, bool *ret)
{
	json_t *v = iron_read_get(in, key);

	if (!v)
		return false;
	if (!json_is_boolean(v))
		(void)json_strict_fail(&in->s, key, "must be true or false");
	else
		*ret = json_is_true(v);
	return in->s.status == 0;
}

const char *iron_read_string(struct iron_read *in, const char *key, size_t max)
{
	return iron_read_get(in, key) ? json_strict_string(&in->s, key, max) : NULL;
}

bool iron_read_text(struct iron_read *in, const char *key, char *buf, size_t size)
{
	const char *text = iron_read_string(in, key, size - 1);

	if (!text)
		return false;
	memset(buf, 0, size);
	memcpy(buf, text, strlen(text) + 1);
	return true;
}

const char *iron_read_any(struct iron_read *in, const char *key, size_t max)
{
	json_t *v = iron_read_get(in, key);

	if (v && !json_is_string(v)) {
		_cleanup_free_ char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

		/* The document owns it from now on. */
		if (!text || json_object_set_new(in->s.obj, key, json_string(text)) < 0) {
			(void)json_strict_fail(&in->s, key,
					       "is too much for this machine's memory");
			return NULL;
		}
		v = json_object_get(in->s.obj, key);
	}
	if (v && json_string_length(v) == 0)
		(void)json_strict_fail(&in->s, key, "must not be empty: leave it out");
	if (v && json_string_length(v) > max)
		(void)json_strict_fail(&in->s, key, "is %zu bytes long: at most %zu are taken",
				       json_string_length(v), max);
	return in->s.status == 0 ? json_string_value(v) : NULL;
}

bool iron_read_time(struct iron_read *in, const char *key, bool never, uint64_t *ret_ns)
{
	const char *text = iron_read_any(in, key, 63);
	int r;

	if (!text)
		return false;
	r = timefmt_parse(key, text, ret_ns, NULL);
	if (r == -ERANGE && never)
		*ret_ns = 0;
	else if (r == -ERANGE)
		(void)json_strict_fail(&in->s, key, "must not be after the year 2199");
	else if (r < 0)
		(void)json_strict_fail(&in->s, key,
				       "must be a time such as \"2030-01-31T08:00:00Z\"");
	return in->s.status == 0;
}

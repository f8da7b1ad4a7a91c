// SPDX-License-Identifier: Apache-2.0
#include "lib/json_raw.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"
#include "lib/text.h"

struct scan {
	const char *text;
	size_t len, at;
};

static bool peek(const struct scan *s, char c)
{
	return s->at < s->len && s->text[s->at] == c;
}

static bool take(struct scan *s, char c)
{
	if (!peek(s, c))
		return false;
	s->at++;
	return true;
}

static void skip_space(struct scan *s)
{
	while (peek(s, ' ') || peek(s, '\t') || peek(s, '\n') || peek(s, '\r'))
		s->at++;
}

static size_t skip_digits(struct scan *s)
{
	size_t from = s->at;

	while (s->at < s->len && s->text[s->at] >= '0' && s->text[s->at] <= '9')
		s->at++;
	return s->at - from;
}

static int scan_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && skip_digits(s) == 0)
		return -EINVAL;
	if (take(s, '.') && skip_digits(s) == 0)
		return -EINVAL;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			(void)take(s, '-');
		if (skip_digits(s) == 0)
			return -EINVAL;
	}
	return 0;
}

static int scan_escape(struct scan *s)
{
	if (s->at == s->len || !s->text[s->at] || !strchr("\"\\/bfnrtu", s->text[s->at]))
		return -EINVAL;
	if (s->text[s->at++] != 'u')
		return 0;
	for (int i = 0; i < 4; i++, s->at++)
		if (s->at == s->len || !s->text[s->at] ||
		    !strchr("0123456789abcdefABCDEF", s->text[s->at]))
			return -EINVAL;
	return 0;
}

static int scan_string(struct scan *s)
{
	if (!take(s, '"'))
		return -EINVAL;
	while (s->at < s->len) {
		uint32_t c;
		int n;

		if (take(s, '"'))
			return 0;
		if (take(s, '\\')) {
			if (scan_escape(s) < 0)
				return -EINVAL;
			continue;
		}
		n = (unsigned char)s->text[s->at] < 0x20
			    ? 0
			    : log_text_utf8((const uint8_t *)s->text + s->at, s->len - s->at, &c);
		if (n <= 0)
			return -EINVAL;
		s->at += (size_t)n;
	}
	return -EINVAL;
}

static int scan_word(struct scan *s, const char *word)
{
	for (; *word; word++)
		if (!take(s, *word))
			return -EINVAL;
	return 0;
}

static int scan_scalar(struct scan *s)
{
	if (peek(s, '"'))
		return scan_string(s);
	if (peek(s, 't'))
		return scan_word(s, "true");
	if (peek(s, 'f'))
		return scan_word(s, "false");
	return peek(s, 'n') ? scan_word(s, "null") : scan_number(s);
}

static int scan_key(struct scan *s)
{
	skip_space(s);
	if (scan_string(s) < 0)
		return -EINVAL;
	skip_space(s);
	return take(s, ':') ? 0 : -EINVAL;
}

/* Without recursion: bits tell which of the levels are objects. */
static int scan_value(struct scan *s)
{
	uint8_t objects[JSON_RAW_DEPTH_MAX / 8 + 1] = {0};
	unsigned depth = 0;

	do {
		bool opened;

		/* Here comes a value, or the beginning of one. */
		skip_space(s);
		opened = peek(s, '{') || peek(s, '[');
		if (opened) {
			bool object = s->text[s->at++] == '{';

			if (depth == JSON_RAW_DEPTH_MAX)
				return -EINVAL;
			objects[depth / 8] = (uint8_t)((objects[depth / 8] & ~(1u << depth % 8)) |
						       (unsigned)object << depth % 8);
			depth++;
			skip_space(s);
			if (!peek(s, object ? '}' : ']')) {
				if (object && scan_key(s) < 0)
					return -EINVAL;
				continue;
			}
		} else if (scan_scalar(s) < 0) {
			return -EINVAL;
		}
		/* Behind a value come the ends of what it is in, up to a comma. */
		while (depth > 0) {
			bool object = objects[(depth - 1) / 8] >> (depth - 1) % 8 & 1;

			skip_space(s);
			if (take(s, object ? '}' : ']')) {
				depth--;
				continue;
			}
			if (!take(s, ',') || (object && scan_key(s) < 0))
				return -EINVAL;
			break;
		}
	} while (depth > 0);
	return 0;
}

int json_raw_value(const char *text, size_t len, size_t *at)
{
	struct scan s = {text, len, *at};
	int r = scan_value(&s);

	*at = s.at;
	return r;
}

/* The values that are passed on as they are, in the order of the text. */
struct found {
	struct {
		size_t from, to;
	} * list; /* ours */
	size_t n, allocated, next;
	bool texts;
};

static int found_add(struct found *f, size_t from, size_t to)
{
	if (f->n == f->allocated) {
		size_t want = f->allocated ? 2 * f->allocated : 16;
		void *more = reallocarray(f->list, want, sizeof(*f->list));

		if (!more)
			return -ENOMEM;
		f->list = more;
		f->allocated = want;
	}
	f->list[f->n].from = from;
	f->list[f->n++].to = to;
	return 0;
}

/* Escapes in the key are resolved, as a reader of the document does. */
static bool is_key(const char *text, size_t len, const char *key, size_t key_len)
{
	json_auto_t *decoded = NULL;

	if (!memchr(text, '\\', len))
		return len == key_len + 2 && memcmp(text + 1, key, key_len) == 0;
	decoded = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	return decoded && json_string_length(decoded) == key_len &&
	       memcmp(json_string_value(decoded), key, key_len) == 0;
}

static int find(struct scan *s, const char *path, struct found *f);

static int find_in_object(struct scan *s, const char *path, struct found *f)
{
	size_t key_len = strcspn(path, ".[");
	const char *rest = path + key_len + (path[key_len] == '.');

	s->at++;
	skip_space(s);
	if (take(s, '}'))
		return 0;
	do {
		size_t from;
		bool is;

		skip_space(s);
		from = s->at;
		if (scan_string(s) < 0)
			return -EINVAL;
		is = is_key(s->text + from, s->at - from, path, key_len);
		skip_space(s);
		if (!take(s, ':') || (is ? find(s, rest, f) : scan_value(s)) < 0)
			return -EINVAL;
		skip_space(s);
	} while (take(s, ','));
	return take(s, '}') ? 0 : -EINVAL;
}

/* Follows what is left of the path in the value that begins here. */
static int find(struct scan *s, const char *path, struct found *f)
{
	const bool item = path[0] == '[';
	size_t from;

	skip_space(s);
	from = s->at;
	if (!*path) {
		const bool text = peek(s, '"') || peek(s, 'n');

		if (scan_value(s) < 0)
			return -EINVAL;
		return text && !f->texts ? 0 : found_add(f, from, s->at);
	}
	if (!peek(s, item ? '[' : '{'))
		return scan_value(s);
	if (!item)
		return find_in_object(s, path, f);
	s->at++;
	skip_space(s);
	if (take(s, ']'))
		return 0;
	do {
		if (find(s, path + strlen("[]."), f) < 0)
			return -EINVAL;
		skip_space(s);
	} while (take(s, ','));
	return take(s, ']') ? 0 : -EINVAL;
}

/* Puts the values into the document, in the same order. */
static int put(json_t *value, const char *path, const char *text, struct found *f)
{
	const size_t key_len = strcspn(path, ".[");
	char key[64];
	json_t *inner;
	size_t i;

	if (path[0] == '[') {
		json_array_foreach(value, i, inner) if (put(inner, path + strlen("[]."), text, f) <
							0) return -ENOMEM;
		return 0;
	}
	(void)snprintf(key, sizeof(key), "%.*s", (int)key_len, path);
	inner = json_object_get(value, key);
	if (inner && path[key_len])
		return put(inner, path + key_len + (path[key_len] == '.'), text, f);
	if (!inner || (!f->texts && (json_is_string(inner) || json_is_null(inner))))
		return 0;
	if (f->next == f->n)
		return -EINVAL;
	i = f->next++;
	return json_object_set_new(
		       value, key,
		       json_stringn(text + f->list[i].from, f->list[i].to - f->list[i].from)) < 0
		       ? -ENOMEM
		       : 0;
}

/* Replaces each value by a 0, and the rest of it by blanks and line ends, so that an error in the
 * document keeps its line and column. */
static void blank(char *text, const struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		for (size_t at = f->list[i].from; at < f->list[i].to; at++)
			if (at == f->list[i].from)
				text[at] = '0';
			else if (text[at] != '\n' && text[at] != '\r')
				text[at] = ' ';
}

int json_raw_load(const char *what, const char *text, size_t len, size_t max,
		  const char *const *paths, bool texts, json_t **ret, struct err *e)
{
	_cleanup_free_ char *copy = NULL;
	json_t *doc = NULL;
	int r = 0;

	/* Errors in the JSON are left to the function that reads the whole document. */
	if (len > max || !(copy = malloc(len + 1)))
		return len > max ? json_strict_load(what, text, len, max, ret, e)
				 : err_set(e, ERR_SYSTEM, ENOMEM, "%s", what);
	memcpy(copy, text, len);
	for (size_t i = 0; paths[i]; i++) {
		struct scan s = {text, len, 0};
		struct found f = {.texts = texts};

		(void)find(&s, paths[i], &f);
		blank(copy, &f);
		free(f.list);
	}
	r = json_strict_load(what, copy, len, max, &doc, e);
	for (size_t i = 0; r == 0 && paths[i]; i++) {
		struct scan s = {text, len, 0};
		struct found f = {.texts = texts};

		(void)find(&s, paths[i], &f);
		if (put(doc, paths[i], text, &f) < 0 || f.next != f.n)
			r = err_set(e, ERR_SYSTEM, ENOMEM, "%s: %s cannot be kept", what, paths[i]);
		free(f.list);
	}
	if (r < 0)
		json_decref(doc);
	else
		*ret = doc;
	return r;
}

char *json_raw_join(const char *key, const char *text, const json_t *object)
{
	_cleanup_free_ char *rest = json_dumps(object, JSON_COMPACT);
	char *all = NULL;

	if (!rest)
		return NULL;
	if (asprintf(&all, "{\"%s\":%s%s%s", key, text, rest[1] == '}' ? "" : ",", rest + 1) < 0)
		return NULL;
	return all;
}

char *json_raw_dump(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	json_auto_t *rest = NULL;

	if (!text)
		return json_dumps(object, JSON_COMPACT);
	rest = json_copy((json_t *)(uintptr_t)object);
	if (!rest)
		return NULL;
	(void)json_object_del(rest, key);
	return json_raw_join(key, text, rest);
}

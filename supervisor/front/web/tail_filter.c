// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/web/tail_filter.h"

#include <string.h>
#include <strings.h>

#include "lib/json_strict.h"

#define LOGS_MAX 1000u
#define EXCEPTIONS_MAX 16u

/* How a request ends. Code can say the first three; the others are words of filters, which nothing
 * here ever is. */
static const char *const outcomes[] = {"ok",	      "exception",	"canceled",
				       "exceededCpu", "exceededMemory", "unknown"};
#define OUTCOME_UNKNOWN 5u

static unsigned outcome_of(const char *word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(outcomes); i++)
		if (word && strcmp(word, outcomes[i]) == 0)
			return i;
	return OUTCOME_UNKNOWN;
}

/* An array of texts; each is given to fn unless that is NULL. */
static void read_words(struct json_strict *s, const char *key,
		       void (*fn)(struct json_strict *s, const char *word, struct tail_filter *f),
		       struct tail_filter *f)
{
	const json_t *list = json_strict_array(s, key, TAIL_WORDS_MAX);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *word = json_strict_item_string(s, key, i, TAIL_WORD_MAX);

		if (word && fn)
			fn(s, word, f);
	}
}

static void take_outcome(struct json_strict *s, const char *word, struct tail_filter *f)
{
	const unsigned n = outcome_of(word);

	if (n == OUTCOME_UNKNOWN && strcmp(word, outcomes[n]) != 0)
		(void)json_strict_fail(s, "outcome",
				       "must be ok, exception, canceled, exceededCpu, "
				       "exceededMemory or unknown");
	else
		f->outcomes |= 1u << n;
}

static void read_filter(struct json_strict *s, struct tail_filter *f)
{
	struct json_strict header;

	if (json_strict_number(s, "sampling_rate", 0, 1, &f->sampling_rate))
		f->samples = f->sampling_rate < 1;
	read_words(s, "outcome", take_outcome, f);
	read_words(s, "method", NULL, f);
	read_words(s, "client_ip", NULL, f);
	if (json_strict_object(s, "header", &header)) {
		if (!json_strict_string(&header, "key", TAIL_WORD_MAX))
			(void)json_strict_fail(&header, "key", "must be given");
		(void)json_strict_note(&header, "query", TAIL_WORD_MAX);
		(void)json_strict_end(&header);
	}
	(void)json_strict_note(s, "query", TAIL_WORD_MAX);
	(void)json_strict_string(s, "scriptVersion", TAIL_WORD_MAX);
	(void)json_strict_end(s);
}

int tail_filter_read(json_t *filters, struct tail_filter *ret, struct err *e)
{
	json_auto_t *doc = filters ? json_pack("{s:O}", "filters", filters) : json_object();
	struct json_strict top, one;
	const json_t *list;
	int r;

	*ret = (struct tail_filter){0};
	if (!doc)
		return err_set(e, ERR_SYSTEM, ENOMEM, "filters");
	r = json_strict_begin(&top, "request", doc, e);
	if (r < 0)
		return r;
	list = json_strict_array(&top, "filters", TAIL_FILTERS_MAX);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_strict_item_object(&top, "filters", i, &one))
			read_filter(&one, ret);
	r = json_strict_end(&top);
	if (r < 0)
		*ret = (struct tail_filter){0};
	else
		ret->filters = json_incref(filters);
	return r;
}

void tail_filter_clear(struct tail_filter *f)
{
	json_decref(f->filters);
	*f = (struct tail_filter){0};
}

/* Events */

static void copy_text(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);

	if (json_is_string(value))
		(void)json_object_set(to, key, value);
}

static void copy_number(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);

	if (json_is_number(value) && json_number_value(value) >= 0)
		(void)json_object_set(to, key, value);
}

/* A line: "message" is a list of texts, of which mostly there is one. */
static json_t *read_line(const json_t *from)
{
	const json_t *message = json_object_get(from, "message");
	json_t *text = json_is_array(message) ? json_array_get(message, 0) : NULL, *line, *level;
	const json_t *at = json_object_get(from, "timestamp");

	if (!json_is_string(text))
		return NULL;
	level = json_object_get(from, "level");
	line = json_pack("{s:O, s:O}", "level", json_is_string(level) ? level : text, "text", text);
	if (line && !json_is_string(level))
		(void)json_object_set_new(line, "level", json_string("log"));
	if (line && json_is_integer(at) && json_integer_value(at) > 0)
		(void)json_object_set_new(line, "time_ms", json_integer(json_integer_value(at)));
	return line;
}

static json_t *read_lines(const json_t *from)
{
	json_t *lines = json_array();

	for (size_t i = 0; i < json_array_size(from) && i < LOGS_MAX; i++) {
		json_t *line = read_line(json_array_get(from, i));

		if (line)
			(void)json_array_append_new(lines, line);
	}
	return lines;
}

static json_t *read_exceptions(const json_t *from)
{
	json_t *all = json_array();

	for (size_t i = 0; i < json_array_size(from) && i < EXCEPTIONS_MAX; i++) {
		const json_t *given = json_array_get(from, i);
		json_t *one =
			json_pack("{s:s, s:s, s:s}", "name", "Error", "message", "", "stack", "");

		copy_text(one, given, "name");
		copy_text(one, given, "message");
		copy_text(one, given, "stack");
		(void)json_array_append_new(all, one);
	}
	return all;
}

static json_t *read_headers(json_t *from)
{
	json_t *all = json_object(), *value;
	const char *name;

	json_object_foreach(from, name, value) if (json_is_string(value))(void)
		json_object_set(all, name, value);
	return all;
}

json_t *tail_event_read(const json_t *head)
{
	const char *outcome = json_string_value(json_object_get(head, "outcome"));
	json_t *event = json_pack("{s:s, s:s, s:s}", "request_id", "", "handler", "", "outcome",
				  outcomes[outcome_of(outcome)]);

	if (!event)
		return NULL;
	copy_text(event, head, "request_id");
	copy_text(event, head, "handler");
	copy_text(event, head, "method");
	copy_text(event, head, "url");
	copy_text(event, head, "cron");
	copy_number(event, head, "status");
	copy_number(event, head, "ms");
	copy_number(event, head, "time_ms");
	copy_number(event, head, "lost");
	if (json_is_true(json_object_get(head, "truncated")))
		(void)json_object_set_new(event, "truncated", json_true());
	if (json_is_object(json_object_get(head, "headers")))
		(void)json_object_set_new(event, "headers",
					  read_headers(json_object_get(head, "headers")));
	if (json_object_set_new(event, "logs", read_lines(json_object_get(head, "logs"))) == 0 &&
	    json_object_set_new(event, "exceptions",
				read_exceptions(json_object_get(head, "exceptions"))) == 0)
		return event;
	json_decref(event);
	return NULL;
}

/* What is taken of them */

static bool is_one_of(const json_t *list, const char *word, bool any_case)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *text = json_string_value(one);

		if (word && text && (any_case ? strcasecmp(text, word) : strcmp(text, word)) == 0)
			return true;
	}
	return false;
}

static const char *header_of(const json_t *event, const char *key)
{
	json_t *headers = json_object_get(event, "headers"), *value;
	const char *name;

	json_object_foreach(headers, name,
			    value) if (strcasecmp(name, key) == 0) return json_string_value(value);
	return NULL;
}

static bool has_text(const json_t *event, const char *query)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(event, "logs"), i,
			   one) if (strstr(json_string_value(json_object_get(one, "text")),
					   query)) return true;
	json_array_foreach(json_object_get(event, "exceptions"), i,
			   one) if (strstr(json_string_value(json_object_get(one, "message")),
					   query)) return true;
	return false;
}

/* By one filter, which is read again: it was found right. */
static bool passes(const json_t *filter, const json_t *event, const char *version)
{
	const json_t *methods = json_object_get(filter, "method");
	const json_t *addresses = json_object_get(filter, "client_ip");
	const json_t *header = json_object_get(filter, "header");
	const char *query = json_string_value(json_object_get(filter, "query"));
	const char *wanted = json_string_value(json_object_get(filter, "scriptVersion"));

	if (json_array_size(methods) > 0 &&
	    !is_one_of(methods, json_string_value(json_object_get(event, "method")), true))
		return false;
	if (json_array_size(addresses) > 0 &&
	    !is_one_of(addresses, header_of(event, "cf-connecting-ip"), false))
		return false;
	if (header) {
		const char *value =
			header_of(event, json_string_value(json_object_get(header, "key")));
		const char *part = json_string_value(json_object_get(header, "query"));

		if (!value || (part && !strstr(value, part)))
			return false;
	}
	if (query && *query && !has_text(event, query))
		return false;
	return !wanted || strcmp(wanted, version) == 0;
}

bool tail_filter_takes(const struct tail_filter *f, const json_t *event, const char *version,
		       double draw)
{
	const json_t *filter;
	size_t i;

	if (f->samples && draw >= f->sampling_rate)
		return false;
	if (f->outcomes &&
	    !(f->outcomes & 1u << outcome_of(json_string_value(json_object_get(event, "outcome")))))
		return false;
	json_array_foreach(f->filters, i, filter) if (!passes(filter, event, version)) return false;
	return true;
}

// SPDX-License-Identifier: Apache-2.0
/* Keys and values of HTTP workers. A value travels in a memfd beside its request. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kv/ask.h"
#include "supervisor/ctl/ctl.h"

#define VALUE_MAX (25u << 20)
#define BULK_MAX (256u << 20) /* of a file */

static const char kv_help[] =
	"usage: sandboxctl kv ls\n"
	"       sandboxctl kv create TITLE\n"
	"       sandboxctl kv rm NAMESPACE\n"
	"       sandboxctl kv key put NAMESPACE KEY [VALUE|--path FILE] [--ttl SECONDS]\n"
	"                         [--expiration TIME] [--metadata JSON]\n"
	"       sandboxctl kv key get NAMESPACE KEY\n"
	"       sandboxctl kv key ls NAMESPACE [--prefix TEXT]\n"
	"       sandboxctl kv key rm NAMESPACE KEY\n"
	"       sandboxctl kv bulk put NAMESPACE FILE\n"
	"       sandboxctl kv export NAMESPACE\n\n"
	"What HTTP workers keep by their KV bindings. NAMESPACE is an id or a title. A value "
	"comes\n"
	"from the command line, from FILE, or from stdin, and goes to stdout as it is.\n\n"
	"  --ttl SECONDS      the key is gone after so long (60 at least)\n"
	"  --expiration TIME  or then, in seconds since the epoch\n"
	"  --metadata JSON    what a list shows of the key\n"
	"  --project NAME     whose namespace it is (default)\n\n"
	"FILE of bulk: a JSON array of {\"key\", \"value\", \"expiration\"?, \"metadata\"?}; "
	"export\n"
	"writes one, of the values that are text.\n";

struct words {
	const char *project, *path, *metadata, *prefix;
	json_int_t expiration;
	char **word;
	int n;
};

static int read_number(const char *option, const char *text, json_int_t *ret)
{
	char *end;

	*ret = strtoll(text, &end, 10);
	return *end || *ret <= 0
		       ? ctl_usage("kv", "%s must be a number of seconds: '%s'", option, text)
		       : 0;
}

static int take_option(void *arg, int option, const char *value)
{
	struct words *w = arg;
	int r = 0;

	switch (option) {
	case 'f':
		w->path = value;
		break;
	case 'm':
		w->metadata = value;
		break;
	case 'x':
		w->prefix = value;
		break;
	case 'e':
		r = read_number("--expiration", value, &w->expiration);
		break;
	case 't':
		r = read_number("--ttl", value, &w->expiration);
		w->expiration += (json_int_t)(util_realtime_ns() / SEC);
		break;
	default: /* 'p' */
		w->project = value;
	}
	return r;
}

/* min to max words beside the options. 0 or an exit status. */
static int read_words(struct words *w, int min, int max, int argc, char **argv)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'},
						{"path", required_argument, NULL, 'f'},
						{"metadata", required_argument, NULL, 'm'},
						{"prefix", required_argument, NULL, 'x'},
						{"ttl", required_argument, NULL, 't'},
						{"expiration", required_argument, NULL, 'e'},
						{0}};
	int r;

	*w = (struct words){.project = "default", .word = argv};
	r = ctl_read_options("kv", argc, argv, ":", options, take_option, w);
	if (r)
		return r;
	w->word = argv + optind;
	w->n = argc - optind;
	if (w->n < min || w->n > max)
		return ctl_bad_count("kv", argv[0], min, max);
	return 0;
}

/* Asks with a memfd beside the request. Steals the request. */
static int ask_with(struct ctl *ctl, json_t *request, int fd, json_t **ret, struct err *e)
{
	return ctl_call(ctl, request, &fd, 1, ret, e);
}

static int memfd_of(const char *value, size_t len, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("value", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : util_write_all(fd, value, len);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "the value") : TAKE_FD(fd);
}

static int put(struct ctl *ctl, const struct words *w, const char *key, const char *value,
	       size_t len, const char *metadata, json_int_t expiration, struct err *e)
{
	_cleanup_fd_ int fd = memfd_of(value, len, e);
	json_t *request;

	if (fd < 0)
		return fd;
	request = json_pack("{s:s, s:s, s:s, s:s, s:s*}", "op", "web_kv_put", "project", w->project,
			    "namespace", w->word[0], "key", key, "metadata", metadata);
	if (request && expiration)
		json_object_set_new(request, "expiration", json_integer(expiration));
	return ask_with(ctl, request, fd, NULL, e);
}

/* The caller frees *value, which has a NUL behind its bytes. */
static int get(struct ctl *ctl, const struct words *w, const char *key, char **value, size_t *len,
	       struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("value", MFD_CLOEXEC);
	json_auto_t *reply = NULL;
	int r = fd < 0 ? err_set(e, ERR_SYSTEM, errno, "the value")
		       : ask_with(ctl,
				  json_pack("{s:s, s:s, s:s, s:s}", "op", "web_kv_get", "project",
					    w->project, "namespace", w->word[0], "key", key),
				  fd, &reply, e);

	if (r < 0)
		return r;
	*len = (size_t)json_integer_value(json_object_get(reply, "len"));
	*value = *len <= VALUE_MAX ? calloc(1, *len + 1) : NULL;
	if (!*value || pread(fd, *value, *len, 0) != (ssize_t)*len)
		return err_set(e, ERR_SYSTEM, *value ? EIO : ENOMEM, "the value");
	return 0;
}

static int key_put(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_free_ char *read = NULL;
	struct words w;
	struct err e = {0};
	const char *value;
	size_t len;
	int r = read_words(&w, 2, 3, argc, argv);

	if (r)
		return r;
	if (w.n == 3 && w.path)
		return ctl_usage("kv", "put takes VALUE or --path, not both");
	value = w.word[2];
	len = value ? strlen(value) : 0;
	if (!value) {
		r = ctl_read_file(w.path ? w.path : "-", VALUE_MAX, true, &read, &len, &e);
		value = read;
	}
	if (r == 0)
		r = put(ctl, &w, w.word[1], value, len, w.metadata, w.expiration, &e);
	return r < 0 ? ctl_fail(&e) : 0;
}

static int key_get(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_free_ char *value = NULL;
	struct words w;
	struct err e = {0};
	size_t len;
	int r = read_words(&w, 2, 2, argc, argv);

	if (r)
		return r;
	if (get(ctl, &w, w.word[1], &value, &len, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json) {
		json_auto_t *o = json_pack("{s:s, s:o*}", "key", w.word[1], "value",
					   json_stringn(value, len));

		if (json_object_get(o, "value"))
			return ctl_flush(ctl_print_json(o));
		(void)err_set(
			&e, ERR_INPUT, 0,
			"%s: its value is no text, which JSON cannot say: get it without --json",
			w.word[1]);
		return ctl_fail(&e);
	}
	(void)fwrite(value, 1, len, stdout);
	return ctl_flush(0);
}

/* All keys, by pages; the caller's reference. */
static int list(struct ctl *ctl, const struct words *w, json_t **ret, struct err *e)
{
	json_t *all = json_array();
	char *cursor = NULL;
	int r;

	do {
		json_auto_t *reply = NULL;
		json_t *keys;

		r = ctl_ask(ctl,
			    json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "op", "web_kv_keys", "project",
				      w->project, "namespace", w->word[0], "prefix", w->prefix,
				      "cursor", cursor),
			    "keys", JSON_ARRAY, &reply, &keys, e);
		if (r < 0)
			break;
		(void)json_array_extend(all, keys);
		free(cursor);
		cursor = *ctl_text(reply, "cursor") ? strdup(ctl_text(reply, "cursor")) : NULL;
	} while (cursor);
	free(cursor);
	if (r < 0)
		json_decref(all);
	else
		*ret = all;
	return r;
}

static void key_row(const json_t *key, char cell[][CTL_CELL])
{
	const json_int_t at = json_integer_value(json_object_get(key, "expiration"));

	(void)snprintf(cell[0], CTL_CELL, "%s", ctl_text(key, "name"));
	cell[1][0] = '\0';
	if (at > 0 && at < INT64_MAX / (json_int_t)SEC) {
		util_format_time((uint64_t)at * SEC, cell[1], CTL_CELL);
		memcpy(cell[1] + strlen("2026-12-01T00:00:00"), "Z", 2);
	}
	(void)snprintf(cell[2], CTL_CELL, "%s", ctl_text(key, "metadata"));
}

static void namespace_row(const json_t *n, char cell[][CTL_CELL])
{
	(void)snprintf(cell[0], CTL_CELL, "%s", ctl_text(n, "id"));
	(void)snprintf(cell[1], CTL_CELL, "%s", ctl_text(n, "title"));
}

static const struct ctl_table key_table = {
	.n = 3, .titles = {"KEY", "EXPIRATION", "METADATA"}, .row = key_row};
static const struct ctl_table namespace_table = {
	.n = 2, .titles = {"ID", "TITLE"}, .row = namespace_row};

static int key_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *keys = NULL;
	struct words w;
	struct err e = {0};
	int r = read_words(&w, 1, 1, argc, argv);

	if (r)
		return r;
	if (list(ctl, &w, &keys, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(keys));
	ctl_print_table(&key_table, keys);
	return ctl_flush(0);
}

static int key_rm(struct ctl *ctl, int argc, char **argv)
{
	struct words w;
	struct err e = {0};
	int r = read_words(&w, 2, 2, argc, argv);

	if (r)
		return r;
	r = ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s, s:s}", "op", "web_kv_delete", "project", w.project,
			       "namespace", w.word[0], "key", w.word[1]),
		     NULL, 0, NULL, &e);
	return r < 0 ? ctl_fail(&e) : 0;
}

/* One of bulk's; its metadata may be text or anything else that is JSON. */
static int put_one(struct ctl *ctl, const struct words *w, const json_t *o, struct err *e)
{
	const json_t *value = json_object_get(o, "value"),
		     *metadata = json_object_get(o, "metadata");
	_cleanup_free_ char *text = metadata ? json_dumps(metadata, JSON_ENCODE_ANY) : NULL;

	if (!*ctl_text(o, "key") || !json_is_string(value))
		return err_set(e, ERR_INPUT, 0, "each needs a \"key\" and a \"value\", both texts");
	return put(ctl, w, ctl_text(o, "key"), json_string_value(value), json_string_length(value),
		   text, json_integer_value(json_object_get(o, "expiration")), e);
}

static int bulk_put(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_free_ char *text = NULL;
	json_auto_t *all = NULL;
	json_error_t error;
	struct words w;
	struct err e = {0};
	const json_t *o;
	size_t at, len;
	int r = read_words(&w, 2, 2, argc, argv);

	if (r)
		return r;
	if (ctl_read_file(w.word[1], BULK_MAX, true, &text, &len, &e) < 0)
		return ctl_fail(&e);
	all = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!json_is_array(all)) {
		(void)err_set(&e, ERR_INPUT, 0, "%s:%d: must be a JSON array%s%s", w.word[1],
			      all ? 1 : error.line, all ? "" : ": ", all ? "" : error.text);
		return ctl_fail(&e);
	}
	json_array_foreach(all, at, o)
	{
		if (put_one(ctl, &w, o, &e) == 0)
			continue;
		(void)err_wrap(&e, -1, "%s: [%zu]", w.word[1], at);
		return ctl_fail(&e);
	}
	return 0;
}

static int export_all(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *keys = NULL, *all = json_array();
	struct words w;
	struct err e = {0};
	json_t *key;
	size_t at;
	int r = read_words(&w, 1, 1, argc, argv);

	if (r)
		return r;
	if (list(ctl, &w, &keys, &e) < 0)
		return ctl_fail(&e);
	json_array_foreach(keys, at, key)
	{
		_cleanup_free_ char *value = NULL;
		const char *metadata = ctl_text(key, "metadata");
		json_t *o, *text;
		size_t len = 0;

		r = get(ctl, &w, ctl_text(key, "name"), &value, &len, &e);
		if (r < 0 && e.code == ERR_NOT_FOUND) /* it has expired meanwhile */
			continue;
		if (r < 0)
			return ctl_fail(&e);
		text = json_stringn(value, len);
		if (!text) {
			ctl_say("%s: its value is no text, and left out", ctl_text(key, "name"));
			continue;
		}
		o = json_pack("{s:s, s:o, s:O*}", "key", ctl_text(key, "name"), "value", text,
			      "expiration", json_object_get(key, "expiration"));
		if (*metadata)
			json_object_set_new(o, "metadata", kv_metadata(metadata));
		json_array_append_new(all, o);
	}
	return ctl_flush(ctl_print_json(all));
}

static int kv_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	json_t *all;
	struct words w;
	struct err e = {0};
	int r = read_words(&w, 0, 0, argc, argv);

	if (r)
		return r;
	if (ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "web_kv_ls", "project", w.project),
		    "namespaces", JSON_ARRAY, &reply, &all, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(all));
	ctl_print_table(&namespace_table, all);
	return ctl_flush(0);
}

static int kv_create(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct words w;
	struct err e = {0};
	int r = read_words(&w, 1, 1, argc, argv);

	if (r)
		return r;
	if (ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s}", "op", "web_kv_create", "project", w.project,
			       "title", w.word[0]),
		     NULL, 0, &reply, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(reply));
	printf("%s\n", ctl_text(reply, "id"));
	return ctl_flush(0);
}

static int kv_rm(struct ctl *ctl, int argc, char **argv)
{
	struct words w;
	struct err e = {0};
	int r = read_words(&w, 1, 1, argc, argv);

	if (r)
		return r;
	r = ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s}", "op", "web_kv_rm", "project", w.project,
			       "namespace", w.word[0]),
		     NULL, 0, NULL, &e);
	return r < 0 ? ctl_fail(&e) : 0;
}

static int kv_key(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"put", key_put, false},
		{"get", key_get, false},
		{"ls", key_ls, false},
		{"rm", key_rm, false},
		{0},
	};

	return ctl_dispatch(ctl, "kv", words, kv_help, argc, argv);
}

static int kv_bulk(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {{"put", bulk_put, false}, {0}};

	return ctl_dispatch(ctl, "kv", words, kv_help, argc, argv);
}

int ctl_kv(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"ls", kv_ls, false},
		{"create", kv_create, false},
		{"rm", kv_rm, false},
		{"key", kv_key, false},
		{"bulk", kv_bulk, false},
		{"export", export_all, false},
		{0},
	};

	return ctl_dispatch(ctl, "kv", words, kv_help, argc, argv);
}

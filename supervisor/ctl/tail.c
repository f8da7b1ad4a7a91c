// SPDX-License-Identifier: Apache-2.0
/* Looks at an HTTP worker live. Events come by a socket of the verb's own, a JSON object a line. */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/ctl/ctl.h"

/* An event is one line, which the daemon bounds far below this. */
#define LINE_MAX_BYTES (4u << 20)
#define WORDS_MAX 512
#define CALL_TIMEOUT_MS 30000

const char ctl_tail_help[] =
	"usage: sandboxctl tail WORKER [--format pretty|json] [--status STATUS]...\n"
	"                       [--method METHOD]... [--search TEXT] [--sampling-rate RATE]\n"
	"                       [--version ID]\n\n"
	"Shows what an HTTP worker does, live and over all its instances: a line for each request\n"
	"and each call of a handler when it has ended, what it has printed, and what it has\n"
	"raised. It goes on through deploys, and ends with Ctrl-C or when the worker is removed.\n"
	"\n"
	"  --format pretty|json  lines for people (default), or a JSON object a line; --json is\n"
	"                        the latter too\n"
	"  --status STATUS       only those that ended so: ok, error, canceled\n"
	"  --method METHOD       only requests with this method\n"
	"  --search TEXT         only those that have printed or raised it\n"
	"  --sampling-rate RATE  only this part of them, from 0 to 1\n"
	"  --version ID          only those of this version\n"
	"  --project NAME        whose worker it is (default)\n";

struct options {
	const char *project, *worker, *search, *rate, *version;
	char status[WORDS_MAX], methods[WORDS_MAX];
	bool json;
};

static int add_word(char words[WORDS_MAX], const char *option, const char *word)
{
	const size_t n = strlen(words);

	if (n + strlen(word) + 2 > WORDS_MAX)
		return ctl_usage("tail", "%s is too long", option);
	(void)snprintf(words + n, WORDS_MAX - n, "%s%s", n ? "," : "", word);
	return 0;
}

static int take_option(void *arg, int option, const char *value)
{
	struct options *o = arg;

	switch (option) {
	case 'f':
		if (strcmp(value, "json") != 0 && strcmp(value, "pretty") != 0)
			return ctl_usage("tail", "--format %s: must be pretty or json", value);
		o->json = o->json || strcmp(value, "json") == 0;
		break;
	case 's':
		return add_word(o->status, "--status", value);
	case 'm':
		return add_word(o->methods, "--method", value);
	case 'x':
		o->search = value;
		break;
	case 'r':
		o->rate = value;
		break;
	case 'v':
		o->version = value;
		break;
	default: /* 'p' */
		o->project = value;
	}
	return 0;
}

static int read_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'},
						{"format", required_argument, NULL, 'f'},
						{"status", required_argument, NULL, 's'},
						{"method", required_argument, NULL, 'm'},
						{"search", required_argument, NULL, 'x'},
						{"version", required_argument, NULL, 'v'},
						{"sampling-rate", required_argument, NULL, 'r'},
						{0}};
	int r = ctl_read_options("tail", argc, argv, ":", options, take_option, o);

	if (r)
		return r;
	if (argc - optind != 1)
		return ctl_usage("tail", "takes a worker");
	o->worker = argv[optind];
	return 0;
}

/* Each line of a text, below the request that it belongs to. */
static void print_lines(const char *id, const char *level, const char *text)
{
	while (*text) {
		const size_t n = strcspn(text, "\n");
		char *line = strndup(text, n);

		printf("  ");
		ctl_print_text(id);
		printf(" ");
		ctl_print_text(level);
		printf(": ");
		ctl_print_text(line ? line : "");
		putchar('\n');
		free(line);
		text += n + (text[n] == '\n');
	}
}

static void print_event(const json_t *o)
{
	const char *id = ctl_text(o, "request_id"), *time = ctl_text(o, "time");
	const json_t *one, *status = json_object_get(o, "status"), *ms = json_object_get(o, "ms");
	size_t i;

	/* The time of the day out of RFC 3339's. */
	printf("%.12s ", strlen(time) > 23 ? time + 11 : time);
	if (*ctl_text(o, "url")) {
		ctl_print_text(ctl_text(o, "method"));
		putchar(' ');
		ctl_print_text(ctl_text(o, "url"));
		printf(" %lld", (long long)json_integer_value(status));
	} else {
		ctl_print_text(ctl_text(o, "handler"));
		if (*ctl_text(o, "cron")) {
			putchar(' ');
			ctl_print_text(ctl_text(o, "cron"));
		}
	}
	printf(" %s", ctl_text(o, "outcome"));
	if (json_is_number(ms))
		printf(" %.1f ms", json_number_value(ms));
	printf(" request ");
	ctl_print_text(id);
	printf(" instance %s\n", ctl_text(o, "instance"));
	json_array_foreach(json_object_get(o, "logs"), i, one)
		print_lines(id, ctl_text(one, "level"), ctl_text(one, "text"));
	json_array_foreach(json_object_get(o, "exceptions"), i, one) print_lines(
		id, "exception",
		*ctl_text(one, "stack") ? ctl_text(one, "stack") : ctl_text(one, "message"));
	if (json_object_get(o, "truncated"))
		print_lines(id, "sandboxd", "more was printed than is shown here");
}

/* 1: the last line; 0; or an exit status below 0: nobody reads our output any more. */
static int print_line(const struct options *o, const char *line, size_t len)
{
	json_auto_t *doc = json_loadb(line, len, 0, NULL);
	const char *end = ctl_text(doc, "end");

	if (!json_is_object(doc))
		return 0;
	if (o->json)
		(void)ctl_print_json_line(doc);
	else if (json_object_get(doc, "dropped"))
		ctl_say("%lld events are missing here: they came faster than they could be read",
			(long long)json_integer_value(json_object_get(doc, "dropped")));
	else if (!*end)
		print_event(doc);
	if (fflush(stdout) == EOF)
		return -EPIPE;
	if (*end && !o->json)
		ctl_say("%s", end);
	return *end ? 1 : 0;
}

/* Until the connection ends (0), or the last line was there (1). */
static int print_all(const struct options *o, int sock, struct err *e)
{
	_cleanup_free_ char *buf = NULL;
	size_t len = 0, room = 0;

	for (;;) {
		size_t at = 0;
		char *end;
		ssize_t n;

		if (room - len < 65536) {
			char *more = room < LINE_MAX_BYTES ? realloc(buf, room + 65536) : NULL;

			if (!more)
				return err_set(e, ERR_INTERNAL, 0, "an event is too long");
			buf = more;
			room += 65536;
		}
		n = recv(sock, buf + len, room - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		len += (size_t)n;
		while ((end = memchr(buf + at, '\n', len - at))) {
			int r = print_line(o, buf + at, (size_t)(end - buf) - at);

			if (r)
				return r;
			at = (size_t)(end - buf) + 1;
		}
		memmove(buf, buf + at, len - at);
		len -= at;
	}
}

/* 0: the daemon sends events by *ret. */
static int begin(struct ctl *ctl, const struct options *o, int *ret, struct err *e)
{
	json_auto_t *request =
		json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:s*}", "op", "web_tail",
			  "project", o->project, "name", o->worker, "status",
			  *o->status ? o->status : NULL, "method", *o->methods ? o->methods : NULL,
			  "search", o->search, "sampling_rate", o->rate, "version", o->version);
	json_auto_t *reply = NULL;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the events' socket");
	r = ctl_call_once(ctl, request, &pair[1], 1, CALL_TIMEOUT_MS, &reply, e);
	util_close_fd(&pair[1]);
	if (r == 0)
		r = ctl_reply_check(reply, e);
	if (r == 0)
		*ret = TAKE_FD(pair[0]);
	util_close_fd(&pair[0]);
	return r;
}

/* The daemon's front may be a new one: it does not know who looked before. */
static int begin_again(struct ctl *ctl, const struct options *o, int *ret, struct err *e)
{
	const uint64_t until = util_monotonic_ns() + CTL_RETRY_FOR_NS;
	int r;

	for (;;) {
		r = begin(ctl, o, ret, e);
		if (r == 0 || util_monotonic_ns() >= until ||
		    (e->code != ERR_UNAVAILABLE && e->code != ERR_SYSTEM))
			return r;
		(void)poll(NULL, 0, CTL_RETRY_MS);
		*e = (struct err){0};
	}
}

int ctl_tail(struct ctl *ctl, int argc, char **argv)
{
	struct options o = {.project = "default", .json = ctl->json};
	_cleanup_fd_ int sock = -1;
	struct err e = {0};
	int r = read_options(&o, argc, argv);

	if (r)
		return r;
	r = begin(ctl, &o, &sock, &e);
	while (r == 0) {
		r = print_all(&o, sock, &e);
		if (r != 0)
			break;
		ctl_say("sandboxd was restarted: events may be missing here");
		util_close_fd(&sock);
		r = begin_again(ctl, &o, &sock, &e);
	}
	if (r == -EPIPE)
		return ctl_flush(0);
	return r < 0 ? ctl_fail(&e) : ctl_flush(0);
}

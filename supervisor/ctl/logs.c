// SPDX-License-Identifier: Apache-2.0
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/timefmt.h"
#include "supervisor/ctl/follow.h"

const char ctl_logs_help[] =
	"usage: sandboxctl logs [-f] [--since TIME] [--stdout|--stderr] [-t] ID...\n\n"
	"  -f, --follow      go on until the task ends (default: what is there now)\n"
	"  --since TIME      only what arrived after TIME: RFC 3339, or an age such as 90s,\n"
	"                    10m, 2h, 1d\n"
	"  --stdout          only the task's stdout\n"
	"  --stderr          only the task's stderr\n"
	"  -t, --timestamps  the time of arrival before each line\n\n"
	"The task's stdout goes to stdout and its stderr to stderr, byte for byte where they\n"
	"are not terminals; on a terminal control characters are escaped. Several tasks are\n"
	"printed one after the other.\n";

/* Reads "90s", "10m", "2h" or "1d" as the time so long ago. -EINVAL: it is something else. */
static int parse_age(const char *s, uint64_t *ret)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	uint64_t now = util_realtime_ns();
	unsigned long long n;
	char *end;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	n = strtoull(s, &end, 10);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (end[0] == units[i].unit && end[1] == '\0' && n < now / SEC / units[i].seconds) {
			*ret = now - n * units[i].seconds * SEC;
			return 0;
		}
	return -EINVAL;
}

/* Reads an age, or a time that begins with a date; a number alone could be either and is
 * refused. */
static int parse_since(const char *s, uint64_t *ret)
{
	struct err ignored;

	if (parse_age(s, ret) == 0)
		return 0;
	return strspn(s, "0123456789") == 4 && s[4] == '-' ? timefmt_parse("", s, ret, &ignored)
							   : -EINVAL;
}

struct logs_options {
	bool follow, timestamps;
	int streams; /* 0: both */
	uint64_t since_ns;
};

static int parse_options(int argc, char **argv, struct logs_options *o)
{
	static const struct option options[] = {
		{"follow", no_argument, NULL, 'f'},	 {"timestamps", no_argument, NULL, 't'},
		{"since", required_argument, NULL, 's'}, {"stdout", no_argument, NULL, 'o'},
		{"stderr", no_argument, NULL, 'e'},	 {0}};
	int c;

	while ((c = getopt_long(argc, argv, "ft", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			o->follow = true;
			break;
		case 't':
			o->timestamps = true;
			break;
		case 's':
			if (parse_since(optarg, &o->since_ns) < 0)
				return ctl_usage("logs",
						 "--since %s: must be an age such as 10m, or a "
						 "time such as 2026-01-31T12:00:00Z",
						 optarg);
			break;
		case 'o':
			o->streams |= LOG_STREAM_OUT;
			break;
		case 'e':
			o->streams |= LOG_STREAM_ERR;
			break;
		default:
			return ctl_bad_option("logs", argv);
		}
	}
	if (optind >= argc)
		return ctl_usage("logs", "names no task");
	return 0;
}

static int print_log(struct ctl *ctl, const char *id, const struct logs_options *o)
{
	struct log_client_options opts;
	struct follow f;
	struct err e = {0};
	int r;

	log_client_defaults(&opts);
	opts.timestamps = o->timestamps;
	if (strlen(id) > TASK_ID_LEN) {
		(void)err_set(&e, ERR_NOT_FOUND, 0, "there is no task %s", id);
		return ctl_fail(&e);
	}
	r = follow_init(&f, ctl, id, &opts);
	if (r < 0) {
		(void)err_set(&e, ERR_SYSTEM, -r, "cannot read logs");
		return ctl_fail(&e);
	}
	f.live = o->follow;
	f.since_ns = o->since_ns;
	if (o->streams)
		f.streams = o->streams;
	r = follow_copy(&f, &e);
	follow_clear(&f);
	/* Nobody reads our output any longer: end as other tools do in `... | head`. */
	if (r == -EPIPE)
		return 128 + SIGPIPE;
	return r < 0 ? ctl_fail(&e) : 0;
}

int ctl_logs(struct ctl *ctl, int argc, char **argv)
{
	struct logs_options o = {0};
	int status = parse_options(argc, argv, &o);

	if (status)
		return status;
	for (int i = optind; i < argc; i++) {
		int s = print_log(ctl, argv[i], &o);

		status = s ? s : status;
	}
	return status;
}

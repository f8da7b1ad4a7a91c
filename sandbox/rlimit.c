// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "sandbox/sandbox.h"

/* As far as this process may: without CAP_SYS_RESOURCE a hard limit can only go down. */
static int limit_within(int which, rlim_t value, const char *name, struct rlimit *ret,
			struct err *e)
{
	struct rlimit have;

	if (getrlimit(which, &have) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: %s", name);
	ret->rlim_cur = ret->rlim_max = value < have.rlim_max ? value : have.rlim_max;
	return 0;
}

static int set_limit(int which, rlim_t value, const char *name, struct err *e)
{
	struct rlimit want = {0};
	int r = limit_within(which, value, name, &want, e);

	if (r < 0)
		return r;
	if (setrlimit(which, &want) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: %s", name);
	return 0;
}

int rlimit_nofile(const struct limits *limits, uint64_t ret[2], struct err *e)
{
	struct rlimit want = {0};
	int r = limit_within(RLIMIT_NOFILE, limits->nofile, "RLIMIT_NOFILE", &want, e);

	if (r < 0)
		return r;
	ret[0] = want.rlim_cur;
	ret[1] = want.rlim_max;
	return 0;
}

struct entry {
	int which;
	rlim_t value;
	const char *name, *line; /* as in /proc/PID/limits */
};
#define ENTRIES 8

static void fill(const struct limits *limits, struct entry table[ENTRIES])
{
	const struct entry of[ENTRIES] = {
		/*
		 * Not 0: the kernel runs a core_pattern that starts with '|' in spite of a limit
		 * of 0, but not for the special value 1 (core(5), do_coredump()).
		 */
		{RLIMIT_CORE, 1, "RLIMIT_CORE", "Max core file size"},
		{RLIMIT_NOFILE, limits->nofile, "RLIMIT_NOFILE", "Max open files"},
		{RLIMIT_STACK, 8UL << 20, "RLIMIT_STACK", "Max stack size"},
		{RLIMIT_MEMLOCK, TASK_MEMLOCK, "RLIMIT_MEMLOCK", "Max locked memory"},
		{RLIMIT_MSGQUEUE, TASK_MSGQUEUE, "RLIMIT_MSGQUEUE", "Max msgqueue size"},
		{RLIMIT_SIGPENDING, TASK_SIGPENDING, "RLIMIT_SIGPENDING", "Max pending signals"},
		{RLIMIT_NICE, 0, "RLIMIT_NICE", "Max nice priority"},
		{RLIMIT_RTPRIO, 0, "RLIMIT_RTPRIO", "Max realtime priority"},
	};

	memcpy(table, of, sizeof(of));
}

int rlimit_apply(const struct limits *limits, struct err *e)
{
	struct entry table[ENTRIES];
	int r = 0;

	fill(limits, table);
	for (size_t i = 0; i < ENTRIES && r == 0; i++)
		r = set_limit(table[i].which, table[i].value, table[i].name, e);
	return r;
}

/* Reads the next number of a line like "1024   4096   files". "unlimited" is not a number. */
static bool read_number(const char **at, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(*at, &end, 10);
	if (end == *at || errno)
		return false;
	*at = end;
	return true;
}

int rlimit_check(const struct limits *limits, const char *text, struct err *e)
{
	struct entry table[ENTRIES];

	fill(limits, table);
	for (size_t i = 0; i < ENTRIES; i++) {
		const char *at = strstr(text, table[i].line);
		uint64_t soft, hard;

		at = at ? at + strlen(table[i].line) : NULL;
		if (!at || !read_number(&at, &soft) || !read_number(&at, &hard) ||
		    hard > table[i].value || soft > hard ||
		    (table[i].which == RLIMIT_CORE && soft != table[i].value))
			return err_set(e, ERR_INPUT, 0, "its %s is not %llu", table[i].name,
				       (unsigned long long)table[i].value);
	}
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include "sandbox/sandbox.h"

static int set_limit(int which, rlim_t value, const char *name, struct err *e)
{
	struct rlimit have, want;

	if (getrlimit(which, &have) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: %s", name);
	/* Without CAP_SYS_RESOURCE a hard limit can only go down. */
	want.rlim_max = value < have.rlim_max ? value : have.rlim_max;
	want.rlim_cur = want.rlim_max;
	if (setrlimit(which, &want) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: %s", name);
	return 0;
}

int rlimit_apply(const struct limits *limits, struct err *e)
{
	const struct {
		int which;
		rlim_t value;
		const char *name;
	} table[] = {
		/*
		 * Not 0: a core_pattern that starts with '|' is run for a limit of 0,
		 * and refused for the special value 1 (core(5), do_coredump()).
		 */
		{RLIMIT_CORE, 1, "RLIMIT_CORE"},
		{RLIMIT_NOFILE, limits->nofile, "RLIMIT_NOFILE"},
		{RLIMIT_STACK, 8UL << 20, "RLIMIT_STACK"},
		{RLIMIT_MEMLOCK, 64UL << 10, "RLIMIT_MEMLOCK"},
		{RLIMIT_MSGQUEUE, 819200, "RLIMIT_MSGQUEUE"},
		{RLIMIT_SIGPENDING, 1024, "RLIMIT_SIGPENDING"},
		{RLIMIT_NICE, 0, "RLIMIT_NICE"},
		{RLIMIT_RTPRIO, 0, "RLIMIT_RTPRIO"},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table) && r == 0; i++)
		r = set_limit(table[i].which, table[i].value, table[i].name, e);
	return r;
}

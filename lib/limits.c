// SPDX-License-Identifier: Apache-2.0
#include "lib/limits.h"

#include <errno.h>
#include <string.h>

static const char *const start_modes[START_MODE_MAX] = {
	[START_AUTO] = "auto",
	[START_COLD] = "cold",
	[START_RESTORE] = "restore",
	[START_FORK] = "fork",
};

static const char *const verdicts[VERDICT_MAX] = {
	[VERDICT_NONE] = "",
	[VERDICT_OK] = "ok",
	[VERDICT_EXIT] = "exit",
	[VERDICT_SIGNAL] = "signal",
	[VERDICT_TIMEOUT] = "timeout",
	[VERDICT_OOM] = "oom",
	[VERDICT_PIDS] = "pids",
	[VERDICT_DISK] = "disk",
	[VERDICT_CANCELLED] = "cancelled",
	[VERDICT_FAILED] = "failed",
	[VERDICT_LOST] = "lost",
};

const char *start_mode_name(enum start_mode mode)
{
	return mode < START_MODE_MAX ? start_modes[mode] : "unknown";
}

int start_mode_parse(const char *name)
{
	for (int i = 0; i < START_MODE_MAX; i++)
		if (strcmp(name, start_modes[i]) == 0)
			return i;
	return -EINVAL;
}

const char *verdict_name(enum verdict verdict)
{
	return verdict < VERDICT_MAX ? verdicts[verdict] : "unknown";
}

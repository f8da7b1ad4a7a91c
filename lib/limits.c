// SPDX-License-Identifier: Apache-2.0
#include "lib/limits.h"

#include <errno.h>
#include <stdio.h>
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

#define ROW(key, type, of_sandbox, member, name)                                                   \
	{                                                                                          \
		key, LIMIT_TYPE_##type, of_sandbox, offsetof(struct limits, member),               \
			LIMIT_##name##_MIN, LIMIT_##name##_MAX                                     \
	}

const struct limit_row limit_table[LIMIT_N] = {
	[LIMIT_MEMORY] = ROW("memory", SIZE, true, memory, MEMORY),
	[LIMIT_CPUS] = ROW("cpus", CPUS, true, cpu_milli, CPU),
	[LIMIT_PIDS] = ROW("pids", COUNT, true, pids, PIDS),
	[LIMIT_DISK] = ROW("disk", SIZE, true, disk, DISK),
	[LIMIT_TIMEOUT] = ROW("timeout", COUNT, false, timeout_s, TIMEOUT),
	[LIMIT_NOFILE] = ROW("nofile", COUNT, true, nofile, NOFILE),
	[LIMIT_LOG] = ROW("log", SIZE, false, log_bytes, LOG),
};

uint64_t limit_get(const struct limits *l, enum limit_id id)
{
	const char *p = (const char *)l + limit_table[id].offset;
	uint32_t small;
	uint64_t big;

	if (limit_table[id].type == LIMIT_TYPE_SIZE) {
		memcpy(&big, p, sizeof(big));
		return big;
	}
	memcpy(&small, p, sizeof(small));
	return small;
}

void limit_set(struct limits *l, enum limit_id id, uint64_t value)
{
	char *p = (char *)l + limit_table[id].offset;
	uint32_t small = (uint32_t)value;

	if (limit_table[id].type == LIMIT_TYPE_SIZE)
		memcpy(p, &value, sizeof(value));
	else
		memcpy(p, &small, sizeof(small));
}

void limit_format(enum limit_id id, uint64_t v, char *buf, size_t size)
{
	const enum limit_type type = limit_table[id].type;
	static const char units[] = "KMGT";
	int u = -1;

	if (type == LIMIT_TYPE_CPUS) {
		(void)snprintf(buf, size, "%g", (double)v / 1000);
		return;
	}
	for (; type == LIMIT_TYPE_SIZE && u < 3 && v >= 1024 && v % 1024 == 0; u++)
		v /= 1024;
	(void)snprintf(buf, size, "%llu%.*s", (unsigned long long)v, u >= 0,
		       u >= 0 ? units + u : "");
}

enum limit_id limits_beyond(const struct limits *l, const struct limits *max)
{
	enum limit_id id = 0;

	for (; id < LIMIT_N; id++) {
		uint64_t value = limit_get(l, id);

		if (value < limit_table[id].min ||
		    value > (max ? limit_get(max, id) : limit_table[id].max))
			break;
	}
	return id;
}

bool limits_same_sandbox(const struct limits *a, const struct limits *b)
{
	for (enum limit_id id = 0; id < LIMIT_N; id++)
		if (limit_table[id].of_sandbox && limit_get(a, id) != limit_get(b, id))
			return false;
	return true;
}

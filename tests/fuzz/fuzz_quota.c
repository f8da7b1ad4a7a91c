// SPDX-License-Identifier: Apache-2.0
/* A quota's JSON: whatever the bytes, an error with a text and no change, or a whole quota. */
#include <string.h>

#include "lib/json_strict.h"
#include "supervisor/front/core/project.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct quota *a, const struct quota *b)
{
	return a->running == b->running && a->queued == b->queued && a->schedules == b->schedules &&
	       a->memory == b->memory && a->package_bytes == b->package_bytes &&
	       a->log_bytes == b->log_bytes && a->package_files == b->package_files &&
	       a->kept_log_bytes == b->kept_log_bytes && strcmp(a->policies, b->policies) == 0 &&
	       strcmp(a->images, b->images) == 0 && strcmp(a->hosts, b->hosts) == 0 &&
	       a->http_workers == b->http_workers && a->http_versions == b->http_versions &&
	       a->http_instances == b->http_instances && a->http_rate == b->http_rate &&
	       a->kv_bytes == b->kv_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct quota before = {.running = 1,
				     .queued = 2,
				     .schedules = 3,
				     .memory = 32 << 20,
				     .package_bytes = 5,
				     .log_bytes = 8192,
				     .policies = "default,strict"};
	struct quota quota = before;
	json_auto_t *doc = NULL;
	struct err e = {0};

	if (json_strict_load("quota", (const char *)data, size, 1 << 16, &doc, &e) < 0)
		return 0;
	if (quota_from_json("quota", doc, &quota, &e) < 0) {
		if (e.code != ERR_INPUT || strncmp(e.msg, "quota: ", 7) != 0 ||
		    !same(&quota, &before))
			abort();
		return 0;
	}
	if ((quota.memory && quota.memory < LIMIT_MEMORY_MIN) || quota.memory > LIMIT_MEMORY_MAX ||
	    (quota.log_bytes && quota.log_bytes < LIMIT_LOG_MIN))
		abort();
	return 0;
}

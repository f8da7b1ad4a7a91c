// SPDX-License-Identifier: Apache-2.0
/* What was kept of a job: whatever it has become, it is refused or is a sequence of records. */
#include <stdlib.h>
#include <string.h>

#include "spec/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct job_of of = {"0123456789abcdef01234567", "default", false};
	_cleanup_job_ struct job job = JOB_NONE;
	_cleanup_free_ char *text = strndup((const char *)data, size);
	struct err e = {0};

	if (!text)
		return 0;
	if (job_seal(text, &of, &job, &e) < 0) {
		if (e.code == ERR_NONE || job.fd >= 0)
			abort();
		return 0;
	}
	if (!*text || !strchr("abcdefghijklmnopqrstuvwxyz_.", *text) ||
	    text[strlen(text) - 1] != '\n' || strlen(job.script) >= sizeof(job.script) ||
	    (*job.script && !strstr(text, job.script)))
		abort();
	return 0;
}

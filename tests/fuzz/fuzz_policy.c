// SPDX-License-Identifier: Apache-2.0
/*
 * Policies: as JSON, and as the compiled file that the privileged side reads. What
 * compiles must pass the privileged side's own checks, and its filter must end.
 */
#include <stdint.h>
#include <stdlib.h>

#include "spec/policy_json.h"
#include "tests/unit/bpf_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/*
 * libseccomp 2.5.4 loses nodes of its tree when a rule cannot be merged into it, some 100
 * bytes each. Only the operator's command compiles policies, one in its life.
 */
const char *__lsan_default_suppressions(void)
{
	return "leak:libseccomp.so";
}

static void run_filter(const struct policy *p)
{
	for (int nr = 0; nr < 512; nr += 7) {
		const uint64_t args[6] = {1, 2, 3};

		if (bpf_sim_call(p->bpf, p->head.n_bpf, nr, args) == 1)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy compiled = {0}, parsed = {0};
	struct err e = {0};
	char *file = NULL;
	size_t len = 0;

	if (policy_parse(data, size, &parsed, &e) == 0)
		policy_clear(&parsed);
	else if (e.code == ERR_NONE || e.msg[0] == '\0')
		abort();
	e = (struct err){0};
	if (policy_json_build("p.json", (const char *)data, size, NULL, "p", &compiled, &file, &len,
			      &e) < 0) {
		if (e.code == ERR_NONE || e.msg[0] == '\0' || file || compiled.bpf)
			abort();
		return 0;
	}
	run_filter(&compiled);
	if (policy_parse(file, len, &parsed, &e) < 0)
		abort();
	policy_clear(&parsed);
	policy_clear(&compiled);
	free(file);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest filter as JSON, and what a compiled filter decides about a call. */
#ifndef TESTS_UNIT_POLICY_RIG_H
#define TESTS_UNIT_POLICY_RIG_H

#include "tests/unit/rig.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "spec/policy_json.h"
#include "tests/unit/bpf_sim.h"

#define ALLOW SCMP_ACT_ALLOW
#define EPERM_ SCMP_ACT_ERRNO(1)
#define ENOSYS_ SCMP_ACT_ERRNO(38)
#define NOTHING SCMP_ACT_ERRNO(0)
#define SECCOMP                                                                                    \
	"\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": "                      \
	"[{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}]}"

static inline uint32_t decide(const struct policy *p, int nr, uint64_t arg0)
{
	const uint64_t args[6] = {arg0};

	return bpf_sim_call(p->bpf, p->head.n_bpf, nr, args);
}

#endif

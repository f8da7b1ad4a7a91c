/* SPDX-License-Identifier: Apache-2.0 */
/* What cgroup.c shares with its two backends, cgroup_v1.c and cgroup_v2.c. */
#ifndef SANDBOX_CGROUP_INTERNAL_H
#define SANDBOX_CGROUP_INTERNAL_H

#include "sandbox/cgroup.h"

#define CGROUP_PERIOD_US 100000u

int cgroup_write(int dir, const char *file, const char *value);
int cgroup_write_u64(int dir, const char *file, uint64_t value);

int cgroup_v1_create(const struct cgroup_host *host, const char *name, const struct limits *limits,
		     struct cgroup *ret, struct err *e);
int cgroup_v2_create(const struct cgroup_host *host, const char *name, const struct limits *limits,
		     struct cgroup *ret, struct err *e);
/* Makes the root group on a v2 host, with controllers enabled above and below it. The caller closes
 * *ret_root. */
int cgroup_v2_prepare(int mount_dir, const char *root_name, int *ret_root, struct err *e);

int cgroup_v1_set_cpu(const struct cgroup *cg, uint32_t cpu_milli);
int cgroup_v2_set_cpu(const struct cgroup *cg, uint32_t cpu_milli);

#endif

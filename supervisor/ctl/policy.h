/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPERVISOR_CTL_POLICY_H
#define SUPERVISOR_CTL_POLICY_H

#include "lib/policy.h"
#include "supervisor/ctl/ctl.h"

/*
 * Finds the policy that the operator has installed under this name; if none was, the one that comes
 * with sandboxd, because images are built before any policy is installed. An installed policy that
 * is broken is an error. The caller owns *ret (policy_clear).
 */
int policy_find(struct ctl *ctl, const char *name, struct policy *ret, struct err *e);

#endif

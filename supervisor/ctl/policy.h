/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPERVISOR_CTL_POLICY_H
#define SUPERVISOR_CTL_POLICY_H

#include "lib/policy.h"
#include "supervisor/ctl/ctl.h"

/*
 * The policy that the operator has installed under a name; where there is none of that name, the
 * one that comes with sandboxd: images are built before any policy is installed. One that is there
 * and broken is an error. The caller owns *ret (policy_clear).
 */
int policy_find(struct ctl *ctl, const char *name, struct policy *ret, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Limits (lib/limits.h) as people write them: read from JSON, bounded by a policy, shown. */
#ifndef SPEC_TASK_LIMITS_H
#define SPEC_TASK_LIMITS_H

#include "lib/json_strict.h"
#include "spec/task_spec.h"

/* Reads every limit of the object in and ends the reader. Returns the LIMIT_BITs of
 * those that were there; errors are kept in the reader. */
unsigned task_limits_read(struct json_strict *in, struct limits *limits);

#endif

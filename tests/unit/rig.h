/* SPDX-License-Identifier: Apache-2.0 */
/* What every rig needs. */
#ifndef TESTS_UNIT_RIG_H
#define TESTS_UNIT_RIG_H

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Of a helper that not every test that has its rig calls. */
#define RIG_UNUSED __attribute__((unused))

#endif

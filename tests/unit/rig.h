/* SPDX-License-Identifier: Apache-2.0 */
/* What all rigs need. */
#ifndef TESTS_UNIT_RIG_H
#define TESTS_UNIT_RIG_H

/* cmocka.h wants these included before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* For a helper that some of the tests with its rig do not call. */
#define RIG_UNUSED __attribute__((unused))

#endif

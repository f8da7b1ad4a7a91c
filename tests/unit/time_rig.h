/* SPDX-License-Identifier: Apache-2.0 */
/* Times as a test writes them. */
#ifndef TESTS_UNIT_TIME_RIG_H
#define TESTS_UNIT_TIME_RIG_H

#include "tests/unit/rig.h"

#include "lib/timefmt.h"

static uint64_t at(const char *text)
{
	struct err e = {0};
	uint64_t ns;

	if (timefmt_parse("t", text, &ns, &e) < 0)
		fail_msg("%s", e.msg);
	return ns;
}

#endif

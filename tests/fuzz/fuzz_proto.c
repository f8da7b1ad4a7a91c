// SPDX-License-Identifier: Apache-2.0
/* A message between the roles, for each pair of them. First byte: the number of fds. */
#include <string.h>

#include "wire/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union proto_msg m;

	if (size < 1 || size - 1 > sizeof(m))
		return 0;
	memcpy(&m, data + 1, size - 1);
	for (int from = ROLE_MONITOR; from <= ROLE_LOGGER; from++) {
		for (int to = ROLE_MONITOR; to <= ROLE_LOGGER; to++) {
			if (proto_check(&m, size - 1, (enum proto_role)from, (enum proto_role)to,
					data[0]) < 0)
				continue;
			/* What was let through is what the receiver relies on. */
			if (m.h.size != size - 1 || m.h.version != PROTO_VERSION ||
			    data[0] > PROTO_FDS_MAX)
				__builtin_trap();
			if (m.h.type == MON_START &&
			    (!util_is_id(m.start.id) || strlen(m.start.warm) >= IMAGE_WARM_MAX))
				__builtin_trap();
			if (m.h.type == LOG_FOLLOW && !util_is_id(m.log_follow.id))
				__builtin_trap();
		}
	}
	return 0;
}

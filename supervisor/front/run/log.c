// SPDX-License-Identifier: Apache-2.0
/* What is asked of the logger about a task's log. */
#include <string.h>

#include "supervisor/front/run/run.h"

bool log_request(struct front *f, const char *id, enum proto_type type)
{
	union proto_msg m = {0};

	proto_init(&m, type);
	memcpy(m.log_id.id, id, sizeof(m.log_id.id));
	return chan_send(&f->run->logger, &m, NULL, 0) == 0;
}

int log_follow(struct front *f, const struct log_follow *what, int fd, struct err *e)
{
	union proto_msg m = {.log_follow = *what};
	_cleanup_fd_ int taken = fd;
	int r;

	proto_init(&m, LOG_FOLLOW);
	r = chan_send(&f->run->logger, &m, &taken, 1);
	return r < 0 ? err_set(e, ERR_UNAVAILABLE, -r, "the logger does not answer") : 0;
}

// SPDX-License-Identifier: Apache-2.0
/* sandboxd-front: wire/role_program.h says who executes it, and with what. */
#include <stdlib.h>

#include "supervisor/front/front.h"
#include "wire/role_program.h"

int main(int argc, char **argv, char **envp)
{
	struct front_config cfg = {0};
	int fds[FRONT_FD_N];

	role_begin("front", argc, argv, envp, 2, fds, FRONT_FD_N);
	/* The monitor's own numbers: its options were read there. */
	cfg.running_max = (unsigned)strtoul(argv[2], NULL, 10);
	cfg.http_rate = (unsigned)strtoul(argv[3], NULL, 10);
	cfg.monitor_sock = fds[FRONT_FD_MONITOR];
	cfg.listen_fd = fds[FRONT_FD_LISTEN];
	cfg.state_dirfd = fds[FRONT_FD_STATE];
	cfg.front_dirfd = fds[FRONT_FD_OWN];
	cfg.packages_dirfd = fds[FRONT_FD_PACKAGES];
	cfg.http_fd = fds[FRONT_FD_HTTP];
	cfg.dashboard_dirfd = fds[FRONT_FD_DASHBOARD];
	return front_main(&cfg) == 0 ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
/* sandboxd-front: wire/role_program.h says who executes it, and with what. */
#include "supervisor/front/front.h"
#include "wire/role_program.h"

int main(int argc, char **argv, char **envp)
{
	struct front_config cfg = {0};
	unsigned numbers[2];
	int fds[FRONT_FD_N];

	role_begin("front", argc, argv, envp, numbers, 2, fds, FRONT_FD_N);
	cfg.running_max = numbers[0];
	cfg.http_rate = numbers[1];
	cfg.monitor_sock = fds[FRONT_FD_MONITOR];
	cfg.listen_fd = fds[FRONT_FD_LISTEN];
	cfg.state_dirfd = fds[FRONT_FD_STATE];
	cfg.front_dirfd = fds[FRONT_FD_OWN];
	cfg.packages_dirfd = fds[FRONT_FD_PACKAGES];
	cfg.http_fd = fds[FRONT_FD_HTTP];
	cfg.dashboard_dirfd = fds[FRONT_FD_DASHBOARD];
	return front_main(&cfg) == 0 ? 0 : 1;
}

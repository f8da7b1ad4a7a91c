// SPDX-License-Identifier: Apache-2.0
/* sandboxd-logger: wire/role_program.h says who executes it, and with what. */
#include <stddef.h>

#include "supervisor/logger/logger.h"
#include "wire/role_program.h"

int main(int argc, char **argv, char **envp)
{
	int fds[LOGGER_FD_N];

	role_begin("logger", argc, argv, envp, NULL, 0, fds, LOGGER_FD_N);
	return logger_main(fds[LOGGER_FD_MONITOR], fds[LOGGER_FD_LOGS]);
}

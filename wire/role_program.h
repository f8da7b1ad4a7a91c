/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Front and logger are programs of their own, which the monitor executes as their users: root's
 * process maps none of the libraries by which they read what others have written. A program
 * finds its descriptors by number, from ROLE_FD_FIRST on in the order of its own enum; one that is
 * missing is closed.
 */
#ifndef WIRE_ROLE_PROGRAM_H
#define WIRE_ROLE_PROGRAM_H

#define ROLE_FD_FIRST 3
#define ROLE_ARGS_MAX 4

/* What they are; struct front_config and logger_main say more. */
enum front_fd {
	FRONT_FD_MONITOR,
	FRONT_FD_LISTEN,
	FRONT_FD_STATE,
	FRONT_FD_OWN,
	FRONT_FD_PACKAGES,
	FRONT_FD_HTTP,
	FRONT_FD_DASHBOARD,
	FRONT_FD_N
};
enum logger_fd { LOGGER_FD_MONITOR, LOGGER_FD_LOGS, LOGGER_FD_N };

/*
 * What comes first in a role's main(): its title, the name in its messages, the numbers that are
 * its arguments, and its descriptors, which no program that it executes gets. fds[i]: the number,
 * or -1. Not with these arguments (somebody has called it by hand): says so, and exits with 125.
 */
void role_begin(const char *name, int argc, char **argv, char **envp, unsigned *numbers,
		int n_numbers, int *fds, int n);

#endif

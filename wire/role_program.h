/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front and the logger are programs of their own, which the monitor executes under their users,
 * so that the monitor, which is root, maps none of the libraries that read what others have
 * written. A program finds its descriptors by their numbers: from ROLE_FD_FIRST on, in the order of
 * the program's enum. A descriptor that is missing is closed.
 */
#ifndef WIRE_ROLE_PROGRAM_H
#define WIRE_ROLE_PROGRAM_H

#define ROLE_FD_FIRST 3
#define ROLE_ARGS_MAX 4

/* The descriptors of the two programs; struct front_config and logger_main say what they are
 * for. */
enum front_fd {
	FRONT_FD_MONITOR,
	FRONT_FD_LISTEN,
	FRONT_FD_STATE,
	FRONT_FD_OWN,
	FRONT_FD_PACKAGES,
	FRONT_FD_DATA,
	FRONT_FD_HTTP,
	FRONT_FD_DASHBOARD,
	FRONT_FD_EDGE,
	FRONT_FD_API,
	FRONT_FD_N
};
enum logger_fd { LOGGER_FD_MONITOR, LOGGER_FD_LOGS, LOGGER_FD_N };

/*
 * The first call in a role's main(): sets its title and the name in its messages, reads the numbers
 * that are its arguments, and takes its descriptors, making them O_CLOEXEC. fds[i]: the descriptor,
 * or -1. When the arguments are others, because somebody has called the program by hand, it prints
 * that and exits with 125.
 */
void role_begin(const char *name, int argc, char **argv, char **envp, unsigned *numbers,
		int n_numbers, int *fds, int n);

#endif

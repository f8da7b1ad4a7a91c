/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logger role: it moves what tasks write from their pipes into log files, and from there to
 * followers. It runs as _sandboxd-log, without capabilities, and trusts neither pipes nor
 * followers.
 */
#ifndef SUPERVISOR_LOGGER_LOGGER_H
#define SUPERVISOR_LOGGER_LOGGER_H

/*
 * Serves until the monitor's socket ends; returns the process's exit status. The front's socket
 * comes by the monitor's (ROLE_PEER), after the pipes of the tasks that run. Task log folders are
 * made in logs_dirfd. The caller has dropped all privileges and raised RLIMIT_NOFILE; both
 * descriptors stay its own.
 */
int logger_main(int monitor_sock, int logs_dirfd);

#endif

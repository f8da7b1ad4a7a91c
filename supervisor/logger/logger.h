/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logger role: tasks' pipes -> files -> followers. It runs as _sandboxd-log,
 * without capabilities, and trusts neither the pipes nor the followers.
 */
#ifndef SUPERVISOR_LOGGER_LOGGER_H
#define SUPERVISOR_LOGGER_LOGGER_H

/*
 * Serves until the monitor's socket is at its end; returns the process's exit status.
 * front_sock becomes the logger's; it may be -1, a ROLE_PEER message brings a new one.
 * logs_dirfd is the folder that the tasks' log folders are made in. The caller has
 * dropped all privileges and raised RLIMIT_NOFILE; it keeps the other two fds.
 */
int logger_main(int monitor_sock, int front_sock, int logs_dirfd);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logger role: tasks' pipes -> files -> followers. It runs as _sandboxd-log,
 * without capabilities, and trusts neither the pipes nor the followers.
 */
#ifndef SUPERVISOR_LOGGER_LOGGER_H
#define SUPERVISOR_LOGGER_LOGGER_H

/*
 * Serves until the monitor's socket is at its end; returns the process's exit status.
 * The front's socket comes by it (ROLE_PEER), behind the pipes of the tasks that run.
 * logs_dirfd is the folder that the tasks' log folders are made in. The caller has
 * dropped all privileges and raised RLIMIT_NOFILE; it keeps both fds.
 */
int logger_main(int monitor_sock, int logs_dirfd);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's messages, one line each on stderr: with a syslog level in front when stderr is the
 * journal (JOURNAL_STREAM says so), else with the time and the role. Control characters and bytes
 * that are not ASCII are escaped, so that no byte that a task or a client has sent reaches an
 * operator's terminal as it is.
 */
#ifndef LIB_MSG_H
#define LIB_MSG_H

#include <stddef.h>

#include "lib/util.h"

enum msg_level { MSG_ERR = 3, MSG_WARN = 4, MSG_INFO = 6 }; /* as in syslog(3) */

/* To be called once in each role, before the first message. role: "monitor", "front" or
 * "logger". */
void msg_init(const char *role);
void msg_log(enum msg_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define msg_err(...) msg_log(MSG_ERR, __VA_ARGS__)
#define msg_warn(...) msg_log(MSG_WARN, __VA_ARGS__)
#define msg_info(...) msg_log(MSG_INFO, __VA_ARGS__)

#endif

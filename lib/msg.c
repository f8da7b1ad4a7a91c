// SPDX-License-Identifier: Apache-2.0
#include "lib/msg.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *msg_role = "sandboxd";
static bool msg_journal;

/* Whether stderr is the stream that systemd has made for this process (sd-daemon(3),
 * JOURNAL_STREAM). */
static bool stderr_is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	char *end;

	if (!s || fstat(STDERR_FILENO, &st) < 0)
		return false;
	dev = strtoull(s, &end, 10);
	if (*end != ':')
		return false;
	ino = strtoull(end + 1, &end, 10);
	return *end == '\0' && st.st_dev == dev && st.st_ino == ino;
}

void msg_init(const char *role)
{
	msg_role = role;
	msg_journal = stderr_is_journal();
}

void msg_log(enum msg_level level, const char *fmt, ...)
{
	char text[1024], safe[2048], line[2200], now[40];
	va_list ap;
	int saved = errno, n;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	util_escape(text, safe, sizeof(safe));
	if (msg_journal) {
		n = snprintf(line, sizeof(line), "<%d>%s: %s\n", (int)level, msg_role, safe);
	} else {
		util_format_time(util_realtime_ns(), now, sizeof(now));
		/* People need no more than milliseconds. */
		n = snprintf(line, sizeof(line), "%.23sZ sandboxd %s: %s%s\n", now, msg_role,
			     level == MSG_ERR	 ? "error: "
			     : level == MSG_WARN ? "warning: "
						 : "",
			     safe);
	}
	/* One write, so that lines of several roles on one stderr do not mix. */
	if (n > 0)
		(void)util_write_all(STDERR_FILENO, line, (size_t)n);
	errno = saved;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every part shares: ownership by cleanup attribute, one error type, and
 * complete reads and writes. Nothing here knows about sandboxes.
 */
#ifndef LIB_UTIL_H
#define LIB_UTIL_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Ownership: a variable with one of these is released when it leaves scope. */
void util_close_fd(int *fd); /* closes when >= 0, keeps errno, sets -1 */
void util_free_ptr(void *p); /* p points to the pointer */
#define _cleanup_fd_ __attribute__((cleanup(util_close_fd)))
#define _cleanup_free_ __attribute__((cleanup(util_free_ptr)))

/* Move ownership out of a variable: it is left as -1 or NULL. */
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int _taken = (fd);                                                                 \
		(fd) = -1;                                                                         \
		_taken;                                                                            \
	})
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) _taken = (p);                                                        \
		(p) = NULL;                                                                        \
		_taken;                                                                            \
	})

/*
 * What went wrong, in a form that a user can act on. The caller owns the
 * struct; the leaf that meets the failure fills it once (err_set), callers on
 * the way up may put words before it (err_wrap). err_code maps to an exit
 * status and an HTTP status by one table (err_exit_status, err_http_status).
 */
enum err_code {
	ERR_NONE = 0,
	ERR_USAGE,	 /* the command line is wrong */
	ERR_INPUT,	 /* a document (task.json, policy, image.json) is wrong */
	ERR_NOT_FOUND,	 /* what was named does not exist */
	ERR_CONFLICT,	 /* exists already, or not possible in this state */
	ERR_DENIED,	 /* the caller may not */
	ERR_LIMIT,	 /* a quota or size bound */
	ERR_SYSTEM,	 /* a system call or library failed */
	ERR_UNAVAILABLE, /* the daemon or a role does not answer */
	ERR_INTERNAL,	 /* a bug, or a role that broke the protocol */
	ERR_CODE_MAX
};

#define ERR_MSG_MAX 512
struct err {
	enum err_code code;
	int errnum; /* positive errno, 0 when none applies */
	char msg[ERR_MSG_MAX];
};

/*
 * Fills *e (may be NULL) and returns the negative errno to hand on: -errnum, or
 * -EINVAL, -ENOENT, ... by code when errnum is 0. The message names the field
 * or object and what to do; ": strerror" is appended when errnum is not 0.
 */
int err_set(struct err *e, enum err_code code, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Puts "what: " before the message; returns r unchanged. */
int err_wrap(struct err *e, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_exit_status(enum err_code code);
int err_http_status(enum err_code code);
const char *err_code_name(enum err_code code);

/* Whole reads and writes: retry EINTR and short counts. 0 or -errno; a read that
 * meets EOF early is -ENODATA. */
int util_write_all(int fd, const void *buf, size_t len);
int util_read_all(int fd, void *buf, size_t len);
int util_pread_all(int fd, void *buf, size_t len, uint64_t offset);
/* A whole write that can be gone on with, as after -EAGAIN: *p and *len are what is left. */
int util_write_on(int fd, const char **p, size_t *len);
/*
 * Opens a regular file beneath dirfd (O_NOFOLLOW, not a FIFO or device: -ENOTSUP).
 * Returns the fd, which the caller owns, or -errno. With O_CREAT its mode is 0600.
 */
struct stat;
int util_open_file_at(int dirfd, const char *name, int flags, struct stat *ret);
/*
 * Reads a whole file that util_open_file_at opens, of at most max bytes (-EFBIG). *ret is
 * malloc'ed and has a NUL after its *ret_len bytes.
 */
int util_read_file_at(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len);
/* Writes name beneath dirfd atomically and durably (temporary file, fsync, rename). */
int util_write_file_at(int dirfd, const char *name, mode_t mode, const void *buf, size_t len);
/*
 * A file, made where there is none, is this process's until it closes it or ends. Returns the fd or
 * -errno, -EAGAIN while another process has it. A POSIX lock, not flock: it is gone with its
 * process, whatever a child that was just cloned still has open; but any close of the file ends it.
 */
int util_lock_at(int dirfd, const char *name);

uint64_t util_monotonic_ns(void);
uint64_t util_realtime_ns(void);
/* RFC 3339 in UTC with nine fraction digits, so that it sorts as text. buf >= 36. */
void util_format_time(uint64_t realtime_ns, char *buf, size_t size);

/* execve(2), which takes arrays of pointers to non-const for reasons of history only. */
int util_exec(const char *path, const char *const argv[], const char *const envp[]);

/* Lower-case hex. hex needs 2 * len + 1 bytes. util_unhex is -EINVAL on anything else. */
void util_hex(const void *bytes, size_t len, char *hex);
int util_unhex(const char *hex, size_t len, void *bytes);

/* A new task id: 24 hex digits, the first 8 its creation second. buf holds 25 bytes. */
#define TASK_ID_LEN 24
void util_new_id(char buf[TASK_ID_LEN + 1]);
/* True when s is exactly 24 characters of [0-9a-f]. */
bool util_is_id(const char *s);
/* True when s is a name: [a-z0-9][a-z0-9._-]{0,62} and no "..". */
bool util_is_name(const char *s);

/* Sizes as people write them: "64M", "1G", "512K", "1048576". -EINVAL or -ERANGE. */
int util_parse_size(const char *s, uint64_t *ret);
/* The other way round, in the largest unit that loses nothing. buf >= 24. Returns buf. */
char *util_format_size(uint64_t bytes, char *buf, size_t size);

/* Start time of a process in clock ticks after boot (field 22 of /proc/PID/stat),
 * which together with the pid names a process for good. -ESRCH when gone. */
int util_proc_start_time(pid_t pid, uint64_t *ret);
/* Any field of it that is a number. */
int util_proc_stat(pid_t pid, int field, uint64_t *ret);
/* How many processes and threads all sandboxes may have together: the machine has some left. */
uint64_t util_pids_for_tasks(void);
/* As this procfs says it; -1 when it is gone, and reaped. */
pid_t util_pidfd_pid(int pidfd);

#endif

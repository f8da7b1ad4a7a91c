/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every part shares: ownership by cleanup attribute, one type of errors, and complete reads
 * and writes. Nothing here knows of sandboxes.
 *
 * Where a comment does not say something else, a function returns 0 or -errno, a descriptor that it
 * returns is the caller's to close, and memory that it returns is the caller's to free.
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

/* The thing of which this node is a member. With OWNER_OF the node may be NULL, and so is the thing
 * then. */
#define OWNER(node, type, member)                                                                  \
	((type *)(void *)((char *)(node) - __builtin_offsetof(type, member)))
#define OWNER_OF(node, type, member) ((node) ? OWNER(node, type, member) : NULL)

/* Ownership: a variable with one of these attributes is released when it leaves its scope. */
void util_close_fd(int *fd); /* closes *fd when it is not negative, keeps errno, sets *fd to -1 */
void util_free_ptr(void *p); /* p points to the pointer */
/* Gives back the whole pages within bytes [from, to) of a buffer that nobody looks at any more: what they held
 * is gone. To free a long buffer at once takes long. */
void util_discard(void *buf, size_t from, size_t to);
#define _cleanup_fd_ __attribute__((cleanup(util_close_fd)))
#define _cleanup_free_ __attribute__((cleanup(util_free_ptr)))

/* Moves ownership out of a variable, which is left as -1 or NULL. */
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
 * What went wrong, in a form on which a user can act. The caller owns the struct. The function that
 * meets the failure fills it in, once (err_set); its callers may put words in front (err_wrap). One
 * table maps err_code to an exit status and an HTTP status (err_exit_status, err_http_status).
 */
enum err_code {
	ERR_NONE = 0,
	ERR_USAGE,	 /* the command line is wrong */
	ERR_INPUT,	 /* a document (task.json, policy, image.json) is wrong */
	ERR_NOT_FOUND,	 /* what was named does not exist */
	ERR_CONFLICT,	 /* exists already, or is not possible in this state */
	ERR_DENIED,	 /* the caller may not do this */
	ERR_LIMIT,	 /* above a quota or a bound of size */
	ERR_SYSTEM,	 /* a system call or library failed */
	ERR_UNAVAILABLE, /* the daemon or a role does not answer */
	ERR_INTERNAL,	 /* a bug, or a role that has broken the protocol */
	ERR_CODE_MAX
};

#define ERR_MSG_MAX 512
struct err {
	enum err_code code;
	int errnum; /* a positive errno; 0: there is none */
	char msg[ERR_MSG_MAX];
};

/*
 * Fills in *e (e may be NULL) and returns the -errno to hand on: -errnum, or when errnum is 0 the
 * one of the code (-EINVAL, -ENOENT, ...). The message names the field or object and what to do; ":
 * strerror" is added when errnum is not 0.
 */
int err_set(struct err *e, enum err_code code, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Puts "what: " in front of the message; returns r. */
int err_wrap(struct err *e, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_exit_status(enum err_code code);
int err_http_status(enum err_code code);
const char *err_code_name(enum err_code code);

/* Read or write all bytes, also after EINTR or a short count. 0 or -errno; -ENODATA: the file ended
 * before len bytes were read. */
int util_write_all(int fd, const void *buf, size_t len);
int util_read_all(int fd, void *buf, size_t len);
int util_pread_all(int fd, void *buf, size_t len, uint64_t offset);
/* A write that can be continued, as after -EAGAIN: *p and *len are what is left to write. */
int util_write_on(int fd, const char **p, size_t *len);
/*
 * Opens a regular file below dirfd (O_NOFOLLOW; -ENOTSUP for a FIFO, a device or a folder). Returns
 * a descriptor, which the caller closes, or -errno. A file that O_CREAT makes has the mode 0600.
 */
struct stat;
int util_open_file_at(int dirfd, const char *name, int flags, struct stat *ret);
/*
 * Reads the whole of a file that util_open_file_at opens; -EFBIG: it has more than max bytes. The
 * caller frees *ret, which has a NUL behind its *ret_len bytes.
 */
int util_read_file_at(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len);
/* Writes the file name below dirfd atomically and durably (temporary file, fsync, rename). */
int util_write_file_at(int dirfd, const char *name, mode_t mode, const void *buf, size_t len);
/*
 * Locks a file, which is made if it does not exist, for this process until it closes the file or
 * ends. Returns a descriptor or -errno; -EAGAIN: another process has the lock. It is a POSIX lock
 * and not flock(2): it ends with its process, whatever a child that was just cloned has open, but
 * any close of the file ends it too.
 */
int util_lock_at(int dirfd, const char *name);

/* Times are in nanoseconds. */
#define MSEC 1000000ULL
#define SEC 1000000000ULL
uint64_t util_monotonic_ns(void);
uint64_t util_realtime_ns(void);
/* Writes a time as RFC 3339 in UTC with nine digits of fraction, so that it sorts as text. buf has
 * 36 bytes at least. */
void util_format_time(uint64_t realtime_ns, char *buf, size_t size);

/* execve(2), whose arrays are not const only for historical reasons. */
int util_exec(const char *path, const char *const argv[], const char *const envp[]);

/* Lower-case hex. hex has 2 * len + 1 bytes. util_unhex returns -EINVAL for anything else. */
int util_hex_digit(int c); /* the value of [0-9a-f]; -1 for anything else */
void util_hex(const void *bytes, size_t len, char *hex);
int util_unhex(const char *hex, size_t len, void *bytes);

/*
 * Copies s to buf with everything but printable ASCII as \xNN, cut to fit: for text that is not
 * trusted, in an error or a log. Returns buf.
 */
char *util_escape(const char *s, char *buf, size_t size);

/* Makes a new task id: 24 hex digits, of which the first 8 are the second of its making. buf has 25
 * bytes. */
#define TASK_ID_LEN 24
void util_new_id(char buf[TASK_ID_LEN + 1]);
/* Whether s is exactly 24 characters of [0-9a-f]. */
bool util_is_id(const char *s);
/* Whether s is a name: [a-z0-9][a-z0-9._-]{0,62}, without "..". */
bool util_is_name(const char *s);

/* Reads a size as people write it: "64M", "1G", "512K", "1048576". -EINVAL or -ERANGE. */
int util_parse_size(const char *s, uint64_t *ret);
/* The reverse, in the largest unit that loses nothing. buf has 24 bytes at least. Returns buf. */
char *util_format_size(uint64_t bytes, char *buf, size_t size);

/* The start time of a process in clock ticks after boot (field 22 of /proc/PID/stat). With the pid
 * it names a process that no other will ever be. -ESRCH: there is no such process. */
int util_proc_start_time(pid_t pid, uint64_t *ret);
/* Any other field of that file that is a number. */
int util_proc_stat(pid_t pid, int field, uint64_t *ret);
/* PREFIX/below in buf, which is returned: of the installation that this program is a part of, wherever
 * it was moved to, or where that has no such file, of the one that it was built for. */
const char *util_installed(const char *below, char *buf, size_t size);
/* How many processes and threads all sandboxes may have together; some are left to the machine. */
uint64_t util_pids_for_tasks(void);
/* The pid of the process, as this process's /proc numbers it; -1: it has ended and was reaped. */
pid_t util_pidfd_pid(int pidfd);

#endif

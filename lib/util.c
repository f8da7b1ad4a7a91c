// SPDX-License-Identifier: Apache-2.0
#include "lib/util.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define LOCK_FD_MIN 64

void util_close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

void util_free_ptr(void *p)
{
	void **pp = p;

	free(*pp);
	*pp = NULL;
}

void util_discard(void *buf, size_t from, size_t to)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t begin = ((uintptr_t)buf + from + page - 1) & ~(page - 1);
	const uintptr_t end = ((uintptr_t)buf + to) & ~(page - 1);

	if (end > begin)
		(void)madvise((void *)begin, end - begin,
			      MADV_DONTNEED); // NOLINT(performance-no-int-to-ptr)
}

/* The one table of what an error means to a shell and to an HTTP client. */
static const struct {
	const char *name;
	int exit_status, http_status, errnum;
} err_table[ERR_CODE_MAX] = {
	[ERR_NONE] = {"none", 0, 200, 0},
	[ERR_USAGE] = {"usage", 125, 400, EINVAL},
	[ERR_INPUT] = {"input", 125, 400, EINVAL},
	[ERR_NOT_FOUND] = {"not-found", 125, 404, ENOENT},
	[ERR_CONFLICT] = {"conflict", 125, 409, EEXIST},
	[ERR_DENIED] = {"denied", 125, 403, EACCES},
	[ERR_LIMIT] = {"limit", 125, 413, E2BIG},
	[ERR_SYSTEM] = {"system", 125, 500, EIO},
	[ERR_UNAVAILABLE] = {"unavailable", 125, 503, ECONNREFUSED},
	[ERR_INTERNAL] = {"internal", 125, 500, EPROTO},
};

int err_set(struct err *e, enum err_code code, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (e) {
		e->code = code;
		e->errnum = errnum;
		va_start(ap, fmt);
		(void)vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
		va_end(ap);
		n = strlen(e->msg);
		if (errnum > 0)
			(void)snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", strerror(errnum));
	}
	return errnum > 0 ? -errnum : -err_table[code].errnum;
}

int err_wrap(struct err *e, int r, const char *fmt, ...)
{
	char was[ERR_MSG_MAX];
	va_list ap;
	size_t n;

	if (!e)
		return r;
	memcpy(was, e->msg, sizeof(was));
	va_start(ap, fmt);
	(void)vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	(void)snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", was);
	return r;
}

int err_exit_status(enum err_code code)
{
	return err_table[code < ERR_CODE_MAX ? code : ERR_INTERNAL].exit_status;
}

int err_http_status(enum err_code code)
{
	return err_table[code < ERR_CODE_MAX ? code : ERR_INTERNAL].http_status;
}

const char *err_code_name(enum err_code code)
{
	return err_table[code < ERR_CODE_MAX ? code : ERR_INTERNAL].name;
}

int util_write_on(int fd, const char **p, size_t *len)
{
	while (*len > 0) {
		ssize_t n = write(fd, *p, *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		*p += n;
		*len -= (size_t)n;
	}
	return 0;
}

int util_write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	return util_write_on(fd, &p, &len);
}

/* offset -1: from the descriptor's offset on. */
static int read_from(int fd, char *buf, size_t len, off_t offset)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = offset < 0 ? read(fd, buf + got, len - got)
				       : pread(fd, buf + got, len - got, offset + (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		got += (size_t)n;
	}
	return 0;
}

int util_read_all(int fd, void *buf, size_t len)
{
	return read_from(fd, buf, len, -1);
}

int util_pread_all(int fd, void *buf, size_t len, uint64_t offset)
{
	return offset > INT64_MAX ? -EINVAL : read_from(fd, buf, len, (off_t)offset);
}

int util_open_file_at(int dirfd, const char *name, int flags, struct stat *ret)
{
	/* O_NONBLOCK, because opening a FIFO that somebody has planted must not wait for a
	 * writer. */
	_cleanup_fd_ int fd =
		openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);

	if (fd < 0 || fstat(fd, ret) < 0)
		return -errno;
	return S_ISREG(ret->st_mode) ? TAKE_FD(fd) : -ENOTSUP;
}

int util_read_file_at(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *buf = NULL;
	struct stat st = {0};
	int r;

	fd = util_open_file_at(dirfd, name, O_RDONLY, &st);
	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	r = util_read_all(fd, buf, (size_t)st.st_size);
	if (r < 0)
		return r;
	buf[st.st_size] = '\0';
	*ret = TAKE_PTR(buf);
	*ret_len = (size_t)st.st_size;
	return 0;
}

int util_write_file_at(int dirfd, const char *name, mode_t mode, const void *buf, size_t len)
{
	_cleanup_fd_ int fd = -1;
	char tmp[256];
	int r;

	if (snprintf(tmp, sizeof(tmp), ".%s.%d.tmp", name, (int)getpid()) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	(void)unlinkat(dirfd, tmp, 0);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	r = util_write_all(fd, buf, len);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, tmp, 0);
	return r;
}

int util_lock_at(int dirfd, const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	_cleanup_fd_ int fd = -1;
	int low = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (low < 0)
		return -errno;
	/* A monitor that adopts takes descriptors of low numbers from a sandbox's init, and closes
	 * those that are not pipes; this file must not be among them. */
	fd = fcntl(low, F_DUPFD_CLOEXEC, LOCK_FD_MIN);
	if (fd < 0) {
		int r = -errno;

		(void)close(low);
		return r;
	}
	(void)close(low);
	if (fcntl(fd, F_SETLK, &lock) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return TAKE_FD(fd);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * SEC + (uint64_t)ts.tv_nsec;
}

uint64_t util_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t util_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

void util_format_time(uint64_t realtime_ns, char *buf, size_t size)
{
	time_t sec = (time_t)(realtime_ns / SEC);
	char date[32];
	struct tm tm;

	(void)gmtime_r(&sec, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf, size, "%s.%09lluZ", date, (unsigned long long)(realtime_ns % SEC));
}

int util_exec(const char *path, const char *const argv[], const char *const envp[])
{
	(void)execve(path, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
	return -errno;
}

void util_hex(const void *bytes, size_t len, char *hex)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[b[i] >> 4];
		hex[2 * i + 1] = digits[b[i] & 15];
	}
	hex[2 * len] = '\0';
}

int util_hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int util_unhex(const char *hex, size_t len, void *bytes)
{
	uint8_t *b = bytes;

	if (strlen(hex) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int hi = util_hex_digit(hex[2 * i]), lo = util_hex_digit(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		b[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

char *util_escape(const char *s, char *buf, size_t size)
{
	size_t n = 0;

	for (; *s && n + 1 < size; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c < 0x7f) {
			buf[n++] = (char)c;
			continue;
		}
		if (n + 4 >= size)
			break;
		buf[n++] = '\\';
		buf[n++] = 'x';
		util_hex(&c, 1, buf + n);
		n += 2;
	}
	buf[n] = '\0';
	return buf;
}

void util_new_id(char buf[TASK_ID_LEN + 1])
{
	uint8_t b[TASK_ID_LEN / 2];
	uint32_t sec = (uint32_t)(util_realtime_ns() / SEC);

	for (int i = 0; i < 4; i++)
		b[i] = (uint8_t)(sec >> (24 - 8 * i));
	/* getrandom(2) never fails for 256 bytes or fewer once its pool is ready. */
	while (getrandom(b + 4, sizeof(b) - 4, 0) != (ssize_t)sizeof(b) - 4)
		;
	util_hex(b, sizeof(b), buf);
}

bool util_is_id(const char *s)
{
	return strlen(s) == TASK_ID_LEN && strspn(s, "0123456789abcdef") == TASK_ID_LEN;
}

bool util_is_name(const char *s)
{
	size_t n = strlen(s);

	if (n < 1 || n > 63 || strstr(s, ".."))
		return false;
	if (!islower((unsigned char)s[0]) && !isdigit((unsigned char)s[0]))
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

int util_parse_size(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	uint64_t v = 0;
	unsigned shift = 0;
	const char *u;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	if (*s) {
		u = strchr(units, toupper((unsigned char)*s));
		if (!u)
			return -EINVAL;
		shift = 10 * (unsigned)(u - units + 1);
		s++;
		if (*s == 'i')
			s++;
		if (*s == 'B' || *s == 'b')
			s++;
		if (*s)
			return -EINVAL;
	}
	if (shift && v > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = v << shift;
	return 0;
}

char *util_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char units[] = "\0KMGT";
	unsigned u = 0;

	while (u < 4 && bytes >= 1024 && bytes % 1024 == 0) {
		bytes /= 1024;
		u++;
	}
	(void)snprintf(buf, size, "%llu%.1s", (unsigned long long)bytes, units + u);
	return buf;
}

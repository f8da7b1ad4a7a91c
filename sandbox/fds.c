// SPDX-License-Identifier: Apache-2.0
/*
 * The complete list of the descriptors that survive. Every descriptor of the daemon is O_CLOEXEC,
 * but the init does not execute anything, so it closes by number; the payload keeps 0 to 4,
 * and 5 if it serves.
 */
#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/syscall.h>

#include "sandbox/sandbox.h"

/*
 * Moves fds[i] to number first + i, and closes that number where fds[i] is -1. Two passes: the
 * sources are first duplicated above every target, so that no target overwrites a source that is
 * still to be moved.
 */
static int move_fds(const int *fds, int n, int first, int cloexec, struct err *e)
{
	int high[16];

	for (int i = 0; i < n; i++) {
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
		if (fds[i] >= 0 && high[i] < 0)
			return err_set(e, ERR_SYSTEM, errno, "sandbox: fds");
	}
	for (int i = 0; i < n; i++) {
		if (high[i] < 0)
			(void)close(first + i); /* mostly nothing is there */
		else if (dup3(high[i], first + i, cloexec) < 0)
			return err_set(e, ERR_SYSTEM, errno, "sandbox: fds");
	}
	/* libc of Debian 12 has close_range(2); kernels before 5.9 are not supported. */
	if (close_range((unsigned)(first + n), ~0U, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: close_range");
	return 0;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int fds_keep(const int *fds, size_t n, struct err *e)
{
	int keep[32], next = STDERR_FILENO + 1;

	if (n > ARRAY_SIZE(keep))
		return err_set(e, ERR_INTERNAL, 0, "sandbox: fds");
	memcpy(keep, fds, n * sizeof(*keep));
	qsort(keep, n, sizeof(keep[0]), by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < next)
			continue;
		if (keep[i] > next && close_range((unsigned)next, (unsigned)keep[i] - 1, 0) < 0)
			return err_set(e, ERR_SYSTEM, errno, "sandbox: close_range");
		next = keep[i] + 1;
	}
	if (close_range((unsigned)next, ~0U, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: close_range");
	return 0;
}

/* The init is a copy of the monitor; the monitor's sockets and other tasks' pipes are not for
 * it. */
int fds_keep_spec(const struct sandbox_spec *spec, struct err *e)
{
	const struct cgroup *cg = spec->cgroup;
	const int fixed[] = {
		spec->rootfs_mount, spec->dev_mount, spec->package_mount, spec->heap_mount,
		spec->netns_fd,	    spec->job_fd,    spec->out_r,	  spec->out_w,
		spec->err_r,	    spec->err_w,     spec->started_r,	  spec->started_w,
		spec->report_w,	    spec->record_fd, spec->checkpoint_fd, spec->keeper_sock,
		spec->input_fd,	    spec->serve_fd,  spec->data_mount,	  cg->unified,
		cg->dirs[0],	    cg->dirs[1],     cg->dirs[2],	  cg->dirs[3]};
	int keep[ARRAY_SIZE(fixed) + SANDBOX_WRITABLE_MAX];
	size_t n = ARRAY_SIZE(fixed);

	_Static_assert(CGROUP_N == 4, "all of cg->dirs");
	memcpy(keep, fixed, sizeof(fixed));
	for (size_t i = 0; i < spec->n_writable; i++)
		keep[n++] = spec->writable[i].mount;
	return fds_keep(keep, n, e);
}

int fds_move_init(const struct sandbox_spec *spec, int go, struct err *e)
{
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_fd_ int work = open("/work", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* 0 to 2, and then those of enum init_fd in its order. */
	const int fds[] = {null,
			   null,
			   null,
			   spec->out_r,
			   spec->err_r,
			   spec->started_r,
			   spec->record_fd,
			   spec->report_w,
			   work,
			   tmp,
			   spec->status_r >= 0 ? spec->status_r : null,
			   go};
	int r;

	if (null < 0 || work < 0 || tmp < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: /dev/null, /work or /tmp");
	_Static_assert(ARRAY_SIZE(fds) == INIT_FD_COUNT, "enum init_fd");
	r = move_fds(fds, ARRAY_SIZE(fds), 0, O_CLOEXEC, e);
	if (r == 0) /* report_w was closed by its old number just now */
		null = work = tmp = -1;
	return r;
}

int fds_move_payload(const int fds[PAYLOAD_FD_COUNT], struct err *e)
{
	int r = move_fds(fds, PAYLOAD_FD_COUNT, 0, 0, e);

	if (r == 0 && fcntl(PAYLOAD_FD_REPORT, F_SETFD, FD_CLOEXEC) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "sandbox: fds");
	return r;
}

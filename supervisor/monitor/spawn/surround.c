// SPDX-License-Identifier: Apache-2.0
/* What surrounds a sandbox that is not there yet, whether it is started or cloned into. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "sandbox/fork/keeper.h"
#include "supervisor/monitor/spawn/start.h"

/* The front can only tighten. Anything else is not a user's error: front checked it. */
static int make_pipe(int *r, int *w, uint64_t *ino, struct err *e)
{
	struct stat st;
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "pipe");
	*r = p[0];
	*w = p[1];
	if (fstat(p[0], &st) < 0)
		return err_set(e, ERR_SYSTEM, errno, "pipe");
	if (ino)
		*ino = st.st_ino;
	return 0;
}

int start_make_pipes(struct box *b, int *out_w, int *err_w, int *started_w, int *report_w,
		     struct err *e)
{
	const uid_t uid = sandbox_host_id(b->run.owner, SANDBOX_UID);
	int r = make_pipe(&b->out_r, out_w, &b->run.out_ino, e);

	if (r == 0)
		r = make_pipe(&b->err_r, err_w, &b->run.err_ino, e);
	if (r == 0)
		r = make_pipe(&b->started_r, started_w, &b->run.started_ino, e);
	if (r == 0)
		r = make_pipe(&b->report_r, report_w, NULL, e);
	if (r < 0)
		return r;
	/* Who opens /dev/stdout opens the pipe anew, and its mode is for its owner. */
	if (fchown(*out_w, uid, uid) < 0 || fchown(*err_w, uid, uid) < 0)
		return err_set(e, ERR_SYSTEM, errno, "pipe");
	(void)fcntl(b->started_r, F_SETFL, O_NONBLOCK);
	(void)fcntl(b->report_r, F_SETFL, O_NONBLOCK);
	return 0;
}

int start_open_record(struct box *b, struct err *e)
{
	int r;

	if (b->run.kind == RUN_TEMPLATE) {
		/* Nobody looks for it later. */
		b->record_fd = memfd_create("record", MFD_CLOEXEC);
	} else {
		(void)unlinkat(b->m->tasks_fd, b->id, 0);
		b->record_fd = openat(b->m->tasks_fd, b->id,
				      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (b->record_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "run record");
	/* Its room is taken now: a full disk must not swallow an exit status later. */
	r = posix_fallocate(b->record_fd, 0, RUN_RECORD_SIZE);
	return r != 0 ? err_set(e, ERR_SYSTEM, r, "run record") : 0;
}

/* May be a link into /run: it is the host's own file, so links are followed. */
char *start_read_resolv_conf(const struct policy *policy)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	ssize_t n;

	if (!policy->head.dns)
		return NULL;
	fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	text = calloc(1, RESOLV_CONF_MAX);
	n = fd >= 0 && text ? read(fd, text, RESOLV_CONF_MAX - 1) : -1;
	return n > 0 ? TAKE_PTR(text) : NULL;
}

bool start_is_job(int fd)
{
	const int wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	const int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* Files that are not in memory have no seals, and fcntl says so. */
	return seals >= 0 && (seals & wanted) == wanted && fstat(fd, &st) == 0 &&
	       S_ISREG(st.st_mode) && st.st_size <= (off_t)JOB_BYTES_MAX;
}

/*
 * The front's own folder and no other: what it can name it can otherwise not always
 * read, and /work's owner and mode hide those of what is below. Never waits for a file
 * system that is slow to answer.
 */
int start_check_package(struct monitor *m, int fd, struct err *e)
{
	struct statx have, own;

	if (fd < 0)
		return 0;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_UID, &have) < 0 ||
	    statx(m->packages_fd, "", AT_EMPTY_PATH, STATX_UID, &own) < 0)
		return err_set(e, ERR_SYSTEM, errno, "package");
	if (!S_ISDIR(have.stx_mode) || have.stx_uid != own.stx_uid || own.stx_uid == 0 ||
	    have.stx_dev_major != own.stx_dev_major || have.stx_dev_minor != own.stx_dev_minor)
		return err_set(e, ERR_DENIED, 0, "package: not a folder of the front's own");
	return 0;
}

/* Packages are shared by content: on disk they are the front's, whoever sent them. */
int start_detach_package(struct monitor *m, int package_fd, uint32_t owner, int *ret, struct err *e)
{
	int table = -1, r = rootfs_detach(package_fd, "package", ret, e);
	const uint32_t i = owner % ID_TABLES;

	if (r < 0)
		return r;
	if (m->id_tables[i].set && m->id_tables[i].owner == owner)
		table = m->id_tables[i].fd;
	r = idmap_mount(*ret, owner, &table, e);
	if (m->id_tables[i].set && m->id_tables[i].fd != table && table >= 0)
		(void)close(m->id_tables[i].fd);
	if (table >= 0) {
		m->id_tables[i].set = true;
		m->id_tables[i].owner = owner;
		m->id_tables[i].fd = table;
	}
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/* MON_WARM: a sandbox that ends as a checkpoint. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "supervisor/monitor/monitor.h"

/* As sandbox_park.py begins. */
#define SAYS_WHY "sandbox: warm: "

static int write_record(int fd, const char *line, int n)
{
	const int prefix = (int)strlen(WARM_MODULE);

	if (n > prefix && strncmp(line, WARM_MODULE, (size_t)prefix) == 0)
		return dprintf(fd, "module %d\n%.*s\n", n - prefix, n - prefix, line + prefix);
	if (n == (int)strlen(WARM_REFUSE) && strncmp(line, WARM_REFUSE, (size_t)n) == 0)
		return dprintf(fd, "entropy 6\nrefuse\n");
	return dprintf(fd, "warm %d\n%.*s\n", n, n, line);
}

/* The job file's form is the runtime's: KEY LENGTH, bytes, newline. */
int warm_job(const char *warm, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("warm", MFD_CLOEXEC);

	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: memfd");
	for (const char *p = warm; *p;) {
		int n = (int)strcspn(p, "\n");

		if (n > 0 && write_record(fd, p, n) < 0)
			return err_set(e, ERR_SYSTEM, errno, "warm: job");
		p += n + (p[n] == '\n');
	}
	return TAKE_FD(fd);
}

void warm_remove_dir(struct monitor *m, const char *name)
{
	_cleanup_fd_ int dir =
		openat(m->checkpoints_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct dirent *d;
	DIR *stream;
	int copy;

	if (dir < 0)
		return;
	copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stream = copy >= 0 ? fdopendir(copy) : NULL;
	/* Flat: criu makes no folders, and what else somebody put there stays. */
	while (stream && (d = readdir(stream)))
		(void)unlinkat(dir, d->d_name, 0);
	if (stream)
		(void)closedir(stream);
	else
		util_close_fd(&copy);
	(void)unlinkat(m->checkpoints_fd, name, AT_REMOVEDIR);
}

int warm_make_dir(struct box *b, int *ret_dir, int *ret_heap, struct err *e)
{
	const uid_t uid = sandbox_host_id(b->run.owner, SANDBOX_UID);
	int parent = b->m->checkpoints_fd;

	(void)snprintf(b->warm_dir, sizeof(b->warm_dir), ".tmp-%s", b->id);
	if (mkdirat(parent, b->warm_dir, 0700) < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: checkpoint folder");
	*ret_dir = openat(parent, b->warm_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*ret_dir < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: checkpoint folder");
	/* Written by the interpreter itself: its own memory. Sealed after its end. */
	*ret_heap = openat(*ret_dir, "heap", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, HEAP_MODE);
	if (*ret_heap < 0 || fchown(*ret_heap, uid, uid) < 0 || fchmod(*ret_heap, HEAP_MODE) < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: heap");
	/* criu's, which is that user too, until the dump is over. */
	if (fchown(*ret_dir, uid, uid) < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: checkpoint folder");
	return 0;
}

/*
 * What came of it was not what had been dumped. It goes, unless another one has taken its place
 * meanwhile, or it was only that the task's memory did not suffice.
 */
void warm_remove_bad(struct box *b, const char *why)
{
	struct cgroup_usage usage = {0};
	_cleanup_fd_ int dir = -1;
	uint8_t stamp[32];
	char hex[65];

	(void)cgroup_usage(&b->cgroup, &usage);
	util_hex(b->key, 32, hex);
	dir = openat(b->m->checkpoints_fd, hex, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (usage.oom_kills || dir < 0 || checkpoint_stamp(dir, stamp, NULL) < 0 ||
	    memcmp(stamp, b->stamp, sizeof(stamp)) != 0)
		return;
	warm_remove_dir(b->m, hex);
	if (b->recipe)
		warm_past_bad(b->m, b->recipe, why, util_monotonic_ns());
	msg_err("checkpoint %.12s is removed: %s", hex, why);
}

/* The finished folder takes the place of an older one in one step. Its group says whose it is,
 * which is of use to prune alone: the folder is root's and nobody else's to enter. */
static int publish(struct box *b, const char *hex)
{
	const gid_t owner = sandbox_host_id(b->run.owner, 0);
	int parent = b->m->checkpoints_fd;

	if (fchownat(parent, b->warm_dir, 0, owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (syscall(SYS_renameat2, parent, b->warm_dir, parent, hex, RENAME_EXCHANGE) == 0) {
		warm_remove_dir(b->m, b->warm_dir);
		return 0;
	}
	if (errno != ENOENT)
		return -errno;
	return renameat(parent, b->warm_dir, parent, hex) < 0 ? -errno : 0;
}

/* The folder's own mtime, which nothing else is made of: checkpoint_stamp is over its files. */
void warm_used(struct monitor *m, const uint8_t key[32])
{
	char hex[65];

	util_hex(key, 32, hex);
	(void)utimensat(m->checkpoints_fd, hex, NULL, AT_SYMLINK_NOFOLLOW);
}

struct kept {
	char name[65];
	gid_t owner;
	struct timespec used;
};

static bool is_older(const struct kept *a, const struct kept *b)
{
	return a->used.tv_sec < b->used.tv_sec ||
	       (a->used.tv_sec == b->used.tv_sec && a->used.tv_nsec < b->used.tv_nsec);
}

/* Of whoever has most the one that was used longest ago. */
static const struct kept *find_surplus(const struct kept *all, unsigned n)
{
	const struct kept *victim = NULL;
	unsigned most = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned of_owner = 0;

		for (unsigned k = 0; k < n; k++)
			of_owner += all[k].owner == all[i].owner;
		if (!victim || of_owner > most || (of_owner == most && is_older(&all[i], victim))) {
			most = of_owner;
			victim = &all[i];
		}
	}
	return victim;
}

/*
 * Each list of warm imports has a checkpoint of its own, and tasks name their lists: when
 * there are too many, one goes of the project that has most. It costs its next task a cold
 * start.
 */
static void prune(struct monitor *m)
{
	static struct kept all[CHECKPOINTS_MAX + 64];
	unsigned n = 0;
	struct dirent *d;
	struct stat st;
	int copy = openat(m->checkpoints_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;

	if (!stream) {
		util_close_fd(&copy);
		return;
	}
	while (n < ARRAY_SIZE(all) && (d = readdir(stream))) {
		if (strlen(d->d_name) != 64 ||
		    fstatat(m->checkpoints_fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		memcpy(all[n].name, d->d_name, sizeof(all[n].name));
		all[n].owner = st.st_gid;
		all[n].used = st.st_mtim;
		n++;
	}
	(void)closedir(stream);
	if (n > CHECKPOINTS_MAX)
		warm_remove_dir(m, find_surplus(all, n)->name);
}

static uint64_t folder_bytes(struct monitor *m, const char *hex)
{
	static struct checkpoint_manifest manifest;
	uint8_t key[32];
	_cleanup_fd_ int dir =
		openat(m->checkpoints_fd, hex, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	uint64_t sum = 0;

	if (dir < 0 || util_unhex(hex, 32, key) < 0 ||
	    checkpoint_read(dir, key, &manifest, NULL) < 0)
		return 0;
	for (uint32_t i = 0; i < manifest.n_files; i++)
		sum += manifest.files[i].size;
	return sum;
}

/* At a stop: whoever asked is gone too, and a warm-up is quickly made again. */
void warm_stop_all(struct monitor *m)
{
	box_each(m, b)
	{
		if (!box_is_warm(b) || b->pid <= 0)
			continue;
		(void)kill(b->pid, SIGKILL);
		(void)waitpid(b->pid, NULL, 0);
		(void)cgroup_remove_within(&b->cgroup, 100);
		(void)unlinkat(m->tasks_fd, b->id, 0);
		warm_remove_dir(m, b->warm_dir);
	}
}

static void send_row(struct box *b, uint32_t tag)
{
	union proto_msg msg = {0};
	struct mon_template *row = &msg.template;
	struct cgroup_usage usage = {0};
	struct policy_entry *policy;

	proto_init(&msg, MON_TEMPLATE);
	row->tag = tag;
	row->state = TEMPLATE_WARMING;
	/* The log has the whole of it. */
	(void)snprintf(row->id, sizeof(row->id), "%.*s", TEMPLATE_ID_LEN, b->id);
	row->owner = b->run.owner;
	memcpy(row->image, b->warm_req->image, 32);
	memcpy(row->policy, b->warm_req->policy, 32);
	row->created_ns = b->run.started_realtime_ns;
	(void)cgroup_usage(&b->cgroup, &usage);
	row->memory_bytes = usage.memory_now;
	util_hex(b->key, 32, row->key);
	if (policy_get(b->m, b->warm_req->policy, &policy, NULL) == 0)
		(void)snprintf(row->policy_name, sizeof(row->policy_name), "%s",
			       policy->policy.head.name);
	memcpy(row->warm, b->warm_req->warm, sizeof(row->warm));
	monitor_to_front(b->m, &msg);
}

void warm_list(struct monitor *m, uint32_t tag)
{
	box_each(m, b) if (box_is_warm(b)) send_row(b, tag);
}

/* A killed interpreter says nothing itself, nor does its init. */
void warm_note_limit(struct box *b)
{
	struct cgroup_usage usage = {0};

	(void)cgroup_usage(&b->cgroup, &usage);
	if (b->killed_for == VERDICT_TIMEOUT)
		(void)snprintf(b->error, sizeof(b->error), "warm: the imports took more than %u s",
			       b->limits.timeout_s);
	else if (usage.oom_kills)
		(void)snprintf(b->error, sizeof(b->error),
			       "warm: the imports took more than %llu MiB of memory",
			       (unsigned long long)(b->limits.memory >> 20));
	else if (!b->error[0])
		(void)snprintf(b->error, sizeof(b->error), "warm: %s",
			       verdict_name(b->exit_msg.exited.verdict));
}

/*
 * What a task is told of it, in one line: the last one that was printed, and how
 * the sandbox ended; or what the runtime says, where an import has failed.
 */
static void remember(struct box *b, int status)
{
	const char *line = strrchr(b->warm_output, '\n');
	char why[PROTO_TEXT_MAX] = "";
	struct recipe of;

	recipe_of_warm(b->warm_req, b->warm_package, &of);
	line = line ? line + 1 : b->warm_output;
	if (status < 0 && strncmp(line, SAYS_WHY, strlen(SAYS_WHY)) == 0)
		(void)snprintf(why, sizeof(why), "%s", line + strlen("sandbox: "));
	else if (status < 0)
		(void)snprintf(why, sizeof(why), "%.200s%s%.200s",
			       b->error[0] ? b->error : "warm: it failed", *line ? ": " : "", line);
	warm_past_end(b->m, &of, (enum warm_for)b->warm_req->wish, why, util_monotonic_ns());
	if (status < 0)
		msg_warn("warm-up %s failed: %s", b->id, why);
	else if (b->warm_dir[0])
		msg_info("warm-up %s ended: dumped in %llu ms", b->id,
			 (unsigned long long)(b->dump_us / 1000));
}

/* ok: dumped, or an earlier one is valid. Frees b. */
void warm_ended(struct box *b, bool ok)
{
	struct monitor *m = b->m;
	union proto_msg msg = {0};
	struct mon_warmed *w = &msg.warmed;
	int r = 0;

	proto_init(&msg, MON_WARMED);
	w->tag = b->warm_req->tag;
	w->dump_us = b->dump_us;
	util_hex(b->key, 32, w->key);
	w->existed = ok && !b->warm_dir[0];
	if (ok && b->warm_dir[0])
		r = publish(b, w->key);
	if (r < 0)
		(void)snprintf(b->error, sizeof(b->error), "checkpoint folder: %s", strerror(-r));
	if (ok && r == 0 && b->warm_dir[0])
		prune(m);
	if (ok && r == 0)
		w->bytes = folder_bytes(m, w->key);
	else
		w->status = -EIO;
	if (w->status && b->warm_dir[0])
		warm_remove_dir(m, b->warm_dir);
	for (size_t n = strlen(b->warm_output); n > 0 && b->warm_output[n - 1] == '\n'; n--)
		b->warm_output[n - 1] = '\0';
	if (b->not_now)
		w->status = -EAGAIN;
	else
		remember(b, w->status);
	if (w->status && b->warm_output[0])
		(void)snprintf(w->error, sizeof(w->error), "%.100s: %.390s",
			       b->error[0] ? b->error : "the warm-up failed", b->warm_output);
	else if (w->status)
		(void)snprintf(w->error, sizeof(w->error), "%s",
			       b->error[0] ? b->error : "the warm-up failed");
	/* 0: nobody of the front's. */
	if (w->tag)
		monitor_to_front(m, &msg);
	if (w->status == 0)
		start_warmed(b);
	(void)unlinkat(m->tasks_fd, b->id, 0);
	box_free(b);
}

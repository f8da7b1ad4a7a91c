// SPDX-License-Identifier: Apache-2.0
/* MON_START: from ids and limits to a running sandbox. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sandbox/net.h"
#include "sandbox/template.h"
#include "supervisor/monitor_start.h"
#include "supervisor/msg.h"

/*
 * In turn: the kernel takes a namespace and its interface away some time after its last
 * process, and the next one to have an address is not to get what was sent to the last.
 */
int net_take_index(struct monitor *m, struct policy_entry *p, uint32_t *ret, struct err *e)
{
	*ret = 0;
	if (p->policy.head.net_mode == POLICY_NET_NONE)
		return 0;
	for (uint32_t n = 0; n < NET_BLOCK; n++) {
		uint32_t i = p->net_block + (p->net_next + n) % NET_BLOCK;

		if (m->net_used[i])
			continue;
		m->net_used[i] = 1;
		p->net_next = (i - p->net_block + 1) % NET_BLOCK;
		*ret = i;
		return 0;
	}
	return err_set(e, ERR_LIMIT, 0, "no free address for another sandbox with a network");
}

void net_put_index(struct mtask *t)
{
	if (t->run.net_index)
		t->m->net_used[t->run.net_index] = 0;
	t->run.net_index = 0;
}

/* The front can only tighten. Anything else is not a user's error: front checked it. */
bool limits_allowed(const struct limits *l, const struct limits *max)
{
	return l->memory >= LIMIT_MEMORY_MIN && l->memory <= max->memory &&
	       l->disk >= LIMIT_DISK_MIN && l->disk <= max->disk && l->log_bytes >= LIMIT_LOG_MIN &&
	       l->log_bytes <= max->log_bytes && l->cpu_milli >= LIMIT_CPU_MIN &&
	       l->cpu_milli <= max->cpu_milli && l->pids >= LIMIT_PIDS_MIN &&
	       l->pids <= max->pids && l->timeout_s >= LIMIT_TIMEOUT_MIN &&
	       l->timeout_s <= max->timeout_s && l->nofile >= LIMIT_NOFILE_MIN &&
	       l->nofile <= max->nofile;
}

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

int start_make_pipes(struct mtask *t, int *out_w, int *err_w, int *started_w, int *report_w,
		     struct err *e)
{
	const uid_t uid = SANDBOX_ID_BASE + SANDBOX_UID;
	int r = make_pipe(&t->out_r, out_w, &t->run.out_ino, e);

	if (r == 0)
		r = make_pipe(&t->err_r, err_w, &t->run.err_ino, e);
	if (r == 0)
		r = make_pipe(&t->started_r, started_w, &t->run.started_ino, e);
	if (r == 0)
		r = make_pipe(&t->report_r, report_w, NULL, e);
	if (r < 0)
		return r;
	/* Who opens /dev/stdout opens the pipe anew, and its mode is for its owner. */
	if (fchown(*out_w, uid, uid) < 0 || fchown(*err_w, uid, uid) < 0)
		return err_set(e, ERR_SYSTEM, errno, "pipe");
	(void)fcntl(t->started_r, F_SETFL, O_NONBLOCK);
	(void)fcntl(t->report_r, F_SETFL, O_NONBLOCK);
	return 0;
}

int start_open_record(struct mtask *t, struct err *e)
{
	int r;

	if (t->run.kind == RUN_TEMPLATE) {
		/* Nobody looks for it later. */
		t->record_fd = memfd_create("record", MFD_CLOEXEC);
	} else {
		(void)unlinkat(t->m->tasks_fd, t->id, 0);
		t->record_fd = openat(t->m->tasks_fd, t->id,
				      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (t->record_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "run record");
	/* Its room is taken now: a full disk must not swallow an exit status later. */
	r = posix_fallocate(t->record_fd, 0, RUN_RECORD_SIZE);
	return r != 0 ? err_set(e, ERR_SYSTEM, r, "run record") : 0;
}

static int make_fds(struct start *s, struct mtask *t, struct err *e)
{
	int r = start_make_pipes(t, &s->out_w, &s->err_w, &s->started_w, &s->report_w, e);

	if (r == 0)
		r = start_open_record(t, e);
	if (r < 0)
		return r;
	s->spec.out_r = t->out_r;
	s->spec.out_w = s->out_w;
	s->spec.err_r = t->err_r;
	s->spec.err_w = s->err_w;
	s->spec.started_r = t->started_r;
	s->spec.started_w = s->started_w;
	s->spec.report_w = s->report_w;
	s->spec.record_fd = t->record_fd;
	return 0;
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

static int make_mounts(struct monitor *m, struct start *s, int package_fd, struct err *e)
{
	int r = rootfs_detach(s->rootfs, "image", &s->mounts[MOUNT_ROOTFS], e);

	if (r == 0)
		r = rootfs_detach(m->dev_fd, "devices", &s->mounts[MOUNT_DEV], e);
	if (r == 0 && package_fd >= 0)
		r = rootfs_detach(package_fd, "package", &s->mounts[MOUNT_PACKAGE], e);
	if (r == 0 && s->spec.action != SANDBOX_COLD)
		r = rootfs_detach(s->heap, "checkpoint's heap", &s->mounts[MOUNT_HEAP], e);
	s->spec.rootfs_mount = s->mounts[MOUNT_ROOTFS];
	s->spec.dev_mount = s->mounts[MOUNT_DEV];
	s->spec.package_mount = s->mounts[MOUNT_PACKAGE];
	s->spec.heap_mount = s->mounts[MOUNT_HEAP];
	return r;
}

static int spawn(struct monitor *m, struct start *s, struct mtask *t, int package_fd, struct err *e)
{
	struct limits limits = s->spec.limits;
	_cleanup_fd_ int netns = -1;
	int r;

	r = make_fds(s, t, e);
	if (r == 0)
		r = make_mounts(m, s, package_fd, e);
	/* Nothing is fetched while warming up: only lo. */
	if (r == 0 && t->run.kind == RUN_TASK)
		r = net_take_index(m, s->policy, &t->run.net_index, e);
	/* The init counts too, and criu until the payload runs. */
	t->pids = s->spec.limits.pids + 1;
	limits.pids = t->pids + (s->spec.action != SANDBOX_COLD);
	if (r == 0)
		r = cgroup_create(&m->cgroups, t->id, &limits, &t->cgroup, e);
	if (r < 0)
		return r;
	(void)snprintf(s->spec.id, sizeof(s->spec.id), "%s", t->id);
	s->spec.cgroup = &t->cgroup;
	s->spec.root_dir = m->root_dir;
	s->spec.net_index = t->run.net_index;
	s->spec.criu_path = m->cfg->criu;
	s->spec.kdat = m->kdat;
	s->spec.kdat_len = m->kdat_len;
	s->resolv_conf = start_read_resolv_conf(s->spec.policy);
	s->spec.resolv_conf = s->resolv_conf;
	t->run.log_cap = s->spec.limits.log_bytes;
	if (t->run.kind == RUN_TASK)
		task_send_pipes(t);
	s->spec.netns_fd = netns = netns_take(m);
	r = sandbox_spawn(&s->spec, &t->pid, &t->pidfd, e);
	if (r < 0)
		return r;
	t->child = true;
	task_set_deadline(t, s->spec.limits.timeout_s);
	t->run.magic = RUN_RECORD_MAGIC;
	t->run.init_pid = t->pid;
	t->run.started_realtime_ns = util_realtime_ns();
	memcpy(t->run.boot_id, m->boot_id, sizeof(t->run.boot_id));
	memcpy(t->run.id, t->id, sizeof(t->run.id));
	memcpy(t->run.cgroup, t->cgroup.name, sizeof(t->run.cgroup));
	r = util_proc_start_time(t->pid, &t->run.init_start);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "the sandbox's init");
	r = task_save_record(t);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "run record");
	return task_watch(t, e);
}

/* Whatever had been made is unmade: a refused task leaves nothing. */
static void undo(struct mtask *t)
{
	if (t->pid > 0) {
		(void)kill(t->pid, SIGKILL); /* our own child, not reaped: the pid is right */
		(void)waitpid(t->pid, NULL, 0);
		t->pid = 0;
	}
	if (t->record_fd >= 0)
		(void)unlinkat(t->m->tasks_fd, t->id, 0);
	net_put_index(t);
	(void)cgroup_remove(&t->cgroup);
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

static int begin(struct monitor *m, struct start *s, const struct mon_start *req, struct mtask *t,
		 int job_fd, int package_fd, struct err *e)
{
	struct recipe of;
	int r;

	recipe_of_start(req, package_fd, &of);
	r = start_load_parts(m, s, &of, e);
	if (r < 0)
		return r;
	if (!limits_allowed(&req->limits, &s->policy->policy.head.limits_max))
		return err_set(e, ERR_LIMIT, 0, "limits beyond the policy's");
	r = start_check_package(m, package_fd, e);
	if (r < 0)
		return r;
	s->spec.limits = req->limits;
	s->spec.script = req->script;
	s->spec.job_fd = job_fd;
	s->spec.checkpoint_fd = -1;
	start_choose_mode(m, s, t, (enum start_mode)req->start);
	return spawn(m, s, t, package_fd, e);
}

/* A new sandbox. why: what kept the task from a clone, or "". */
static void start_sandbox(struct monitor *m, const struct mon_start *req, int job_fd,
			  int package_fd, const char *why)
{
	_cleanup_start_ struct start s = START_INIT;
	struct mtask *t = mtask_new(m, req->id);
	struct err e = {0};

	if (!t)
		return; /* out of memory: the front's own record stays, and asks again */
	(void)snprintf(t->warning, sizeof(t->warning), "%s", why);
	if (begin(m, &s, req, t, job_fd, package_fd, &e) < 0) {
		(void)snprintf(t->error, sizeof(t->error), "%s", e.msg);
		t->failed = true;
		undo(t);
		task_ended(t);
	}
}

void start_without_fork(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd,
			const char *why)
{
	struct mon_start again = *req;

	again.start = START_RESTORE;
	start_sandbox(m, &again, job_fd, package_fd, why);
}

int start_task(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd)
{
	if (!util_is_id(req->id) || req->start >= START_MODE_MAX ||
	    (req->has_package != 0) != (package_fd >= 0))
		return -EPROTO;
	/* Asked twice: the front was restarted in between. The first one counts. */
	if (monitor_find(m, req->id))
		return 0;
	if ((req->start == START_AUTO || req->start == START_FORK) &&
	    clone_start(m, req, job_fd, package_fd))
		return 0;
	start_sandbox(m, req, job_fd, package_fd, "");
	return 0;
}

int start_template(struct monitor *m, struct mtask *t, const struct recipe *of, int keeper_sock,
		   struct err *e)
{
	_cleanup_start_ struct start s = START_INIT;
	int r = start_load_parts(m, &s, of, e);

	t->run.kind = RUN_TEMPLATE;
	if (r == 0)
		r = start_open_checkpoint(m, &s, t, e);
	if (r == 0) {
		s.spec.action = SANDBOX_TEMPLATE;
		s.spec.limits = s.policy->policy.head.limits;
		s.spec.job_fd = -1;
		s.spec.keeper_sock = keeper_sock;
		r = spawn(m, &s, t, of->package_fd, e);
	}
	if (r < 0)
		undo(t);
	return r;
}

static void recipe_of_warm(const struct mon_warm *req, int package_fd, struct recipe *ret)
{
	*ret = (struct recipe){.package_fd = package_fd};
	memcpy(ret->image, req->image, 32);
	memcpy(ret->policy, req->policy, 32);
	if (package_fd >= 0)
		memcpy(ret->package, req->package, 32);
	memcpy(ret->warm, req->warm, sizeof(ret->warm));
}

static int begin_warm(struct monitor *m, struct start *s, const struct mon_warm *req,
		      struct mtask *t, struct err *e)
{
	_cleanup_fd_ int job = -1;
	struct recipe of;
	int r;

	recipe_of_warm(req, t->warm_package, &of);
	if (strstr(req->warm, WARM_MODULE) && t->warm_package < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "warm.module: there is no package (any more)");
	r = start_check_package(m, t->warm_package, e);
	if (r == 0)
		r = start_load_parts(m, s, &of, e);

	if (r < 0)
		return r;
	if (!m->criu_works)
		return err_set(e, ERR_UNAVAILABLE, 0, "%s", m->criu_problem);
	memcpy(t->key, s->spec.checkpoint_key, 32);
	if (!req->force && start_open_checkpoint(m, s, t, NULL) == 0)
		return -EEXIST;
	job = warm_job(s->inputs.warm, e);
	if (job < 0)
		return job;
	util_close_fd(&s->checkpoint);
	util_close_fd(&s->heap);
	r = warm_make_dir(t, &s->checkpoint, &s->heap, e);
	if (r < 0)
		return r;
	s->spec.action = SANDBOX_DUMP;
	s->spec.limits = s->policy->policy.head.limits_max;
	s->spec.limits.timeout_s = 150;
	s->spec.job_fd = job;
	s->spec.checkpoint_fd = s->checkpoint;
	return spawn(m, s, t, of.package_fd, e);
}

void start_warm_again(struct monitor *m, const struct recipe *of)
{
	struct mon_warm req = {.tag = 0, .force = 1, .has_package = of->package_fd >= 0};

	memcpy(req.image, of->image, 32);
	memcpy(req.policy, of->policy, 32);
	memcpy(req.package, of->package, 32);
	memcpy(req.warm, of->warm, sizeof(req.warm));
	(void)start_warm(m, &req, of->package_fd);
}

/* When it is done, a template is made of it. */
void start_warmed(struct mtask *t)
{
	struct recipe of;

	recipe_of_warm(t->warm_req, t->warm_package, &of);
	template_want(t->m, &of);
}

int start_warm(struct monitor *m, const struct mon_warm *req, int package_fd)
{
	_cleanup_start_ struct start s = START_INIT;
	char id[TASK_ID_LEN + 1];
	struct err e = {0};
	struct mtask *t;
	int r;

	util_new_id(id);
	t = mtask_new(m, id);
	if (!t)
		return 0;
	t->run.kind = RUN_WARM;
	t->warm_req = malloc(sizeof(*req));
	if (!t->warm_req) {
		mtask_free(t);
		return 0;
	}
	*t->warm_req = *req;
	if (package_fd >= 0)
		t->warm_package = fcntl(package_fd, F_DUPFD_CLOEXEC, 3);
	r = begin_warm(m, &s, req, t, &e);
	if (r < 0) {
		(void)snprintf(t->error, sizeof(t->error), "%s", e.msg);
		t->failed = r != -EEXIST;
		undo(t);
		warm_ended(t, r == -EEXIST);
	}
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* MON_START: from ids and limits to a running sandbox. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "sandbox/net.h"
#include "supervisor/monitor.h"
#include "supervisor/msg.h"

int policy_get(struct monitor *m, const uint8_t id[32], struct policy_entry **ret, struct err *e)
{
	struct policy_entry *p;
	int r;

	for (p = m->policies; p; p = p->next)
		if (memcmp(p->policy.id, id, 32) == 0) {
			*ret = p;
			return 0;
		}
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, ERR_SYSTEM, ENOMEM, "policy");
	r = policy_load(m->policies_fd, id, &p->policy, e);
	if (r == 0 && p->policy.head.net_mode != POLICY_NET_NONE) {
		if (!m->cfg->network)
			r = err_set(e, ERR_CONFLICT, 0,
				    "policy %s wants a network and sandboxd runs with --no-network",
				    p->policy.head.name);
		else if (m->next_block + NET_BLOCK > NET_INDEX_MAX)
			r = err_set(e, ERR_LIMIT, 0, "too many network policies; restart sandboxd");
		else
			r = net_install_policy(&p->policy, m->next_block, e);
		if (r == 0) {
			p->net_block = m->next_block;
			m->next_block += NET_BLOCK;
		}
	}
	if (r < 0) {
		policy_clear(&p->policy);
		free(p);
		return r;
	}
	p->next = m->policies;
	m->policies = p;
	*ret = p;
	return 0;
}

static int net_take_index(struct monitor *m, const struct policy_entry *p, uint32_t *ret,
			  struct err *e)
{
	*ret = 0;
	if (p->policy.head.net_mode == POLICY_NET_NONE)
		return 0;
	for (uint32_t i = p->net_block; i < p->net_block + NET_BLOCK; i++)
		if (!m->net_used[i]) {
			m->net_used[i] = 1;
			*ret = i;
			return 0;
		}
	return err_set(e, ERR_LIMIT, 0, "no free address for another sandbox with a network");
}

/* The front can only tighten. Anything else is not a user's error: front checked it. */
static bool limits_allowed(const struct limits *l, const struct limits *max)
{
	return l->memory >= LIMIT_MEMORY_MIN && l->memory <= max->memory &&
	       l->disk >= LIMIT_DISK_MIN && l->disk <= max->disk &&
	       l->log_bytes >= LIMIT_LOG_MIN && l->log_bytes <= max->log_bytes &&
	       l->cpu_milli >= LIMIT_CPU_MIN && l->cpu_milli <= max->cpu_milli &&
	       l->pids >= LIMIT_PIDS_MIN && l->pids <= max->pids &&
	       l->timeout_s >= LIMIT_TIMEOUT_MIN && l->timeout_s <= max->timeout_s &&
	       l->nofile >= LIMIT_NOFILE_MIN && l->nofile <= max->nofile;
}

enum { MOUNT_ROOTFS, MOUNT_DEV, MOUNT_PACKAGE, MOUNT_HEAP, MOUNT_N };

/* What one start needs, released by start_clear. */
struct start {
	struct sandbox_spec spec;
	struct policy_entry *policy;
	struct image_head image;
	struct checkpoint_inputs inputs;
	int rootfs, checkpoint, heap, mounts[MOUNT_N], report_w, out_w, err_w, started_w;
	char *resolv_conf;
};

static void start_clear(struct start *s)
{
	util_close_fd(&s->rootfs);
	util_close_fd(&s->checkpoint);
	util_close_fd(&s->heap);
	for (int i = 0; i < MOUNT_N; i++)
		util_close_fd(&s->mounts[i]);
	util_close_fd(&s->report_w);
	util_close_fd(&s->out_w);
	util_close_fd(&s->err_w);
	util_close_fd(&s->started_w);
	free(s->resolv_conf);
}
#define _cleanup_start_ __attribute__((cleanup(start_clear)))
#define START_INIT                                                                                 \
	{                                                                                          \
		.rootfs = -1, .checkpoint = -1, .heap = -1, .mounts = {-1, -1, -1, -1},            \
		.report_w = -1, .out_w = -1,                                                       \
		.err_w = -1, .started_w = -1                                                       \
	}

static int load_parts(struct monitor *m, struct start *s, const uint8_t image[32],
		      const uint8_t policy[32], const char *warm, struct err *e)
{
	int r = policy_get(m, policy, &s->policy, e);

	if (r == 0)
		r = image_load(m->images_fd, image, &s->image, &s->rootfs, e);
	if (r < 0)
		return r;
	memcpy(s->inputs.image, image, 32);
	memcpy(s->inputs.runtime, s->image.runtime_digest, 32);
	memcpy(s->inputs.policy, policy, 32);
	/* inputs.package stays zero: a package is mounted, not imported before a start. */
	/* inputs is zero, and stays so behind each text's end: the key is over all of it. */
	(void)snprintf(s->inputs.warm, sizeof(s->inputs.warm), "%s", warm);
	(void)snprintf(s->inputs.kernel, sizeof(s->inputs.kernel), "%s", m->kernel);
	(void)snprintf(s->inputs.cpu, sizeof(s->inputs.cpu), "%.63s", m->cpu);
	(void)snprintf(s->inputs.criu, sizeof(s->inputs.criu), "%s", m->criu_version);
	s->spec.policy = &s->policy->policy;
	s->spec.image = &s->image;
	memcpy(s->spec.image_digest, image, 32);
	s->spec.checkpoint_inputs = &s->inputs;
	return checkpoint_key(&s->inputs, s->spec.checkpoint_key, e);
}

void stamp_remember(struct monitor *m, const uint8_t key[32], const uint8_t stamp[32])
{
	struct stamp_entry_cached *c = m->stamps;

	while (c && memcmp(c->key, key, 32) != 0)
		c = c->next;
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return;
		memcpy(c->key, key, 32);
		c->next = m->stamps;
		m->stamps = c;
	}
	memcpy(c->stamp, stamp, 32);
}

static bool stamp_known(struct monitor *m, const uint8_t key[32], const uint8_t stamp[32])
{
	for (struct stamp_entry_cached *c = m->stamps; c; c = c->next)
		if (memcmp(c->key, key, 32) == 0)
			return memcmp(c->stamp, stamp, 32) == 0;
	return false;
}

static int open_checkpoint(struct monitor *m, struct start *s, struct mtask *t, struct err *e)
{
	static struct checkpoint_manifest manifest;
	char hex[65];
	int r;

	util_hex(s->spec.checkpoint_key, 32, hex);
	s->checkpoint = openat(m->checkpoints_fd, hex, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->checkpoint < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "no checkpoint for this image, policy and warm list");
	r = checkpoint_read(s->checkpoint, s->spec.checkpoint_key, &manifest, e);
	if (r == 0)
		r = checkpoint_stamp(s->checkpoint, t->stamp, e);
	if (r < 0)
		return r;
	s->heap = openat(s->checkpoint, "heap", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->heap < 0)
		return err_set(e, ERR_INPUT, errno, "checkpoint: heap");
	memcpy(t->key, s->spec.checkpoint_key, 32);
	s->spec.verified = stamp_known(m, t->key, t->stamp);
	t->verifying = !s->spec.verified;
	s->spec.checkpoint_fd = s->checkpoint;
	return 0;
}

/* The fastest way that is ready; a faster one that was asked for and is not: a warning. */
static void choose_mode(struct monitor *m, struct start *s, struct mtask *t, enum start_mode asked)
{
	struct err e = {0};
	int r;

	s->spec.action = SANDBOX_COLD;
	t->run.mode = START_COLD;
	if (asked == START_COLD)
		return;
	if (!m->criu_works) {
		if (asked != START_AUTO)
			(void)snprintf(t->warning, sizeof(t->warning), "cold start: %s",
				       m->criu_problem);
		return;
	}
	r = open_checkpoint(m, s, t, &e);
	if (r == 0) {
		s->spec.action = SANDBOX_RESTORE;
		t->run.mode = START_RESTORE;
		if (asked == START_FORK)
			(void)snprintf(t->warning, sizeof(t->warning),
				       "restored: no template is ready to fork from");
		return;
	}
	t->want_warm = true;
	/* auto without a checkpoint is the ordinary first start; a damaged one is not. */
	if (asked != START_AUTO || e.code != ERR_NOT_FOUND)
		(void)snprintf(t->warning, sizeof(t->warning), "cold start: %.400s", e.msg);
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

static int make_fds(struct monitor *m, struct start *s, struct mtask *t, struct err *e)
{
	int r = make_pipe(&t->out_r, &s->out_w, &t->run.out_ino, e);

	if (r == 0)
		r = make_pipe(&t->err_r, &s->err_w, &t->run.err_ino, e);
	if (r == 0)
		r = make_pipe(&t->started_r, &s->started_w, &t->run.started_ino, e);
	if (r == 0)
		r = make_pipe(&t->report_r, &s->report_w, NULL, e);
	if (r < 0)
		return r;
	(void)fcntl(t->started_r, F_SETFL, O_NONBLOCK);
	(void)fcntl(t->report_r, F_SETFL, O_NONBLOCK);
	(void)unlinkat(m->tasks_fd, t->id, 0);
	t->record_fd = openat(m->tasks_fd, t->id, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			      0600);
	if (t->record_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "run record");
	/* Its room is taken now: a full disk must not swallow an exit status later. */
	r = posix_fallocate(t->record_fd, 0, RUN_RECORD_SIZE);
	if (r != 0)
		return err_set(e, ERR_SYSTEM, r, "run record");
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
static void read_resolv_conf(struct start *s)
{
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	if (!s->spec.policy->head.dns)
		return;
	fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	s->resolv_conf = calloc(1, 4097);
	n = fd >= 0 && s->resolv_conf ? read(fd, s->resolv_conf, 4096) : -1;
	if (n > 0)
		s->spec.resolv_conf = s->resolv_conf;
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
	struct timespec boot;
	int r;

	r = make_fds(m, s, t, e);
	if (r == 0)
		r = make_mounts(m, s, package_fd, e);
	if (r == 0)
		r = net_take_index(m, s->policy, &t->run.net_index, e);
	if (r == 0)
		r = cgroup_create(&m->cgroups, t->id, &s->spec.limits, &t->cgroup, e);
	if (r < 0)
		return r;
	(void)snprintf(s->spec.id, sizeof(s->spec.id), "%s", t->id);
	s->spec.cgroup = &t->cgroup;
	s->spec.root_dir = m->root_dir;
	s->spec.net_index = t->run.net_index;
	s->spec.criu_path = m->cfg->criu;
	s->spec.kdat = m->kdat;
	s->spec.kdat_len = m->kdat_len;
	read_resolv_conf(s);
	t->run.log_cap = s->spec.limits.log_bytes;
	if (!t->warm)
		task_send_pipes(t);
	r = sandbox_spawn(&s->spec, &t->pid, &t->pidfd, e);
	if (r < 0)
		return r;
	t->child = true;
	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	t->run.deadline_ns = (uint64_t)boot.tv_sec * 1000000000ULL + (uint64_t)boot.tv_nsec +
			     (uint64_t)s->spec.limits.timeout_s * 1000000000ULL;
	t->run.magic = RUN_RECORD_MAGIC;
	t->run.init_pid = t->pid;
	t->run.started_realtime_ns = util_realtime_ns();
	memcpy(t->run.boot_id, m->boot_id, sizeof(t->run.boot_id));
	memcpy(t->run.id, t->id, sizeof(t->run.id));
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
	if (t->run.net_index)
		t->m->net_used[t->run.net_index] = 0;
	(void)cgroup_remove(&t->cgroup);
}

static int begin(struct monitor *m, struct start *s, const struct mon_start *req, struct mtask *t,
		 int job_fd, int package_fd, struct err *e)
{
	int r = load_parts(m, s, req->image, req->policy, req->warm, e);

	if (r < 0)
		return r;
	if (!limits_allowed(&req->limits, &s->policy->policy.head.limits_max))
		return err_set(e, ERR_LIMIT, 0, "limits beyond the policy's");
	s->spec.limits = req->limits;
	s->spec.job_fd = job_fd;
	s->spec.checkpoint_fd = -1;
	choose_mode(m, s, t, (enum start_mode)req->start);
	return spawn(m, s, t, package_fd, e);
}

int start_task(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd)
{
	_cleanup_start_ struct start s = START_INIT;
	struct err e = {0};
	struct mtask *t;

	if (!util_is_id(req->id) || req->start >= START_MODE_MAX ||
	    (req->has_package != 0) != (package_fd >= 0))
		return -EPROTO;
	/* Asked twice: the front was restarted in between. The first one counts. */
	if (monitor_find(m, req->id))
		return 0;
	t = mtask_new(m, req->id);
	if (!t)
		return 0; /* out of memory: the front's own record stays, and asks again */
	if (begin(m, &s, req, t, job_fd, package_fd, &e) < 0) {
		(void)snprintf(t->error, sizeof(t->error), "%s", e.msg);
		t->failed = true;
		undo(t);
		task_ended(t);
	}
	return 0;
}

static int begin_warm(struct monitor *m, struct start *s, const struct mon_warm *req,
		      struct mtask *t, struct err *e)
{
	_cleanup_fd_ int job = -1;
	int r = load_parts(m, s, req->image, req->policy, req->warm, e);

	if (r < 0)
		return r;
	if (!m->criu_works)
		return err_set(e, ERR_UNAVAILABLE, 0, "%s", m->criu_problem);
	memcpy(t->key, s->spec.checkpoint_key, 32);
	if (!req->force && open_checkpoint(m, s, t, NULL) == 0)
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
	s->spec.limits.nofile = s->policy->policy.head.limits.nofile;
	s->spec.job_fd = job;
	s->spec.checkpoint_fd = s->checkpoint;
	return spawn(m, s, t, -1, e);
}

int start_warm(struct monitor *m, const struct mon_warm *req)
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
	t->warm = true;
	t->warm_tag = req->tag;
	r = begin_warm(m, &s, req, t, &e);
	if (r < 0) {
		(void)snprintf(t->error, sizeof(t->error), "%s", e.msg);
		t->failed = r != -EEXIST;
		undo(t);
		warm_ended(t, r == -EEXIST);
	}
	return 0;
}

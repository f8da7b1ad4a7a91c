// SPDX-License-Identifier: Apache-2.0
/* MON_START: from ids and limits to a running sandbox. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "supervisor/monitor/spawn/start.h"

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

static int make_mounts(struct monitor *m, struct start *s, int package_fd, struct err *e)
{
	int r = rootfs_detach(s->rootfs, "image", &s->mounts[MOUNT_ROOTFS], e);

	if (r == 0)
		r = rootfs_detach(m->dev_fd, "devices", &s->mounts[MOUNT_DEV], e);
	if (r == 0 && package_fd >= 0)
		r = start_detach_package(m, package_fd, s->spec.owner, &s->mounts[MOUNT_PACKAGE],
					 e);
	if (r == 0 && s->spec.action != SANDBOX_COLD)
		r = rootfs_detach(s->heap, "checkpoint's heap", &s->mounts[MOUNT_HEAP], e);
	s->spec.rootfs_mount = s->mounts[MOUNT_ROOTFS];
	s->spec.dev_mount = s->mounts[MOUNT_DEV];
	s->spec.package_mount = s->mounts[MOUNT_PACKAGE];
	s->spec.heap_mount = s->mounts[MOUNT_HEAP];
	return r;
}

int start_spawn(struct monitor *m, struct start *s, struct mtask *t, int package_fd, struct err *e)
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
	/* The init counts too. In a restore there is room for it, criu and what is restored, until
	 * that is confined; the init sees to it. */
	limits.pids++;
	if (s->spec.action == SANDBOX_RESTORE || s->spec.action == SANDBOX_TEMPLATE)
		limits.pids = CHECKPOINT_PIDS;
	else if (s->spec.action == SANDBOX_DUMP)
		limits.pids++;
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

void start_undo(struct mtask *t)
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

static int begin(struct monitor *m, struct start *s, const struct mon_start *req, struct mtask *t,
		 int job_fd, int package_fd, struct err *e)
{
	struct recipe of;
	int r;

	recipe_of_start(req, package_fd, &of);
	r = start_load_parts(m, s, &of, e);
	if (r < 0)
		return r;
	if (limits_beyond(&req->limits, &s->policy->policy.head.limits_max) != LIMIT_N)
		return err_set(e, ERR_LIMIT, 0, "limits beyond the policy's");
	r = start_check_package(m, package_fd, e);
	if (r < 0)
		return r;
	s->spec.limits = req->limits;
	s->spec.script = req->script;
	s->spec.job_fd = job_fd;
	s->spec.checkpoint_fd = -1;
	start_choose_mode(m, s, t, (enum start_mode)req->start);
	return start_spawn(m, s, t, package_fd, e);
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
	t->run.owner = req->owner;
	(void)snprintf(t->warning, sizeof(t->warning), "%s", why);
	if (begin(m, &s, req, t, job_fd, package_fd, &e) < 0) {
		(void)snprintf(t->error, sizeof(t->error), "%s", e.msg);
		t->failed = true;
		start_undo(t);
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
	    req->owner >= SANDBOX_OWNERS_MAX || (req->has_package != 0) != (package_fd >= 0) ||
	    !start_is_job(job_fd))
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
	t->run.owner = of->owner;
	if (r == 0)
		r = start_open_checkpoint(m, &s, t, e);
	if (r == 0) {
		s.spec.action = SANDBOX_TEMPLATE;
		s.spec.limits = s.policy->policy.head.limits;
		s.spec.job_fd = -1;
		s.spec.keeper_sock = keeper_sock;
		r = start_spawn(m, &s, t, of->package_fd, e);
	}
	if (r < 0)
		start_undo(t);
	return r;
}

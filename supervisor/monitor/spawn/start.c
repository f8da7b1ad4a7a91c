// SPDX-License-Identifier: Apache-2.0
/* MON_START: from ids and limits to a running sandbox. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "supervisor/monitor/spawn/start.h"

static int make_fds(struct start *s, struct box *b, struct err *e)
{
	int r = start_make_pipes(b, &s->out_w, &s->err_w, &s->started_w, &s->report_w, e);

	if (r == 0)
		r = start_open_record(b, e);
	if (r < 0)
		return r;
	s->spec.out_r = b->out_r;
	s->spec.out_w = s->out_w;
	s->spec.err_r = b->err_r;
	s->spec.err_w = s->err_w;
	s->spec.started_r = b->started_r;
	s->spec.started_w = s->started_w;
	s->spec.report_w = s->report_w;
	s->spec.record_fd = b->record_fd;
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

int start_spawn(struct monitor *m, struct start *s, struct box *b, int package_fd, struct err *e)
{
	struct limits limits = s->spec.limits;
	_cleanup_fd_ int netns = -1;
	int r;

	r = make_fds(s, b, e);
	if (r == 0)
		r = make_mounts(m, s, package_fd, e);
	/* Nothing is fetched while warming up: only lo. */
	if (r == 0 && b->run.kind == RUN_TASK)
		r = net_take_index(m, s->policy, &b->run.net_index, e);
	/* The init counts too. In a restore there is room for it, criu and what is restored, until
	 * that is confined; the init sees to it. */
	limits.pids++;
	if (s->spec.action == SANDBOX_RESTORE || s->spec.action == SANDBOX_TEMPLATE)
		limits.pids = CHECKPOINT_PIDS;
	else if (s->spec.action == SANDBOX_DUMP)
		limits.pids++;
	if (r == 0)
		r = cgroup_create(&m->cgroups, b->id, &limits, &b->cgroup, e);
	if (r < 0)
		return r;
	(void)snprintf(s->spec.id, sizeof(s->spec.id), "%s", b->id);
	s->spec.cgroup = &b->cgroup;
	s->spec.root_dir = m->root_dir;
	s->spec.net_index = b->run.net_index;
	s->spec.criu_path = m->cfg->criu;
	s->spec.kdat = m->kdat;
	s->spec.kdat_len = m->kdat_len;
	s->resolv_conf = start_read_resolv_conf(s->spec.policy);
	s->spec.resolv_conf = s->resolv_conf;
	b->run.log_cap = s->spec.limits.log_bytes;
	if (b->run.kind == RUN_TASK)
		box_send_pipes(b);
	s->spec.netns_fd = netns = netns_take(m);
	r = sandbox_spawn(&s->spec, &b->pid, &b->pidfd, e);
	if (r < 0)
		return r;
	b->child = true;
	box_set_deadline(b, s->spec.limits.timeout_s);
	b->run.magic = RUN_RECORD_MAGIC;
	b->run.init_pid = b->pid;
	b->run.started_realtime_ns = util_realtime_ns();
	memcpy(b->run.boot_id, m->boot_id, sizeof(b->run.boot_id));
	memcpy(b->run.id, b->id, sizeof(b->run.id));
	memcpy(b->run.cgroup, b->cgroup.name, sizeof(b->run.cgroup));
	r = util_proc_start_time(b->pid, &b->run.init_start);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "the sandbox's init");
	r = box_save_record(b);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "run record");
	return box_watch(b, e);
}

void start_undo(struct box *b)
{
	if (b->pid > 0) {
		(void)kill(b->pid, SIGKILL); /* our own child, not reaped: the pid is right */
		(void)waitpid(b->pid, NULL, 0);
		b->pid = 0;
	}
	if (b->record_fd >= 0)
		(void)unlinkat(b->m->tasks_fd, b->id, 0);
	net_put_index(b);
	(void)cgroup_remove(&b->cgroup);
}

static int begin(struct monitor *m, struct start *s, const struct mon_start *req, struct box *b,
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
	start_choose_mode(m, s, b, (enum start_mode)req->start);
	return start_spawn(m, s, b, package_fd, e);
}

/* A new sandbox. why: what kept the task from a clone, or "". */
static void start_sandbox(struct monitor *m, const struct mon_start *req, int job_fd,
			  int package_fd, const char *why)
{
	_cleanup_start_ struct start s = START_INIT;
	struct box *b = box_new(m, req->id);
	struct err e = {0};

	if (!b)
		return; /* out of memory: the front's own record stays, and asks again */
	b->run.owner = req->owner;
	(void)snprintf(b->warning, sizeof(b->warning), "%s", why);
	if (begin(m, &s, req, b, job_fd, package_fd, &e) < 0) {
		(void)snprintf(b->error, sizeof(b->error), "%s", e.msg);
		b->failed = true;
		start_undo(b);
		box_ended(b);
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
	if (box_find(m, req->id))
		return 0;
	if ((req->start == START_AUTO || req->start == START_FORK) &&
	    clone_start(m, req, job_fd, package_fd))
		return 0;
	start_sandbox(m, req, job_fd, package_fd, "");
	return 0;
}

int start_template(struct monitor *m, struct box *b, const struct recipe *of, int keeper_sock,
		   struct err *e)
{
	_cleanup_start_ struct start s = START_INIT;
	int r = start_load_parts(m, &s, of, e);

	b->run.kind = RUN_TEMPLATE;
	b->run.owner = of->owner;
	if (r == 0)
		r = start_open_checkpoint(m, &s, b, e);
	if (r == 0) {
		s.spec.action = SANDBOX_TEMPLATE;
		s.spec.limits = s.policy->policy.head.limits;
		s.spec.job_fd = -1;
		s.spec.keeper_sock = keeper_sock;
		r = start_spawn(m, &s, b, of->package_fd, e);
	}
	if (r < 0)
		start_undo(b);
	return r;
}

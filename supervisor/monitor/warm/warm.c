// SPDX-License-Identifier: Apache-2.0
/*
 * Warm-ups: whether one may run now, with what limits, its sandbox, and what becomes of it. Either
 * a checkpoint takes the place of an older one, or the failure is remembered (past.c).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/dir.h"
#include "lib/msg.h"
#include "supervisor/monitor/spawn/spawn.h"
#include "wire/warm_load.h"

/* How long a warm-up may take from its start to its checkpoint. One that the operator asked for may
 * read from a cold disk. One of a task imports whatever modules a tenant has named, and takes a
 * place from others meanwhile. */
#define WARM_S 150
#define WARM_OF_TASK_S 30
/* How messages of sandbox_park.py begin. */
#define SAYS_WHY "sandbox: warm: "
#define WARM_OUTPUT_MAX 400
/* How the name of a checkpoint's folder begins until the checkpoint is finished. */
#define HALF_MADE ".tmp-"

/* The box of a warm-up: a sandbox that ends as a checkpoint. */
struct warmup {
	struct box box;
	struct mon_warm req;
	struct limits limits;
	int not_now; /* why it was refused for the time being: -EAGAIN, -EBUSY; 0: it was not */
	uint64_t dump_us;
	int package_fd;			  /* of the package whose module is warmed; or -1 */
	char dir[64];			  /* in which the checkpoint is made; "": none yet */
	char output[WARM_OUTPUT_MAX + 1]; /* the end of what it has printed */
	sd_event_source *output_src;
};

/* The warm-up whose box this is; NULL: the box is of another kind. */
static struct warmup *warmup_of(struct box *b)
{
	return b->kind == &box_warmup ? (struct warmup *)(void *)b : NULL;
}

static int warm_write_record(int fd, const char *line, int n)
{
	const int prefix = (int)strlen(WARM_MODULE);

	if (n > prefix && strncmp(line, WARM_MODULE, (size_t)prefix) == 0)
		return dprintf(fd, "module %d\n%.*s\n", n - prefix, n - prefix, line + prefix);
	if (n == (int)strlen(WARM_REFUSE) && strncmp(line, WARM_REFUSE, (size_t)n) == 0)
		return dprintf(fd, "entropy 6\nrefuse\n");
	return dprintf(fd, "warm %d\n%.*s\n", n, n, line);
}

/* Makes the job file, a memory file in the form that the runtime reads: KEY LENGTH, newline, bytes,
 * newline. Returns its descriptor or -errno. */
static int warm_job(const char *warm, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("warm", MFD_CLOEXEC);

	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: memfd");
	for (const char *p = warm; *p;) {
		int n = (int)strcspn(p, "\n");

		if (n > 0 && warm_write_record(fd, p, n) < 0)
			return err_set(e, ERR_SYSTEM, errno, "warm: job");
		p += n + (p[n] == '\n');
	}
	return TAKE_FD(fd);
}

static int warm_remove_file(int dir, const char *name, void *arg, struct err *e)
{
	(void)arg;
	(void)e;
	(void)unlinkat(dir, name, 0);
	return 0;
}

static void warm_remove_dir(struct monitor *m, const char *name)
{
	_cleanup_fd_ int dir =
		openat(m->checkpoints_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir < 0)
		return;
	/* criu makes no folders in it. If somebody else has made some, the folder stays. */
	(void)dir_each(dir, warm_remove_file, NULL, NULL);
	(void)unlinkat(m->checkpoints_fd, name, AT_REMOVEDIR);
}

static int warm_make_dir(struct warmup *w, int *ret_dir, int *ret_heap, struct err *e)
{
	const uid_t uid = sandbox_host_id(w->box.run.owner, SANDBOX_UID);
	int parent = w->box.m->checkpoints_fd;

	(void)snprintf(w->dir, sizeof(w->dir), HALF_MADE "%s", w->box.id);
	if (mkdirat(parent, w->dir, 0700) < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: checkpoint folder");
	*ret_dir = openat(parent, w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*ret_dir < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: checkpoint folder");
	/* The interpreter writes its own memory into this file, which is sealed after its end. */
	*ret_heap = openat(*ret_dir, "heap", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, HEAP_MODE);
	if (*ret_heap < 0 || fchown(*ret_heap, uid, uid) < 0 || fchmod(*ret_heap, HEAP_MODE) < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: heap");
	/* Until the dump is over the folder is criu's, which runs as that user too. */
	if (fchown(*ret_dir, uid, uid) < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: checkpoint folder");
	return 0;
}

static void recipe_of_warm(const struct mon_warm *req, int package_fd, struct recipe *ret)
{
	*ret = (struct recipe){.owner = req->owner, .package_fd = package_fd};
	memcpy(ret->image, req->image, 32);
	memcpy(ret->policy, req->policy, 32);
	if (package_fd >= 0)
		memcpy(ret->package, req->package, 32);
	memcpy(ret->warm, req->warm, sizeof(ret->warm));
}

/*
 * A warm-up has the default limits of its policy, as its template has. Where the task that it is
 * for has higher limits, it has those: the task could use as much itself. It never has lower ones,
 * because the checkpoint is for other tasks with the same list too.
 */
static int limits_of_warm(const struct policy_head *policy, const struct mon_warm *req,
			  struct limits *ret, struct err *e)
{
	const struct limits *own = &req->limits;
	const bool of_task = req->wish == WARM_FOR_TASK;

	*ret = policy->limits;
	for (enum limit_id i = 0; i < LIMIT_N; i++)
		if (i != LIMIT_TIMEOUT && limit_get(own, i) > limit_get(ret, i))
			limit_set(ret, i, limit_get(own, i));
	/* RLIMIT_NOFILE is in the checkpoint, and a restored task can only lower it. */
	ret->nofile = policy->limits_max.nofile;
	if (limits_beyond(ret, &policy->limits_max) != LIMIT_N)
		return err_set(e, ERR_LIMIT, 0, "warm: limits beyond the policy's");
	ret->timeout_s = of_task ? WARM_OF_TASK_S : WARM_S;
	if (of_task && own->timeout_s && own->timeout_s < ret->timeout_s)
		ret->timeout_s = own->timeout_s;
	return 0;
}

/* Whether there is room for one more warm-up. The front counts too, but a new front does not know
 * which warm-ups the one before it had asked for. */
static int warm_check_room(const struct monitor *m, const struct warmup *mine, struct err *e)
{
	const struct mon_warm *req = &mine->req;
	struct warm_load load = {0};

	box_each(m, b)
	{
		const struct warmup *w = warmup_of(b);

		/* The tag is 0 for the renewal of a template's checkpoint: there is at most one for
		 * each template. */
		if (!w || w == mine || w->req.tag == 0)
			continue;
		warm_load_add(&load, (enum warm_for)w->req.wish, w->req.owner, w->limits.memory);
		if (req->has_package && w->req.has_package && req->owner == w->req.owner &&
		    memcmp(w->req.package, req->package, 32) == 0)
			return err_set(e, ERR_LIMIT, 0, "warm: another of this package runs");
	}
	if (!warm_load_allows(&load, (enum warm_for)req->wish, req->owner, mine->limits.memory,
			      m->node_memory))
		return err_set(e, ERR_LIMIT, 0, "warm: too many run already");
	return 0;
}

/* Whether it may run now. -EAGAIN: not now, for the last one has failed; -EBUSY: not now, but nothing has
 * failed. Neither is remembered. */
static int warm_check_time(struct monitor *m, struct warmup *w, const struct recipe *of,
			   struct err *e)
{
	const uint64_t now = util_monotonic_ns();
	int r = 0;

	if (w->req.tag == 0)
		return 0;
	if (warm_check_room(m, w, e) < 0)
		return -EBUSY;
	if (w->req.wish != WARM_FOR_OPERATOR)
		r = warm_past_check(m, of, (enum warm_for)w->req.wish, now, e);
	if (r < 0)
		return err_wrap(e, r, "warm");
	warm_past_begin(m, of, now);
	return 0;
}

static void say_begun(const struct start *s, const struct warmup *w)
{
	static const char *const wishes[WARM_FOR_MAX] = {
		[WARM_FOR_OPERATOR] = "asked for",
		[WARM_FOR_IMAGE] = "of the image's list",
		[WARM_FOR_TASK] = "of a task's list",
	};
	char list[IMAGE_WARM_MAX];

	(void)snprintf(list, sizeof(list), "%s", s->inputs.warm);
	for (char *p = list; *p; p++)
		*p = (char)(*p == '\n' ? ',' : *p);
	msg_info("warm-up %s begins: image %s, policy %s, %s: %s; up to %llu MiB, %u s", w->box.id,
		 s->image.name, s->policy->policy.head.name, wishes[w->req.wish],
		 *list ? list : "no modules", (unsigned long long)(w->limits.memory >> 20),
		 w->limits.timeout_s);
}

static int begin_warm(struct monitor *m, struct start *s, const struct mon_warm *req,
		      struct warmup *w, struct err *e)
{
	_cleanup_fd_ int job = -1;
	struct recipe of;
	int r;

	recipe_of_warm(req, w->package_fd, &of);
	if (strstr(req->warm, WARM_MODULE) && w->package_fd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "warm.module: there is no package (any more)");
	r = start_check_package(m, w->package_fd, e);
	if (r < 0)
		return r;
	r = start_load_recipe(m, s, &of, e);
	if (r < 0)
		return r;
	w->box.run.owner = s->spec.owner = recipe_dumped_by(&of);
	r = limits_of_warm(&s->policy->policy.head, req, &w->limits, e);
	if (r < 0)
		return r;
	if (!m->criu_works)
		return err_set(e, ERR_UNAVAILABLE, 0, "%s", m->criu_problem);
	memcpy(w->box.key, s->spec.checkpoint_key, 32);
	if (!req->force && start_open_checkpoint(m, s, &w->box, NULL) == 0) {
		warm_used(m, w->box.key);
		return -EEXIST;
	}
	r = warm_check_time(m, w, &of, e);
	if (r < 0)
		return r;
	job = warm_job(s->inputs.warm, e);
	if (job < 0)
		return job;
	util_close_fd(&s->checkpoint);
	util_close_fd(&s->heap);
	r = warm_make_dir(w, &s->checkpoint, &s->heap, e);
	if (r < 0)
		return r;
	s->spec.action = SANDBOX_DUMP;
	s->spec.limits = w->limits;
	s->spec.job_fd = job;
	s->spec.checkpoint_fd = s->checkpoint;
	r = start_spawn(m, s, &w->box, of.package_fd, e);
	if (r == 0)
		say_begun(s, w);
	return r;
}

void start_warm_again(struct monitor *m, const struct recipe *of, const struct limits *limits)
{
	struct mon_warm req = {.force = 1,
			       .has_package = of->package_fd >= 0,
			       .owner = of->owner,
			       .limits = *limits};

	req.wish = req.has_package ? WARM_FOR_TASK : WARM_FOR_IMAGE;

	memcpy(req.image, of->image, 32);
	memcpy(req.policy, of->policy, 32);
	memcpy(req.package, of->package, 32);
	memcpy(req.warm, of->warm, sizeof(req.warm));
	(void)start_warm(m, &req, of->package_fd);
}

static void warm_ended(struct warmup *w, bool ok);

int start_warm(struct monitor *m, const struct mon_warm *req, int package_fd)
{
	_cleanup_start_ struct start s = START_INIT;
	char id[TASK_ID_LEN + 1];
	struct err e = {0};
	struct warmup *w;
	struct box *b;
	int r;

	/* Only a task can name a module of a package. */
	if (req->wish == WARM_FOR_NOBODY || req->wish >= WARM_FOR_MAX ||
	    req->owner >= SANDBOX_OWNERS_MAX || (package_fd >= 0 && req->wish != WARM_FOR_TASK))
		return -EPROTO;
	util_new_id(id);
	b = box_new(m, &box_warmup, id);
	if (!b)
		return 0;
	w = warmup_of(b);
	w->req = *req;
	if (package_fd >= 0)
		w->package_fd = fcntl(package_fd, F_DUPFD_CLOEXEC, 3);
	r = begin_warm(m, &s, req, w, &e);
	if (r < 0) {
		(void)snprintf(b->error, sizeof(b->error), "%s", e.msg);
		b->failed = r != -EEXIST;
		w->not_now = r == -EAGAIN || r == -EBUSY ? r : 0;
		start_undo(b);
		warm_ended(w, r == -EEXIST);
	}
	return 0;
}

/* Removes the checkpoint, unless another one has taken its place meanwhile, or the task only had
 * too little memory for it. */
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

void warm_verified(const struct box *b)
{
	stamp_remember(b->m, b->key, b->stamp);
	if (b->recipe)
		warm_past_good(b->m, b->recipe);
}

/* Puts the finished folder in the place of an older one, in one step. The folder's group says which
 * project it is of, for warm_prune; only root may enter the folder. */
static int warm_publish(struct warmup *w, const char *hex)
{
	const gid_t owner = sandbox_host_id(w->box.run.owner, 0);
	int parent = w->box.m->checkpoints_fd;

	if (fchownat(parent, w->dir, 0, owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (syscall(SYS_renameat2, parent, w->dir, parent, hex, RENAME_EXCHANGE) == 0) {
		warm_remove_dir(w->box.m, w->dir);
		return 0;
	}
	if (errno != ENOENT)
		return -errno;
	return renameat(parent, w->dir, parent, hex) < 0 ? -errno : 0;
}

/* The time of the last use is the folder's own mtime. Nothing else depends on that:
 * checkpoint_stamp looks at the files in it. */
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

/* Of the project with most checkpoints, the one that was used longest ago. */
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

struct kept_all {
	struct kept list[CHECKPOINTS_MAX + 64];
	unsigned n;
};

static int add_kept(int dir, const char *name, void *arg, struct err *e)
{
	struct kept_all *all = arg;
	struct kept *kept = &all->list[all->n];
	struct stat st;

	(void)e;
	if (all->n == ARRAY_SIZE(all->list) || strlen(name) != 64 ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	memcpy(kept->name, name, sizeof(kept->name));
	kept->owner = st.st_gid;
	kept->used = st.st_mtim;
	all->n++;
	return 0;
}

/*
 * Each list of warm imports has a checkpoint of its own, and tasks may name any list. When there
 * are too many checkpoints, one of the project that has most is removed, whose next task starts
 * cold.
 */
static void warm_prune(struct monitor *m)
{
	static struct kept_all all;

	all.n = 0;
	(void)dir_each(m->checkpoints_fd, add_kept, &all, NULL);
	if (all.n > CHECKPOINTS_MAX)
		warm_remove_dir(m, find_surplus(all.list, all.n)->name);
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

static int remove_half_made(int dir, const char *name, void *arg, struct err *e)
{
	(void)dir;
	(void)e;
	if (strncmp(name, HALF_MADE, strlen(HALF_MADE)) == 0)
		warm_remove_dir(arg, name);
	return 0;
}

void warm_start(struct monitor *m)
{
	(void)dir_each(m->checkpoints_fd, remove_half_made, m, NULL);
}

/* The monitor stops, and so does the front that has asked. A warm-up is quickly made again. */
void warm_stop_all(struct monitor *m)
{
	box_each(m, b)
	{
		const struct warmup *w = warmup_of(b);

		if (!w || b->pid <= 0)
			continue;
		(void)kill(b->pid, SIGKILL);
		(void)waitpid(b->pid, NULL, 0);
		(void)cgroup_remove_within(&b->cgroup, 100);
		(void)unlinkat(m->tasks_fd, b->id, 0);
		warm_remove_dir(m, w->dir);
	}
}

static void warm_send_row(const struct warmup *w, uint32_t tag)
{
	const struct box *b = &w->box;
	union proto_msg msg = {0};
	struct mon_template *row = &msg.template;
	struct cgroup_usage usage = {0};
	struct policy_entry *policy;

	proto_init(&msg, MON_TEMPLATE);
	row->tag = tag;
	row->state = TEMPLATE_WARMING;
	/* The log has the whole id. */
	(void)snprintf(row->id, sizeof(row->id), "%.*s", TEMPLATE_ID_LEN, b->id);
	row->owner = b->run.owner;
	memcpy(row->image, w->req.image, 32);
	memcpy(row->policy, w->req.policy, 32);
	row->created_ns = b->run.started_realtime_ns;
	(void)cgroup_usage(&b->cgroup, &usage);
	row->memory_bytes = usage.memory_now;
	util_hex(b->key, 32, row->key);
	if (policy_get(b->m, w->req.policy, &policy, NULL) == 0)
		(void)snprintf(row->policy_name, sizeof(row->policy_name), "%s",
			       policy->policy.head.name);
	memcpy(row->warm, w->req.warm, sizeof(row->warm));
	monitor_to_front(b->m, &msg);
}

void warm_list(struct monitor *m, uint32_t tag)
{
	box_each(m, b)
	{
		const struct warmup *w = warmup_of(b);

		if (w)
			warm_send_row(w, tag);
	}
}

/* Writes into the error which limit a warm-up without a checkpoint has met, as far as its cgroup
 * knows: an interpreter that is killed says nothing, nor does its init. */
static void note_limit(struct warmup *w)
{
	struct cgroup_usage usage = {0};
	struct box *b = &w->box;

	(void)cgroup_usage(&b->cgroup, &usage);
	if (b->killed_for == VERDICT_TIMEOUT)
		(void)snprintf(b->error, sizeof(b->error), "warm: the imports took more than %u s",
			       w->limits.timeout_s);
	else if (usage.oom_kills)
		(void)snprintf(b->error, sizeof(b->error),
			       "warm: the imports took more than %llu MiB of memory",
			       (unsigned long long)(w->limits.memory >> 20));
	else if (!b->error[0])
		(void)snprintf(b->error, sizeof(b->error), "warm: %s",
			       verdict_name(b->exit_msg.exited.verdict));
}

/*
 * Remembers and logs what became of a warm-up. What tasks are told of a failure is one line: what
 * the runtime says of an import that has failed; else how the sandbox has ended and the last line
 * that was printed.
 */
static void warm_remember(const struct warmup *w, int status)
{
	const struct box *b = &w->box;
	const char *line = strrchr(w->output, '\n');
	char why[PROTO_TEXT_MAX] = "";
	struct recipe of;

	recipe_of_warm(&w->req, w->package_fd, &of);
	line = line ? line + 1 : w->output;
	if (status < 0 && strncmp(line, SAYS_WHY, strlen(SAYS_WHY)) == 0)
		(void)snprintf(why, sizeof(why), "%s", line + strlen("sandbox: "));
	else if (status < 0)
		(void)snprintf(why, sizeof(why), "%.200s%s%.200s",
			       b->error[0] ? b->error : "warm: it failed", *line ? ": " : "", line);
	warm_past_end(b->m, &of, (enum warm_for)w->req.wish, why, util_monotonic_ns());
	if (status < 0)
		msg_warn("warm-up %s failed: %s", b->id, why);
	else if (w->dir[0])
		msg_info("warm-up %s ended: dumped in %llu ms", b->id,
			 (unsigned long long)(w->dump_us / 1000));
}

/* Tells the front. ok: there is a checkpoint, a new one or a valid one of before. Frees w. */
static void warm_ended(struct warmup *w, bool ok)
{
	struct box *b = &w->box;
	struct monitor *m = b->m;
	union proto_msg msg = {0};
	struct mon_warmed *told = &msg.warmed;
	struct recipe of;
	int r = 0;

	proto_init(&msg, MON_WARMED);
	told->tag = w->req.tag;
	told->dump_us = w->dump_us;
	util_hex(b->key, 32, told->key);
	told->existed = ok && !w->dir[0];
	if (ok && w->dir[0])
		r = warm_publish(w, told->key);
	if (r < 0)
		(void)snprintf(b->error, sizeof(b->error), "checkpoint folder: %s", strerror(-r));
	if (ok && r == 0 && w->dir[0])
		warm_prune(m);
	if (ok && r == 0)
		told->bytes = folder_bytes(m, told->key);
	else
		told->status = -EIO;
	if (told->status && w->dir[0])
		warm_remove_dir(m, w->dir);
	for (size_t n = strlen(w->output); n > 0 && w->output[n - 1] == '\n'; n--)
		w->output[n - 1] = '\0';
	if (w->not_now)
		told->status = w->not_now;
	else
		warm_remember(w, told->status);
	if (told->status && w->output[0])
		(void)snprintf(told->error, sizeof(told->error), "%.100s: %.390s",
			       b->error[0] ? b->error : "the warm-up failed", w->output);
	else if (told->status)
		(void)snprintf(told->error, sizeof(told->error), "%s",
			       b->error[0] ? b->error : "the warm-up failed");
	/* Nobody in the front waits for a warm-up with the tag 0. */
	if (told->tag)
		monitor_to_front(m, &msg);
	if (told->status == 0) {
		recipe_of_warm(&w->req, w->package_fd, &of);
		template_want(m, &of);
	}
	(void)unlinkat(m->tasks_fd, b->id, 0);
	box_free(b);
}

/* Keeps the end of what a warm-up prints for the error message, as ASCII without control
 * characters, because it is shown to people and becomes JSON. */
static int on_warm_output(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct warmup *w = arg;
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));
	size_t have, keep;

	(void)events;
	if (n <= 0) {
		(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
		return 0;
	}
	if (n > WARM_OUTPUT_MAX) {
		memmove(buf, buf + n - WARM_OUTPUT_MAX, WARM_OUTPUT_MAX);
		n = WARM_OUTPUT_MAX;
	}
	have = strlen(w->output);
	keep = have + (size_t)n > WARM_OUTPUT_MAX ? WARM_OUTPUT_MAX - (size_t)n : have;
	memmove(w->output, w->output + have - keep, keep);
	for (ssize_t i = 0; i < n; i++)
		w->output[keep + (size_t)i] =
			(char)(buf[i] == '\n' || (buf[i] >= ' ' && buf[i] <= '~') ? buf[i] : '?');
	w->output[keep + (size_t)n] = '\0';
	return 0;
}

static void warmup_init(struct box *b)
{
	warmup_of(b)->package_fd = -1;
}

static bool warmup_owns(const struct run_record *run)
{
	return run->kind == RUN_WARM;
}

/* Whoever has asked for it is gone, and a warm-up is quickly made again. */
static int warmup_adopt(struct box *b, bool runs, struct err *e)
{
	(void)e;
	if (runs)
		box_signal(b, SIGKILL);
	box_forget(b);
	return 0;
}

static int warmup_watch(struct box *b)
{
	struct warmup *w = warmup_of(b);

	return sd_event_add_io(b->m->event, &w->output_src, b->err_r, EPOLLIN, on_warm_output, w);
}

static void warmup_reported(struct box *b, const struct report *r)
{
	if (r->type == REPORT_DUMPED)
		warmup_of(b)->dump_us = r->value;
}

static void warmup_ended(struct box *b)
{
	struct warmup *w = warmup_of(b);
	bool ok = !b->failed && w->dump_us > 0;

	box_reap(b);
	box_judge(b);
	if (!ok)
		note_limit(w);
	/* Its processes are gone with its init. A cgroup that cannot be removed is removed by the
	 * next monitor (adopt_all). */
	(void)cgroup_remove_within(&b->cgroup, 100);
	warm_ended(w, ok);
}

static void warmup_closed(struct box *b)
{
	struct warmup *w = warmup_of(b);

	w->output_src = sd_event_source_disable_unref(w->output_src);
}

static void warmup_clear(struct box *b)
{
	util_close_fd(&warmup_of(b)->package_fd);
}

/* It has no said: its started pipe is read by its init, which waits until the interpreter is
 * parked. */
const struct box_kind box_warmup = {
	.size = sizeof(struct warmup),
	.run = RUN_WARM,
	.init = warmup_init,
	.has_record = true,
	.has_deadline = true,
	.owns = warmup_owns,
	.adopt = warmup_adopt,
	.watch = warmup_watch,
	.reported = warmup_reported,
	.ended = warmup_ended,
	.closed = warmup_closed,
	.clear = warmup_clear,
};

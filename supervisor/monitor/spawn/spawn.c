// SPDX-License-Identifier: Apache-2.0
/*
 * From a request with ids and limits to a running sandbox. What surrounds a sandbox (pipes, record,
 * package) is made here for clones too, whose sandbox a keeper makes.
 */
#include "supervisor/monitor/spawn/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "sandbox/fork/keeper.h"
#include "sandbox/net.h"

/* What a recipe names, as it is on disk: policy, image, checkpoint; and the mode that follows. */

/*
 * Finds or takes a block of addresses for a policy. Files in RUN say which block is which policy's,
 * so that a sandbox that outlives this monitor has the rules of its own policy under the next one.
 */
static int take_block(struct monitor *m, const uint8_t id[32], uint32_t *ret, struct err *e)
{
	for (uint32_t block = NET_BLOCK; block + NET_BLOCK <= NET_INDEX_MAX; block += NET_BLOCK) {
		_cleanup_free_ char *owner = NULL;
		char name[32], hex[65];
		size_t len;
		int r;

		(void)snprintf(name, sizeof(name), "net-block-%u", block);
		util_hex(id, 32, hex);
		*ret = block;
		r = util_read_file_at(m->run_fd, name, 64, &owner, &len);
		if (r == 0 && strcmp(owner, hex) == 0)
			return 0;
		if (r != -ENOENT)
			continue;
		r = util_write_file_at(m->run_fd, name, 0600, hex, 64);
		return r < 0 ? err_set(e, ERR_SYSTEM, -r, "run folder: %s", name) : 0;
	}
	return err_set(e, ERR_LIMIT, 0, "too many network policies; remove %s/net-block-*",
		       m->cfg->run);
}

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
		else
			r = take_block(m, id, &p->net_block, e);
		if (r == 0)
			r = net_install(m, p, e);
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

void start_clear(struct start *s)
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

void recipe_of_start(const struct mon_start *req, int package_fd, struct recipe *ret)
{
	bool module = package_fd >= 0 && strstr(req->warm, WARM_MODULE);

	*ret = (struct recipe){.owner = req->owner, .package_fd = module ? package_fd : -1};
	memcpy(ret->image, req->image, 32);
	memcpy(ret->policy, req->policy, 32);
	if (module)
		memcpy(ret->package, req->package, 32);
	memcpy(ret->warm, req->warm, sizeof(ret->warm));
}

bool recipe_is(const struct recipe *a, const struct recipe *b)
{
	return a->owner == b->owner && memcmp(a->image, b->image, 32) == 0 &&
	       memcmp(a->policy, b->policy, 32) == 0 && memcmp(a->package, b->package, 32) == 0 &&
	       strcmp(a->warm, b->warm) == 0;
}

uint32_t recipe_dumped_by(const struct recipe *of)
{
	static const uint8_t none[32];

	return memcmp(of->package, none, sizeof(none)) == 0 ? SANDBOX_OWNER_SHARED : of->owner;
}

int start_load_recipe(struct monitor *m, struct start *s, const struct recipe *of, struct err *e)
{
	int r = policy_get(m, of->policy, &s->policy, e);

	s->recipe = *of;
	s->spec.owner = of->owner;
	s->spec.checkpoint_owner = s->inputs.owner = recipe_dumped_by(of);
	if (r < 0)
		return r;
	r = image_load(m->images_fd, of->image, &s->image, &s->rootfs, e);
	if (r < 0)
		return r;
	memcpy(s->inputs.image, of->image, 32);
	memcpy(s->inputs.runtime, s->image.runtime_digest, 32);
	memcpy(s->inputs.policy, of->policy, 32);
	memcpy(s->inputs.package, of->package, 32);
	/* The key is a digest of the whole struct: what is behind the end of each text must be
	 * zero, as it was before. */
	(void)snprintf(s->inputs.warm, sizeof(s->inputs.warm), "%s", of->warm);
	(void)snprintf(s->inputs.kernel, sizeof(s->inputs.kernel), "%s", m->kernel);
	(void)snprintf(s->inputs.cpu, sizeof(s->inputs.cpu), "%.63s", m->cpu);
	/* Another version of this program may surround the process with something else. */
	(void)snprintf(s->inputs.criu, sizeof(s->inputs.criu), "%.40s, sandboxd %s",
		       m->criu_version, SANDBOXD_VERSION);
	s->spec.policy = &s->policy->policy;
	s->spec.image = &s->image;
	memcpy(s->spec.image_digest, of->image, 32);
	s->spec.checkpoint_inputs = &s->inputs;
	return checkpoint_key(&s->inputs, s->spec.checkpoint_key, e);
}

/* Keeps as many as there can be checkpoints. One whose stamp is forgotten is verified again. */
static void forget_stamps(struct monitor *m)
{
	struct stamp_entry_cached **p = &m->stamps, *next;

	for (unsigned n = 0; *p && n < CHECKPOINTS_MAX; n++)
		p = &(*p)->next;
	for (struct stamp_entry_cached *c = *p; c; c = next) {
		next = c->next;
		free(c);
	}
	*p = NULL;
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
		forget_stamps(m);
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

int start_open_checkpoint(struct monitor *m, struct start *s, struct box *b, struct err *e)
{
	static struct checkpoint_manifest manifest;
	char hex[65];
	int r;

	util_hex(s->spec.checkpoint_key, 32, hex);
	s->checkpoint =
		openat(m->checkpoints_fd, hex, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->checkpoint < 0)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "no checkpoint for this image, policy and warm list");
	r = checkpoint_read(s->checkpoint, s->spec.checkpoint_key, &manifest, e);
	if (r < 0)
		return r;
	r = checkpoint_stamp(s->checkpoint, b->stamp, e);
	if (r < 0)
		return r;
	s->heap = openat(s->checkpoint, "heap", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->heap < 0)
		return err_set(e, ERR_INPUT, errno, "checkpoint: heap");
	memcpy(b->key, s->spec.checkpoint_key, 32);
	/* If there is no memory for the recipe, nothing will be remembered of this checkpoint. */
	if (!b->recipe)
		b->recipe = malloc(sizeof(*b->recipe));
	if (b->recipe) {
		*b->recipe = s->recipe;
		b->recipe->package_fd = -1;
	}
	s->spec.verified = stamp_known(m, b->key, b->stamp);
	s->spec.checkpoint_fd = s->checkpoint;
	return 0;
}

/* The fastest way that is ready. That it is not the one that was asked for is in b's warning, but
 * for a missing checkpoint, of which more is known elsewhere. */
static struct start_wish start_choose_mode(struct monitor *m, struct start *s, struct box *b,
					   enum start_mode asked)
{
	struct start_wish wish = {.of = s->recipe, .asked = asked};

	s->spec.action = SANDBOX_COLD;
	b->run.mode = START_COLD;
	b->list = strcmp(s->recipe.warm, s->image.warm) == 0 ? WARM_FOR_IMAGE : WARM_FOR_TASK;
	if (asked == START_COLD)
		return wish;
	if (!m->criu_works) {
		if (asked != START_AUTO)
			(void)snprintf(b->warning, sizeof(b->warning), "cold start: %s",
				       m->criu_problem);
		return wish;
	}
	if (start_open_checkpoint(m, s, b, &wish.missing) < 0) {
		wish.checkpoint = true;
		return wish;
	}
	s->spec.action = SANDBOX_RESTORE;
	b->run.mode = START_RESTORE;
	wish.restored = true;
	wish.template = asked == START_AUTO || asked == START_FORK;
	if (asked == START_FORK)
		(void)snprintf(b->warning, sizeof(b->warning),
			       "restored: no template is ready to fork from");
	return wish;
}

static int start_make_pipe(int *r, int *w, uint64_t *ino, struct err *e)
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
	int r = start_make_pipe(&b->out_r, out_w, &b->run.out_ino, e);

	if (r < 0)
		return r;
	r = start_make_pipe(&b->err_r, err_w, &b->run.err_ino, e);
	if (r < 0)
		return r;
	r = start_make_pipe(&b->started_r, started_w, &b->run.started_ino, e);
	if (r < 0)
		return r;
	r = start_make_pipe(&b->report_r, report_w, NULL, e);
	if (r < 0)
		return r;
	/* A task that opens /dev/stdout opens the pipe anew, which its mode allows to its owner. */
	if (fchown(*out_w, uid, uid) < 0 || fchown(*err_w, uid, uid) < 0)
		return err_set(e, ERR_SYSTEM, errno, "pipe");
	(void)fcntl(b->started_r, F_SETFL, O_NONBLOCK);
	(void)fcntl(b->report_r, F_SETFL, O_NONBLOCK);
	return 0;
}

/* It may be a symbolic link into /run. It is the host's own file, so links are followed. */
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

	/* For a file that is not in memory, F_GET_SEALS fails. */
	return seals >= 0 && (seals & wanted) == wanted && fstat(fd, &st) == 0 &&
	       S_ISREG(st.st_mode) && st.st_size <= (off_t)JOB_BYTES_MAX;
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static bool is_unix_stream(int fd)
{
	return socket_option(fd, SO_DOMAIN) == AF_UNIX && socket_option(fd, SO_TYPE) == SOCK_STREAM;
}

bool start_is_input(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);

	return is_unix_stream(fd) && getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

bool start_is_serve(int fd)
{
	return start_is_input(fd) || (is_unix_stream(fd) && socket_option(fd, SO_ACCEPTCONN) == 1);
}

/*
 * The folder must be the front's own. The front can name folders that it cannot read, and as /work
 * they would be readable. AT_STATX_DONT_SYNC: this does not wait for a file system that is slow to
 * answer.
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

int start_check_policy(const struct mon_start *req, const struct policy *policy, struct err *e)
{
	if (limits_beyond(&req->limits, &policy->head.limits_max) != LIMIT_N)
		return err_set(e, ERR_LIMIT, 0, "limits beyond the policy's");
	if (req->no_deadline && !policy->head.lasting)
		return err_set(e, ERR_DENIED, 0, "policy %s: " POLICY_NOT_LASTING,
			       policy->head.name);
	return 0;
}

/* A package is shared by all who have sent the same content, so on disk it is the front's; an
 * idmapped mount shows it as the owner's. */
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

static int start_make_fds(struct start *s, struct box *b, struct err *e)
{
	int r = start_make_pipes(b, &s->out_w, &s->err_w, &s->started_w, &s->report_w, e);

	if (r < 0)
		return r;
	r = box_open_record(b, e);
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

static int start_make_mounts(struct monitor *m, struct start *s, int package_fd, struct err *e)
{
	int r = rootfs_detach(s->rootfs, "image", &s->mounts[MOUNT_ROOTFS], e);

	if (r < 0)
		return r;
	r = rootfs_detach(m->dev_fd, "devices", &s->mounts[MOUNT_DEV], e);
	if (r < 0)
		return r;
	if (package_fd >= 0)
		r = start_detach_package(m, package_fd, s->spec.owner, &s->mounts[MOUNT_PACKAGE],
					 e);
	if (r < 0)
		return r;
	if (s->data_fd >= 0)
		r = start_detach_package(m, s->data_fd, s->spec.owner, &s->mounts[MOUNT_DATA], e);
	if (r < 0)
		return r;
	if (s->spec.action != SANDBOX_COLD)
		r = rootfs_detach(s->heap, "checkpoint's heap", &s->mounts[MOUNT_HEAP], e);
	if (r < 0)
		return r;
	s->spec.rootfs_mount = s->mounts[MOUNT_ROOTFS];
	s->spec.dev_mount = s->mounts[MOUNT_DEV];
	s->spec.package_mount = s->mounts[MOUNT_PACKAGE];
	s->spec.heap_mount = s->mounts[MOUNT_HEAP];
	s->spec.data_mount = s->mounts[MOUNT_DATA];
	return 0;
}

int start_spawn(struct monitor *m, struct start *s, struct box *b, int package_fd, struct err *e)
{
	struct limits limits = s->spec.limits;
	_cleanup_fd_ int netns = -1;
	int r;

	r = start_make_fds(s, b, e);
	if (r < 0)
		return r;
	r = start_make_mounts(m, s, package_fd, e);
	if (r < 0)
		return r;
	/* A warm-up fetches nothing, and a template runs nothing: they have lo alone. */
	if (b->kind->has_network)
		r = net_take_index(m, s->policy, &b->run.net_index, e);
	if (r < 0)
		return r;
	/* The init is one more. During a restore there is room for the init, criu and what is
	 * restored; the init lowers the limit once that is confined. */
	limits.pids++;
	if (s->spec.action == SANDBOX_RESTORE || s->spec.action == SANDBOX_TEMPLATE)
		limits.pids = CHECKPOINT_PIDS;
	else if (s->spec.action == SANDBOX_DUMP)
		limits.pids++;
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
	/* The output has a reader before there is any. */
	if (b->kind->tell)
		b->kind->tell(b, R_LOGGER);
	s->spec.netns_fd = netns = netns_take(m);
	r = sandbox_spawn(&s->spec, &b->pid, &b->pidfd, e);
	if (r < 0)
		return r;
	b->child = true;
	r = box_record(b, s->no_deadline ? 0 : s->spec.limits.timeout_s, e);
	return r < 0 ? r : box_watch(b, e);
}

void start_undo(struct box *b)
{
	if (b->pid > 0) {
		(void)kill(b->pid, SIGKILL); /* a child that was not reaped still has its pid */
		(void)waitpid(b->pid, NULL, 0);
		b->pid = 0;
	}
	if (b->record_fd >= 0)
		(void)unlinkat(b->m->tasks_fd, b->id, 0);
	net_put_index(b);
	(void)cgroup_remove(&b->cgroup);
}

static int start_begin(struct monitor *m, struct start *s, const struct mon_start *req,
		       struct box *b, const struct start_fds *fds, struct start_wish *wish,
		       struct err *e)
{
	struct recipe of;
	int r;

	recipe_of_start(req, fds->package, &of);
	r = start_load_recipe(m, s, &of, e);
	if (r < 0)
		return r;
	r = start_check_policy(req, &s->policy->policy, e);
	if (r < 0)
		return r;
	r = start_check_package(m, fds->package, e);
	if (r == 0)
		r = start_check_package(m, fds->data, e);
	if (r < 0)
		return r;
	s->data_fd = fds->data;
	s->no_deadline = req->no_deadline;
	b->run.ring_log = req->ring_log;
	s->spec.limits = req->limits;
	s->spec.script = req->script;
	s->spec.job_fd = fds->job;
	s->spec.input_fd = fds->input;
	s->spec.serve_fd = fds->serve;
	s->spec.checkpoint_fd = -1;
	*wish = start_choose_mode(m, s, b, (enum start_mode)req->start);
	return start_spawn(m, s, b, fds->package, e);
}

struct box *start_sandbox(struct monitor *m, const struct mon_start *req,
			  const struct start_fds *fds, const char *why, struct start_wish *wish)
{
	_cleanup_start_ struct start s = START_INIT;
	struct box *b = box_new(m, &box_task, req->id);
	struct err e = {0};

	*wish = (struct start_wish){0};
	if (!b)
		return NULL; /* the front still has its own record of the task, and asks again */
	b->run.owner = req->owner;
	(void)snprintf(b->warning, sizeof(b->warning), "%s", why);
	if (start_begin(m, &s, req, b, fds, wish, &e) < 0) {
		(void)snprintf(b->error, sizeof(b->error), "%s", e.msg);
		b->failed = true;
		start_undo(b);
		box_ended(b);
	}
	return b;
}

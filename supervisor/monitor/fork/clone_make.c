// SPDX-License-Identifier: Apache-2.0
/* Asks a template's keeper for a clone: what it needs is made here and sent along. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "lib/msg.h"
#include "sandbox/fork/keeper.h"
#include "supervisor/monitor/fork/clone.h"
#include "supervisor/monitor/spawn/start.h"

#define SILENCE_US 5000000
/* Until it has a task: an interpreter's own pages, several times over. */
#define WAITING_MEMORY (64ULL << 20)
#define PARKED "parked-"

_Static_assert(PARK_FDS_MAX <= FDS_SEND_MAX, "fds_send");

static int send_park(struct template *tpl, struct box *b, int fds[PARK_FDS_MAX], int package,
		     struct err *e)
{
	static struct template_park park;
	_cleanup_free_ char *resolv = start_read_resolv_conf(&tpl->rules->policy);
	int n = PARK_FD_N, r;

	memset(&park, 0, sizeof(park));
	park.tag = b->clone_tag;
	park.net_index = b->run.net_index;
	park.ahead = b->ahead;
	park.limits = b->limits;
	memcpy(park.cgroup, b->cgroup.name, sizeof(park.cgroup));
	if (resolv)
		(void)snprintf(park.resolv_conf, sizeof(park.resolv_conf), "%s", resolv);
	if (package >= 0) {
		park.has_package = 1;
		fds[n++] = package;
	}
	for (int i = 0; i < CGROUP_N; i++)
		if (b->cgroup.dirs[i] >= 0) {
			park.cgroup_mask |= 1u << i;
			fds[n++] = b->cgroup.dirs[i];
		}
	if (b->cgroup.unified >= 0) {
		park.cgroup_mask |= PARK_UNIFIED;
		fds[n++] = b->cgroup.unified;
	}
	r = fds_send(tpl->sock, &park, sizeof(park), fds, n, MSG_DONTWAIT);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "its keeper") : 0;
}

static int make_group(struct box *b, struct err *e)
{
	struct limits limits = b->limits;
	int r;

	/* The keeper waits for what is done in there: not with a thousandth of a processor. */
	if (b->ahead || limits.cpu_milli < 1000)
		limits.cpu_milli = 1000;
	/* The init, and for a moment what clones the payload. */
	limits.pids += 2;
	r = cgroup_create(&b->m->cgroups, b->id, &limits, &b->cgroup, e);
	if (r == 0 && b->ahead && limits.memory > WAITING_MEMORY) {
		r = cgroup_set_memory(&b->cgroup, WAITING_MEMORY);
		if (r < 0)
			return err_set(e, ERR_SYSTEM, -r, "cgroup %s", b->cgroup.name);
	}
	return r;
}

int clone_set_limits(struct box *b)
{
	int r = cgroup_set_cpu(&b->cgroup, b->limits.cpu_milli);

	if (r == 0)
		r = cgroup_set_pids(&b->cgroup, b->limits.pids + 1);
	if (r == 0 && b->ahead)
		r = cgroup_set_memory(&b->cgroup, b->limits.memory);
	return r;
}

static int request(struct template *tpl, struct box *b, int package_fd, struct err *e)
{
	_cleanup_fd_ int out_w = -1, err_w = -1, started_w = -1, report_w = -1, theirs = -1,
			 package = -1;
	int fds[PARK_FDS_MAX], sk[2] = {-1, -1}, r;

	r = start_make_pipes(b, &out_w, &err_w, &started_w, &report_w, e);
	if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sk) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "socket");
	if (r < 0)
		return r;
	b->ctl = sk[0];
	theirs = sk[1];
	if (package_fd >= 0)
		r = start_detach_package(tpl->m, package_fd, b->run.owner, &package, e);
	if (r == 0)
		r = net_take_index(tpl->m, tpl->rules, &b->run.net_index, e);
	if (r == 0)
		r = make_group(b, e);
	if (r < 0)
		return r;
	fds[PARK_FD_OUT_R] = b->out_r;
	fds[PARK_FD_OUT_W] = out_w;
	fds[PARK_FD_ERR_R] = b->err_r;
	fds[PARK_FD_ERR_W] = err_w;
	fds[PARK_FD_STARTED_R] = b->started_r;
	fds[PARK_FD_STARTED_W] = started_w;
	fds[PARK_FD_REPORT] = report_w;
	fds[PARK_FD_CTL] = theirs;
	return send_park(tpl, b, fds, package, e);
}

static int on_silence(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	/* It may be busy with its own tasks' end for ever: no more is asked of it. */
	template_failed(arg, "its keeper does not answer");
	return 0;
}

static bool is_asked(const struct template *tpl)
{
	for (const struct box *b = tpl->clones; b; b = b->clone_next)
		if (b->clone_tag)
			return true;
	return false;
}

/* It makes one at a time: what others wait in its queue is not its silence. */
static int await_answer(struct template *tpl)
{
	int r;

	if (tpl->silence) {
		r = sd_event_source_set_time_relative(tpl->silence, SILENCE_US);
		return r < 0 ? r : sd_event_source_set_enabled(tpl->silence, SD_EVENT_ONESHOT);
	}
	r = sd_event_add_time_relative(tpl->m->event, &tpl->silence, CLOCK_MONOTONIC, SILENCE_US, 0,
				       on_silence, tpl);
	/* After the answers of the same turn: this process may have been the one that slept. */
	return r < 0 ? r : sd_event_source_set_priority(tpl->silence, SD_EVENT_PRIORITY_IDLE / 2);
}

int clone_answered(struct template *tpl)
{
	if (is_asked(tpl))
		return await_answer(tpl);
	return sd_event_source_set_enabled(tpl->silence, SD_EVENT_OFF);
}

void clone_name(char ret[TASK_ID_LEN + 1])
{
	uint8_t random[6];
	char hex[13];

	(void)!getrandom(random, sizeof(random), 0);
	util_hex(random, sizeof(random), hex);
	(void)snprintf(ret, TASK_ID_LEN + 1, PARKED "%s", hex);
}

bool clone_is_name(const char *name)
{
	return strncmp(name, PARKED, sizeof(PARKED) - 1) == 0;
}

struct box *clone_make(struct template *tpl, const struct clone_kind *kind, struct pending *pending)
{
	char name[TASK_ID_LEN + 1];
	struct box *b;
	struct err e = {0};
	bool asked;
	int r;

	clone_name(name);
	b = box_new(tpl->m, name);
	if (!b) {
		pending_free(pending);
		return NULL;
	}
	b->run.kind = RUN_PARKED;
	b->run.owner = tpl->of.owner;
	b->template = tpl;
	b->pending = pending;
	b->ahead = !pending;
	b->limits = kind->limits;
	memcpy(b->package, kind->package, 32);
	asked = is_asked(tpl);
	b->clone_tag = ++tpl->last_tag ? tpl->last_tag : ++tpl->last_tag;
	b->clone_next = tpl->clones;
	tpl->clones = b;
	r = request(tpl, b, kind->package_fd, &e);
	if (r == 0 && !asked)
		r = await_answer(tpl);
	if (r < 0) {
		msg_warn("template %s: %s", tpl->id, e.msg[0] ? e.msg : strerror(-r));
		clone_drop(b);
		return NULL;
	}
	return b;
}

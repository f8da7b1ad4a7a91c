// SPDX-License-Identifier: Apache-2.0
/* What a start is made of: policy, image, checkpoint, and the mode that follows. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/net.h"
#include "supervisor/monitor/spawn/start.h"

/*
 * Which addresses are which policy's is kept in RUN, so that a sandbox that outlives
 * this monitor keeps its own policy's rules under the next one.
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

int start_load_parts(struct monitor *m, struct start *s, const struct recipe *of, struct err *e)
{
	int r = policy_get(m, of->policy, &s->policy, e);

	s->recipe = *of;
	s->spec.owner = of->owner;
	s->spec.checkpoint_owner = s->inputs.owner = recipe_dumped_by(of);
	if (r == 0)
		r = image_load(m->images_fd, of->image, &s->image, &s->rootfs, e);
	if (r < 0)
		return r;
	memcpy(s->inputs.image, of->image, 32);
	memcpy(s->inputs.runtime, s->image.runtime_digest, 32);
	memcpy(s->inputs.policy, of->policy, 32);
	memcpy(s->inputs.package, of->package, 32);
	/* inputs is zero, and stays so behind each text's end: the key is over all of it. */
	(void)snprintf(s->inputs.warm, sizeof(s->inputs.warm), "%s", of->warm);
	(void)snprintf(s->inputs.kernel, sizeof(s->inputs.kernel), "%s", m->kernel);
	(void)snprintf(s->inputs.cpu, sizeof(s->inputs.cpu), "%.63s", m->cpu);
	/* What surrounds the process is this program's: another version, another checkpoint. */
	(void)snprintf(s->inputs.criu, sizeof(s->inputs.criu), "%.40s, sandboxd %s",
		       m->criu_version, SANDBOXD_VERSION);
	s->spec.policy = &s->policy->policy;
	s->spec.image = &s->image;
	memcpy(s->spec.image_digest, of->image, 32);
	s->spec.checkpoint_inputs = &s->inputs;
	return checkpoint_key(&s->inputs, s->spec.checkpoint_key, e);
}

/* There are no more checkpoints than that. One whose stamp is forgotten is verified again. */
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

int start_open_checkpoint(struct monitor *m, struct start *s, struct box *t, struct err *e)
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
	if (r == 0)
		r = checkpoint_stamp(s->checkpoint, t->stamp, e);
	if (r < 0)
		return r;
	s->heap = openat(s->checkpoint, "heap", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->heap < 0)
		return err_set(e, ERR_INPUT, errno, "checkpoint: heap");
	memcpy(t->key, s->spec.checkpoint_key, 32);
	/* Without memory for it nothing is remembered of this checkpoint. */
	if (!t->recipe)
		t->recipe = malloc(sizeof(*t->recipe));
	if (t->recipe) {
		*t->recipe = s->recipe;
		t->recipe->package_fd = -1;
	}
	s->spec.verified = stamp_known(m, t->key, t->stamp);
	s->spec.checkpoint_fd = s->checkpoint;
	warm_used(m, t->key);
	return 0;
}

/* The fastest way that is ready; a faster one that was asked for and is not: a warning. */
void start_choose_mode(struct monitor *m, struct start *s, struct box *t, enum start_mode asked)
{
	struct err e = {0};
	const char *why;
	int r;

	s->spec.action = SANDBOX_COLD;
	t->run.mode = START_COLD;
	t->list = strcmp(s->recipe.warm, s->image.warm) == 0 ? WARM_FOR_IMAGE : WARM_FOR_TASK;
	if (asked == START_COLD)
		return;
	if (!m->criu_works) {
		if (asked != START_AUTO)
			(void)snprintf(t->warning, sizeof(t->warning), "cold start: %s",
				       m->criu_problem);
		return;
	}
	r = start_open_checkpoint(m, s, t, &e);
	if (r == 0) {
		s->spec.action = SANDBOX_RESTORE;
		t->run.mode = START_RESTORE;
		if (asked == START_AUTO || asked == START_FORK)
			template_want(m, &s->recipe);
		if (asked == START_FORK)
			(void)snprintf(t->warning, sizeof(t->warning),
				       "restored: no template is ready to fork from");
		return;
	}
	if (warm_past_allows(m, &s->recipe, t->list, util_monotonic_ns()))
		t->want_warm = t->list;
	why = warm_past_why(m, &s->recipe, t->list);
	/* Who has named the modules can mend them; others of the image are not told each time. */
	if (*why && e.code == ERR_NOT_FOUND && (asked != START_AUTO || t->list == WARM_FOR_TASK))
		(void)snprintf(t->warning, sizeof(t->warning), "cold start: %.400s", why);
	/* auto without a checkpoint is the ordinary first start; a damaged one is not. */
	else if (asked != START_AUTO || e.code != ERR_NOT_FOUND)
		(void)snprintf(t->warning, sizeof(t->warning), "cold start: %.400s", e.msg);
}

// SPDX-License-Identifier: Apache-2.0
/* Names of images and policies to the digests that they stand for now. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/core/core.h"

#define HEX_LEN 64

/* The digest out of a symlink's target: prefix, 64 hex digits, suffix. */
static int read_digest_link(int dirfd, const char *path, const char *prefix, const char *suffix,
			    uint8_t digest[32])
{
	size_t before = strlen(prefix), want = before + HEX_LEN + strlen(suffix);
	char target[256];
	ssize_t n = readlinkat(dirfd, path, target, sizeof(target) - 1);

	/* EINVAL: what has this name is no link, so it is not what names stand for: a policy's file
	 * lies beside the links of policies. */
	if (n < 0)
		return errno == EINVAL ? -ENOENT : -errno;
	target[n] = '\0';
	if ((size_t)n != want || strncmp(target, prefix, before) != 0 ||
	    strcmp(target + before + HEX_LEN, suffix) != 0)
		return -EPROTO;
	target[before + HEX_LEN] = '\0';
	return util_unhex(target + before, 32, digest) < 0 ? -EPROTO : 0;
}

int resolve_image(struct front *f, const char *name, uint8_t digest[32], struct image_head *ret,
		  struct err *e)
{
	_cleanup_fd_ int images = -1, rootfs = -1;
	char path[128];
	int r;

	if (!util_is_name(name))
		return err_set(e, ERR_INPUT, 0,
			       "image: must be an image's name such as \"python\"");
	images = openat(f->cfg.state_dirfd, "images", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (images < 0)
		return err_set(e, ERR_NOT_FOUND, errno,
			       "no images are installed: sandboxctl image build %s", name);
	(void)snprintf(path, sizeof(path), "by-name/%s", name);
	r = read_digest_link(images, path, "../", "", digest);
	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "there is no image \"%s\": sandboxctl image ls shows what there is, "
			       "sandboxctl image build makes one",
			       name);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "image %s: its link cannot be read", name);
	r = image_load(images, digest, ret, &rootfs, e);
	return r < 0 ? err_wrap(e, r, "image %s", name) : 0;
}

int resolve_policy(struct front *f, const char *name, uint8_t id[32], struct policy_head *ret,
		   struct err *e)
{
	_cleanup_fd_ int policies = -1;
	struct policy policy = {0};
	unsigned slot;
	int r;

	if (!util_is_name(name))
		return err_set(e, ERR_INPUT, 0,
			       "policy: must be a policy's name such as \"default\"");
	policies = openat(f->cfg.state_dirfd, "policies", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = policies < 0 ? -errno : read_digest_link(policies, name, "", ".bin", id);
	if (r == -ENOENT)
		return err_set(
			e, ERR_NOT_FOUND, 0,
			"there is no policy \"%s\": sandboxctl policy ls shows what there is, "
			"sandboxctl policy install adds one",
			name);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "policy %s: its link cannot be read", name);
	/* The id is the content's digest: what was checked once stays right. */
	for (unsigned i = 0; i < f->core->n_policies && i < RESOLVE_CACHE; i++) {
		if (memcmp(f->core->policies[i].id, id, 32) != 0)
			continue;
		*ret = f->core->policies[i].head;
		return 0;
	}
	r = policy_load(policies, id, &policy, e);
	if (r < 0)
		return err_wrap(e, r, "policy %s", name);
	*ret = policy.head;
	policy_clear(&policy);
	slot = f->core->n_policies++ % RESOLVE_CACHE;
	memcpy(f->core->policies[slot].id, id, 32);
	f->core->policies[slot].head = *ret;
	return 0;
}

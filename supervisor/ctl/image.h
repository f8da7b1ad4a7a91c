/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `sandboxctl image` share. lib/image.h has the store's layout. */
#ifndef SUPERVISOR_CTL_IMAGE_H
#define SUPERVISOR_CTL_IMAGE_H

#include <signal.h>

#include "lib/image.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/runtime.h"
#include "supervisor/ctl/state_dir.h"

/* An installed image: its name, its digest in hex, what image.json says of it. */
struct image_entry {
	char name[64], hex[65];
	json_t *doc;
};
#define _cleanup_image_entry_ __attribute__((cleanup(image_entry_clear)))
void image_entry_clear(struct image_entry *entry);
/* Reads an installed image by its name. images is STATE/images. ERR_NOT_FOUND when
 * there is none. */
int image_entry_read(int images, const char *name, struct image_entry *ret, struct err *e);

/* The same without its description. */
int image_entry_find(int images, const char *name, struct image_entry *ret, struct err *e);

/* STATE/images/by-name, made when it is not there and create is true. */
int image_by_name(int images, bool create, int *ret, struct err *e);

/*
 * Locks STATE/images/.lock-NAME (or .lock, the short one around changes of the store,
 * when name is NULL) and returns the fd that holds it. Says on stderr that it waits.
 */
int image_lock(int images, const char *name, int *ret, struct err *e);

/*
 * Removes what nobody needs: trees of builds that died, and images without a name that
 * no task uses, with their checkpoints. The daemon is asked for the latter; when it does
 * not answer they stay. The caller holds the store's lock.
 */
void image_collect(struct ctl *ctl, int images);

/* Removes an image that has no name any more, and its checkpoints. Under the store's lock. */
int image_drop(struct ctl *ctl, int images, const char *hex, struct err *e);

/* How many tasks use the image of this digest; ERR_UNAVAILABLE
 * when no daemon answers. */
int image_tasks(struct ctl *ctl, const char *hex, int64_t *ret, struct err *e);

/* image_digest.c */
struct image_tree {
	uint8_t digest[32];
	uint64_t files, bytes;
};
/*
 * SHA-256 over the sorted tree beneath dirfd. Only folders, regular files and symlinks
 * may be in it, and no setuid or setgid file. Stops with -EINTR when *stop becomes set.
 */
int image_tree_digest(int dirfd, const volatile sig_atomic_t *stop, struct image_tree *ret,
		      struct err *e);
/* The digest of an image: of its tree and of what image.bin says. hex holds 65 bytes. */
int image_digest_join(const uint8_t tree[32], const struct image_head *head, char *hex,
		      struct err *e);
/* The image's own shape: the mount points are real folders, the interpreter and the
 * runtime are there. */
int image_tree_check(int rootfs, const char *interpreter, struct err *e);
/* SHA-256 over what an image is made from: image.json's text, the build script, the
 * runtime's folder, the machine's release. */
int image_input_digest(const char *text, size_t len, const char *runtime_dir, uint8_t ret[32],
		       struct err *e);

/* image_script.c. Runs image-build SRC OUT; image_signal is set by INT, TERM or HUP. */
extern volatile sig_atomic_t image_signal;
void image_catch_signals(void);
int image_run_script(const char *src, const char *out, const char *runtime_dir, int lock_fd,
		     struct err *e);

int image_build(struct ctl *ctl, int argc, char **argv);

/* image_confine.c: for image-build, which runs whatever comes out of an image by it. */
int image_confine(struct ctl *ctl, int argc, char **argv);

#endif

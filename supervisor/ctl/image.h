/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `sandboxctl image` share. lib/image.h has the store's layout. */
#ifndef SUPERVISOR_CTL_IMAGE_H
#define SUPERVISOR_CTL_IMAGE_H

#include <signal.h>

#include "lib/image.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/runtime.h"
#include "supervisor/ctl/state_dir.h"

/* An installed image: its name, its digest in hex, and what image.json says about it. */
struct image_entry {
	char name[64], hex[65];
	json_t *doc;
};
#define _cleanup_image_entry_ __attribute__((cleanup(image_entry_clear)))
void image_entry_clear(struct image_entry *entry);
/* Reads an installed image by its name. images is STATE/images. ERR_NOT_FOUND: there is none. */
int image_entry_read(int images, const char *name, struct image_entry *ret, struct err *e);

/* Finds it without reading its description. */
int image_entry_find(int images, const char *name, struct image_entry *ret, struct err *e);

/* Opens STATE/images/by-name. create: makes it when it does not exist. */
int image_by_name(int images, bool create, int *ret, struct err *e);

/*
 * Locks STATE/images/.lock-NAME, or with name NULL .lock, which is held for short changes of the
 * store. Returns the descriptor that holds the lock. Prints that it waits, when it does.
 */
int image_lock(int images, const char *name, int *ret, struct err *e);

/*
 * Removes what is not needed any longer: trees of builds that died, and images without a name that
 * no task uses, with their checkpoints. The daemon tells what tasks use; when it does not answer,
 * those images stay. The caller holds the store's lock.
 */
void image_collect(struct ctl *ctl, int images);

/* Removes an image that has lost its name, and its checkpoints. The caller holds the store's
 * lock. */
int image_drop(struct ctl *ctl, int images, const char *hex, struct err *e);

/* Asks how many tasks use the image of this digest. ERR_UNAVAILABLE: no daemon answers. */
int image_tasks(struct ctl *ctl, const char *hex, int64_t *ret, struct err *e);

/* image_digest.c */
struct image_tree {
	uint8_t digest[32];
	uint64_t files, bytes;
};
/*
 * Makes the SHA-256 of the sorted tree below dirfd. The tree may have only folders, regular files
 * and symlinks, and no setuid or setgid file. Fails with -EINTR when *stop becomes set.
 */
int image_tree_digest(int dirfd, const volatile sig_atomic_t *stop, struct image_tree *ret,
		      struct err *e);
/* The digest of an image: of its tree, and of what image.bin says. hex has 65 bytes. */
int image_digest_join(const uint8_t tree[32], const struct image_head *head, char *hex,
		      struct err *e);
/* Checks an image's shape: the mount points are real folders, and the interpreter and the runtime
 * exist. */
int image_tree_check(int rootfs, const char *interpreter, struct err *e);
/* Makes the SHA-256 of what an image is made from: image.json's text, the build scripts, the
 * runtime's folder, the machine's release. */
int image_input_digest(const char *text, size_t len, const char *runtime_dir, uint8_t ret[32],
		       struct err *e);

/* image_script.c. Runs image-build SRC OUT. A signal INT, TERM or HUP sets image_signal. */
extern volatile sig_atomic_t image_signal;
void image_catch_signals(void);
int image_run_script(const char *src, const char *out, const char *runtime_dir, int lock_fd,
		     struct err *e);

int image_build(struct ctl *ctl, int argc, char **argv);

/* image_confine.c: for image-build, which runs by it whatever comes out of an image. */
int image_confine(struct ctl *ctl, int argc, char **argv);

#endif

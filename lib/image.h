/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An installed image, as the monitor sees it.
 *
 * STATE/images/<hex digest>/rootfs       the read-only root file system
 * STATE/images/<hex digest>/image.bin    struct image_head, root-owned
 * STATE/images/<hex digest>/image.json   source and modules, for people
 * STATE/images/by-name/NAME              symlink "../<hex digest>", replaced atomically
 *
 * The digest is the SHA-256 over the sorted list of (path, type, mode, content
 * digest or link target) of rootfs and over image.bin, made by `sandboxctl image build`.
 */
#ifndef LIB_IMAGE_H
#define LIB_IMAGE_H

#include <stdint.h>

#include "lib/util.h"

#define IMAGE_MAGIC 0x31494253u /* "SBI1" */
#define IMAGE_VERSION 1u
#define IMAGE_WARM_MAX 1024

struct image_head {
	uint32_t magic, version;
	char name[64];
	char interpreter[128];	    /* absolute path in the image, "/usr/bin/python3" */
	char policy[64];	    /* the default policy's name */
	uint8_t runtime_digest[32]; /* SHA-256 over /usr/lib/sandbox-runtime */
	/* modules that are warmed by default, separated by '\n', with a NUL at the end */
	char warm[IMAGE_WARM_MAX];
	char python_version[32];
};

/* Loads an image after checking owner, mode, size and magic, and that every text ends within its
 * field. *ret_rootfs: an O_PATH descriptor of rootfs, which the caller closes. */
int image_load(int images_dirfd, const uint8_t digest[32], struct image_head *ret, int *ret_rootfs,
	       struct err *e);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * One change to what criu has dumped. It may not read the process's seccomp filter, and so
 * writes "under a filter" and no filter, which it refuses to restore. The mode of the only
 * thread becomes "none": what is restored is under criu's own filter from its birth, and gets
 * the policy's before its first instruction (inject_confine.c).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox/checkpoint_internal.h"
#include "sandbox/protobuf.h"

/* criu/include/magic.h; a file is two of these, then length and message, once. */
#define IMG_COMMON_MAGIC 0x54564319u
#define CORE_MAGIC 0x55053847u
/* images/core.proto */
enum { CORE_TC = 3, CORE_THREAD = 5 };
enum { TC_OLD_SECCOMP_MODE = 11, THREAD_SECCOMP_MODE = 11 };
#define IMAGE_MAX (1 << 20)

static int clear_mode(struct pb_in core, uint32_t message, uint32_t number, bool must,
		      struct err *e)
{
	struct pb_field part, mode;
	int r = pb_find(core, message, PB_BYTES, &part);

	if (r == 1)
		r = pb_find(part.bytes, number, PB_VARINT, &mode);
	if (r < 0 || (r == 0 && must) || (r == 1 && *mode.start > 2))
		return err_set(e, ERR_INPUT, 0, "checkpoint: core image: its seccomp mode");
	/* Of one byte, as all numbers below 128; "none" is one too. The file is ours to change. */
	if (r == 1)
		*(uint8_t *)(uintptr_t)mode.start = 0;
	return 0;
}

int checkpoint_image_unfiltered(void *image, size_t n, struct err *e)
{
	uint32_t head[3];
	struct pb_in core;
	int r;

	if (n < sizeof(head))
		return err_set(e, ERR_INPUT, 0, "checkpoint: core image: too short");
	memcpy(head, image, sizeof(head));
	if (head[0] != IMG_COMMON_MAGIC || head[1] != CORE_MAGIC || head[2] != n - sizeof(head))
		return err_set(e, ERR_INPUT, 0, "checkpoint: core image: another format");
	core = (struct pb_in){(uint8_t *)image + sizeof(head), (uint8_t *)image + n};
	r = clear_mode(core, CORE_THREAD, THREAD_SECCOMP_MODE, true, e);
	return r < 0 ? r : clear_mode(core, CORE_TC, TC_OLD_SECCOMP_MODE, false, e);
}

int checkpoint_clear_filter(int dir, struct err *e)
{
	_cleanup_free_ char *image = NULL;
	_cleanup_fd_ int fd = -1;
	struct stat st;
	char name[32];
	int r;

	(void)snprintf(name, sizeof(name), "core-%d.img", PAYLOAD_PID);
	fd = util_open_file_at(dir, name, O_RDWR, &st);
	if (fd < 0)
		return err_set(e, ERR_INPUT, -fd, "checkpoint: %s", name);
	if (st.st_size <= 0 || st.st_size > IMAGE_MAX)
		return err_set(e, ERR_INPUT, 0, "checkpoint: %s: its size", name);
	image = malloc((size_t)st.st_size);
	if (!image || util_read_all(fd, image, (size_t)st.st_size) < 0)
		return err_set(e, ERR_SYSTEM, EIO, "checkpoint: %s", name);
	r = checkpoint_image_unfiltered(image, (size_t)st.st_size, e);
	if (r == 0 && pwrite(fd, image, (size_t)st.st_size, 0) != (ssize_t)st.st_size)
		r = err_set(e, ERR_SYSTEM, EIO, "checkpoint: %s", name);
	return r;
}

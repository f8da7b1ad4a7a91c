// SPDX-License-Identifier: Apache-2.0
/*
 * One change to what criu has dumped, and what must be known of it before criu restores it.
 *
 * The change: criu may not read the process's seccomp filter, and so writes an image that says
 * "under a filter" without one, and refuses to restore that. The mode of the only thread becomes
 * "none". The restored process is under criu's own filter from its birth, and gets the policy's
 * before its first instruction (fork/inject_confine.c).
 *
 * What must be known: the image is of one process, and nothing will send it a signal by itself.
 * criu leaves it stopped, and a SIGCONT before it is held and confined would let it run. The images
 * are examined as they are restored, not as they were dumped. (A file can be made to send a signal
 * of the process's choice with F_SETSIG; criu's filter, which the process has as well, refuses
 * that.)
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox/checkpoint_internal.h"
#include "sandbox/protobuf.h"

/* criu/include/magic.h. A file has the two magic numbers of its kind, then one length and one
 * message. */
#define IMG_COMMON_MAGIC 0x54564319u
#define CORE_MAGIC 0x55053847u
#define PSTREE_MAGIC 0x50273030u
/* images/core.proto */
enum { CORE_TC = 3, CORE_THREAD = 5 };
enum { TC_OLD_SECCOMP_MODE = 11, THREAD_SECCOMP_MODE = 11 };
enum { TC_TIMERS = 7, TIMERS_REAL = 1, TIMERS_PROF = 3 };
enum { TC_SIGNALS = 10, THREAD_PDEATH_SIGNAL = 8, THREAD_SIGNALS = 9 };
/* images/pstree.proto */
enum { PSTREE_PID = 1, PSTREE_THREADS = 5 };
#define IMAGE_MAX (1 << 20)

/* Finds the only message of an image that has this magic number. */
static int image_message(const void *image, size_t n, uint32_t magic, const char *what,
			 struct pb_in *ret, struct err *e)
{
	uint32_t head[3];

	if (n < sizeof(head))
		return err_set(e, ERR_INPUT, 0, "checkpoint: %s image: too short", what);
	memcpy(head, image, sizeof(head));
	if (head[0] != IMG_COMMON_MAGIC || head[1] != magic || head[2] != n - sizeof(head))
		return err_set(e, ERR_INPUT, 0, "checkpoint: %s image: another format", what);
	*ret = (struct pb_in){(const uint8_t *)image + sizeof(head), (const uint8_t *)image + n};
	return 0;
}

/* All fields of an interval timer that is not set are zero. */
static bool is_unset(struct pb_in timer)
{
	struct pb_field f;
	int r;

	while ((r = pb_next(&timer, &f)) > 0)
		if (f.type != PB_VARINT || f.value != 0)
			return false;
	return r == 0;
}

static int no_timers(struct pb_in core, struct err *e)
{
	struct pb_field tc = {0}, timers = {0}, f;
	struct pb_in in;
	int r = pb_find(core, CORE_TC, PB_BYTES, &tc);

	if (r == 1)
		r = pb_find(tc.bytes, TC_TIMERS, PB_BYTES, &timers);
	if (r < 0)
		return err_set(e, ERR_INPUT, 0, "checkpoint: core image: its timers");
	if (r == 0)
		return 0;
	/* There are three interval timers. A POSIX timer is refused whatever it is set to. */
	for (in = timers.bytes; (r = pb_next(&in, &f)) > 0;)
		if (f.number < TIMERS_REAL || f.number > TIMERS_PROF || f.type != PB_BYTES ||
		    !is_unset(f.bytes))
			return err_set(e, ERR_INPUT, 0,
				       "checkpoint: a timer of the process's is set (setitimer, "
				       "timer_create): what is warmed must leave none");
	return r < 0 ? err_set(e, ERR_INPUT, 0, "checkpoint: core image: its timers") : 0;
}

/* Refuses a process with a signal that waits to be delivered. Besides, the kernel would charge such
 * signals to the user that all copies of the checkpoint share. */
static int no_signals(struct pb_in core, uint32_t message, uint32_t number, struct err *e)
{
	struct pb_field part = {0}, queue = {0};
	int r = pb_find(core, message, PB_BYTES, &part);

	if (r == 1)
		r = pb_find(part.bytes, number, PB_BYTES, &queue);
	if (r < 0)
		return err_set(e, ERR_INPUT, 0, "checkpoint: core image: its signals");
	return r == 0 || queue.bytes.at == queue.bytes.end
		       ? 0
		       : err_set(e, ERR_INPUT, 0,
				 "checkpoint: a signal waits until the process unblocks it: what "
				 "is warmed must leave none");
}

/* criu is the restored process's parent, and ends: that must not send it a signal. */
static int no_parents_signal(struct pb_in core, struct err *e)
{
	struct pb_field thread = {0}, sig = {0};
	int r = pb_find(core, CORE_THREAD, PB_BYTES, &thread);

	if (r == 1)
		r = pb_find(thread.bytes, THREAD_PDEATH_SIGNAL, PB_VARINT, &sig);
	if (r < 0)
		return err_set(e, ERR_INPUT, 0, "checkpoint: core image: its parent's signal");
	return r == 0 || sig.value == 0
		       ? 0
		       : err_set(e, ERR_INPUT, 0,
				 "checkpoint: the process is to get a signal when its parent ends "
				 "(prctl PR_SET_PDEATHSIG): what is warmed must ask for none");
}

int checkpoint_core_is_still(const void *image, size_t n, struct err *e)
{
	struct pb_in core = {0};
	int r = image_message(image, n, CORE_MAGIC, "core", &core, e);

	if (r == 0)
		r = no_timers(core, e);
	if (r == 0)
		r = no_parents_signal(core, e);
	if (r == 0)
		r = no_signals(core, CORE_TC, TC_SIGNALS, e);
	return r < 0 ? r : no_signals(core, CORE_THREAD, THREAD_SIGNALS, e);
}

int checkpoint_tree_is_one(const void *image, size_t n, struct err *e)
{
	unsigned pids = 0, threads = 0;
	struct pb_field f;
	struct pb_in in = {0};
	int r = image_message(image, n, PSTREE_MAGIC, "pstree", &in, e);

	if (r < 0)
		return r;
	while ((r = pb_next(&in, &f)) > 0) {
		if (f.number != PSTREE_PID && f.number != PSTREE_THREADS)
			continue;
		if (f.type != PB_VARINT || f.value != PAYLOAD_PID)
			return err_set(
				e, ERR_INPUT, 0,
				"checkpoint: its process does not have the pid of a payload");
		pids += f.number == PSTREE_PID;
		threads += f.number == PSTREE_THREADS;
	}
	if (r < 0 || pids != 1 || threads != 1)
		return err_set(e, ERR_INPUT, 0, "checkpoint: its process does not have one thread");
	return 0;
}

int checkpoint_check_images(int dir, struct err *e)
{
	static const struct {
		const char *name;
		int (*check)(const void *image, size_t n, struct err *e);
	} images[] = {{"pstree.img", checkpoint_tree_is_one}, {NULL, checkpoint_core_is_still}};
	char core[32];

	(void)snprintf(core, sizeof(core), "core-%d.img", PAYLOAD_PID);
	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		const char *name = images[i].name ? images[i].name : core;
		_cleanup_free_ char *image = NULL;
		size_t n;
		int r = util_read_file_at(dir, name, IMAGE_MAX, &image, &n);

		if (r < 0)
			return err_set(e, ERR_INPUT, -r, "checkpoint: %s", name);
		r = images[i].check(image, n, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int clear_mode(struct pb_in core, uint32_t message, uint32_t number, bool must,
		      struct err *e)
{
	struct pb_field part = {0}, mode = {0};
	int r = pb_find(core, message, PB_BYTES, &part);

	if (r == 1)
		r = pb_find(part.bytes, number, PB_VARINT, &mode);
	if (r < 0 || (r == 0 && must) || (r == 1 && *mode.start > 2))
		return err_set(e, ERR_INPUT, 0, "checkpoint: core image: its seccomp mode");
	/* The mode is one byte long, as all numbers below 128 are, and so is "none". The image is
	 * in memory of ours. */
	if (r == 1)
		*(uint8_t *)(uintptr_t)mode.start = 0;
	return 0;
}

int checkpoint_image_unfiltered(void *image, size_t n, struct err *e)
{
	struct pb_in core = {0};
	int r = image_message(image, n, CORE_MAGIC, "core", &core, e);

	if (r == 0)
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

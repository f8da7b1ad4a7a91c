// SPDX-License-Identifier: Apache-2.0
/*
 * The folder of a ring, whose head and index are whatever the disk made of them. Bytes 0-1: the size
 * of `out`, 2-3: of `err`, then the head without its magic, and the rest is the index. Opening makes
 * it consistent, a second opening finds nothing to do, and it can let go of what it has.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/logger/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char id[] = "00112233445566778899aabb";
static char dir[] = "/tmp/fuzz-log-ring-XXXXXX";
static int logs = -1, fds[4];

static void clean_up(void)
{
	(void)log_files_delete(logs, id);
	(void)rmdir(dir);
}

static void set_up(void)
{
	static const char *const names[] = {"out", "err", "index", "head"};
	char path[64];

	if (!mkdtemp(dir))
		abort();
	logs = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)atexit(clean_up);
	if (mkdirat(logs, id, 0700) < 0)
		abort();
	for (int i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", id, names[i]);
		fds[i] = openat(logs, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fds[i] < 0)
			abort();
	}
}

static void check(const struct log_files *f)
{
	struct log_tally t = {.covered = {f->head.covered[0], f->head.covered[1]},
			      .newlines = {f->head.newlines[0], f->head.newlines[1]},
			      .dropped = f->head.dropped};
	struct log_record r;

	if (f->head.first > f->n_records || t.covered[0] > f->size[0] || t.covered[1] > f->size[1])
		__builtin_trap();
	for (uint64_t nr = f->head.first; nr < f->n_records; nr++) {
		if (pread(fds[2], &r, sizeof(r), (off_t)(nr * sizeof(r))) != sizeof(r) ||
		    !log_tally_add(&t, &r, f->size))
			__builtin_trap();
	}
	if (!f->tally.ended && (t.covered[0] != f->size[0] || t.covered[1] != f->size[1]))
		__builtin_trap();
	if (t.ended != f->tally.ended || t.dropped != f->tally.dropped)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_head head = {.magic = LOG_HEAD_MAGIC};
	const size_t head_size = sizeof(head) - sizeof(head.magic);
	struct log_files f;
	uint16_t sizes[2];
	uint64_t n;

	if (size < sizeof(sizes) + head_size)
		return 0;
	if (logs < 0)
		set_up();
	memcpy(sizes, data, sizeof(sizes));
	memcpy((uint8_t *)&head + sizeof(head.magic), data + sizeof(sizes), head_size);
	data += sizeof(sizes) + head_size;
	size -= sizeof(sizes) + head_size;
	if (ftruncate(fds[0], sizes[0]) < 0 || ftruncate(fds[1], sizes[1]) < 0 ||
	    ftruncate(fds[2], 0) < 0 || pwrite(fds[2], data, size, 0) != (ssize_t)size ||
	    pwrite(fds[3], &head, sizeof(head), 0) != sizeof(head))
		return 0;
	if (log_files_open(&f, logs, id, LOG_EXISTING) < 0)
		__builtin_trap();
	check(&f);
	if (f.tally.ended && log_files_unend(&f) < 0)
		__builtin_trap();
	check(&f);
	n = f.n_records;
	log_files_close(&f);
	if (log_files_open(&f, logs, id, LOG_EXISTING) < 0 || f.n_records != n)
		__builtin_trap();
	check(&f);
	if (log_files_let_go(&f, 1000, 10) < 0)
		__builtin_trap();
	check(&f);
	if (f.n_records - f.head.first > 10)
		__builtin_trap();
	if (log_files_end(&f) < 0 || !f.tally.ended)
		__builtin_trap();
	check(&f);
	log_files_close(&f);
	return 0;
}

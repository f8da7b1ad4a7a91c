// SPDX-License-Identifier: Apache-2.0
/* A log that is opened, made consistent, taken up again, deleted. */
#include <fcntl.h>
#include <sys/stat.h>

#include "supervisor/logger/files.h"

static const char *const names[] = {"out", "err", "index"};

void log_files_init(struct log_files *f)
{
	*f = (struct log_files){.raw_fd = {-1, -1}, .index_fd = -1};
}

void log_files_close(struct log_files *f)
{
	util_close_fd(&f->raw_fd[0]);
	util_close_fd(&f->raw_fd[1]);
	util_close_fd(&f->index_fd);
	log_files_init(f);
}

/* Reads the whole index in pieces, up to the first record that does not fit. */
static int tally_all(struct log_files *f, uint64_t n_records)
{
	struct log_record piece[128];
	uint64_t nr = 0;

	f->tally = (struct log_tally){0};
	f->n_records = 0;
	while (nr < n_records) {
		uint64_t n =
			n_records - nr < ARRAY_SIZE(piece) ? n_records - nr : ARRAY_SIZE(piece);
		int r = util_pread_all(f->index_fd, piece, n * LOG_RECORD_SIZE,
				       nr * LOG_RECORD_SIZE);

		if (r < 0)
			return r;
		for (uint64_t i = 0; i < n; i++) {
			if (!log_tally_add(&f->tally, &piece[i], f->size))
				return 0;
			f->n_records = ++nr;
		}
	}
	return 0;
}

static int mid_line_find(struct log_files *f, int stream)
{
	char c = '\n';
	int r;

	if (f->size[stream] > 0) {
		r = util_pread_all(f->raw_fd[stream], &c, 1, f->size[stream] - 1);
		if (r < 0)
			return r;
	}
	f->mid_line[stream] = c != '\n';
	return 0;
}

/*
 * Brings index and raw files together: a torn record and those that do not fit are
 * cut off, raw bytes without a record get one.
 */
static int recover(struct log_files *f, uint64_t index_size)
{
	int r;

	r = tally_all(f, index_size / LOG_RECORD_SIZE);
	if (r < 0)
		return r;
	if (f->n_records * LOG_RECORD_SIZE != index_size &&
	    ftruncate(f->index_fd, (off_t)(f->n_records * LOG_RECORD_SIZE)) < 0)
		return -errno;
	f->sent = f->n_records; /* who knows what the last logger's followers have seen */
	for (int s = 0; s < 2; s++) {
		r = mid_line_find(f, s);
		if (r < 0)
			return r;
	}
	/* Data after the end is from a log that was taken up again: it follows. What a full
	 * disk refuses is tried again with the next data. */
	for (int s = 0; s < 2; s++)
		if (!f->tally.ended && f->size[s] > f->tally.covered[s])
			(void)log_files_cover(f, s);
	return 0;
}

int log_files_unend(struct log_files *f)
{
	int r;

	if (!f->tally.ended)
		return 0;
	if (ftruncate(f->index_fd, (off_t)((f->n_records - 1) * LOG_RECORD_SIZE)) < 0)
		return -errno;
	r = tally_all(f, f->n_records - 1);
	if (r < 0)
		return r;
	f->sent = f->n_records;
	(void)log_files_cover(f, 0);
	(void)log_files_cover(f, 1);
	return 0;
}

static int open_files(struct log_files *f, int dirfd, bool create)
{
	int *const fds[] = {&f->raw_fd[0], &f->raw_fd[1], &f->index_fd};
	uint64_t sizes[ARRAY_SIZE(names)];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		*fds[i] = util_open_file_at(dirfd, names[i], O_RDWR | (create ? O_CREAT : 0), &st);
		if (*fds[i] < 0)
			return *fds[i];
		sizes[i] = (uint64_t)st.st_size;
	}
	f->size[0] = sizes[0];
	f->size[1] = sizes[1];
	return recover(f, sizes[2]);
}

int log_files_open(struct log_files *f, int logs_dirfd, const char *id, bool create)
{
	_cleanup_fd_ int dirfd = -1;
	int r;

	log_files_init(f);
	if (!util_is_id(id))
		return -EINVAL;
	if (create && mkdirat(logs_dirfd, id, 0700) < 0 && errno != EEXIST)
		return -errno;
	dirfd = openat(logs_dirfd, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	r = open_files(f, dirfd, create);
	/* A new log that has no room for its first record is none yet. */
	if (r == 0 && create && f->n_records == 0)
		r = log_files_reserve(f);
	if (r < 0)
		log_files_close(f);
	return r;
}

int log_files_delete(int logs_dirfd, const char *id)
{
	_cleanup_fd_ int dirfd = -1;

	if (!util_is_id(id))
		return -EINVAL;
	dirfd = openat(logs_dirfd, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return errno == ENOENT ? 0 : -errno;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlinkat(dirfd, names[i], 0) < 0 && errno != ENOENT)
			return -errno;
	return unlinkat(logs_dirfd, id, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "supervisor/logger/files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define RECORD_SIZE sizeof(struct log_record)
#define RESERVE_STEP 4096u /* bytes of index promised by the disk at a time */
/* One piece of data, two records about drops, END. */
#define RESERVE_AHEAD 4u
/* Pieces that come closer together than this share a record, unless one was sent. */
#define MERGE_NS 1000000u

static const char *const raw_names[2] = {"out", "err"};

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

bool log_tally_add(struct log_tally *t, const struct log_record *r, const uint64_t size[2])
{
	uint64_t end;
	int s;

	if (t->ended)
		return false;
	switch (r->type) {
	case LOG_FRAME_OUT:
	case LOG_FRAME_ERR:
		s = r->type - LOG_FRAME_OUT;
		if (r->len == 0 || r->len > LOG_FRAME_DATA_MAX || r->offset != t->covered[s] ||
		    __builtin_add_overflow(r->offset, r->len, &end) || end > size[s] ||
		    r->aux < t->newlines[s] || r->aux - t->newlines[s] > r->len)
			return false;
		t->covered[s] = end;
		t->newlines[s] = r->aux;
		break;
	case LOG_FRAME_DROPPED:
		if (__builtin_add_overflow(t->dropped, r->aux, &end))
			return false;
		t->dropped = end;
		break;
	case LOG_FRAME_END:
		t->dropped = r->aux;
		t->lines = r->offset;
		t->ended = true;
		break;
	default:
		return false;
	}
	t->last = *r;
	return true;
}

static int read_whole(int fd, void *buf, size_t len, uint64_t offset)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, (char *)buf + got, len - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		got += (size_t)n;
	}
	return 0;
}

static int record_write(struct log_files *f, uint64_t nr, const struct log_record *r)
{
	ssize_t n;

	do
		n = pwrite(f->index_fd, r, RECORD_SIZE, (off_t)(nr * RECORD_SIZE));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)RECORD_SIZE)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static int record_append(struct log_files *f, const struct log_record *r)
{
	int k = record_write(f, f->n_records, r);

	if (k < 0)
		return k;
	f->n_records++;
	f->drop_open = false;
	(void)log_tally_add(&f->tally, r, f->size);
	return 0;
}

/* Newlines in a range of a raw file; also notes whether it ends within a line. */
static int newlines_count(struct log_files *f, int stream, uint64_t offset, uint32_t len,
			  uint64_t *ret)
{
	static char buf[LOG_FRAME_DATA_MAX]; /* one thread */
	uint64_t count = 0;
	int r = read_whole(f->raw_fd[stream], buf, len, offset);

	if (r < 0)
		return r;
	for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + len - p))); p++)
		count++;
	f->mid_line[stream] = buf[len - 1] != '\n';
	*ret = count;
	return 0;
}

/* The last record is of the same stream, recent, unsent, and has room for len more. */
static bool may_merge(const struct log_files *f, int stream, uint32_t len, uint64_t now)
{
	const struct log_record *last = &f->tally.last;

	return f->n_records > f->sent && last->type == LOG_FRAME_OUT + stream &&
	       now - last->time_ns < MERGE_NS && last->len + len <= LOG_FRAME_DATA_MAX;
}

/* Adds records until the whole raw file is covered. */
static int cover(struct log_files *f, int stream)
{
	uint64_t *covered = &f->tally.covered[stream], now = util_realtime_ns(), newlines = 0;
	int r;

	while (*covered < f->size[stream]) {
		uint64_t left = f->size[stream] - *covered;
		struct log_record rec = {
			.time_ns = now,
			.offset = *covered,
			.len = left < LOG_FRAME_DATA_MAX ? (uint32_t)left : LOG_FRAME_DATA_MAX,
			.type = (uint8_t)(LOG_FRAME_OUT + stream),
		};

		r = newlines_count(f, stream, rec.offset, rec.len, &newlines);
		if (r < 0)
			return r;
		rec.aux = f->tally.newlines[stream] + newlines;
		if (may_merge(f, stream, rec.len, now)) {
			struct log_record merged = f->tally.last;

			merged.len += rec.len;
			merged.aux = rec.aux;
			r = record_write(f, f->n_records - 1, &merged);
			if (r < 0)
				return r;
			f->tally.last = merged;
			*covered += rec.len;
			f->tally.newlines[stream] = rec.aux;
			continue;
		}
		r = record_append(f, &rec);
		if (r < 0)
			return r;
	}
	return 0;
}

int log_files_added(struct log_files *f, int stream, uint64_t n)
{
	f->size[stream] += n;
	return cover(f, stream);
}

int log_files_reserve(struct log_files *f)
{
	/* The records for bytes that could not be covered until now need room as well. */
	uint64_t open = (f->size[0] - f->tally.covered[0] + f->size[1] - f->tally.covered[1]) /
			LOG_FRAME_DATA_MAX;

	while (f->n_records + open + RESERVE_AHEAD > f->n_reserved) {
		if (fallocate(f->index_fd, FALLOC_FL_KEEP_SIZE,
			      (off_t)(f->n_reserved * RECORD_SIZE), RESERVE_STEP) == 0) {
			f->n_reserved += RESERVE_STEP / RECORD_SIZE;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return -errno;
		/* This file system promises nothing: a failing write will tell. */
		f->n_reserved = UINT64_MAX;
	}
	return 0;
}

/*
 * A drop goes on for as long as the task writes. Its first record is shown at once
 * (a follower must see that bytes are missing), a second one counts in place and is
 * shown when it is final: an index does not grow with what is dropped.
 */
int log_files_dropped(struct log_files *f, enum log_drop reason, uint64_t n)
{
	const struct log_record *last = &f->tally.last;
	bool again = last->type == LOG_FRAME_DROPPED && last->reason == reason;
	struct log_record rec;
	int r;

	if (f->drop_open && again) {
		rec = *last;
		rec.aux += n;
		r = record_write(f, f->n_records - 1, &rec);
		/* Counted even where the disk failed: the totals are right at least. */
		f->tally.last = rec;
		f->tally.dropped += n;
		return r;
	}
	rec = (struct log_record){
		.time_ns = util_realtime_ns(),
		.offset = log_files_kept(f),
		.aux = n,
		.type = LOG_FRAME_DROPPED,
		.reason = (uint8_t)reason,
	};
	r = record_append(f, &rec);
	if (r < 0)
		f->tally.dropped += n;
	else
		f->drop_open = again;
	return r;
}

void log_files_show_drop(struct log_files *f)
{
	f->drop_open = false;
}

uint64_t log_files_visible(const struct log_files *f)
{
	return f->n_records - (f->drop_open ? 1 : 0);
}

void log_files_totals(const struct log_files *f, uint64_t *lines, uint64_t *bytes,
		      uint64_t *dropped)
{
	const struct log_tally *t = &f->tally;

	*dropped = t->dropped;
	*bytes = log_files_kept(f) + t->dropped;
	*lines = t->ended ? t->lines
			  : t->newlines[0] + t->newlines[1] + f->mid_line[0] + f->mid_line[1];
}

int log_files_end(struct log_files *f)
{
	struct log_record rec = {.type = LOG_FRAME_END, .time_ns = util_realtime_ns()};
	uint64_t bytes;
	int r = 0;

	for (int s = 0; s < 2; s++) {
		int k = cover(f, s);

		r = r < 0 ? r : k;
	}
	log_files_totals(f, &rec.offset, &bytes, &rec.aux);
	if (record_append(f, &rec) < 0) {
		/* Without its record on disk the log has ended all the same. */
		f->drop_open = false;
		(void)log_tally_add(&f->tally, &rec, f->size);
		r = r < 0 ? r : -ENOSPC;
	}
	return r;
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
		int r = read_whole(f->index_fd, piece, n * RECORD_SIZE, nr * RECORD_SIZE);

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
		r = read_whole(f->raw_fd[stream], &c, 1, f->size[stream] - 1);
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

	r = tally_all(f, index_size / RECORD_SIZE);
	if (r < 0)
		return r;
	if (f->n_records * RECORD_SIZE != index_size &&
	    ftruncate(f->index_fd, (off_t)(f->n_records * RECORD_SIZE)) < 0)
		return -errno;
	f->sent = f->n_records; /* who knows what the last logger's followers have seen */
	for (int s = 0; s < 2; s++) {
		r = mid_line_find(f, s);
		if (r < 0)
			return r;
	}
	/* Data after the end is from a log that was taken up again: it follows. */
	for (int s = 0; s < 2; s++)
		if (!f->tally.ended && f->size[s] > f->tally.covered[s])
			(void)cover(f, s); /* a full disk: tried again with the next data */
	return 0;
}

int log_files_unend(struct log_files *f)
{
	int r;

	if (!f->tally.ended)
		return 0;
	if (ftruncate(f->index_fd, (off_t)((f->n_records - 1) * RECORD_SIZE)) < 0)
		return -errno;
	r = tally_all(f, f->n_records - 1);
	if (r < 0)
		return r;
	f->sent = f->n_records;
	(void)cover(f, 0);
	(void)cover(f, 1);
	return 0;
}

static int open_at(int dirfd, const char *name, bool create, int *ret, uint64_t *ret_size)
{
	struct stat st;
	int fd =
		openat(dirfd, name,
		       O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT : 0), 0600);

	if (fd < 0)
		return -errno;
	*ret = fd; /* closed by the caller, as the others, on any failure */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int open_files(struct log_files *f, int dirfd, bool create)
{
	uint64_t index_size = 0;
	int r;

	for (int s = 0; s < 2; s++) {
		r = open_at(dirfd, raw_names[s], create, &f->raw_fd[s], &f->size[s]);
		if (r < 0)
			return r;
	}
	r = open_at(dirfd, "index", create, &f->index_fd, &index_size);
	if (r < 0)
		return r;
	return recover(f, index_size);
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
	static const char *const names[] = {"out", "err", "index"};
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

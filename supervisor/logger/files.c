// SPDX-License-Identifier: Apache-2.0
/* A log that grows: records over raw bytes, drops, the end. */
#include "supervisor/logger/files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define RESERVE_STEP 4096u /* bytes of the index for which the disk sets room aside at a time */
#define RECORDS_STEP (RESERVE_STEP / LOG_RECORD_SIZE)
#define DISK_BLOCK 4096u
/* Records for which there must be room: one piece of data, two about drops, END. */
#define RESERVE_AHEAD 4u
/* Pieces of one stream that come closer together than this share a record, unless it was sent. */
#define MERGE_NS MSEC

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

static int record_write(struct log_files *f, uint64_t nr, const struct log_record *r)
{
	ssize_t n;

	do
		n = pwrite(f->index_fd, r, LOG_RECORD_SIZE, (off_t)(nr * LOG_RECORD_SIZE));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)LOG_RECORD_SIZE)
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

/* Counts the newlines in a range of a raw file, and notes whether the range ends within a line. */
static int newlines_count(struct log_files *f, int stream, uint64_t offset, uint32_t len,
			  uint64_t *ret)
{
	static char buf[LOG_FRAME_DATA_MAX]; /* one thread */
	uint64_t count = 0;
	int r = util_pread_all(f->raw_fd[stream], buf, len, offset);

	if (r < 0)
		return r;
	for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + len - p))); p++)
		count++;
	f->mid_line[stream] = buf[len - 1] != '\n';
	*ret = count;
	return 0;
}

/* Whether the last record is of the same stream, recent and unsent, and has room for len more
 * bytes. */
static bool may_merge(const struct log_files *f, int stream, uint32_t len, uint64_t now)
{
	const struct log_record *last = &f->tally.last;

	return f->n_records > f->sent && last->type == LOG_FRAME_OUT + stream &&
	       now - last->time_ns < MERGE_NS && last->len + len <= f->record_max;
}

/* Adds records until they cover the whole raw file. */
static int log_files_cover(struct log_files *f, int stream)
{
	uint64_t *covered = &f->tally.covered[stream], now = util_realtime_ns(), newlines = 0;
	int r;

	while (*covered < f->size[stream]) {
		uint64_t left = f->size[stream] - *covered;
		struct log_record rec = {
			.time_ns = now,
			.offset = *covered,
			.len = left < f->record_max ? (uint32_t)left : f->record_max,
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
	return log_files_cover(f, stream);
}

int log_files_reserve(struct log_files *f)
{
	/* Bytes that could not be covered until now need records, too. */
	uint64_t open = (f->size[0] - f->tally.covered[0] + f->size[1] - f->tally.covered[1]) /
			f->record_max;

	while (f->n_records + open + RESERVE_AHEAD > f->n_reserved) {
		if (fallocate(f->index_fd, FALLOC_FL_KEEP_SIZE,
			      (off_t)(f->n_reserved * LOG_RECORD_SIZE), RESERVE_STEP) == 0) {
			f->n_reserved += RECORDS_STEP;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return -errno;
		/* This file system sets nothing aside, so only a write that fails will tell. */
		f->n_reserved = UINT64_MAX;
	}
	return 0;
}

/*
 * A drop goes on for as long as the task writes. Its first record is shown at once, because a
 * follower must see that bytes are missing. A second record counts on in place and is shown when it
 * is final, so that the index does not grow with what is dropped.
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
		/* Counted although the disk failed: the totals at least are right. */
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

	*dropped = t->dropped + log_files_gone(f);
	*bytes = f->size[0] + f->size[1] + t->dropped;
	*lines = t->ended ? t->lines
			  : t->newlines[0] + t->newlines[1] + f->mid_line[0] + f->mid_line[1];
}

static uint64_t in_blocks(uint64_t bytes)
{
	return (bytes + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
}

uint64_t log_files_disk(const struct log_files *f)
{
	uint64_t records = f->n_records;

	if (!log_files_are_open(f))
		return 0;
	if (f->n_reserved != UINT64_MAX && f->n_reserved > records)
		records = f->n_reserved;
	return in_blocks(f->size[0] - f->head.covered[0]) +
	       in_blocks(f->size[1] - f->head.covered[1]) +
	       in_blocks((records - f->head.first) * LOG_RECORD_SIZE) +
	       (f->head_fd >= 0 ? 2ULL : 1ULL) * DISK_BLOCK;
}

int log_files_end(struct log_files *f)
{
	struct log_record rec = {.type = LOG_FRAME_END, .time_ns = util_realtime_ns()};
	uint64_t bytes;
	int r = 0;

	for (int s = 0; s < 2; s++) {
		int k = log_files_cover(f, s);

		r = r < 0 ? r : k;
	}
	log_files_totals(f, &rec.offset, &bytes, &rec.aux);
	rec.aux = f->tally.dropped;
	if (record_append(f, &rec) < 0) {
		/* The log has ended although its record is not on the disk. */
		f->drop_open = false;
		(void)log_tally_add(&f->tally, &rec, f->size);
		r = r < 0 ? r : -ENOSPC;
	}
	return r;
}

static int make_hole(int fd, uint64_t end)
{
	int r = 0;

	if (end > 0)
		do
			r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				      (off_t)end);
		while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int head_write(const struct log_files *f)
{
	ssize_t n = pwrite(f->head_fd, &f->head, sizeof(f->head), 0);

	return n == (ssize_t)sizeof(f->head) ? 0 : n < 0 ? -errno : -EIO;
}

static struct log_tally tally_of_head(const struct log_files *f)
{
	return (struct log_tally){.covered = {f->head.covered[0], f->head.covered[1]},
				  .newlines = {f->head.newlines[0], f->head.newlines[1]},
				  .dropped = f->head.dropped};
}

/* The records that may go: all but the last one, which may still count on. */
static bool may_go(const struct log_files *f, const struct log_tally *t, uint64_t first,
		   uint64_t bytes, uint64_t records)
{
	uint64_t left = f->size[0] - t->covered[0] + f->size[1] - t->covered[1];

	return first + 1 < f->n_records && (left > bytes || f->n_records - first > records);
}

int log_files_let_go(struct log_files *f, uint64_t bytes, uint64_t records)
{
	struct log_tally t = tally_of_head(f);
	uint64_t first = f->head.first;
	struct log_record piece[128];
	int r = 0;

	while (may_go(f, &t, first, bytes, records)) {
		uint64_t n = f->n_records - first;

		n = n < ARRAY_SIZE(piece) ? n : ARRAY_SIZE(piece);
		r = util_pread_all(f->index_fd, piece, n * LOG_RECORD_SIZE,
				   first * LOG_RECORD_SIZE);
		if (r < 0)
			return r;
		for (uint64_t i = 0; i < n && may_go(f, &t, first, bytes, records); i++, first++)
			if (!log_tally_add(&t, &piece[i], f->size))
				return -EUCLEAN;
	}
	if (first == f->head.first)
		return 0;
	f->head = (struct log_head){.magic = LOG_HEAD_MAGIC,
				    .first = first,
				    .covered = {t.covered[0], t.covered[1]},
				    .newlines = {t.newlines[0], t.newlines[1]},
				    .dropped = t.dropped};
	f->gone_ns = util_realtime_ns();
	r = head_write(f);
	for (int s = 0; r == 0 && s < 2; s++)
		r = make_hole(f->raw_fd[s], f->head.covered[s]);
	if (r == 0)
		r = make_hole(f->index_fd, f->head.first * LOG_RECORD_SIZE);
	return r;
}

/* Opening a log: it is made consistent and taken up again; and deleting one. */

static const char *const names[] = {"out", "err", "index", "head"};

void log_files_init(struct log_files *f)
{
	*f = (struct log_files){.raw_fd = {-1, -1},
				.index_fd = -1,
				.head_fd = -1,
				.record_max = LOG_FRAME_DATA_MAX};
}

void log_files_close(struct log_files *f)
{
	util_close_fd(&f->raw_fd[0]);
	util_close_fd(&f->raw_fd[1]);
	util_close_fd(&f->index_fd);
	util_close_fd(&f->head_fd);
	log_files_init(f);
}

/*
 * After a power cut a ring's head may be older than its holes. Then the first records are zeros, and
 * the first one of each stream that is left is where the stream begins.
 */
static void head_move(struct log_files *f, const struct log_record *r)
{
	int s = r->type - LOG_FRAME_OUT;

	if ((s != 0 && s != 1) || f->tally.covered[s] != f->head.covered[s] ||
	    r->offset <= f->head.covered[s] || r->offset > f->size[s])
		return;
	f->head.covered[s] = f->tally.covered[s] = r->offset;
	if (r->aux > r->len && r->aux - r->len > f->head.newlines[s])
		f->head.newlines[s] = f->tally.newlines[s] = r->aux - r->len;
}

/* Reads the whole index in pieces, from the head on up to the first record that cannot be where it
 * is. */
static int tally_all(struct log_files *f, uint64_t n_records)
{
	static const struct log_record zeros;
	const struct log_head head = f->head;
	struct log_record piece[128];
	uint64_t nr = f->head.first;
	bool hole = f->head_fd >= 0, moved = false;

	f->tally = tally_of_head(f);
	f->n_records = nr;
	while (nr < n_records) {
		uint64_t n =
			n_records - nr < ARRAY_SIZE(piece) ? n_records - nr : ARRAY_SIZE(piece);
		int r = util_pread_all(f->index_fd, piece, n * LOG_RECORD_SIZE,
				       nr * LOG_RECORD_SIZE);

		if (r < 0)
			return r;
		for (uint64_t i = 0; i < n; i++) {
			hole = hole && memcmp(&piece[i], &zeros, sizeof(zeros)) == 0;
			moved = moved || hole;
			if (moved && !hole)
				head_move(f, &piece[i]);
			if (!hole && !log_tally_add(&f->tally, &piece[i], f->size))
				goto out;
			if (moved && !hole && f->n_records == f->head.first)
				f->head.first = nr;
			nr++;
			if (!hole)
				f->n_records = nr;
		}
	}
out:
	for (int s = 0; moved && s < 2; s++)
		if (f->tally.covered[s] == head.covered[s])
			f->head.covered[s] = f->tally.covered[s] = f->size[s];
	return moved ? head_write(f) : 0;
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
 * Makes index and raw files agree: a torn record, and records that do not fit the raw files, are
 * cut off; raw bytes without a record get one.
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
	f->n_reserved = f->head.first / RECORDS_STEP * RECORDS_STEP;
	f->sent = f->n_records; /* a follower of the last logger may have seen all of them */
	for (int s = 0; s < 2; s++) {
		r = mid_line_find(f, s);
		if (r < 0)
			return r;
	}
	/* Data behind the end is from a log that was taken up again; it is covered when the end is
	 * taken away. When the disk is too full for the records, adding them is tried again with
	 * the next data. */
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

/* A head that cannot be of these files is as none: all that is not a hole is kept. */
static int head_read(struct log_files *f, uint64_t index_size)
{
	struct log_head *h = &f->head;
	ssize_t n = pread(f->head_fd, h, sizeof(*h), 0);

	if (n < 0)
		return -errno;
	if (n != (ssize_t)sizeof(*h) || h->magic != LOG_HEAD_MAGIC ||
	    h->first > index_size / LOG_RECORD_SIZE || h->covered[0] > f->size[0] ||
	    h->covered[1] > f->size[1])
		*h = (struct log_head){.magic = LOG_HEAD_MAGIC};
	f->gone_ns = util_realtime_ns();
	/* Else it could fit what comes to be later. */
	return n > 0 ? head_write(f) : 0;
}

static int open_files(struct log_files *f, int dirfd, enum log_open_how how)
{
	int *const fds[] = {&f->raw_fd[0], &f->raw_fd[1], &f->index_fd, &f->head_fd};
	uint64_t sizes[ARRAY_SIZE(names)];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const bool head = fds[i] == &f->head_fd;
		const bool create = how == LOG_CREATE_RING || (how == LOG_CREATE && !head);

		*fds[i] = util_open_file_at(dirfd, names[i], O_RDWR | (create ? O_CREAT : 0), &st);
		if (head && *fds[i] == -ENOENT && !create)
			break;
		if (*fds[i] < 0)
			return *fds[i];
		sizes[i] = (uint64_t)st.st_size;
	}
	f->size[0] = sizes[0];
	f->size[1] = sizes[1];
	if (f->head_fd >= 0) {
		int r = head_read(f, sizes[2]);

		if (r < 0)
			return r;
	}
	return recover(f, sizes[2]);
}

int log_files_open(struct log_files *f, int logs_dirfd, const char *id, enum log_open_how how)
{
	const bool create = how != LOG_EXISTING;
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
	r = open_files(f, dirfd, how);
	/* A new log without room for its first record counts as not made. */
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

// SPDX-License-Identifier: Apache-2.0
/* A log as it grows: records over raw bytes, drops, the end. */
#include "supervisor/logger/files.h"

#include <fcntl.h>
#include <string.h>

#define RESERVE_STEP 4096u /* bytes of index promised by the disk at a time */
#define DISK_BLOCK 4096u
/* One piece of data, two records about drops, END. */
#define RESERVE_AHEAD 4u
/* Pieces that come closer together than this share a record, unless one was sent. */
#define MERGE_NS 1000000u

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

/* Newlines in a range of a raw file; also notes whether it ends within a line. */
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

/* The last record is of the same stream, recent, unsent, and has room for len more. */
static bool may_merge(const struct log_files *f, int stream, uint32_t len, uint64_t now)
{
	const struct log_record *last = &f->tally.last;

	return f->n_records > f->sent && last->type == LOG_FRAME_OUT + stream &&
	       now - last->time_ns < MERGE_NS && last->len + len <= LOG_FRAME_DATA_MAX;
}

int log_files_cover(struct log_files *f, int stream)
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
	return log_files_cover(f, stream);
}

int log_files_reserve(struct log_files *f)
{
	/* The records for bytes that could not be covered until now need room as well. */
	uint64_t open = (f->size[0] - f->tally.covered[0] + f->size[1] - f->tally.covered[1]) /
			LOG_FRAME_DATA_MAX;

	while (f->n_records + open + RESERVE_AHEAD > f->n_reserved) {
		if (fallocate(f->index_fd, FALLOC_FL_KEEP_SIZE,
			      (off_t)(f->n_reserved * LOG_RECORD_SIZE), RESERVE_STEP) == 0) {
			f->n_reserved += RESERVE_STEP / LOG_RECORD_SIZE;
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
	return in_blocks(f->size[0]) + in_blocks(f->size[1]) +
	       in_blocks(records * LOG_RECORD_SIZE) + DISK_BLOCK;
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
	if (record_append(f, &rec) < 0) {
		/* Without its record on disk the log has ended all the same. */
		f->drop_open = false;
		(void)log_tally_add(&f->tally, &rec, f->size);
		r = r < 0 ? r : -ENOSPC;
	}
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One task's log on disk: the folder LOGS/ID with
 *
 *	out, err	the raw bytes of the two streams, as they came
 *	index		struct log_record after struct log_record, in order of arrival
 *
 * Bytes go into a raw file first (splice moves them out of the pipe and into the page
 * cache in one step that SIGKILL cannot cut), then a record is added that covers
 * them. So a logger that dies in between leaves raw bytes without a record, and the
 * next one that opens the log adds it: nothing is lost or doubled.
 *
 * Nothing is synced: what is in the page cache survives the death of any process,
 * and an fsync would put milliseconds on every task's end. After a power cut the log
 * may miss its last seconds; what is left is made consistent when it is opened.
 */
#ifndef SUPERVISOR_LOGGER_FILES_H
#define SUPERVISOR_LOGGER_FILES_H

#include "lib/util.h"
#include "wire/proto.h"

struct log_record {
	uint64_t time_ns; /* CLOCK_REALTIME */
	uint64_t offset;  /* OUT, ERR: into the raw file. DROPPED: bytes kept until now.
			     END: lines in all */
	uint64_t aux;	  /* OUT, ERR: newlines in the stream up to this record's end.
			     DROPPED: bytes dropped here. END: bytes dropped in all */
	uint32_t len;	  /* OUT, ERR: 1 to LOG_FRAME_DATA_MAX, else 0 */
	uint8_t type;	  /* enum log_frame_type */
	uint8_t reason;	  /* DROPPED: enum log_drop, else 0 */
	uint8_t pad[2];
};
#define LOG_RECORD_SIZE sizeof(struct log_record)
_Static_assert(LOG_RECORD_SIZE == 32, "must divide a page: a write is never torn");

/* What the records up to some point say. */
struct log_tally {
	uint64_t covered[2];  /* bytes of out and err */
	uint64_t newlines[2]; /* in them */
	uint64_t dropped, lines;
	bool ended;
	struct log_record last; /* type 0: none */
};

struct log_files {
	int raw_fd[2], index_fd;
	uint64_t size[2]; /* of the raw files; at least tally.covered */
	bool mid_line[2]; /* the stream's last byte is no newline */
	uint64_t n_records;
	uint64_t n_reserved; /* records that the disk has promised room for */
	uint64_t sent;	     /* records before this one may have been seen by a follower */
	bool drop_open;	     /* the last record is DROPPED, still counting, and not shown yet */
	struct log_tally tally;
};

void log_files_init(struct log_files *f);
/*
 * Opens LOGS/id and makes it consistent. With create it is made when missing;
 * without, that is -ENOENT. On failure nothing stays open.
 */
int log_files_open(struct log_files *f, int logs_dirfd, const char *id, bool create);
void log_files_close(struct log_files *f);
static inline bool log_files_are_open(const struct log_files *f)
{
	return f->index_fd >= 0;
}
/* Removes LOGS/id; 0 also when there is none. */
int log_files_delete(int logs_dirfd, const char *id);

/* Makes sure that the records about one more piece of data, a drop and the end will
 * find room; -ENOSPC and the like when not. */
int log_files_reserve(struct log_files *f);
/* n bytes were added to raw file stream (0 or 1): adds the records over them. */
int log_files_added(struct log_files *f, int stream, uint64_t n);
/* Adds records until the whole raw file is covered. */
int log_files_cover(struct log_files *f, int stream);
int log_files_dropped(struct log_files *f, enum log_drop reason, uint64_t n);
/* Shows the DROPPED record that is still counting; the next drop begins another. */
void log_files_show_drop(struct log_files *f);
int log_files_end(struct log_files *f);
/* The log goes on after all: takes its END record away. */
int log_files_unend(struct log_files *f);
/* Records that followers may be shown. */
uint64_t log_files_visible(const struct log_files *f);
void log_files_totals(const struct log_files *f, uint64_t *lines, uint64_t *bytes,
		      uint64_t *dropped);
/* Bytes on the disk, in whole blocks: both raw files, the index, which is longer than they are
 * where a follower saw every byte alone, and the folder. 0 when they are not open. */
uint64_t log_files_disk(const struct log_files *f);
static inline uint64_t log_files_kept(const struct log_files *f)
{
	return f->size[0] + f->size[1];
}

/* Adds one record to the tally if it can stand there, given the raw files' sizes;
 * else returns false and leaves the tally alone. Pure. */
bool log_tally_add(struct log_tally *t, const struct log_record *r, const uint64_t size[2]);

#endif

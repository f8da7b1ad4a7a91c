/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One task's log on disk: the folder LOGS/ID with
 *
 *	out, err	the raw bytes of the two streams, as they came
 *	index		struct log_record after struct log_record, in order of arrival
 *	head		of a ring: struct log_head
 *
 * A ring keeps its last bytes and not its first ones. Offsets and the numbers of records go on as if
 * all were there: what has gone is a hole in each file, and the head says what the records had told
 * that are in it. The head is written first, in one piece that SIGKILL cannot cut.
 *
 * Bytes go into a raw file first: splice moves them out of the pipe and into the page cache in one
 * step that SIGKILL cannot cut. Then a record is added that covers them. A logger that dies in
 * between leaves raw bytes without a record, and the next logger that opens the log adds the
 * record: nothing is lost or doubled.
 *
 * Nothing is synced. What is in the page cache survives the death of any process, and an fsync
 * would add milliseconds to every task's end. After a power cut the log may miss its last seconds;
 * what is left is made consistent when it is opened.
 *
 * struct log_files owns its descriptors; log_files_close closes them. What returns int returns 0 or
 * -errno and reports nothing: the caller does. Nothing here calls back.
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
			     DROPPED: bytes dropped here. END: bytes dropped in all, without
			     those that a ring has let go */
	uint32_t len;	  /* OUT, ERR: 1 to LOG_FRAME_DATA_MAX, else 0 */
	uint8_t type;	  /* enum log_frame_type */
	uint8_t reason;	  /* DROPPED: enum log_drop, else 0 */
	uint8_t pad[2];
};
#define LOG_RECORD_SIZE sizeof(struct log_record)
_Static_assert(LOG_RECORD_SIZE == 32, "must divide a page: a write is never torn");

/* Totals over the records up to some point. */
struct log_tally {
	uint64_t covered[2];  /* bytes of out and err */
	uint64_t newlines[2]; /* newlines in those bytes */
	uint64_t dropped, lines;
	bool ended;
	struct log_record last; /* the record before that point; type 0: there is none */
};

/* Of all records before the first one that a ring keeps: their number, and what they had told. */
#define LOG_HEAD_MAGIC 0x3144484cu /* "LHD1" */
struct log_head {
	uint32_t magic, pad;
	uint64_t first;
	uint64_t covered[2], newlines[2], dropped; /* as in struct log_tally */
	uint64_t pad2;
};
_Static_assert(sizeof(struct log_head) == 64, "written in one piece");

struct log_files {
	int raw_fd[2], index_fd;
	int head_fd;	      /* of a ring; else -1 */
	struct log_head head; /* of a ring; else zeros */
	uint64_t gone_ns;     /* CLOCK_REALTIME: when it was written, or read */
	uint32_t record_max;  /* bytes that a record of new data has at most */
	uint64_t size[2];     /* of the raw files; at least tally.covered */
	bool mid_line[2];     /* the stream's last byte is not a newline */
	uint64_t n_records;
	uint64_t n_reserved; /* records for which the disk has set room aside */
	/* records before this one may have been sent to a follower, and must not change */
	uint64_t sent;
	bool drop_open; /* the last record is DROPPED, and still counts and is not shown yet */
	struct log_tally tally;
};

void log_files_init(struct log_files *f);
/*
 * Opens LOGS/id and makes it consistent. A log that does not exist is made with LOG_CREATE or
 * LOG_CREATE_RING, which makes a ring also of one that is not; with LOG_EXISTING that is -ENOENT.
 * When this fails, nothing is open.
 */
enum log_open_how { LOG_EXISTING, LOG_CREATE, LOG_CREATE_RING };
int log_files_open(struct log_files *f, int logs_dirfd, const char *id, enum log_open_how how);
void log_files_close(struct log_files *f);
static inline bool log_files_are_open(const struct log_files *f)
{
	return f->index_fd >= 0;
}
/* Removes LOGS/id. 0 also when there was none. */
int log_files_delete(int logs_dirfd, const char *id);

/* Sets room aside for the records of one more piece of data, of a drop and of the end. -ENOSPC or
 * the like: the disk has none. */
int log_files_reserve(struct log_files *f);
/* Adds records for n bytes that were appended to the raw file of stream (0: out, 1: err). */
int log_files_added(struct log_files *f, int stream, uint64_t n);
int log_files_dropped(struct log_files *f, enum log_drop reason, uint64_t n);
/*
 * Has a ring let its oldest records go, with their bytes, until it keeps so many bytes and records
 * at most. -EOPNOTSUPP: this file system makes no holes, so nothing is won by that.
 */
int log_files_let_go(struct log_files *f, uint64_t bytes, uint64_t records);
/* Bytes that a ring has let go. */
static inline uint64_t log_files_gone(const struct log_files *f)
{
	return f->head.covered[0] + f->head.covered[1];
}
/* Lets followers see the DROPPED record that still counts; the next drop begins another record. */
void log_files_show_drop(struct log_files *f);
int log_files_end(struct log_files *f);
/* Takes the END record away, for a log that goes on after all. */
int log_files_unend(struct log_files *f);
/* The number of records that followers may see. */
uint64_t log_files_visible(const struct log_files *f);
void log_files_totals(const struct log_files *f, uint64_t *lines, uint64_t *bytes,
		      uint64_t *dropped);
/* Bytes on the disk, in whole blocks: of the folder, both raw files and the index, which is longer
 * than the raw files when a follower read every byte by itself. 0 when the files are not open. */
uint64_t log_files_disk(const struct log_files *f);
static inline uint64_t log_files_kept(const struct log_files *f)
{
	return f->size[0] + f->size[1] - log_files_gone(f);
}

/* Adds a record to the tally if the record can come next, given the raw files' sizes; returns false
 * and changes nothing if it cannot. Has no other effect. */
bool log_tally_add(struct log_tally *t, const struct log_record *r, const uint64_t size[2]);

#endif

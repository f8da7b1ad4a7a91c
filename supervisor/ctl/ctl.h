/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of sandboxctl share: where the daemon is, how to ask it, and how to tell what went
 * wrong. A verb is one file and one row of the table of verbs (main.c).
 *
 * A verb returns an exit status and has printed its errors; all other functions return 0 or -errno,
 * fill in the caller's struct err and print nothing, unless a comment says otherwise. JSON objects
 * are reference-counted by jansson; a comment says who owns a reference.
 */
#ifndef SUPERVISOR_CTL_H
#define SUPERVISOR_CTL_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/util.h"
#include "wire/frame.h"

/* The command line's global options. The strings live as long as the program. */
struct ctl {
	const char *socket_path; /* --socket, SANDBOXD_SOCKET */
	const char *state_dir;	 /* --state, SANDBOXD_STATE: for root's image and policy verbs */
	bool json;		 /* --json */
};

/*
 * A verb: argv[0] is its name, and the global options have been taken out of argv. Returns the exit
 * status. verb->help is printed for --help before the verb is called. When it is NULL, the verb
 * itself answers --help.
 */
typedef int (*ctl_verb_fn)(struct ctl *ctl, int argc, char **argv);
struct ctl_verb {
	const char *name;
	const char *summary; /* in one line; NULL: another word for a verb that is listed */
	ctl_verb_fn run;
	const char *help;
};

int ctl_run(struct ctl *ctl, int argc, char **argv);
/* The same, with a connected Unix stream socket as the task's stdin, or -1. A task with such a
 * stdin is started cold. */
int ctl_run_with_input(struct ctl *ctl, int argc, char **argv, int input_fd);
int ctl_logs(struct ctl *ctl, int argc, char **argv);
int ctl_ps(struct ctl *ctl, int argc, char **argv);
int ctl_inspect(struct ctl *ctl, int argc, char **argv);
int ctl_wait(struct ctl *ctl, int argc, char **argv);
int ctl_cancel(struct ctl *ctl, int argc, char **argv);
int ctl_rm(struct ctl *ctl, int argc, char **argv);
int ctl_image(struct ctl *ctl, int argc, char **argv);
int ctl_policy(struct ctl *ctl, int argc, char **argv);
int ctl_template(struct ctl *ctl, int argc, char **argv);
int ctl_project(struct ctl *ctl, int argc, char **argv);
int ctl_dev(struct ctl *ctl, int argc, char **argv);
int ctl_serve(struct ctl *ctl, int argc, char **argv);
int ctl_deploy(struct ctl *ctl, int argc, char **argv);
int ctl_push(struct ctl *ctl, int argc, char **argv);
int ctl_tail(struct ctl *ctl, int argc, char **argv);
int ctl_kv(struct ctl *ctl, int argc, char **argv);
int ctl_secret(struct ctl *ctl, int argc, char **argv);
int ctl_service(struct ctl *ctl, int argc, char **argv);
int ctl_scale(struct ctl *ctl, int argc, char **argv);
int ctl_background(struct ctl *ctl, int argc, char **argv);
int ctl_url(struct ctl *ctl, int argc, char **argv);
int ctl_open(struct ctl *ctl, int argc, char **argv);
int ctl_version(struct ctl *ctl, int argc, char **argv);
int ctl_doctor(struct ctl *ctl, int argc, char **argv);
int ctl_tenant(struct ctl *ctl, int argc, char **argv); /* the tenant's verbs; tenant_verb.c */

/* The second word of a verb, as in "image build". */
struct ctl_word {
	const char *name;
	ctl_verb_fn run;
	bool internal; /* for sandboxd's own scripts, and not shown to users */
};
/* Calls the function of the word argv[1], with argv from that word on; answers --help itself. The
 * table ends with a row that has no name. */
int ctl_dispatch(struct ctl *ctl, const char *verb, const struct ctl_word *words, const char *help,
		 int argc, char **argv);

/* Whether one of a verb's own words, before "--", asks for help. */
bool ctl_asks_help(int argc, char **argv);

extern const char ctl_run_help[], ctl_logs_help[], ctl_tail_help[], ctl_doctor_help[];

/* Prints "sandboxctl: MSG" on stderr, with control characters escaped; returns the error's exit
 * status. */
int ctl_fail(const struct err *e);
/* For a wrong command line: prints "sandboxctl VERB: ..." and where help is; returns 125. */
int ctl_usage(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same after getopt_long(3) has returned '?' or ':'. */
int ctl_bad_option(const char *verb, char **argv);
/* An option that was given: val of its row, and its value, which lives as long as argv. 0, or the exit
 * status by which reading ends; what is wrong was printed. */
struct option;
typedef int (*ctl_option_fn)(void *arg, int option, const char *value);
/* Reads the options of a verb, or of a word of one, as getopt_long(3) does; letters begins with ':'. 0, and
 * optind is at the first word behind them; or an exit status, and what is no option was printed. */
int ctl_read_options(const char *verb, int argc, char **argv, const char *letters,
		     const struct option *options, ctl_option_fn take, void *arg);
/* The same where a word of the verb has other than min to max words behind it. */
int ctl_bad_count(const char *verb, const char *word, int min, int max);
/* Prints "sandboxctl: ..." on stderr, while the verb goes on. */
void ctl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints a line for a person on stdout or stderr, at once and whole, whatever other threads print there by
 * ctl_turn. What is in it must not act on a terminal; the newline is added. */
void ctl_line(FILE *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What is locked while a line is written to descriptor 1 or 2: the same, where both are one file. */
pthread_mutex_t *ctl_turn(int fd);

/* How long, and how often, a daemon is asked again that went away during a verb. */
#define CTL_RETRY_FOR_NS (30 * SEC)
#define CTL_RETRY_MS 50

/*
 * One request and its answer, on a connection of its own. The reference to request is taken; the
 * descriptors stay the caller's. When the daemon says ok, 0, and the answer in *ret_reply, whose
 * reference is the caller's (ret_reply may be NULL); else -errno and *e, as the daemon or this side
 * has said. The ops "wait" and "warm" may take long and are waited for as long as the daemon lives,
 * all others for half a minute at most. When the connection breaks, the request is sent again, so
 * it must be one that may be sent twice.
 */
int ctl_call(struct ctl *ctl, json_t *request, const int *fds, unsigned n_fds, json_t **ret_reply,
	     struct err *e);

/*
 * The same without descriptors, for an answer of which one member matters: *ret is that member,
 * which must have this type, and belongs to *ret_reply. An answer without it is an error.
 */
int ctl_ask(struct ctl *ctl, json_t *request, const char *key, json_type type, json_t **ret_reply,
	    json_t **ret, struct err *e);

/*
 * Asks only once; does not look whether the answer is ok, and leaves request to the caller.
 * -ECONNRESET: the connection broke after it had been made.
 */
int ctl_call_once(struct ctl *ctl, const json_t *request, const int *fds, unsigned n_fds,
		  int timeout_ms, json_t **ret_reply, struct err *e);

/* A connection for ops that have several answers. ctl_close() releases it. */
struct ctl_conn {
	int fd;	     /* -1 when closed; for poll(2) */
	int stop_fd; /* of the caller's; what is being sent is given up when this can be read; or -1 */
	struct frame in;
};
#define CTL_CONN_INIT                                                                              \
	{                                                                                          \
		.fd = -1, .stop_fd = -1                                                            \
	}
int ctl_connect(struct ctl *ctl, struct ctl_conn *conn, struct err *e);
int ctl_send(struct ctl_conn *conn, const json_t *request, const int *fds, unsigned n_fds,
	     struct err *e);
/* Sends the request's JSON text; text NULL: out of memory. */
int ctl_send_text(struct ctl_conn *conn, const char *text, const int *fds, unsigned n_fds,
		  struct err *e);
/* Reads what has arrived, without waiting. 1: a whole answer, in *ret_reply; 0: there is more to
 * come; -ECONNRESET: the connection has ended; else -errno. */
int ctl_read(struct ctl_conn *conn, json_t **ret_reply, struct err *e);
void ctl_close(struct ctl_conn *conn);
/* 0 for {"ok": true}; else *e is made of the answer's code and error. */
int ctl_reply_check(const json_t *reply, struct err *e);

/* Prints one JSON document and a newline; returns the exit status (125 when stdout cannot be
 * written). */
int ctl_print_json(const json_t *value);
/* The same on one line, for a sequence of documents. */
int ctl_print_json_line(const json_t *value);
/* Prints s for a terminal: control characters are escaped. */
void ctl_print_text(const char *s);
/* The same, padded with blanks to that many columns. */
void ctl_print_cell(const char *s, int width);
/* Prints "name         text"; nothing when text is "". */
void ctl_print_field(const char *name, const char *text);
/* Writes a number of bytes as people read it, for instance "13.5M". */
void ctl_format_size(char *buf, size_t size, double bytes);

/* A table for people, whose columns are as wide as their content. */
#define CTL_COLUMNS_MAX 12
#define CTL_CELL 80
struct ctl_table {
	unsigned n; /* columns */
	const char *titles[CTL_COLUMNS_MAX];
	void (*row)(const json_t *of, char cell[][CTL_CELL]);
};
void ctl_print_table(const struct ctl_table *table, const json_t *rows);
/* A time in nanoseconds since the epoch as a cell; empty where there is none. */
void ctl_time_cell(const json_t *of, const char *key, char cell[CTL_CELL]);
/* Flushes stdout at the end of a verb; returns status, or 125 when stdout could not be written. */
int ctl_flush(int status);

/*
 * input.c: reads a file, or stdin for "-", with a NUL added; more than max bytes are ERR_LIMIT.
 * any: a FIFO or a device is read too, because a user who names one on the command line may have
 * written <(...), and waits for it. The caller frees *ret, which an error leaves alone.
 */
int ctl_read_file(const char *path, size_t max, bool any, char **ret, size_t *ret_len,
		  struct err *e);
/*
 * Opens what a description (task.json, a .worker file) names in its own folder. The description may
 * come from somebody else than the user who runs the command, so no "..", no absolute path and no
 * link leads out of dirfd (EXDEV); links that stay inside are followed. Returns a descriptor, or -1
 * and errno.
 */
int ctl_open_beneath(int dirfd, const char *path, int flags);

/* 0, or an error: the folder, which the user calls path, has no configuration of an HTTP worker. Asked before
 * a folder is sent anywhere, which may be somebody's home. */
int ctl_check_configured(int dirfd, const char *path, struct err *e);

/* A string member of an object; "" when it is missing. */
const char *ctl_text(const json_t *object, const char *key);
/* For a verb that takes ids and no option: 0; or the exit status, when a word is wrong, which has
 * been printed. The daemon is not asked before. */
int ctl_ids_only(const char *verb, int argc, char **argv);
/* The exit status that `run` and `wait` return for an ended task. */
int ctl_task_exit_status(const json_t *task);

#endif

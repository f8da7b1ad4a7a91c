/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of sandboxctl share: where the daemon is, how to ask it, how to
 * say what went wrong. One file a verb, one table of verbs (main.c).
 */
#ifndef SUPERVISOR_CTL_H
#define SUPERVISOR_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

/* The command line's global options; the strings live as long as the program. */
struct ctl {
	const char *socket_path; /* --socket, SANDBOXD_SOCKET */
	const char *state_dir;	 /* --state, SANDBOXD_STATE: for root's image and policy verbs */
	bool json;		 /* --json */
};

/*
 * A verb: argv[0] is its name, the global options are already taken out. Returns
 * the exit status. verb->help is printed for --help before the verb is called,
 * unless it is NULL: then the verb itself answers --help.
 */
typedef int (*ctl_verb_fn)(struct ctl *ctl, int argc, char **argv);
struct ctl_verb {
	const char *name;
	const char *summary; /* one line */
	ctl_verb_fn run;
	const char *help;
};

int ctl_run(struct ctl *ctl, int argc, char **argv);
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
int ctl_version(struct ctl *ctl, int argc, char **argv);
int ctl_doctor(struct ctl *ctl, int argc, char **argv);
int ctl_iron(struct ctl *ctl, int argc, char **argv); /* the tenant's verbs; iron_verb.c */

/* The second word of a verb: "image build". */
struct ctl_word {
	const char *name;
	ctl_verb_fn run;
};
/* Calls the one that argv[1] names, with argv from there on; answers --help. */
int ctl_dispatch(struct ctl *ctl, const char *verb, const struct ctl_word *words, const char *help,
		 int argc, char **argv);

extern const char ctl_run_help[], ctl_logs_help[], ctl_doctor_help[];

/* Prints "sandboxctl: MSG" on stderr (control characters escaped); the exit status. */
int ctl_fail(const struct err *e);
/* A wrong command line: "sandboxctl VERB: ..." and where to find help; 125. */
int ctl_usage(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same after getopt_long(3) said '?' or ':'. */
int ctl_bad_option(const char *verb, char **argv);
/* What is said while a verb goes on: "sandboxctl: ..." on stderr. */
void ctl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A daemon that went away under us is waited for this long, asking this often. */
#define CTL_RETRY_FOR_NS 30000000000ULL
#define CTL_RETRY_MS 50

/*
 * One request, one answer, on a connection of its own. Steals the reference to
 * request; the fds stay the caller's. 0 with an object in *ret_reply (the caller's
 * to json_decref; ret_reply may be NULL) when the daemon says ok, else -errno and
 * *e as the daemon or this side put it. The ops "wait" and "warm" may take long:
 * they wait as long as the daemon lives; all others at most half a minute. When the
 * connection breaks the request is sent again, so it must be one that may be.
 */
int ctl_call(struct ctl *ctl, json_t *request, const int *fds, unsigned n_fds, json_t **ret_reply,
	     struct err *e);

/*
 * The same without fds, for an answer that is about one member: *ret, of that type, borrowed from
 * *ret_reply. An answer without it is an error.
 */
int ctl_ask(struct ctl *ctl, json_t *request, const char *key, json_type type, json_t **ret_reply,
	    json_t **ret, struct err *e);

/*
 * One try of the same; the reply is not checked for ok, and the request stays the
 * caller's. A connection that broke after it was made is -ECONNRESET.
 */
int ctl_call_once(struct ctl *ctl, const json_t *request, const int *fds, unsigned n_fds,
		  int timeout_ms, json_t **ret_reply, struct err *e);

/* A connection for ops with several replies. */
struct ctl_conn {
	int fd; /* -1 when closed; for poll(2) */
	uint8_t head[4];
	char *body;
	size_t got, size; /* of head + body; size is 0 until the head is there */
};
#define CTL_CONN_INIT                                                                              \
	{                                                                                          \
		.fd = -1                                                                           \
	}
int ctl_connect(struct ctl *ctl, struct ctl_conn *conn, struct err *e);
int ctl_send(struct ctl_conn *conn, const json_t *request, const int *fds, unsigned n_fds,
	     struct err *e);
/* The request as JSON text; NULL: there was no memory for it. */
int ctl_send_text(struct ctl_conn *conn, const char *text, const int *fds, unsigned n_fds,
		  struct err *e);
/* Takes what has arrived, without waiting: 1 with a whole reply in *ret_reply, 0
 * when more is needed, -ECONNRESET at the end of the connection, else -errno. */
int ctl_read(struct ctl_conn *conn, json_t **ret_reply, struct err *e);
/* Waits for the next whole reply; timeout_ms -1 waits for ever. */
int ctl_recv(struct ctl_conn *conn, int timeout_ms, json_t **ret_reply, struct err *e);
void ctl_close(struct ctl_conn *conn);
/* 0 for {"ok": true}, else *e from the reply's code and error. */
int ctl_reply_check(const json_t *reply, struct err *e);

/* Prints one JSON document and a newline; an exit status (125 if stdout is broken). */
int ctl_print_json(const json_t *value);
/* The same on one line, for a sequence of documents. */
int ctl_print_json_line(const json_t *value);
/* Prints s with control characters escaped, for a person's terminal. */
void ctl_print_text(const char *s);
/* The same, and blanks up to that many columns. */
void ctl_print_cell(const char *s, int width);
/* "name         text", or nothing when there is no text. */
void ctl_print_field(const char *name, const char *text);
/* "13.5M" */
void ctl_format_size(char *buf, size_t size, double bytes);

/* A table for people; its columns are as wide as what is in them. */
#define CTL_COLUMNS_MAX 12
#define CTL_CELL 80
struct ctl_table {
	unsigned n; /* columns */
	const char *titles[CTL_COLUMNS_MAX];
	void (*row)(const json_t *of, char cell[][CTL_CELL]);
};
void ctl_print_table(const struct ctl_table *table, const json_t *rows);
/* Flushes stdout at the end of a verb: status, or 125 when it could not be written. */
int ctl_flush(int status);

/*
 * input.c: the bytes of a file, or of stdin for "-", at most max of them (else ERR_LIMIT), with a
 * NUL behind. any: a FIFO or a device will do, too: who names one on the command line may have
 * written <(...), and waits. *ret is the caller's to free; on an error it is untouched.
 */
int ctl_read_file(const char *path, size_t max, bool any, char **ret, size_t *ret_len,
		  struct err *e);
/*
 * Opens what a description (task.json, a .worker) names in its own folder. It may come from
 * somebody else than who runs the command: no "..", no absolute path and no link in it leads
 * out of dirfd, which is EXDEV; links that stay inside are followed. The fd, or -1 and errno.
 */
int ctl_open_beneath(int dirfd, const char *path, int flags);

/* A string member of an object; "" when it is not there. */
const char *ctl_text(const json_t *object, const char *key);
/* For a verb that takes ids and no option: 0, or the exit status after it was said what is wrong,
 * before anything is asked. */
int ctl_ids_only(const char *verb, int argc, char **argv);
/* What `run` and `wait` exit with for an ended task's object. */
int ctl_task_exit_status(const json_t *task);

#endif

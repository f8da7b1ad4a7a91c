// SPDX-License-Identifier: Apache-2.0
#include "spec/job.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define SEED_LEN 32

static void put(FILE *f, const char *key, const void *bytes, size_t len)
{
	/* An error stays with the stream, which is asked for one before it is closed. */
	(void)fprintf(f, "%s %zu\n", key, len);
	(void)fwrite(bytes, 1, len, f);
	(void)fputc('\n', f);
}

static void put_text(FILE *f, const char *key, const char *text)
{
	if (text)
		put(f, key, text, strlen(text));
}

void job_clear(struct job *job)
{
	util_close_fd(&job->fd);
}

int job_write(const struct task_spec *spec, char **ret, struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int bad;

	if (!f)
		return err_set(e, ERR_SYSTEM, errno, "cannot write the job");
	put_text(f, "kind", task_kind_name(spec->kind));
	put_text(f, task_kind_name(spec->kind), spec->source);
	put_text(f, "payload", spec->payload);
	put_text(f, "config", spec->config);
	for (size_t i = 0; i < spec->n_args; i++)
		put_text(f, "arg", spec->args[i]);
	for (size_t i = 0; i < spec->n_env; i++)
		put_text(f, "env", spec->env[i]);
	put_text(f, "label", spec->label);
	bad = ferror(f);
	if (fclose(f) != 0 || bad) {
		free(text);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot write the job");
	}
	*ret = text;
	return 0;
}

struct record {
	const char *key, *value;
	size_t key_len, len;
};

/* Reads the record at *at, and moves *at behind it. False: what is there up to end is not a
 * record. */
static bool next_record(const char **at, const char *end, struct record *ret)
{
	unsigned long len;
	char *rest;

	ret->key = *at;
	ret->key_len = strspn(*at, "abcdefghijklmnopqrstuvwxyz_.");
	*at += ret->key_len;
	if (ret->key_len == 0 || (*at)[0] != ' ' || (*at)[1] < '0' || (*at)[1] > '9')
		return false;
	len = strtoul(*at + 1, &rest, 10);
	if (*rest != '\n' || len >= (size_t)(end - (rest + 1)) || rest[1 + len] != '\n')
		return false;
	ret->value = rest + 1;
	ret->len = len;
	*at = rest + 1 + len + 1;
	return true;
}

/* Checks that the text is a sequence of records, because anything may have become of it while it
 * was kept; finds the script. */
static int find_script(const char *text, char script[JOB_SCRIPT_MAX], struct err *e)
{
	const char *at = text, *end = text + strlen(text);
	struct record r;

	script[0] = '\0';
	do {
		if (!next_record(&at, end, &r))
			return err_set(e, ERR_INTERNAL, 0, "what was kept of its job is damaged");
		if (r.key_len != strlen("exec") || memcmp(r.key, "exec", r.key_len) != 0 ||
		    r.len >= JOB_SCRIPT_MAX)
			continue;
		memcpy(script, r.value, r.len);
		script[r.len] = '\0';
	} while (at < end);
	return 0;
}

/* Puts all records together in one piece of memory, which the caller frees. */
static int write_whole(const char *text, const struct job_of *of, char **ret, size_t *ret_len)
{
	uint8_t seed[SEED_LEN];
	FILE *f;
	int bad;

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -errno;
	f = open_memstream(ret, ret_len);
	if (!f)
		return -errno;
	put_text(f, "id", of->id);
	(void)fputs(text, f);
	put_text(f, "policy", of->policy);
	put_text(f, "streams", of->together ? "together" : NULL);
	put(f, "seed", seed, sizeof(seed));
	bad = ferror(f);
	return fclose(f) != 0 || bad ? -ENOMEM : 0;
}

int job_seal(const char *text, const struct job_of *of, struct job *ret, struct err *e)
{
	_cleanup_free_ char *whole = NULL;
	_cleanup_fd_ int fd = -1;
	size_t len = 0;
	int r;

	r = find_script(text, ret->script, e);
	if (r < 0)
		return r;
	r = write_whole(text, of, &whole, &len);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot write the job");
	fd = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot make a memory file for the job");
	r = util_write_all(fd, whole, len);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot write the job");
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot seal the job");
	ret->fd = TAKE_FD(fd);
	return 0;
}

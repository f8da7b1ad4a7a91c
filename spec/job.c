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
	/* Errors stick to the stream: they are looked at once, in job_text. */
	(void)fprintf(f, "%s %zu\n", key, len);
	(void)fwrite(bytes, 1, len, f);
	(void)fputc('\n', f);
}

static void put_text(FILE *f, const char *key, const char *text)
{
	if (text)
		put(f, key, text, strlen(text));
}

static int job_text(const struct task_spec *spec, const struct job_of *of, char **ret,
		    size_t *ret_len)
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
	put_text(f, "kind", task_kind_name(spec->kind));
	put_text(f, task_kind_name(spec->kind), spec->source);
	put_text(f, "payload", spec->payload);
	put_text(f, "config", spec->config);
	for (size_t i = 0; i < spec->n_args; i++)
		put_text(f, "arg", spec->args[i]);
	for (size_t i = 0; i < spec->n_env; i++)
		put_text(f, "env", spec->env[i]);
	put_text(f, "label", spec->label);
	put_text(f, "policy", of->policy);
	put_text(f, "streams", of->together ? "together" : NULL);
	put(f, "seed", seed, sizeof(seed));
	bad = ferror(f);
	return fclose(f) != 0 || bad ? -ENOMEM : 0;
}

int job_build(const struct task_spec *spec, const struct job_of *of, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	size_t len = 0;
	int r;

	r = job_text(spec, of, &text, &len);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot write the job");
	fd = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot make a memory file for the job");
	r = util_write_all(fd, text, len);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot write the job");
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot seal the job");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

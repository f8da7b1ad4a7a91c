// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "lib/sha256.h"
#include "sandbox/checkpoint.h"

/* The checkpoint itself is wrong and will stay so: -EBADMSG. */
static int bad(struct err *e, const char *name, const char *what)
{
	(void)err_set(e, ERR_INPUT, 0, "checkpoint: %s: %s", name, what);
	return -EBADMSG;
}

int checkpoint_key(const struct checkpoint_inputs *in, uint8_t ret[32], struct err *e)
{
	/* The struct has no padding, and the caller has zeroed it. */
	_Static_assert(sizeof(*in) == 4 * 32 + IMAGE_WARM_MAX + 256 + 64 + 64 + 4, "no padding");
	if (sha256(in, sizeof(*in), ret) < 0)
		return err_set(e, ERR_SYSTEM, EIO, "checkpoint: key");
	return 0;
}

static bool terminated(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

int checkpoint_read(int dir, const uint8_t key[32], struct checkpoint_manifest *ret, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	uint8_t self[32];
	struct stat st;

	if (fstat(dir, &st) < 0 || st.st_uid != 0 || (st.st_mode & 022))
		return bad(e, "folder", "not one that only root can write");
	fd = util_open_file_at(dir, "manifest", O_RDONLY, &st);
	if (fd < 0 && fd != -ENOTSUP)
		return err_set(e, fd == -ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, -fd,
			       "checkpoint: manifest");
	if (fd < 0 || st.st_uid != 0 || (st.st_mode & 022) || st.st_size != (off_t)sizeof(*ret))
		return bad(e, "manifest", "not root's, or of another size");
	if (util_read_all(fd, ret, sizeof(*ret)) < 0)
		return bad(e, "manifest", "cannot be read");
	if (sha256(ret, offsetof(struct checkpoint_manifest, self), self) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "checkpoint: SHA-256");
	if (memcmp(self, ret->self, sizeof(self)) != 0)
		return bad(e, "manifest", "damaged");
	if (ret->magic != CHECKPOINT_MAGIC || ret->version != CHECKPOINT_VERSION ||
	    ret->n_files > CHECKPOINT_FILES_MAX)
		return bad(e, "manifest", "of another version");
	if (memcmp(ret->key, key, 32) != 0)
		return bad(e, "manifest", "made for something else");
	for (uint32_t i = 0; i < ret->n_files; i++)
		if (!terminated(ret->files[i].name, sizeof(ret->files[i].name)))
			return bad(e, "manifest", "damaged");
	return 0;
}

/* Opens a regular file that root owns and only root can write. Returns a descriptor, or -errno;
 * *ret_size: the file's size. */
static int open_file(int dir, const char *name, uint64_t *ret_size, struct err *e)
{
	struct stat st;
	_cleanup_fd_ int fd = util_open_file_at(dir, name, O_RDONLY, &st);

	if (fd < 0 && fd != -ENOTSUP)
		return err_set(e, ERR_INPUT, -fd, "checkpoint: %s", name);
	if (fd < 0 || st.st_nlink != 1)
		return bad(e, name, "not a plain file");
	if (st.st_uid != 0 || (st.st_mode & 022))
		return bad(e, name, "not a file that only root can write");
	if ((uint64_t)st.st_size > CHECKPOINT_FILE_BYTES_MAX)
		return bad(e, name, "too large");
	*ret_size = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

static int hash_file(int dir, const char *name, struct checkpoint_file *ret, struct err *e)
{
	_cleanup_sha256_ struct sha256 sha = {0};
	_cleanup_fd_ int fd = open_file(dir, name, &ret->size, e);
	static char block[1 << 18];
	ssize_t n;

	if (fd < 0)
		return fd;
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	sha256_begin(&sha);
	while ((n = read(fd, block, sizeof(block))) > 0)
		sha256_add(&sha, block, (size_t)n);
	if (n < 0)
		return bad(e, name, "cannot be read");
	return sha256_end(&sha, ret->sha256) < 0
		       ? err_set(e, ERR_SYSTEM, ENOMEM, "checkpoint: SHA-256")
		       : 0;
}

static bool is_manifest(const char *name)
{
	return strcmp(name, "manifest") == 0;
}

struct verify {
	const struct checkpoint_manifest *m;
	uint32_t seen;
};

static int verify_entry(int dir, const char *name, void *arg, struct err *e)
{
	struct verify *v = arg;
	struct checkpoint_file have = {0};
	int r;

	if (is_manifest(name))
		return 0;
	for (uint32_t i = 0; i < v->m->n_files; i++) {
		const struct checkpoint_file *want = &v->m->files[i];

		if (strcmp(want->name, name) != 0)
			continue;
		r = hash_file(dir, name, &have, e);
		if (r < 0)
			return r;
		if (have.size != want->size || memcmp(have.sha256, want->sha256, 32) != 0)
			return bad(e, name, "differs from its digest");
		v->seen++;
		return 0;
	}
	return bad(e, name, "not in the manifest");
}

int checkpoint_verify(int dir, const struct checkpoint_manifest *m, struct err *e)
{
	struct verify v = {.m = m};
	int r = dir_each(dir, verify_entry, &v, e);

	if (r == 0 && v.seen != m->n_files)
		r = bad(e, "folder", "a file is missing");
	return r;
}

struct stamp_entry {
	char name[64];
	uint64_t ino, size, mode;
	struct timespec mtime, ctime;
};
struct stamp {
	struct stamp_entry entries[CHECKPOINT_FILES_MAX];
	size_t n;
};

static int stamp_entry(int dir, const char *name, void *arg, struct err *e)
{
	struct stamp *s = arg;
	struct stamp_entry *x = &s->entries[s->n];
	struct stat st;

	if (s->n == CHECKPOINT_FILES_MAX)
		return bad(e, "folder", "too many files");
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: %s", name);
	(void)snprintf(x->name, sizeof(x->name), "%s", name);
	x->ino = st.st_ino;
	x->size = (uint64_t)st.st_size;
	x->mode = st.st_mode;
	x->mtime = st.st_mtim;
	x->ctime = st.st_ctim;
	s->n++;
	return 0;
}

int checkpoint_stamp(int dir, uint8_t ret[32], struct err *e)
{
	struct stamp s = {0};
	int r = dir_each(dir, stamp_entry, &s, e);

	if (r == 0 && sha256(&s, sizeof(s), ret) < 0)
		r = err_set(e, ERR_SYSTEM, ENOMEM, "checkpoint: SHA-256");
	return r;
}

static int seal_entry(int dir, const char *name, void *arg, struct err *e)
{
	struct checkpoint_manifest *m = arg;
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (m->n_files == CHECKPOINT_FILES_MAX || strlen(name) >= sizeof(m->files[0].name))
		return bad(e, name, "too many files, or too long a name");
	fd = util_open_file_at(dir, name, O_RDONLY, &st);
	if (fd < 0 || st.st_nlink != 1)
		return bad(e, name, "not a plain file");
	/* criu or the dumped process, which had the same user, made the file. */
	if (fchown(fd, 0, 0) < 0 || fchmod(fd, strcmp(name, "heap") == 0 ? HEAP_MODE : 0444) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: %s", name);
	return hash_file(dir, name, &m->files[m->n_files++], e);
}

/* Text for people; no program reads it. The names in it hold no quotes. */
static int write_json(int dir, const struct checkpoint_manifest *m)
{
	_cleanup_free_ char *text = NULL;
	char hex[65], when[40];
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	util_hex(m->key, 32, hex);
	(void)fprintf(f, "{\n  \"key\": \"%s\",\n", hex);
	util_hex(m->image, 32, hex);
	util_format_time(m->created_ns, when, sizeof(when));
	(void)fprintf(f, "  \"image\": \"%s\",\n  \"image_name\": \"%s\",\n  \"policy\": \"%s\",\n",
		      hex, m->image_name, m->policy_name);
	(void)fprintf(f, "  \"created_at\": \"%s\",\n  \"kernel\": \"%s\",\n  \"criu\": \"%s\",\n",
		      when, m->kernel, m->criu);
	(void)fprintf(f, "  \"warm\": [");
	for (const char *p = m->warm; *p;) {
		int n = (int)strcspn(p, "\n");

		(void)fprintf(f, "%s\"%.*s\"", p == m->warm ? "" : ", ", n, p);
		p += n + (p[n] == '\n');
	}
	(void)fprintf(f, "],\n  \"files\": {\n");
	for (uint32_t i = 0; i < m->n_files; i++) {
		util_hex(m->files[i].sha256, 32, hex);
		(void)fprintf(f, "    \"%s\": {\"size\": %llu, \"sha256\": \"%s\"}%s\n",
			      m->files[i].name, (unsigned long long)m->files[i].size, hex,
			      i + 1 < m->n_files ? "," : "");
	}
	(void)fprintf(f, "  }\n}\n");
	if (fclose(f) != 0)
		return -ENOMEM;
	return util_write_file_at(dir, "manifest.json", 0444, text, len);
}

int checkpoint_seal(int dir, struct checkpoint_manifest *m, struct err *e)
{
	int r;

	m->magic = CHECKPOINT_MAGIC;
	m->version = CHECKPOINT_VERSION;
	m->n_files = 0;
	r = dir_each(dir, seal_entry, m, e);
	if (r < 0)
		return r;
	r = write_json(dir, m);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "checkpoint: manifest.json");
	r = seal_entry(dir, "manifest.json", m, e);
	if (r < 0)
		return r;
	if (sha256(m, offsetof(struct checkpoint_manifest, self), m->self) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "checkpoint: SHA-256");
	r = util_write_file_at(dir, "manifest", 0400, m, sizeof(*m));
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "checkpoint: manifest") : 0;
}

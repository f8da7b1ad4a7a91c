// SPDX-License-Identifier: Apache-2.0
/* Zips through a child: the folder and the zip are kept under their names. */
#include "tests/unit/package_zip_rig.h"

#include <openssl/evp.h>
#include <sys/mman.h>

#include "supervisor/front/front.h"
#include "supervisor/front/serve/serve.h"

struct answer {
	sd_event *event;
	bool refused;
	uint8_t package[32], zip[32];
	uint64_t zip_bytes;
	struct package_size size;
	struct err error;
};

static void answered(struct front *f, void *arg, const struct unpacked *is, const struct err *error)
{
	struct answer *a = arg;

	(void)f;
	a->refused = error;
	if (error) {
		a->error = *error;
	} else {
		memcpy(a->package, is->package, 32);
		memcpy(a->zip, is->zip, 32);
		a->zip_bytes = is->zip_bytes;
		a->size = is->size;
	}
	(void)sd_event_exit(a->event, 0);
}

static struct project project = {.id = "0123456789abcdef01234567"};

static struct answer unpack(struct front *f, int fd)
{
	struct answer a = {0};

	assert_int_equal(sd_event_new(&f->event), 0);
	a.event = f->event;
	package_unpack_zip(f, &project, fd, answered, &a);
	assert_int_equal(sd_event_loop(f->event), 0);
	f->event = sd_event_unref(f->event);
	assert_int_equal(f->core->n_unpacking, 0);
	return a;
}

static int zip_file(const struct made *z)
{
	int fd = memfd_create("zip", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, z->bytes, z->len), 0);
	return fd;
}

/* The folder and the zip are there under what was answered. */
static void assert_kept(struct front *f, const struct made *z, const struct answer *a)
{
	uint8_t digest[32], bytes[sizeof(z->bytes)];
	char name[80];
	int fd;

	assert_string_equal(a->error.msg, "");
	assert_int_equal(a->zip_bytes, z->len);
	/* Nine files, a folder, a link in it, the package and the zip: one block each. */
	assert_int_equal(a->size.files, 13);
	assert_int_equal(a->size.bytes, 13 * PACKAGE_BLOCK);
	assert_int_equal(EVP_Digest(z->bytes, z->len, digest, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(a->zip, digest, 32);
	assert_memory_not_equal(a->package, digest, 32);
	util_hex(a->package, 32, name);
	fd = openat(f->cfg.packages_dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_good(fd);
	(void)close(fd);
	fd = package_open_zip(f, a->zip);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), z->len);
	assert_memory_equal(bytes, z->bytes, z->len);
	(void)close(fd);
}

/* A package that a pruner is about to remove is taken back. */
static void assert_taken_back(struct front *f, const uint8_t package[32])
{
	int packages = f->cfg.packages_dirfd, fd;
	char name[80];

	util_hex(package, 32, name);
	assert_int_equal(renameat(packages, name, packages, ".gone-x"), 0);
	assert_int_equal(package_open(f, package), -ENOENT);
	(void)snprintf(name, sizeof(name), ".gone-");
	util_hex(package, 32, name + 6);
	assert_int_equal(renameat(packages, ".gone-x", packages, name), 0);
	fd = package_open(f, package);
	assert_true(fd >= 0);
	(void)close(fd);
}

/* A refused zip leaves nothing behind. */
static void assert_refused(struct front *f, struct made *z)
{
	static const struct member outside = {"../x", "x"};
	struct answer a;
	int fds[2];

	make_zip(z, &outside, 1);
	a = unpack(f, zip_file(z));
	assert_true(a.refused);
	assert_string_equal(a.error.msg, "zip: ../x: \"..\" is not allowed");
	make_zip(z, good, 0);
	z->len = 0;
	assert_non_null(strstr(unpack(f, zip_file(z)).error.msg, "it is empty"));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_non_null(strstr(unpack(f, fds[0]).error.msg, "must be a regular file"));
	(void)close(fds[1]);
	f->cfg.package_bytes_max = 10;
	make_zip(z, good, 1);
	a = unpack(f, zip_file(z));
	assert_int_equal(a.error.code, ERR_LIMIT);
	assert_int_equal(count_entries(f->cfg.packages_dirfd), 2);
}

static void test_unpack(void **state)
{
	struct made *z = *state;
	struct front *f = front_new();
	struct answer a, b;
	char dir[32];

	f->cfg.packages_dirfd = make_dir(dir);
	f->cfg.package_bytes_max = 1 << 20;
	idtable_add(&f->core->projects_by_id, &project.node, project.id);
	make_zip(z, good, ARRAY_SIZE(good));
	a = unpack(f, zip_file(z));
	assert_kept(f, z, &a);
	/* Again: the same, and nothing is left of the second one. */
	b = unpack(f, zip_file(z));
	assert_memory_equal(&a.package, &b.package, 32);
	assert_int_equal(b.size.files, 13);
	assert_int_equal(count_entries(f->cfg.packages_dirfd), 2);
	assert_taken_back(f, a.package);
	assert_refused(f, z);
	(void)close(f->cfg.packages_dirfd);
	(void)dir_remove_tree(AT_FDCWD, dir);
	free(f);
}

/* A tar with one file, in front of whose content stands a map of n places where it has some: GNU's
 * format 1.0 of sparse files, which libarchive reads into a list. */
static int sparse_tar(unsigned n)
{
	static const char pax[] = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
				  "25 GNU.sparse.realsize=0\n23 GNU.sparse.name=map\n";
	static char blocks[3 * 512], places[1 << 20];
	const size_t size = (8 + (size_t)n * 4 + 511) / 512 * 512;
	int fd = memfd_create("tar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char head[9];

	for (unsigned i = 0; i < 3; i += 2) {
		char *h = blocks + (size_t)i * 512;
		unsigned sum = 0;

		(void)snprintf(h, 100, "map");
		(void)snprintf(h + 100, 8, "0000644");
		(void)snprintf(h + 124, 12, "%011zo", i ? size : sizeof(pax) - 1);
		h[156] = i ? '0' : 'x';
		(void)snprintf(h + 257, 6, "ustar");
		h[263] = h[264] = '0';
		memset(h + 148, ' ', 8);
		for (unsigned k = 0; k < 512; k++)
			sum += (unsigned char)h[k];
		(void)snprintf(h + 148, 8, "%06o", sum);
	}
	memcpy(blocks + 512, pax, sizeof(pax) - 1);
	assert_int_equal(util_write_all(fd, blocks, sizeof(blocks)), 0);
	(void)snprintf(head, sizeof(head), "%07u\n", n);
	assert_int_equal(util_write_all(fd, head, 8), 0);
	for (size_t i = 0; i < sizeof(places); i++)
		places[i] = i % 2 ? '\n' : '0';
	for (size_t left = (size_t)n * 4; left > 0;) {
		const size_t some = left < sizeof(places) ? left : sizeof(places);

		assert_int_equal(util_write_all(fd, places, some), 0);
		left -= some;
	}
	assert_int_equal(ftruncate(fd, (off_t)(sizeof(blocks) + size + 2048) / 512 * 512), 0);
	return fd;
}

static void tar_answered(struct front *f, void *arg, const uint8_t digest[32], int dirfd,
			 const struct err *error)
{
	(void)digest;
	(void)close(dirfd);
	if (error)
		*(struct err *)arg = *error;
	(void)sd_event_exit(f->event, 0);
}

static struct err unpack_sparse(struct front *f, unsigned n)
{
	struct err e = {0};

	assert_int_equal(sd_event_new(&f->event), 0);
	package_unpack(f, &project, sparse_tar(n), tar_answered, &e);
	assert_int_equal(sd_event_loop(f->event), 0);
	f->event = sd_event_unref(f->event);
	return e;
}

/* The child that unpacks has a limit of memory, and says so; the front goes on. */
static void test_memory(void **state)
{
	struct front *f = front_new();
	char dir[32];

	(void)state;
	f->cfg.packages_dirfd = make_dir(dir);
	f->cfg.package_bytes_max = 64 << 20;
	idtable_add(&f->core->projects_by_id, &project.node, project.id);
	assert_string_equal(unpack_sparse(f, 100000).msg, "");
#ifndef __SANITIZE_ADDRESS__
	{
		struct err e = unpack_sparse(f, 8 << 20);

		assert_int_equal(e.code, ERR_LIMIT);
		assert_non_null(strstr(e.msg, "takes more than 256 MiB of memory to unpack"));
	}
#endif
	assert_int_equal(count_entries(f->cfg.packages_dirfd), 1);
	(void)close(f->cfg.packages_dirfd);
	(void)dir_remove_tree(AT_FDCWD, dir);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ZIP(test_unpack),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

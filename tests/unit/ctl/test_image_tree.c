// SPDX-License-Identifier: Apache-2.0
/* An image's digest: what counts in it, what an image may not have, and the image's shape. */
#include "tests/unit/ctl_rig.h"

#include "supervisor/ctl/image.h"

static volatile sig_atomic_t stop;

static int digest(struct image_tree *ret, struct err *e)
{
	int fd = open("rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	*e = (struct err){0};
	r = image_tree_digest(fd, &stop, ret, e);
	util_close_fd(&fd);
	return r;
}

static void digest_is(struct image_tree *ret)
{
	struct err e;

	if (digest(ret, &e) < 0)
		fail_msg("%s", e.msg);
}

static void make_tree(void)
{
	ctl_rig_file("rootfs/b", "bb");
	ctl_rig_file("rootfs/a/f", "f");
	assert_int_equal(symlink("../b", "rootfs/a/l"), 0);
	assert_int_equal(chmod("rootfs/a/f", 0644), 0);
}

/* Every name, type, mode, content and target counts; times and the order of making do not. */
static void test_digest(void **state)
{
	const struct timespec times[2] = {{5, 0}, {5, 0}};
	struct image_tree first, now;

	(void)state;
	make_tree();
	digest_is(&first);
	assert_int_equal(first.files, 4);
	assert_int_equal(first.bytes, 3);
	assert_int_equal(utimensat(AT_FDCWD, "rootfs/b", times, 0), 0);
	digest_is(&now);
	assert_memory_equal(now.digest, first.digest, 32);

	ctl_rig_file("rootfs/b", "bc");
	digest_is(&now);
	assert_memory_not_equal(now.digest, first.digest, 32);
	ctl_rig_file("rootfs/b", "bb");

	assert_int_equal(chmod("rootfs/a/f", 0755), 0);
	digest_is(&now);
	assert_memory_not_equal(now.digest, first.digest, 32);
	assert_int_equal(chmod("rootfs/a/f", 0644), 0);

	assert_int_equal(rename("rootfs/b", "rootfs/c"), 0);
	digest_is(&now);
	assert_memory_not_equal(now.digest, first.digest, 32);
	assert_int_equal(rename("rootfs/c", "rootfs/b"), 0);

	assert_int_equal(unlink("rootfs/a/l"), 0);
	assert_int_equal(symlink("../c", "rootfs/a/l"), 0);
	digest_is(&now);
	assert_memory_not_equal(now.digest, first.digest, 32);
	assert_int_equal(unlink("rootfs/a/l"), 0);
	/* A file that holds a link's target is not the link. */
	ctl_rig_file("rootfs/a/l", "../b");
	digest_is(&now);
	assert_memory_not_equal(now.digest, first.digest, 32);
	assert_int_equal(unlink("rootfs/a/l"), 0);
	assert_int_equal(symlink("../b", "rootfs/a/l"), 0);
	digest_is(&now);
	assert_memory_equal(now.digest, first.digest, 32);
}

static void digest_fails(const char *wanted)
{
	struct image_tree tree;
	struct err e;

	assert_true(digest(&tree, &e) < 0);
	assert_string_equal(e.msg, wanted);
}

/* Entries other than files, folders and links are refused by their paths. */
static void test_refused(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(chmod("rootfs/a/f", 04755), 0);
	digest_fails("rootfs/a/f: is a setuid or setgid file; an image may have none");
	assert_int_equal(chmod("rootfs/a/f", 02755), 0);
	digest_fails("rootfs/a/f: is a setuid or setgid file; an image may have none");
	assert_int_equal(chmod("rootfs/a/f", 0755), 0);
	assert_int_equal(mkfifo("rootfs/a/pipe", 0644), 0);
	digest_fails("rootfs/a/pipe: is a device, FIFO or socket; an image may have none");
	assert_int_equal(unlink("rootfs/a/pipe"), 0);
	stop = 1;
	digest_fails("reading the image: Interrupted system call");
	stop = 0;
}

/* The content of image.bin counts as well as the tree. */
static void test_join(void **state)
{
	struct image_head head = {.magic = IMAGE_MAGIC, .name = "a"};
	uint8_t tree[32] = {1};
	char first[65], now[65];
	struct err e = {0};

	(void)state;
	assert_int_equal(image_digest_join(tree, &head, first, &e), 0);
	assert_int_equal(strlen(first), 64);
	assert_int_equal(image_digest_join(tree, &head, now, &e), 0);
	assert_string_equal(now, first);
	strcpy(head.policy, "strict");
	assert_int_equal(image_digest_join(tree, &head, now, &e), 0);
	assert_string_not_equal(now, first);
	memset(head.policy, 0, sizeof(head.policy));
	tree[31] = 1;
	assert_int_equal(image_digest_join(tree, &head, now, &e), 0);
	assert_string_not_equal(now, first);
}

static void check(const char *interpreter, const char *wanted)
{
	int fd = open("rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	struct err e = {0};

	r = image_tree_check(fd, interpreter, &e);
	util_close_fd(&fd);
	assert_int_equal(r < 0, *wanted != '\0');
	assert_string_equal(e.msg, wanted);
}

/* Mount points are folders, and links are the image's own: none leads to this machine's files. */
static void test_check(void **state)
{
	static const char *const folders[] = {"proc", "sys", "dev", "tmp", "run", "work"};
	char path[64], wanted[128];

	(void)state;
	assert_int_equal(mkdir("rootfs", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		(void)snprintf(path, sizeof(path), "rootfs/%s", folders[i]);
		(void)snprintf(wanted, sizeof(wanted), "%s is not a folder of its own", path);
		check("/bin/python3", wanted);
		assert_int_equal(symlink("/tmp", path), 0);
		check("/bin/python3", wanted);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	check("/bin/sh", "interpreter: /bin/sh in the image; do the packages bring it?: No such "
			 "file or directory");
	ctl_rig_file("rootfs/opt/py", "");
	assert_int_equal(mkdir("rootfs/bin", 0755), 0);
	assert_int_equal(symlink("/opt/py", "rootfs/bin/python3"), 0);
	check("/bin/python3", "interpreter: /bin/python3 is not a program that all may run");
	assert_int_equal(chmod("rootfs/opt/py", 0744), 0);
	check("/bin/python3", "interpreter: /bin/python3 is not a program that all may run");
	assert_int_equal(chmod("rootfs/opt/py", 0755), 0);
	check("/bin/python3", "rootfs/" IMAGE_RUNTIME_PATH ": No such file or directory");
	ctl_rig_file("rootfs/" IMAGE_RUNTIME_PATH "/x", "");
	check("/bin/python3", "");
	check("/opt", "interpreter: /opt is not a program that all may run");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_digest),
		CTL_TEST(test_refused),
		CTL_TEST(test_join),
		CTL_TEST(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

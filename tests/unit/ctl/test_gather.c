// SPDX-License-Identifier: Apache-2.0
/* From NAME.worker to a package: what the file names is in the package, under the right names, and
 * nothing else is. */
#include "tests/unit/ctl_rig.h"

#include <archive.h>
#include <archive_entry.h>

#include "supervisor/ctl/upload.h"

/* Prints what a server would be told, and a line for each member of the zip. */
static int show(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_upload_ struct upload u = {.base = -1, .word = argv[1], .data = json_object()};
	_cleanup_tenant_ struct tenant tenant = TENANT_INIT(ctl, "upload");
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	uint64_t size = 0;
	int fd = -1, status;

	u.name = argc > 2 ? argv[2] : NULL;
	status = upload_prepare(&tenant, &u, &fd, &size);
	if (status)
		return status;
	(void)json_dumpf(u.data, stdout, JSON_COMPACT);
	putchar('\n');
	(void)archive_read_support_format_zip_seekable(a);
	if (lseek(fd, 0, SEEK_END) != (off_t)size || lseek(fd, 0, SEEK_SET) < 0 ||
	    archive_read_open_fd(a, fd, 10240) != ARCHIVE_OK)
		return 1;
	while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		const char *link = archive_entry_symlink(entry);
		char text[64] = "";

		if (archive_read_data(a, text, sizeof(text) - 1) < 0)
			return 1;
		printf("%o %s%s%s%s%s\n", (unsigned)archive_entry_mode(entry),
		       archive_entry_pathname(entry), link ? " -> " : "", link ? link : "",
		       *text && !link ? " = " : "", link ? "" : text);
	}
	(void)archive_read_free(a);
	return 0;
}

#define DATA(REST) "{\"name\":\"w\"," REST "}\n"
#define HELLO "\"file_name\":\"hello.py\",\"runtime\":\"python\",\"env_vars\":{}"

static void worker_is(const char *text, const char *out, const char *err)
{
	ctl_rig_file("w.worker", text);
	ctl_try(&(struct ctl_case){.verb = show, .words = {"upload", "w"}, .out = out, .err = err});
}

static void worker_fails(const char *text, const char *err)
{
	ctl_rig_file("w.worker", text);
	ctl_try(&(struct ctl_case){
		.verb = show, .words = {"upload", "w"}, .status = 125, .err = err});
}

static void make_files(void)
{
	ctl_rig_file("hello.py", "h");
	ctl_rig_file("sub/deep/a.py", "a");
	ctl_rig_file("lib/x.py", "x");
	ctl_rig_file("lib/y/z.py", "z");
	assert_int_equal(chmod("hello.py", 0755), 0);
}

/* A file is packed without its folders, a folder keeps its name, and both go where the statement
 * says. */
static void test_places(void **state)
{
	(void)state;
	make_files();
	worker_is("exec \"hello.py\"\n", DATA(HELLO) "100755 hello.py = h\n", NULL);
	worker_is(
		"exec \"./sub/deep/a.py\"\nname \"other\"\nruntime \"sh\"\nstack \"base\"\n",
		"{\"name\":\"other\",\"file_name\":\"a.py\",\"runtime\":\"sh\",\"stack\":\"base\","
		"\"env_vars\":{}}\n100644 a.py = a\n",
		NULL);
	worker_is("exec \"hello.py\"\nfile \"sub/deep/a.py\", \"to/./here\"\ndir \"lib/\"\n",
		  DATA(HELLO) "100755 hello.py = h\n40755 lib/\n100644 lib/x.py = x\n40755 lib/y/\n"
			      "100644 lib/y/z.py = z\n100644 to/here/a.py = a\n",
		  NULL);
	worker_is("exec \"hello.py\"\ndir \"sub/deep\", \"vendor\"\ndir \"lib/y\"\n",
		  DATA(HELLO) "100755 hello.py = h\n40755 vendor/deep/\n"
			      "100644 vendor/deep/a.py = a\n40755 y/\n100644 y/z.py = z\n",
		  NULL);
	worker_is("exec \"hello.py\"\nset_env \"A\", \"b c\"\n",
		  DATA("\"file_name\":\"hello.py\",\"runtime\":\"python\",\"env_vars\":{\"A\":\"b "
		       "c\"}") "100755 hello.py = h\n",
		  NULL);
}

/* NAME, NAME.worker and NAME.py; a .py alone is its own exec, and -n is the name of all. */
static void test_names(void **state)
{
	static const char py[] = "{\"name\":\"hello\"," HELLO "}\n100755 hello.py = h\n";
	static const struct ctl_case cases[] = {
		{.verb = show, .words = {"upload", "hello"}, .out = py},
		{.verb = show, .words = {"upload", "hello.py"}, .out = py},
		{.verb = show, .words = {"upload", "./hello.py"}, .out = py},
		{.verb = show,
		 .words = {"upload", "sub/w", "named"},
		 .out = "{\"name\":\"named\",\"file_name\":\"a.py\",\"runtime\":\"python\","
			"\"env_vars\":{}}\n100644 a.py = a\n"},
		{.verb = show,
		 .words = {"upload", "sub/w.worker"},
		 .out = "{\"name\":\"w\",\"file_name\":\"a.py\",\"runtime\":\"python\","
			"\"env_vars\":{}}\n100644 a.py = a\n"},
		{.verb = show,
		 .words = {"upload", "hello", "\xff"},
		 .status = 125,
		 .err = "sandboxctl: --name: must be UTF-8 text\n"},
	};
	char cwd[256], err[512];

	(void)state;
	make_files();
	ctl_rig_file("sub/w.worker", "exec \"deep/a.py\"\n");
	ctl_try_all(cases, ARRAY_SIZE(cases));
	(void)snprintf(err, sizeof(err),
		       "sandboxctl: there is no none.worker and no none.py in %s\n",
		       getcwd(cwd, sizeof(cwd)));
	ctl_try(&(struct ctl_case){
		.verb = show, .words = {"upload", "none"}, .status = 125, .err = err});
}

/* The same files make the same bytes, in whatever order they are named. */
static void test_same_bytes(void **state)
{
	static const char *const texts[] = {
		"exec \"hello.py\"\ndir \"lib\"\nfile \"sub/deep/a.py\"\n",
		"file \"sub/deep/a.py\"\ndir \"lib\"\nexec \"hello.py\"\n",
	};
	struct stat a, b;
	char *first = malloc(65536), *second = malloc(65536);
	FILE *file;
	size_t n;

	(void)state;
	make_files();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		ctl_rig_file("w.worker", texts[i]);
		ctl_try(&(struct ctl_case){
			.verb = ctl_tenant,
			.words = {"install", "w", "--output", i ? "b.zip" : "a.zip"},
			.any_out = true});
		/* A modification time that no package records. */
		ctl_rig_file("lib/x.py", "x");
	}
	assert_int_equal(stat("a.zip", &a), 0);
	assert_int_equal(stat("b.zip", &b), 0);
	assert_int_equal(a.st_size, b.st_size);
	file = fopen("a.zip", "re");
	n = fread(first, 1, 65536, file);
	(void)fclose(file);
	file = fopen("b.zip", "re");
	assert_int_equal(fread(second, 1, 65536, file), n);
	(void)fclose(file);
	assert_int_equal(n, a.st_size);
	assert_memory_equal(first, second, n);
	free(first);
	free(second);
}

/* Histories, credentials and what belongs to this machine are left out, unless they are named. */
static void test_left_out(void **state)
{
	(void)state;
	make_files();
	ctl_rig_file("lib/.git/config", "");
	worker_is("exec \"hello.py\"\ndir \"lib\"\n",
		  DATA(HELLO) "100755 hello.py = h\n40755 lib/\n100644 lib/x.py = x\n40755 lib/y/\n"
			      "100644 lib/y/z.py = z\n",
		  "sandboxctl: left out of the package: .git (file \"NAME\" takes one in)\n");
	ctl_rig_file("d/iron.json", "{}");
	ctl_rig_file("d/venv/pyvenv.cfg", "");
	ctl_rig_file("d/venv/x", "");
	worker_is("exec \"hello.py\"\nfile \"d/iron.json\"\n",
		  DATA(HELLO) "100755 hello.py = h\n100644 iron.json = {}\n", NULL);
}

/* A name that is a part of another name is listed too. */
static void test_left_out_names(void **state)
{
	struct bundle b = {.base = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	struct err e = {0};

	(void)state;
	ctl_rig_file("one/.iron.json", "{}");
	ctl_rig_file("two/iron.json", "{}");
	ctl_rig_file("two/sub/iron.json", "{}");
	assert_int_equal(bundle_add_dir(&b, "one", "", &e), 0);
	assert_int_equal(bundle_add_dir(&b, "two", "", &e), 0);
	assert_string_equal(b.left_out, ".iron.json, iron.json");
	assert_null(bundle_find(&b, "two/iron.json"));
	assert_non_null(bundle_find(&b, "two/sub"));
	util_close_fd(&b.base);
	bundle_clear(&b);
}

/* Links within what is packed are kept; one that leads out is an error, with line and column. */
static void test_links(void **state)
{
	(void)state;
	make_files();
	assert_int_equal(symlink("x.py", "lib/in"), 0);
	worker_is("exec \"hello.py\"\ndir \"lib\"\n",
		  DATA(HELLO) "100755 hello.py = h\n40755 lib/\n120777 lib/in -> x.py\n"
			      "100644 lib/x.py = x\n40755 lib/y/\n100644 lib/y/z.py = z\n",
		  NULL);
	assert_int_equal(symlink("/etc/passwd", "lib/y/out"), 0);
	worker_fails("exec \"hello.py\"\n  dir \"lib\"\n",
		     "sandboxctl: w.worker:2:7: dir: lib/y/out: is a link to /etc/passwd, which is "
		     "outside of the package: name that with file or dir\n");
	assert_int_equal(symlink("/etc/passwd", "secret.py"), 0);
	worker_fails("exec \"secret.py\"\n",
		     "sandboxctl: w.worker:1:6: exec: secret.py: a link in it leads out of the "
		     "folder: name what it points to\n");
	assert_int_equal(symlink("/etc", "etc"), 0);
	worker_fails("exec \"hello.py\"\nfile \"etc/passwd\"\n",
		     "sandboxctl: w.worker:2:6: file: etc/passwd: a link in it leads out of the "
		     "folder: name what it points to\n");
	worker_fails("exec \"hello.py\"\ndir \"etc\"\n",
		     "sandboxctl: w.worker:2:5: dir: etc: a link in it leads out of the folder: "
		     "name what it points to\n");
}

/* The author of the file may name something elsewhere in plain words. */
static void test_elsewhere(void **state)
{
	(void)state;
	make_files();
	ctl_rig_file("sub/w.worker", "exec \"../hello.py\"\ndir \"../lib\"\n");
	ctl_try(&(struct ctl_case){
		.verb = show,
		.words = {"upload", "sub/w"},
		.out = DATA(HELLO) "100755 hello.py = h\n40755 lib/\n100644 lib/x.py = x\n"
				   "40755 lib/y/\n100644 lib/y/z.py = z\n"});
	ctl_rig_file("sub/w.worker", "exec \"deep/a.py\"\ndir \"..\"\n");
	ctl_try(&(struct ctl_case){.verb = show,
				   .words = {"upload", "sub/w"},
				   .status = 125,
				   .err = "sandboxctl: sub/w.worker:2:5: dir: ..: has no name of "
					  "its own in the package\n"});
}

static void tar_of(const char *file, const char *name, const char *link)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	assert_int_equal(archive_write_set_format_gnutar(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(a, file), ARCHIVE_OK);
	archive_entry_set_pathname(entry, name);
	archive_entry_set_mode(entry, (link ? S_IFLNK : S_IFREG) | 0750);
	archive_entry_set_size(entry, link ? 0 : 4);
	if (link)
		archive_entry_set_symlink(entry, link);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	if (!link)
		assert_int_equal(archive_write_data(a, "text", 4), 4);
	archive_entry_free(entry);
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

/* The members of an archive go where the statement says, and no name of a member leads
 * elsewhere. */
static void test_archives(void **state)
{
	static const char worker[] = "exec \"hello.py\"\nzip \"a.tar\", \"to\"\n";

	(void)state;
	make_files();
	tar_of("a.tar", "./in/it", NULL);
	worker_is(worker, DATA(HELLO) "100755 hello.py = h\n100755 to/in/it = text\n", NULL);
	tar_of("a.tar", "l", "it");
	worker_is(worker, DATA(HELLO) "100755 hello.py = h\n120777 to/l -> it\n", NULL);
	tar_of("a.tar", "in/../../it", NULL);
	worker_fails(worker, "sandboxctl: w.worker:2:5: zip: a.tar: in/../../it: is not a path "
			     "inside the package\n");
	tar_of("a.tar", "/etc/it", NULL);
	worker_fails(worker, "sandboxctl: w.worker:2:5: zip: a.tar: /etc/it: is not a path inside "
			     "the package\n");
	ctl_rig_file("a.tar", "no archive at all, whatever it is called");
	worker_fails(worker, "sandboxctl: w.worker:2:5: zip: a.tar: Unrecognized archive format\n");
}

/* Two files of one name are a mistake; one file that is named twice is in it once. */
static void test_twice(void **state)
{
	(void)state;
	make_files();
	worker_is("exec \"hello.py\"\nfile \"hello.py\"\nfile \"./hello.py\"\n",
		  DATA(HELLO) "100755 hello.py = h\n", NULL);
	ctl_rig_file("sub/hello.py", "other");
	worker_fails("exec \"hello.py\"\nfile \"sub/hello.py\"\n",
		     "sandboxctl: hello.py is twice in the package: hello.py, sub/hello.py: rename "
		     "one of them\n");
}

/* An error about something that cannot be gathered names line and column. */
static void test_wrong(void **state)
{
	static const struct {
		const char *text, *err;
	} rows[] = {
		{"name \"x\"\n",
		 "sandboxctl: w.worker: names no exec: add a line such as exec \"hello.py\"\n"},
		{"exec \"none.py\"\n",
		 "sandboxctl: w.worker:1:6: exec: none.py: No such file or directory\n"},
		{"exec \"lib\"\n",
		 "sandboxctl: w.worker:1:6: exec: lib: is a folder: write dir \"lib\"\n"},
		{"exec \"hello.py\"\nfile \"pipe\"\n",
		 "sandboxctl: w.worker:2:6: file: pipe: is not a regular file\n"},
		{"exec \"hello.py\"\ndir \"hello.py\"\n",
		 "sandboxctl: w.worker:2:5: dir: hello.py: Not a directory\n"},
		{"exec \"hello.py\"\nruntime \"ruby\"\n",
		 "sandboxctl: w.worker: runtime \"ruby\" is not offered here: \"python\" and "
		 "\"sh\" "
		 "are\n"},
	};

	(void)state;
	make_files();
	assert_int_equal(mkfifo("pipe", 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		worker_fails(rows[i].text, rows[i].err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_places),	  CTL_TEST(test_names),		 CTL_TEST(test_same_bytes),
		CTL_TEST(test_left_out),  CTL_TEST(test_left_out_names), CTL_TEST(test_links),
		CTL_TEST(test_elsewhere), CTL_TEST(test_wrong),		 CTL_TEST(test_archives),
		CTL_TEST(test_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

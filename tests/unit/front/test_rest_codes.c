// SPDX-License-Identifier: Apache-2.0
/* Workers over HTTP: uploads with various things to run, revisions, pause, cancel, delete. */
#include <archive.h>
#include <archive_entry.h>

#include "tests/unit/rest_rig.h"

#include <dirent.h>

struct entry {
	const char *name, *text; /* text: of a file, or where a link points */
	bool link;
};

/* Makes a zip of these entries, up to the one without a name. */
static size_t make_zip(const struct entry *entries, char *buf, size_t size)
{
	struct archive *a = archive_write_new();
	size_t used = 0;

	assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_memory(a, buf, size, &used), ARCHIVE_OK);
	for (; entries->name; entries++) {
		struct archive_entry *e = archive_entry_new();

		archive_entry_set_pathname(e, entries->name);
		archive_entry_set_filetype(e, entries->link ? AE_IFLNK : AE_IFREG);
		archive_entry_set_perm(e, 0644);
		if (entries->link)
			archive_entry_set_symlink(e, entries->text);
		else
			archive_entry_set_size(e, (la_int64_t)strlen(entries->text));
		assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
		if (!entries->link)
			(void)archive_write_data(a, entries->text, strlen(entries->text));
		archive_entry_free(e);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	(void)archive_write_free(a);
	return used;
}

#define PART "--XX\r\nContent-Disposition: form-data; name="

/* Begins an upload as project a; entries NULL: without a file. */
static int upload_ask(struct rest *r, const char *data, const struct entry *entries)
{
	static char body[64 << 10];
	size_t n = (size_t)sprintf(body, PART "\"data\"\r\n\r\n%s\r\n", data);
	char path[128];

	if (entries) {
		n += (size_t)sprintf(body + n, PART "\"file\"; filename=\"z\"\r\n\r\n");
		n += make_zip(entries, body + n, sizeof(body) - n - 64);
		n += (size_t)sprintf(body + n, "\r\n");
	}
	n += (size_t)sprintf(body + n, "--XX--\r\n");
	(void)snprintf(path, sizeof(path), "/2/projects/%s/codes", r->x->a->id);
	return rest_ask(r, r->a, "POST", path, "multipart/form-data; boundary=XX", body, n);
}

static unsigned upload(struct rest *r, const char *data, const struct entry *entries)
{
	return rest_answer(r, upload_ask(r, data, entries));
}

static unsigned of_code(struct rest *r, const char *method, const char *verb)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/codes/%s%s", r->x->a->workers->id, verb);
	return rest_a(r, "2", method, path, "");
}

#define DATA(file) "{\"name\": \"c\", \"image\": \"python\", \"file_name\": \"" file "\"}"

static void test_upload(void **state)
{
	static const struct entry one[] = {{"main.py", "1"}, {NULL}};
	static const struct entry two[] = {{"main.py", "2"}, {"d/x.py", "3"}, {NULL}};
	struct rest *r = *state;
	const struct worker *c;
	uint64_t bytes;

	assert_int_equal(upload(r, DATA("main.py"), one), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "rev")), 1);
	c = r->x->a->workers;
	assert_true(c->spec.has_package);
	/* The file, its folder and the zip are counted. */
	assert_int_equal(c->spec.package_files, 3);
	assert_int_equal(c->spec.package_bytes, 3 * PACKAGE_BLOCK);
	assert_int_equal(upload(r, DATA("./d//x.py"), two), 200);
	assert_string_equal(c->spec.file_name, "d/x.py");
	assert_int_equal(c->revision, 2);
	/* An upload without a file keeps the last package. */
	bytes = c->spec.zip_bytes;
	assert_int_equal(upload(r, DATA("main.py"), NULL), 200);
	assert_int_equal(c->revision, 3);
	assert_int_equal(c->spec.zip_bytes, bytes);
	assert_int_equal(r->x->a->package_files, 3 + 5);
	assert_int_equal(r->x->a->package_bytes, (3 + 5) * PACKAGE_BLOCK);
	assert_int_equal(of_code(r, "GET", "/download?revision=1"), 200);
	assert_non_null(strstr(r->text, "filename=\"c_1.zip\""));
	assert_non_null(strstr(r->text, "\r\n\r\nPK\x03\x04"));
	assert_int_equal(of_code(r, "GET", "/revisions"), 200);
	assert_int_equal(
		json_integer_value(json_object_get(
			json_array_get(json_object_get(r->body, "revisions"), 0), "zip_bytes")),
		bytes);
	assert_int_equal(of_code(r, "GET", "/download?revision=4"), 404);
	assert_int_equal(of_code(r, "GET", "/download?revision=0"), 400);
	/* A revision with a command has no package, so the revision after it must bring its own. */
	assert_int_equal(
		upload(r, "{\"name\": \"c\", \"image\": \"python\", \"command\": \"id\"}", NULL),
		200);
	assert_false(c->spec.has_package);
	assert_int_equal(of_code(r, "GET", "/download"), 404);
	rest_said(r, "without a file");
	assert_int_equal(upload(r, DATA("main.py"), NULL), 400);
}

/* Uploads of one worker at once follow one another: each changes what the one before it has left. One
 * whose client has gone is made none the less. */
static void test_at_once(void **state)
{
	static const struct entry one[] = {{"main.py", "print(1)", false}, {0}};
	struct rest *r = *state;
	struct worker *c;
	int fds[3];

	assert_int_equal(upload(r, DATA("main.py"), one), 200);
	c = r->x->a->workers;
	rest_hold(r);
	fds[0] = upload_ask(r, "{\"name\": \"c\", \"max_concurrency\": 5}", NULL);
	rest_wait_for(r, &r->x->a->worker_put, 1);
	fds[1] = upload_ask(r, "{\"name\": \"c\", \"retries\": 3}", NULL);
	rest_wait_for(r, &r->x->a->worker_put, 2);
	fds[2] = upload_ask(r, "{\"name\": \"c\", \"retries_delay\": 7}", NULL);
	rest_wait_for(r, &r->x->a->worker_put, 3);
	assert_int_equal(c->revision, 1);
	assert_int_equal(c->spec.max_concurrency, 0);
	(void)close(fds[2]);
	rest_let_go(r);
	assert_int_equal(rest_answer(r, fds[0]), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "rev")), 2);
	assert_int_equal(rest_answer(r, fds[1]), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "rev")), 3);
	while (c->revision < 4)
		assert_true(sd_event_run(r->x->f->event, UINT64_MAX) >= 0);
	assert_int_equal(c->spec.max_concurrency, 5);
	assert_int_equal(c->spec.retries, 3);
	assert_int_equal(c->spec.retries_delay_s, 7);
	assert_true(c->spec.has_package);
}

static unsigned kept(struct rest *r)
{
	DIR *dir = fdopendir(
		openat(r->x->f->cfg.packages_dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n - 2;
}

/* An upload for which the quota has no room is refused before any of its files is made. The package
 * of an upload that is refused for another reason is removed when its room is needed. */
static void test_quotas(void **state)
{
	static const struct entry two[] = {{"main.py", "1"}, {"d/e/x.py", "2"}, {NULL}};
	static const struct entry one[] = {{"main.py", "3"}, {NULL}};
	struct rest *r = *state;
	struct project *a = r->x->a;

	a->quota.package_files = 5;
	assert_int_equal(upload(r, DATA("main.py"), two), 413);
	rest_said(r, "24576 bytes in 6 files and folders");
	rest_said(r, "\"package_files\" leave it 17179869184 and 5");
	assert_int_equal(kept(r), 0);
	a->quota = (struct quota){.package_bytes = (uint64_t)6 * PACKAGE_BLOCK - 1};
	assert_int_equal(upload(r, DATA("main.py"), two), 413);
	assert_int_equal(kept(r), 0);
	a->quota.package_bytes = (uint64_t)6 * PACKAGE_BLOCK;
	assert_int_equal(upload(r, DATA("none.py"), two), 400);
	assert_int_equal(a->left_files, 6);
	assert_int_equal(a->package_files, 0);
	/* The package still exists and is used again; there is no room for another one beside
	 * it. */
	assert_int_equal(upload(r, DATA("main.py"), two), 200);
	assert_int_equal(a->package_files, 6);
	assert_int_equal(upload(r, DATA("main.py"), two), 200);
	assert_int_equal(a->package_files, 6);
	assert_int_equal(upload(r, DATA("main.py"), one), 413);
	assert_int_equal(kept(r), 2);
	assert_int_equal(a->package_bytes, 6 * PACKAGE_BLOCK);
}

static void test_nothing_to_run(void **state)
{
	static const struct entry files[] = {{"main.py", "1"}, {"d/x.py", "2"}, {NULL}};
	struct rest *r = *state;

	assert_int_equal(upload(r, DATA(""), files), 400);
	rest_said(r, "No exec specified");
	assert_int_equal(upload(r, DATA("other.py"), files), 400);
	rest_said(r, "the zip holds no other.py");
	assert_int_equal(upload(r, DATA("d"), files), 400);
	rest_said(r, "d is no file");
	assert_int_equal(upload(r, DATA("../main.py"), files), 400);
	assert_int_equal(upload(r, DATA("main.py"), NULL), 400);
	rest_said(r, "must be a zip");
	assert_int_equal(
		upload(r, "{\"name\": \"c\", \"image\": \"none\", \"file_name\": \"main.py\"}",
		       files),
		400);
	assert_int_equal(upload(r,
				"{\"name\": \"c\", \"image\": \"python\", \"policy\": \"none\", "
				"\"file_name\": \"main.py\"}",
				files),
			 400);
	assert_null(r->x->a->workers);
	assert_int_equal(r->x->a->package_bytes, 0);
}

/* s/t/u leads to the package's folder itself, so ".." from there leads out of it. */
static void test_links_out(void **state)
{
	static const struct entry files[] = {
		{"s/t/main.py", "1"},
		{"s/t/u", "../..", true},
		{"in", "s/t/u/s", true},
		{"e", "s/t/u/../..", true},
		{NULL},
	};
	struct rest *r = *state;

	assert_int_equal(upload(r, DATA("in/t/main.py"), files), 200);
	/* About the state folder the answer is the same for files that exist and files that do
	 * not. */
	assert_int_equal(upload(r, DATA("e/front"), files), 400);
	rest_said(r, "the zip holds no e/front");
	assert_int_equal(upload(r, DATA("e/policies/default"), files), 400);
	rest_said(r, "the zip holds no e/policies/default");
	assert_int_equal(r->x->a->workers->revision, 1);
}

static const struct submit waits = {.priority = -1, .delay_s = 3600};

static void test_pause(void **state)
{
	struct rest *r = *state;
	struct worker *c = worker(r->x, r->x->a, "c", (struct worker_spec){.max_concurrency = 3});
	const char *id;

	assert_int_equal(of_code(r, "POST", "/pause_task_queue"), 200);
	assert_string_equal(rest_text(r, "msg"), "Paused");
	assert_int_equal(of_code(r, "POST", "/pause_task_queue"), 200);
	assert_string_equal(rest_text(r, "msg"), "Already paused");
	id = submit(r->x, c, plain);
	assert_string_equal(started(r->x), "");
	assert_int_equal(of_code(r, "GET", ""), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "max_concurrency")), -1);
	assert_int_equal(json_integer_value(json_object_get(r->body, "queued")), 1);
	assert_int_equal(of_code(r, "POST", "/resume_task_queue"), 200);
	assert_string_equal(rest_text(r, "msg"), "Resumed");
	assert_string_equal(started(r->x), id);
	assert_int_equal(of_code(r, "GET", ""), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "max_concurrency")), 3);
	finish(r->x, id, VERDICT_OK);
	assert_int_equal(of_code(r, "GET", "/stats"), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "complete")), 1);
	assert_int_equal(json_integer_value(json_object_get(r->body, "queued")), 0);
}

static void test_ends(void **state)
{
	struct rest *r = *state;
	struct worker *other = worker(r->x, r->x->a, "other", (struct worker_spec){0});
	struct worker *c = worker(r->x, r->x->a, "c", (struct worker_spec){0});
	const char *one = submit(r->x, c, waits), *two = submit(r->x, other, waits);
	const char *three;

	settle(r->x);
	assert_ptr_equal(r->x->a->workers, c);
	assert_int_equal(of_code(r, "POST", "/cancel_all"), 200);
	assert_int_equal(record(r->x, one).state, TASK_CANCELLED);
	assert_int_equal(record(r->x, two).state, TASK_QUEUED);
	three = submit(r->x, c, waits);
	settle(r->x);
	assert_int_equal(of_code(r, "DELETE", ""), 200);
	assert_int_equal(record(r->x, three).state, TASK_CANCELLED);
	assert_ptr_equal(r->x->a->workers, other);
	assert_null(other->next);
	assert_int_equal(queue_length(r->x->f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_upload),	   WITH_REST(test_quotas), WITH_REST(test_nothing_to_run),
		WITH_REST(test_links_out), WITH_REST(test_pause),  WITH_REST(test_ends),
		WITH_REST(test_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

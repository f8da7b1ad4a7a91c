// SPDX-License-Identifier: Apache-2.0
/* The files that a requirements file names on the machine where it is. */
#include "spec/requirements_text.h"

#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "tests/unit/rig.h"

static int collect(void *arg, enum requirements_kind kind, const char *path, unsigned line)
{
	char *all = arg;
	size_t n = strlen(all);

	(void)snprintf(all + n, 1024 - n, "%s%c%u:%s", n ? " " : "", "?FPL"[kind], line, path);
	return strcmp(path, "stop") == 0 ? -EPROTO : 0;
}

static int parse(const char *text, char *all)
{
	*all = '\0';
	return requirements_parse(text, strlen(text), collect, all);
}

static void test_names(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{"numpy\nscipy>=1.0 ; python_version<'3'\n", ""},
		{"-r base.txt", "F1:base.txt"},
		{"-rbase.txt\n--requirement=a\n--requirement b\n", "F1:base.txt F2:a F3:b"},
		{"\n\n-c limits.txt  # why\n", "F3:limits.txt"},
		{"--constraint 'a b.txt'\n", "F1:a b.txt"},
		{"-r https://example.org/x.txt\n", ""},
		{"-e ./lib\n-e .\n--editable=lib[x,y]\n", "P1:./lib P2:. P3:lib"},
		{"-e git+https://example.org/x#egg=x\n-e svn+ssh://x/y\n", ""},
		{"./lib\nlib/sub[extra]; os_name=='posix'\n../up\n",
		 "P1:./lib P2:lib/sub P3:../up"},
		{"x-1.0-py3-none-any.whl\nx-1.0.tar.gz --hash=sha256:00\n",
		 "P1:x-1.0-py3-none-any.whl P2:x-1.0.tar.gz"},
		{"x @ https://example.org/x.whl\nx@https://example.org/x.whl\n", ""},
		{"x @ file:///srv/x.whl\nx@file:x.whl\nfile:///y\n",
		 "P1:file:///srv/x.whl P2:file:x.whl P3:file:///y"},
		{"-f wheels\n--find-links https://example.org/\n-f ./w --no-index\n",
		 "L1:wheels L3:./w"},
		{"--index-url https://example.org/ -r x\n", "F1:x"},
		{"-r \\\n  a.txt\nb/c\n", "F1:a.txt P3:b/c"},
		{"numpy \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n./p\n", "P4:./p"},
		{"# -r no.txt\\\n-r yes.txt\n", "F2:yes.txt"},
		{"numpy # ./no\nnumpy#./no\n", "P2:numpy#./no"},
		{"-r\n", ""},
		{"-r a\r\n./b\r\n", "F1:a P2:./b"},
		{"-e\t./t", "P1:./t"},
		{"\"./quoted\"", "P1:./quoted"},
		{"-r stop\n-r after\n", "F1:stop"},
	};
	char all[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = parse(cases[i].text, all);

		assert_int_equal(r, strstr(cases[i].text, "stop") ? -EPROTO : 0);
		assert_string_equal(all, cases[i].want);
	}
}

/* The text does not have to end in a NUL, and may contain some. */
static void test_bounds(void **state)
{
	static const char text[] = {'-', 'r', ' ', 'a', '\0', 'b', '\n', '.', '/', 'c', 'X'};
	char all[1024] = "";

	(void)state;
	assert_int_equal(requirements_parse(text, sizeof(text) - 1, collect, all), 0);
	assert_string_equal(all, "F1:a P2:./c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

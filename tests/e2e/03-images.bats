#!/usr/bin/env bats
# Images: what is listed, what is refused, and that a broken build changes nothing.
# Not on the v2 machine: building needs the network.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

# image_json JSON: makes a folder with this image.json.
image_json() {
	mkdir -p "$BATS_TEST_TMPDIR/image"
	printf '%s' "$1" >"$BATS_TEST_TMPDIR/image/image.json"
}

no_build_left() {
	[ -z "$(find "$STATE/images" -maxdepth 1 -name '.build*')" ]
}

@test "image ls has a line for each image" {
	run sandboxctl image ls
	[ "$status" = 0 ]
	grep -q '^python ' <<<"$output"
	[ "$(sandboxctl image ls --json | jq -r '.[].name')" = python ]
}

@test "image inspect shows Python and every module with its version" {
	run sandboxctl image inspect python
	[ "$status" = 0 ]
	version=$(sandboxctl run python --code 'import platform; print(platform.python_version())')
	[[ $output == *"$version"* ]]
	digest=$(sandboxctl image inspect python --json | jq -r .digest)
	[[ $digest =~ ^[0-9a-f]{64}$ ]]
	[ "$(readlink "$STATE/images/by-name/python")" = "../$digest" ]
}

@test "an image has the libraries that wheels rely on, and what help() tells" {
	run sandboxctl run python --code '
import ctypes
for name in """libgcc_s.so.1 libstdc++.so.6 libm.so.6 libdl.so.2 librt.so.1 libc.so.6 libnsl.so.1 libutil.so.1
        libpthread.so.0 libresolv.so.2 libgobject-2.0.so.0 libgthread-2.0.so.0 libglib-2.0.so.0 libz.so.1
        libexpat.so.1 libatomic.so.1""".split():
    ctypes.CDLL(name)
help("if")'
	[ "$status" = 0 ] || fail "$output"
	[[ $output == *'"if" statement is used for conditional execution'* ]] || fail "$output"
}

@test "/session/metadata is the folder of a task's package" {
	mkdir own
	echo 'print(open("/session/metadata/a.txt").read(), end="")' >own/main.py
	echo 'of the package' >own/a.txt
	echo '{"exec": "main.py", "dir": "."}' >own/task.json
	[ "$(sandboxctl run python own/task.json)" = "of the package" ]
}

@test "iron's table has the modules that IronWorker's users know" {
	has_image iron || fail "no image iron"
	image_link iron
	modules=$(sandboxctl image inspect iron --json | jq -r '.modules[].name' | tr '[:upper:]' '[:lower:]')
	for name in numpy scipy lxml pymongo gevent pillow; do
		grep -qx "$name" <<<"$modules"
	done
	run sandboxctl image inspect iron
	[[ $output == *numpy* ]]
}

@test "web has what HTTP workers are written with" {
	has_image web || fail "no image web"
	image_link web
	sandboxctl run web --code '
import fastapi, starlette, uvicorn, flask, django, jinja2, httpx, pydantic, numpy, greenlet, httptools, h11, multipart'
}

@test "an unknown image is an error that names it" {
	for words in "image inspect nosuch" "image rm nosuch" "image warm nosuch" "run nosuch --code 1"; do
		# shellcheck disable=SC2086 # several words
		run --separate-stderr sandboxctl $words
		[ "$status" = 125 ]
		[[ $stderr == *nosuch* ]]
	done
	[ "$(sandboxctl ps --all --json | jq '[.[] | select(.image == "nosuch")] | length')" = 0 ]
}

@test "image.json: each error names the field" {
	local json want
	while IFS='|' read -r json want; do
		image_json "$json"
		run --separate-stderr sandboxctl image build "$BATS_TEST_TMPDIR/image"
		echo "$json -> $status $stderr"
		[ "$status" = 125 ]
		[[ $stderr == *"$want"* ]]
	done <<-'EOT'
		{|line 1
		[]|object
		{"packages": ["python3"]}|name
		{"name": "../x", "packages": ["python3"]}|name
		{"name": "x", "name": "y"}|duplicate
		{"name": "x", "packages": "python3"}|packages
		{"name": "x", "packages": [3]}|packages[0]
		{"name": "x", "packages": ["python3"], "colour": "red"}|colour
		{"name": "x", "packages": ["python3"], "interpreter": "python3"}|interpreter
		{"name": "x", "packages": ["python3"], "warm": {"imports": ["a b"]}}|warm.imports[0]
	EOT
	no_build_left
	[ "$(sandboxctl image ls --json | jq 'map(.name) | index("x")')" = null ]
}

@test "an image that was built before is up to date, at once" {
	[ -d "$TOP/images/python" ]
	before=$(readlink "$STATE/images/by-name/python")
	SANDBOXD_SHARE=$SANDBOXD_SHARE run sandboxctl image build "$TOP/images/python"
	[ "$status" = 0 ]
	[[ $output == *"up to date"* ]]
	[ "$(readlink "$STATE/images/by-name/python")" = "$before" ]
	no_build_left
}

@test "a build that breaks leaves the old image, and nothing else" {
	image_json '{"name": "python", "suite": "host", "packages": ["python3", "no-such-package-at-all"],
		"interpreter": "/usr/bin/python3"}'
	before=$(readlink "$STATE/images/by-name/python")
	run sandboxctl image build "$BATS_TEST_TMPDIR/image"
	echo "$output"
	[ "$status" = 125 ]
	[[ $output == *no-such-package-at-all* ]]
	[ "$(readlink "$STATE/images/by-name/python")" = "$before" ]
	no_build_left
	[ "$(sandboxctl run python --code 'print("still here")')" = "still here" ]
}

@test "an image with a compiler compiles and links, perl finds its modules, and what a requirement lacks is named" {
	printf 'void nothing(void) {}\n' >x.c
	gcc -shared -fPIC -o libnowhere.so.7 -Wl,-soname,libnowhere.so.7 x.c
	gcc -shared -fPIC -o native.so -Wl,--no-as-needed x.c ./libnowhere.so.7
	python3 "$E2E/wheels.py" wheels lacks 1.0
	(cd wheels && mkdir lacks && cp ../native.so lacks/ && zip -q lacks-1.0-*.whl lacks/native.so)
	image_json '{"name": "compiles", "suite": "host", "requirements": ["lacks"], "interpreter": "/usr/bin/python3",
		"packages": ["python3", "gcc", "libc6-dev", "python3-dev", "perl"]}'
	PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels run --separate-stderr sandboxctl image build "$BATS_TEST_TMPDIR/image"
	[ "$status" = 0 ] || fail "$stderr"
	[[ $stderr == *'native.so needs libnowhere.so.7, which the image does not have'* ]] || fail "$stderr"
	# A module, a program that contains all of Python, and one that contains all of the C library.
	cat >compile.sh <<-'EOT'
		set -e
		cd /tmp
		cat >m.c <<-'EOF'
			#include <Python.h>
			#include <errno.h>
			#include <sys/socket.h>
			static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "m", NULL, -1, NULL};
			PyMODINIT_FUNC PyInit_m(void)
			{
				PyObject *m = PyModule_Create(&def);
				PyModule_AddIntConstant(m, "number", EAGAIN);
				return m;
			}
			int main(void)
			{
				Py_Initialize();
				return PyRun_SimpleString("print('in a program', flush=True)");
			}
		EOF
		cc -shared -fPIC $(python3-config --includes) -o m.so m.c
		python3 -c 'import m; print("module", m.number)'
		cc -o program m.c $(python3-config --includes --ldflags --embed)
		./program
		echo 'int main(void) { return 0; }' >all.c
		cc -static -o all all.c
		./all
		perl -MData::Dumper -MEncode -MJSON::PP -e 'print "perl\n"'
	EOT
	run --separate-stderr sandboxctl run compiles --code "import subprocess
subprocess.check_call(['sh', '-c', r'''$(<compile.sh)
'''])"
	rm "$STATE/images/by-name/compiles"
	[ "$status" = 0 ] || fail "$stderr"
	[ "$output" = $'module 11\nin a program\nperl' ] || fail "$output"
}

@test "a build that is interrupted leaves nothing" {
	image_json '{"name": "fresh", "suite": "host", "packages": ["python3"], "interpreter": "/usr/bin/python3"}'
	# In a process group of its own, all of which a terminal's Ctrl-C reaches.
	setsid "$CTL" image build "$BATS_TEST_TMPDIR/image" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- 4>&- &
	pid=$!
	wait_until "$PATIENCE" building
	kill -INT -- "-$pid"
	reap "$pid"
	[ "$status" -ne 0 ]
	wait_until "$PATIENCE" no_build_left
	[ ! -e "$STATE/images/by-name/fresh" ]
}

building() {
	! no_build_left
}

@test "image rm is refused while a task runs on it" {
	id=$(detached python "$FOREVER")
	wait_until "$PATIENCE" log_has "$id" ready
	run sandboxctl image rm python
	[ "$status" = 125 ]
	[[ $output == *python* ]]
	sandboxctl cancel --force "$id"
	wait_until "$PATIENCE" status_is "$id" cancelled
	[ "$(sandboxctl run python --code 'print("still here")')" = "still here" ]
}

@test "image rm forgets an image" {
	image_link iron
	sandboxctl image rm iron
	[ "$(sandboxctl image ls --json | jq 'map(.name) | index("iron")')" = null ]
	run sandboxctl run iron --code 1
	[ "$status" = 125 ]
}

@test "an image is the same after its tasks" {
	digest=$(readlink -f "$STATE/images/by-name/python")
	before=$(find "$digest/rootfs" -printf '%P %m %U %s %T@\n' | sort | sha256sum)
	run sandboxctl run python --code '
import os
for path in "/usr/bin/python3", "/etc/passwd", "/usr/lib/sandbox-runtime", "/new":
    try:
        os.open(path, os.O_WRONLY | os.O_CREAT)
    except OSError as e:
        print(e.strerror)'
	[ "$(sort -u <<<"$output" | tr '\n' ,)" != "" ]
	run ! grep -qv -e "Read-only file system" -e "Permission denied" -e "Is a directory" <<<"$output"
	[ "$(find "$digest/rootfs" -printf '%P %m %U %s %T@\n' | sort | sha256sum)" = "$before" ]
}

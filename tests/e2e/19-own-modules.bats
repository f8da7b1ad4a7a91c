#!/usr/bin/env bats
# bats file_tags=v2-all
# A task's folder comes before the image's modules, also where those were imported before.
# shellcheck disable=SC2154 # stderr is set by run
load daemon

setup_file() {
	WARM=1 daemon_make
}

# same OUTPUT [STATUS]: the task of task.json prints this in each start mode, and is started in that
# mode.
same() {
	local mode

	for mode in $MODES; do
		run --separate-stderr sandboxctl run python app/task.json --start "$mode" --label "own-$mode"
		echo "$mode: $status $output $stderr"
		[ "$status" = "${2:-0}" ] || return 1
		[ "$output" = "$1" ] || return 1
		[ -z "$stderr" ] || return 1
		[ "$(mode "own-$mode")" = "$mode" ] || return 1
	done
}

# forked: the task of task.json is forked; then there is a checkpoint too.
forked() {
	sandboxctl run python app/task.json --label forked >/dev/null 2>&1
	[ "$(mode forked)" = fork ]
}

@test "a task's own random.py is what it imports, in every start mode" {
	mkdir app
	echo 'OWN = "my own"' >app/random.py
	cat >app/main.py <<-'EOT'
		import os, random, sys
		print(random.OWN, sys.argv[-1], os.environ["X"], os.umask(0o22), open(os.environ["PAYLOAD_FILE"]).read())
		sys.exit(7)
	EOT
	echo '{"exec": "main.py", "dir": ".", "args": ["a"], "env": {"X": "y"}, "payload": {"k": 1}}' >app/task.json
	wait_until "$PATIENCE" forked
	same 'my own a y 18 {"k": 1}' 7
}

@test "so is a package that it brings along, with all that is in it" {
	mkdir -p app/json
	echo 'from json.tool import dumps' >app/json/__init__.py
	echo 'def dumps(value): return "brought along: %d" % value' >app/json/tool.py
	echo '{"code": "import json; print(json.dumps(5))", "dir": ".", "warm": {"imports": ["json", "decimal"]}}' >app/task.json
	wait_until "$PATIENCE" forked
	same 'brought along: 5'
}

@test "a module that is warmed out of the task's folder stays so" {
	mkdir app
	echo 'import time; LOADED = time.time_ns()' >app/app.py
	echo '{"code": "import app; print(app.LOADED)", "dir": ".", "warm": {"module": "app"}}' >app/task.json
	wait_until "$PATIENCE" forked
	MODES='restore fork' same "$(sandboxctl run python app/task.json --start fork)"
}

@test "site-packages of its own, below its home, are found as an interpreter that starts finds them" {
	mkdir -p app/.local/lib/python3.11/site-packages app/more
	site=app/.local/lib/python3.11/site-packages
	echo 'x = 1' >$site/usermod.py
	echo 'import sys; sys.customized = 2' >$site/usercustomize.py
	echo '/work/more' >$site/more.pth
	echo 'x = 3' >app/more/deep.py
	echo 'import deep, sys, usermod; print(usermod.x, sys.customized, deep.x)' >app/main.py
	echo '{"exec": "main.py", "dir": "."}' >app/task.json
	same '1 2 3'
}

@test "a script is whatever the interpreter runs: an archive, a folder, bytecode" {
	mkdir -p app/src
	echo 'OWN = "in the archive"' >app/src/random.py
	echo 'import random, sys; print(random.OWN, sys.argv[0], sys.argv[-1], __name__); sys.exit(7)' >app/src/__main__.py
	/usr/bin/python3 -m zipapp app/src -o app/app.pyz
	echo '{"exec": "app.pyz", "args": ["a"]}' >app/task.json
	same 'in the archive /work/app.pyz a __main__' 7
	echo '{"exec": "src", "dir": ".", "args": ["a"]}' >app/task.json
	same 'in the archive /work/src a __main__' 7
	# Only the folder is sent: its links stay inside, and nothing from beside it comes along.
	echo 'import os, sys; print(open("/work/src/link").read(), os.listdir("/work"), sorted(os.listdir("/work/src")))' \
		>app/src/__main__.py
	ln -s deep/text app/src/link
	mkdir app/src/deep
	printf deep >app/src/deep/text
	echo '{"exec": "src"}' >app/task.json
	same "deep ['src'] ['__main__.py', 'deep', 'link', 'random.py']"
	echo '{"exec": "./src//."}' >app/task.json
	ln -s ../app.pyz app/src/out
	run --separate-stderr sandboxctl run python app/task.json
	[ "$output" = "deep ['src'] ['__main__.py', 'deep', 'link', 'random.py']" ]
	[ "$stderr" = "sandboxctl: not sent along: src/out (a link out of the folder)" ]
	echo '{"exec": "."}' >app/src/task.json
	sandboxctl run python app/src/task.json 2>&1 | grep -F "No such file or directory: '/work/src/link'"
	echo 'import sys; print("compiled", sys.argv[-1])' >main.py
	chroot "$(realpath "$STATE/images/by-name/python/rootfs")" /usr/bin/python3 -c '
import marshal, sys, importlib.util as u
sys.stdout.buffer.write(u.MAGIC_NUMBER + bytes(12) + marshal.dumps(compile(sys.stdin.read(), "main.py", "exec")))' \
		<main.py >app/main.pyc
	echo '{"exec": "main.pyc", "args": ["a"]}' >app/task.json
	same 'compiled a'
}

@test "PYTHONPATH may name folders and archives of its own" {
	mkdir -p app/lib
	echo 'OWN = "zipped"' >random.py
	(cd "$BATS_TEST_TMPDIR" && /usr/bin/python3 -m zipfile -c app/lib.zip random.py)
	echo 'x = 5' >app/lib/deep.py
	cat >app/main.py <<-'EOT'
		import os
		os.chdir("/tmp")
		import deep, random
		print(deep.x, random.OWN)
	EOT
	echo '{"exec": "main.py", "dir": ".", "env": {"PYTHONPATH": "lib:lib.zip"}}' >app/task.json
	same '5 zipped'
}

#!/usr/bin/env bats
# bats file_tags=v2-all
# sandboxctl run: what a task gets, and what comes back.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

@test "code: its output on stdout, nothing else anywhere, exit 0" {
	run --separate-stderr sandboxctl run python --code 'print("hello")'
	[ "$status" = 0 ]
	[ "$output" = hello ]
	[ -z "$stderr" ]
}

@test "exec: a script alone, with what it says of itself" {
	cat >hello.py <<-'EOT'
		import sys
		print(__name__, __file__, sys.argv[0], sys.path[0])
	EOT
	echo '{"exec": "hello.py"}' >task.json
	run --separate-stderr sandboxctl run python task.json
	echo "$stderr"
	[ "$status" = 0 ]
	[ "$output" = "__main__ /work/hello.py /work/hello.py /work" ] ||
		[ "$output" = "__main__ hello.py hello.py /work" ]
}

@test "exec with dir: the whole folder is sent, from wherever the command runs" {
	mkdir -p job/pkg "job/deep/er folder"
	echo 'from pkg import word; print(word, open("deep/er folder/data").read().strip())' >job/main.py
	echo 'word = "imported"' >job/pkg/__init__.py
	echo data >"job/deep/er folder/data"
	ln -s data "job/deep/er folder/link"
	echo '{"exec": "main.py", "dir": "."}' >job/task.json
	cd /
	run --separate-stderr sandboxctl run python "$BATS_TEST_TMPDIR/job/task.json"
	echo "$stderr"
	[ "$status" = 0 ]
	[ "$output" = "imported data" ]
}

@test "the folder can be written to, and each task has a copy of its own" {
	mkdir job
	echo old >job/file
	cat >job/main.py <<-'EOT'
		with open("file", "a") as file:
		    file.write("new\n")
		print(open("file").read().split())
		open("other", "w").close()
	EOT
	echo '{"exec": "main.py", "dir": "job"}' >task.json
	for _ in 1 2; do
		run sandboxctl run python task.json
		[ "$output" = "['old', 'new']" ]
	done
	[ "$(cat job/file)" = old ]
	[ ! -e job/other ]
}

@test "entry: a function is called with the payload, its result is printed as JSON" {
	mkdir job
	printf 'def double(payload):\n    return {"twice": payload["n"] * 2}\n' >job/maths.py
	echo '{"entry": "maths:double", "dir": "job", "payload": {"n": 21}}' >task.json
	run --separate-stderr sandboxctl run python task.json
	echo "$stderr"
	[ "$status" = 0 ]
	[ "$(jq -c . <<<"$output")" = '{"twice":42}' ]
}

@test "a payload comes as it was sent, whatever its numbers, keys and escapes" {
	local odd='{"b":0.10, "a" : 18446744073709551615,"b":1E400,"u":"\u00e9\ud83d/\/é"}' show

	show='import os; print(open(os.environ["PAYLOAD_FILE"]).read(), end="")'
	[ "$(sandboxctl run python --code "$show" --payload "$odd")" = "$odd" ]
	printf ' %s \n' "$odd" >payload
	[ "$(sandboxctl run python --code "$show" --payload @payload)" = "$odd" ]
	printf '{"label": "x", "payload":\n%s , "code": %s}' "$odd" "$(jq -Rs . <<<"$show")" >task.json
	[ "$(sandboxctl run python task.json)" = "$odd" ]
	# The task that is kept for later has the same; this one waits for its turn.
	id=$(sandboxctl run -d python task.json)
	sandboxctl wait "$id"
	[ "$(sandboxctl logs "$id")" = "$odd" ]
	run --separate-stderr sandboxctl run python --payload '{"price":0.10}' --code \
		'import json, os, decimal; print(json.load(open(os.environ["PAYLOAD_FILE"]), parse_float=decimal.Decimal))'
	[ "$output" = "{'price': Decimal('0.10')}" ]
	for bad in '{"a":01}' '[1,]' '1 2' "'x'"; do
		refused '--payload: is not JSON' run python --code 1 --payload "$bad"
	done
}

@test "task.json comes by stdin too" {
	run --separate-stderr sandboxctl run python - <<<'{"code": "print(6 * 7)"}'
	[ "$status" = 0 ]
	[ "$output" = 42 ]
}

@test "a worker gets IronWorker's argv and environment" {
	cat >w.py <<-'EOT'
		import json, os, sys
		args = sys.argv[1:]
		given = dict(zip(args[0:8:2], args[1:8:2]))
		assert given["-d"] == os.environ["TASK_DIR"] == os.getcwd(), (given, os.getcwd())
		assert given["-id"] == os.environ["TASK_ID"]
		assert given["-payload"] == os.environ["PAYLOAD_FILE"]
		assert given["-config"] == os.environ["CONFIG_FILE"]
		print(json.load(open(given["-payload"])), args[8:], os.environ["COLOUR"])
		print(os.environ["TASK_ID"])
	EOT
	echo '{"exec": "w.py", "payload": {"a": [1, "x"]}, "args": ["one", "two words"], "env": {"COLOUR": "red"}}' >task.json
	run --separate-stderr sandboxctl run python task.json --label argv
	echo "$output $stderr"
	[ "$status" = 0 ]
	[ "${lines[0]}" = "{'a': [1, 'x']} ['one', 'two words'] red" ]
	[ "${lines[1]}" = "$(id_of argv)" ]
}

@test "options go over task.json" {
	echo '{"code": "import os, sys, json; print(os.environ.get(\"A\"), os.environ.get(\"B\"), sys.argv[-2:], open(os.environ[\"PAYLOAD_FILE\"]).read())", "env": {"A": "1"}, "args": ["x"], "payload": 1, "label": "old"}' >task.json
	echo '{"from": "file"}' >payload
	B=two run --separate-stderr sandboxctl run -e A=2 -e B python task.json --payload @payload --label over -- p q
	echo "$output $stderr"
	[ "$status" = 0 ]
	[ "$output" = "2 two ['p', 'q'] {\"from\": \"file\"}" ]
	[ "$(inspect "$(id_of over)" .label)" = over ]
}

@test "the environment of the command and of the daemon stays outside" {
	SECRET_OF_MINE=1 run sandboxctl run python --code 'import os; print("\n".join(os.environ))'
	[ "$status" = 0 ]
	run ! grep -E 'SECRET|SANDBOXD|NOTIFY|BATS|SSH' <<<"$output"
}

@test "stdin is empty" {
	run sandboxctl run python --code 'import sys; print(repr(sys.stdin.read()))' <<<'secret'
	[ "$output" = "''" ]
}

@test "stdout and stderr stay apart, byte for byte" {
	code='
import os
data = bytes(range(256)) * 300
os.write(1, b"no newline at the end: ")
for i in range(0, len(data), 1000):
    os.write(1, data[i:i + 1000])
os.write(2, b"\x00\xff\r\n\x1b[31m")'
	sandboxctl run python --code "$code" >out 2>err
	all_bytes >bytes
	printf 'no newline at the end: ' >want
	for _ in $(seq 300); do
		cat bytes
	done >>want
	cmp out want
	[ "$(od -An -tx1 err)" = " 00 ff 0d 0a 1b 5b 33 31 6d" ]
}

all_bytes() {
	local i
	for i in $(seq 0 255); do
		# shellcheck disable=SC2059 # the format is the byte
		printf "\\x$(printf %x "$i")"
	done
}

@test "Python 3's text is UTF-8, whatever the caller's locale" {
	LC_ALL=C run sandboxctl run python --code 'print("ü €"); import sys; sys.stderr.write("ß\n")' -- 'ärg'
	[ "$status" = 0 ]
	[[ $output == *"ü €"* ]]
	[[ $output == *"ß"* ]]
}

@test "the exit status is the task's own" {
	for code in 0 1 7 126 255; do
		run sandboxctl run python --code "import sys; sys.exit($code)"
		[ "$status" = $code ]
	done
	run --separate-stderr sandboxctl run python --code 'import sys; sys.exit("words")'
	[ "$status" = 1 ]
	[ "$stderr" = words ]
}

@test "an exception is Python's own traceback on stderr, with the source line, and exit 1" {
	printf 'def broken():\n    return 1 / 0\n\nbroken()\n' >broken.py
	echo '{"exec": "broken.py"}' >task.json
	run --separate-stderr sandboxctl run python task.json
	[ "$status" = 1 ]
	[ -z "$output" ]
	[[ $stderr == "Traceback (most recent call last):"*"return 1 / 0"*"ZeroDivisionError: division by zero" ]]
	[[ $stderr != *sandbox-runtime* ]]
}

@test "a syntax error is Python's own, exit 1" {
	run --separate-stderr sandboxctl run python --code 'print("'
	[ "$status" = 1 ]
	[[ $stderr == *SyntaxError* ]]
}

@test "a script that is not there is 127, a folder in its place 126" {
	mkdir -p job/folder
	echo '{"exec": "none.py", "dir": "job"}' >task.json
	run -127 --separate-stderr sandboxctl run python task.json
	[[ $stderr == *none.py* ]]
	echo '{"exec": "none.py"}' >task.json
	run -127 --separate-stderr sandboxctl run python task.json
	[[ $stderr == *none.py* ]]
	echo '{"exec": "folder", "dir": "job"}' >task.json
	run --separate-stderr sandboxctl run python task.json
	[ "$status" = 126 ]
}

@test "detach prints the id and returns; wait gives the exit status" {
	id=$(sandboxctl run -d python --code 'import sys; sys.exit(3)')
	[[ $id =~ ^[0-9a-f]{24}$ ]]
	run sandboxctl wait "$id"
	[ "$status" = 3 ]
	[ "$output" = 3 ]
	# A prefix of the id also names the task when no other id has it.
	run sandboxctl wait "${id:0:20}"
	[ "$status" = 3 ]
}

@test "run --json prints the ended task" {
	run --separate-stderr sandboxctl run --json python --code 'print("quiet"); raise SystemExit(4)'
	[ "$status" = 4 ]
	[ "$(jq -r .exit_code <<<"$output")" = 4 ]
	id=$(jq -r .id <<<"$output")
	[ "$(sandboxctl logs "$id")" = quiet ]
}

@test "several tasks run at the same time" {
	for i in 1 2 3 4; do
		detached python "$GATE
print($i)
gate()" --label "together$i" >/dev/null
	done
	for i in 1 2 3 4; do
		wait_until "$PATIENCE" log_has "$(id_of together$i)" $i
	done
	[ "$(sandboxctl ps --json | jq '[.[] | select(.status == "running")] | length')" = 4 ]
	for i in 1 2 3 4; do
		signal_task "$(id_of together$i)" USR1
		run sandboxctl wait "$(id_of together$i)"
		[ "$status" = 0 ]
	done
}

@test "what has no place in an archive or leads out of the folder is left out and named" {
	mkdir -p job/sub
	mkfifo job/sub/pipe
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("job/sock")'
	python3 -m venv --without-pip job/.venv
	ln -s /usr/bin/python3 job/python
	ln -s ../outside job/out
	ln -s nowhere job/dangling
	ln -s main.py job/inside
	echo 'import os; print({n: os.readlink(n) if os.path.islink(n) else 0 for n in sorted(os.listdir())}, os.listdir("sub"))
print(open("inside").read() == open("main.py").read())' >job/main.py
	echo '{"exec": "main.py", "dir": "job"}' >task.json
	run --separate-stderr sandboxctl run python task.json
	[ "$status" = 0 ] || fail "$stderr"
	[ "${lines[0]}" = "{'dangling': 'nowhere', 'inside': 'main.py', 'main.py': 0, 'sub': 0} []" ]
	[ "${lines[1]}" = True ]
	[ "$stderr" = 'sandboxctl: not sent along: .venv (a virtual environment), out (a link out of the folder), python (a link out of the folder), sock (a socket), sub/pipe (a FIFO)' ] || fail "$stderr"
}

@test "a task leaves nothing behind" {
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

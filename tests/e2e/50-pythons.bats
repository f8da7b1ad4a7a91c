#!/usr/bin/env bats
# Other Pythons, out of other suites, built by the same code: in each start mode.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	paths
	FOUND=
	for name in python27 python39 python313 python314; do
		! has_image $name || FOUND+=" $name"
	done
	[ -n "$FOUND" ] || fail "there is no image of another Python in $IMAGES"
	export FOUND
	# shellcheck disable=SC2086 # several names
	WARM=1 daemon_make $FOUND
}

# each CODE WANT [OPTION...]: the code prints this in every image and each start mode.
each() {
	local code=$1 want=$2 name mode

	shift 2
	for name in $FOUND; do
		for mode in $MODES; do
			run --separate-stderr timeout "$PATIENCE" "$CTL" run "$name" --start "$mode" \
				--label "$name-$mode" --code "$code" "$@"
			echo "$name $mode: $status; $output; $stderr"
			[ "$output" = "${want//VERSION/$(version_of "$name")}" ] || return 1
			[ "$(inspect "$(id_of "$name-$mode")" .start.mode)" = "$mode" ] || return 1
		done
	done
}

version_of() {
	local digits=${1#python}

	echo "${digits:0:1}.${digits:1}"
}

@test "each is the Python that it says" {
	each 'import sys; print("%d.%d" % sys.version_info[:2])' VERSION
}

@test "payload, arguments and environment arrive" {
	each 'import json, os, sys
print("%s %s %s" % (json.load(open(os.environ["PAYLOAD_FILE"]))["n"], sys.argv[-1], os.environ["X"]))' \
		'1 last y' --payload '{"n": 1}' -e X=y -- last
}

@test "exit status and tracebacks are the interpreter's own" {
	for name in $FOUND; do
		for mode in $MODES; do
			run --separate-stderr sandboxctl run "$name" --start "$mode" --code '1 / 0'
			[ "$status" = 1 ]
			[[ $stderr == "Traceback (most recent call last):"*ZeroDivisionError* ]]
			run sandboxctl run "$name" --start "$mode" --code 'raise SystemExit(9)'
			[ "$status" = 9 ]
			run sandboxctl run "$name" --start "$mode" --code 'import os; os.abort()'
			[ "$status" = 134 ]
		done
	done
}

@test "a script with a folder, and an entry point" {
	mkdir job
	printf 'def add(payload):\n    return payload["a"] + 1\n' >job/module.py
	echo 'import module; print(module.add({"a": 1}))' >job/main.py
	for name in $FOUND; do
		for mode in $MODES; do
			run sandboxctl run "$name" --start "$mode" - <<<'{"exec": "main.py", "dir": "job"}'
			[ "$output" = 2 ]
			run sandboxctl run "$name" --start "$mode" - <<<'{"entry": "module:add", "dir": "job", "payload": {"a": 41}}'
			[ "$output" = 42 ]
		done
	done
}

@test "an archive, and a variable that the warm modules have read" {
	mkdir src
	echo 'OWN = "own"' >src/random.py
	echo 'import random, sys; print(" ".join((random.OWN, sys.argv[0])))' >src/__main__.py
	/usr/bin/python3 -m zipapp src -o app.pyz
	for name in $FOUND; do
		for mode in $MODES; do
			run sandboxctl run "$name" --start "$mode" - <<<'{"exec": "app.pyz"}'
			[ "$output" = "own /work/app.pyz" ]
		done
		# watch.so was loaded; if it had not been, the loader would have printed an error.
		run sandboxctl run "$name" --start fork --code 'import sandbox_park
print(sandbox_park.Parked.last.reads.kept is not None)'
		[ "$output" = True ]
	done
	run ! grep -F preload "$WORK/log"
}

@test "terminals, and an address for the host name" {
	# shellcheck disable=SC2016 # code for the sandbox
	each 'import os, socket
a, b = os.openpty()
os.write(b, b"x")
print("%s %s %s" % (os.read(a, 9).decode(), os.ttyname(b), socket.gethostbyname(socket.gethostname())))' \
		'x /dev/pts/0 127.0.1.1'
}

@test "no two restored tasks draw the same" {
	for name in $FOUND; do
		rm -f draws
		for _ in 1 2 3 4 5; do
			sandboxctl run "$name" --start restore --code '
import random, tempfile, uuid
print(random.random())
print(uuid.uuid4())
print(tempfile.mktemp())' >>draws
		done
		[ "$(wc -l <draws)" = 15 ]
		[ "$(sort draws | uniq -d | wc -l)" = 0 ]
	done
}

@test "the image web27 has uWSGI with Python 2.7, which answers behind its nginx" {
	image_link web27
	run --separate-stderr timeout "$PATIENCE" "$CTL" run web27 --start cold --code '
import subprocess, time, urllib.request
open("/work/wsgi.py", "w").write("""import sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["%d.%d %s" % (sys.version_info[0], sys.version_info[1], environ["PATH_INFO"])]
""")
open("/work/nginx.conf", "w").write("""daemon off; pid /work/pid; error_log stderr; events {}
http { access_log off; client_body_temp_path /work/1; proxy_temp_path /work/2; fastcgi_temp_path /work/3;
uwsgi_temp_path /work/4; scgi_temp_path /work/5;
server { listen 127.0.0.1:8080; location / { uwsgi_pass unix:/work/s; uwsgi_param PATH_INFO $uri; } } }
""")
children = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in (
    ["uwsgi", "--plugin", "/usr/local/lib/uwsgi/plugins/python27_plugin.so", "--wsgi-file", "/work/wsgi.py",
     "--socket", "/work/s", "--master", "--die-on-term"], ["/usr/sbin/nginx", "-c", "/work/nginx.conf"])]
answer = None
while answer is None and all(child.poll() is None for child in children):
    try:
        answer = urllib.request.urlopen("http://127.0.0.1:8080/x").read().decode()
    except OSError:
        time.sleep(0.05)
print(answer)
for child in children:
    child.terminate()
    child.wait()
'
	[ "$output" = '2.7 /x' ] || fail "$status: $output, $stderr"
}

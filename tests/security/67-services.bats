#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Services whose nginx.conf, variables, hooks and answers are hostile: whatever they say reaches their own
# sandbox. A victim's service is beside them, and answers throughout.
# shellcheck disable=SC2154,SC2016 # run sets status and output; texts are evaluated later

load lib.bash

setup_file() {
	export EDGE=127.0.0.1:0
	security_setup service
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	# What listens on the machine, and would be a find.
	cd "$BATS_FILE_TMPDIR" || return
	mkdir machine
	echo 'of the machine' >machine/index.html
	python3 -m http.server --bind 127.0.0.1 --directory machine 0 >machine.port 2>&1 3>&- &
	export MACHINE=$!
	wait_until "$PATIENCE" grep -q 'port [0-9]' machine.port
	MACHINE_PORT=$(sed -n 's/.*port \([0-9]*\).*/\1/p' machine.port | head -n 1)
	export ADDRESS MACHINE_PORT
	mkdir -p victim/code
	echo 'the secret of victim' >victim/code/secret.txt
	plain >victim/code/wsgi.py
	manifest victim '.environment.SECRET = "victims-secret"'
	put victim
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return
	rm -rf evil
	mkdir -p evil/code
	plain >evil/code/wsgi.py
	manifest evil
}

teardown() {
	end_background
	# Nothing of all that has disturbed anybody.
	[ "$(get victim /)" = 'well' ]
	sandboxctl service rm evil/www 2>/dev/null || true
	wait_until "$PATIENCE" eval '[ "$(sandboxctl ps --quiet | wc -l)" = 1 ]'
}

teardown_file() {
	kill "$MACHINE" || true
	wait "$MACHINE" || true
	sandboxctl service rm victim/www || true
	wait_until "$PATIENCE" eval '[ -z "$(sandboxctl ps --quiet)" ]' || true
	daemon_remove
}

plain() {
	printf '%s\n' 'def application(environ, start_response):' '    start_response("200 OK", [])' '    return [b"well"]'
}

# manifest APP [JQ]
manifest() {
	jq -n --arg app "$1" '{format: 1, $app, name: "www", type: "python", ports: [{name: "http", kind: "http"}],
		config: {uwsgi_processes: 1}} | '"${2:-.}" >"$1.json"
}

put() {
	sandboxctl service put "$1" --manifest "$1.json" 2>progress >&2 || fail "$(cat progress)"
}

# get APP PATH [CURL'S OPTION...]
get() {
	curl -sS --max-time "$PATIENCE" -H "Host: www-$1.default.localhost" "${@:3}" "http://$ADDRESS$2"
}

# code PATH: the status of evil's answer, whose body is the file body.
code() {
	get evil "$1" -o body -w '%{http_code}' "${@:2}"
}

@test "nginx.conf reads files of its own sandbox alone" {
	cat >evil/code/nginx.conf <<-'END'
		location /root/ { alias /; autoindex on; }
		location /up { alias /home/dotcloud/current/; }
		location /any/ { root $arg_root; try_files $uri =404; }
	END
	put evil
	# The control: the sandbox's own are there.
	[ "$(get evil /root/home/dotcloud/current/wsgi.py)" = "$(plain)" ]
	get evil /root/ | grep -q 'work/'
	[ "$(code "/root$STATE/")" = 404 ]
	[ "$(code "/root$RUN/")" = 404 ]
	[ "$(code /root/etc/shadow)" != 200 ]
	[ "$(code "/root$BATS_FILE_TMPDIR/victim/code/secret.txt")" = 404 ]
	for path in proc/1/environ proc/1/root/etc/hostname proc/kcore; do
		[ "$(code "/root/$path")" != 200 ] || ! grep -aq 'victims-secret\|sandboxd' body || fail "$path"
	done
	get evil /up../environment.json | grep -q DOTCLOUD_PROJECT
	run ! grep -rq 'victim' <(get evil /up../environment.json)
	[ "$(get victim /x)" = well ]
}

@test "nginx.conf reaches no address outside, whatever it passes requests to" {
	curl -sS "http://127.0.0.1:$MACHINE_PORT/" | grep -qx 'of the machine'
	cat >evil/code/nginx.conf <<-END
		location /metadata { proxy_pass http://169.254.169.254/; proxy_connect_timeout 2s; }
		location /machine { proxy_pass http://127.0.0.1:$MACHINE_PORT/; proxy_connect_timeout 2s; }
		location /victim { proxy_pass http://unix:/proc/1/root$RUN/edge/edge.sock:/; }
		location /edge { proxy_pass http://unix:$RUN/edge/edge.sock:/; }
		location /control { proxy_pass http://unix:$RUN/control.sock:/; }
		location /any { resolver 127.0.0.53; resolver_timeout 1s; proxy_pass http://\$arg_x; }
		location /fast { fastcgi_pass 10.0.0.1:9000; fastcgi_connect_timeout 2s; }
	END
	put evil
	for path in metadata machine victim edge control 'any?x=name.invalid' fast; do
		status=$(code "/$path")
		[[ $status == 50[24] ]] || fail "$path: $status $(cat body)"
		run ! grep -q 'of the machine' body
	done
	[ "$(get evil /)" = well ]
}

@test "nginx.conf that logs elsewhere, binds more, trusts forged addresses or takes much" {
	cat >evil/code/nginx.conf <<-'END'
		listen 127.0.0.1:8099;
		listen 0.0.0.0:8000;
		server_name www-victim.default.localhost;
		access_log syslog:server=10.0.0.1;
		error_log syslog:server=10.0.0.1:514;
		set_real_ip_from 0.0.0.0/0;
		real_ip_header X-Forged;
		location /address { return 200 $remote_addr; }
		large_client_header_buffers 100 64k;
		client_body_temp_path /tmp/body;
		client_max_body_size 0;
	END
	put evil
	[ "$(get evil /)" = well ]
	get victim / -H 'X-Forged: 10.9.9.9' | grep -qx well
	[ "$(code /address -H 'X-Forged: 10.9.9.9')" = 200 ]
	run ! curl -sS --max-time 5 http://127.0.0.1:8099/
	# A body that fills its own disk, and nothing else.
	head -c 90000000 /dev/zero | get evil / --data-binary @- -o body -w '%{http_code}' >status || true
	[ "$(get victim /)" = well ]
}

@test "a configuration that does not end, closes what it has not opened, or loads what is not its own" {
	for text in '}' '} } server { listen 1; ' 'location /a {' 'user root;' 'load_module modules/x.so;' 'daemon on;' \
		'include /etc/shadow;' 'include nginx.conf;' 'worker_processes 100;' 'env SECRET;' 'perl_set $x "y";' \
		'ssl_certificate /etc/ssl/x.pem; listen 443 ssl;' 'location / { }' 'location ^~ / { }' "$(printf 'x%.0s' {1..5000})"; do
		echo "$text" >evil/code/nginx.conf
		run --separate-stderr sandboxctl service put evil --manifest evil.json
		[ "$status" = 125 ] || fail "$text: $output"
		[[ $stderr == *'start: www.0: nginx: '* ]] || fail "$text: $stderr"
		run ! grep -q 'root:[*!$]' <<<"$stderr"
	done
}

@test "a regex that takes for ever costs its own service alone" {
	echo 'location ~ "^/(a+)+$" { return 200 matched; }' >evil/code/nginx.conf
	put evil
	long=$(printf 'a%.0s' {1..2000})
	for _ in 1 2 3 4; do
		get evil "/${long}b" -o /dev/null 3>&- &
	done
	[ "$(get victim /)" = well ]
}

@test "variables of uWSGI that would leave what a service is" {
	manifest evil '.environment = {UWSGI_UID: "0", UWSGI_CHROOT: "/", UWSGI_DAEMONIZE: "/tmp/log", UWSGI_PROTOCOL: "raw",
		UWSGI_MASTER_FIFO: "/tmp/f", UWSGI_EMPEROR: "/etc", UWSGI_UNSHARE: "user,net", UWSGI_STOP: "/proc/1/stat",
		UWSGI_CGROUP: "/sys/fs/cgroup/x", UWSGI_EXEC_ASAP: "echo said by $(id -u)", UWSGI_ATTACH_DAEMON: "sleep 1000"}'
	put evil
	[ "$(get evil /)" = well ]
	sandboxctl service logs evil/www >log
	grep -q 'UWSGI_DAEMONIZE is not taken' log
	# A command of its own runs as whoever the app runs as.
	run ! grep -q 'said by 0' log
}

@test "a hook that forks and stays ends with its replica" {
	cat >evil/code/hook <<-'END'
		for i in 1 2 3 4 5; do (setsid sh -c 'trap "" TERM HUP; while :; do sleep 100; done' &) & done
		: >/tmp/left
	END
	manifest evil '.postinstall = "sh ./hook"'
	put evil
	[ "$(get evil /)" = well ]
	run=$(sandboxctl service info --json evil/www | jq -r '.replicas[0].run')
	sandboxctl service rm evil/www
	wait_until "$PATIENCE" eval '[ "$(sandboxctl ps --quiet | wc -l)" = 1 ]'
	run ! cgroup_processes "$run"
}

# cgroup_processes RUN: succeeds where there is one.
cgroup_processes() {
	find /sys/fs/cgroup -path "*/$GROUP*$1*" -name cgroup.procs -exec cat {} + 2>/dev/null | grep -q .
}

@test "answers that are half, or no HTTP at all" {
	cat >evil/code/wsgi.py <<-'END'
		import os


		def application(environ, start_response):
		    path = environ["PATH_INFO"]
		    if path == "/half":
		        start_response("200 OK", [("Content-Length", "1000")])
		        return [b"half"]
		    if path == "/twice":
		        start_response("200 OK", [("Content-Length", "4"), ("Content-Length", "5")])
		        return [b"half!"]
		    if path == "/split":
		        start_response("200 OK", [("X-A", "b\r\nSet-Cookie: evil=1\r\n\r\nbody")])
		        return [b"x"]
		    if path == "/status":
		        start_response("99999 No\r\nX: y", [])
		        return [b"x"]
		    if path == "/accel":
		        start_response("200 OK", [("X-Accel-Redirect", "/inner/secret")])
		        return [b"x"]
		    if path == "/die":
		        os._exit(0)
		    start_response("200 OK", [])
		    return [b"well"]
	END
	cat >evil/code/nginx.conf <<-'END'
		location /own/ { proxy_pass http://127.0.0.1:8080; proxy_read_timeout 5s; }
		location /inner/ { internal; return 200 "its own"; }
	END
	cat >evil/code/own.py <<-'END'
		import socket
		listening = socket.create_server(("127.0.0.1", 8080))
		answers = [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 3\r\n\r\nabc",
		           b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100000, b""]
		while True:
		    sock = listening.accept()[0]
		    path = sock.recv(65536).split(b" ")[1]
		    sock.sendall(answers[int(path.rpartition(b"/")[2])])
		    sock.close()
	END
	manifest evil '.processes = [{name: "own", command: "exec python3 own.py"}]'
	put evil
	wait_until "$PATIENCE" eval '[ "$(code /own/4)" = 502 ]'
	[ "$(code /own/0)" != 200 ] || ! grep -q garbage body
	[ "$(code /own/3)" = 502 ]
	run -18 get evil /half -o body
	get evil /split -D head -o body || true
	for path in /twice /status /die /own/1 /own/2 /accel; do
		get evil "$path" -o body -D head || true
	done
	# After all of them a connection of the edge's still has the right answers.
	for _ in 1 2 3; do
		[ "$(get evil /)" = well ]
		[ "$(get victim /)" = well ]
	done
}

#!/usr/bin/env bats
# Services of the types python and static: nginx and uWSGI in each replica, by what they do.
# shellcheck disable=SC2154,SC2016 # run sets status, output and stderr; texts are evaluated later
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make service web27
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p app/code
	manifest
}

teardown() {
	local each

	end_background
	for each in $(sandboxctl service ls --json | jq -r '.[] | .app + "/" + .name'); do
		sandboxctl service rm "$each" || true
	done
	wait_until "$PATIENCE" nothing_runs
}

teardown_file() {
	daemon_remove
}

nothing_runs() {
	[ -z "$(sandboxctl ps --quiet)" ]
}

# manifest [JQ]: of the service shop/www.
manifest() {
	jq -n '{format: 1, app: "shop", name: "www", type: "python", ports: [{name: "http", kind: "http"}]} | '"${1:-.}" >m.json
}

put() {
	sandboxctl service put app --manifest m.json 2>progress || fail "$(cat progress)"
}

# put_refused TEXT: the service is not deployed, and the command says so.
put_refused() {
	run --separate-stderr sandboxctl service put app --manifest m.json
	[ "$status" = 125 ] || fail "exit status $status: $output $stderr"
	[[ $stderr == *"$1"* ]] || fail "$stderr"
}

# get PATH [CURL'S OPTION...]
get() {
	curl -sS --max-time "$PATIENCE" -H 'Host: www-shop.default.localhost' "${@:2}" "http://$ADDRESS$1"
}

# status PATH [CURL'S OPTION...]
status() {
	get "$1" -o body -w '%{http_code}' "${@:2}"
}

logs() {
	sandboxctl service logs shop/www
}

# app: wsgi.py from stdin, whose function application gets a function `answer` to answer with a text.
app() {
	{
		cat <<-'END'
			import os
			import sys
			import time


			def text_of(environ):
		END
		sed 's/^/    /'
		cat <<-'END'


			def application(environ, start_response):
			    body = text_of(environ)
			    if not isinstance(body, bytes):
			        body = body.encode("utf-8")
			    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
			    return [body]
		END
	} >app/code/wsgi.py
}

# An app that says what it is asked for.
app_of_parts() {
	app <<-'END'
		name = environ["PATH_INFO"][1:]
		if name == "python":
		    return sys.version.split()[0]
		if name == "read":
		    return "%d" % len(environ["wsgi.input"].read())
		if name == "pid":
		    return "%d" % os.getpid()
		if name == "slow":
		    time.sleep(2)
		if name == "environ":
		    return "\n".join("%s=%s" % pair for pair in sorted(environ.items()))
		return environ.get(name, "of the app: " + environ["PATH_INFO"])
	END
}

# load_begin: GET and POST by clients that keep their connections and by others, until the file stop is there.
load_begin() {
	rm -f stop
	cat >load.py <<-'END'
		import http.client
		import os
		import sys
		import threading

		host, _, port = sys.argv[1].rpartition(":")
		good, bad = [0] * 8, []


		def ask(number):
		    client = None
		    while not os.path.exists("stop"):
		        try:
		            client = client or http.client.HTTPConnection(host, int(port), timeout=float(os.environ["PATIENCE"]))
		            headers = {"Host": "www-shop.default.localhost"}
		            if number % 4 >= 2:
		                headers["Connection"] = "close"
		            if number % 2:
		                client.request("POST", "/read" if number % 4 == 1 else "/unread", b"x" * 10000, headers)
		            else:
		                client.request("GET", "/", headers=headers)
		            answer = client.getresponse()
		            body = answer.read()
		            if answer.status == 200 and body in (b"10000", b"of the app: /", b"of the app: /unread"):
		                good[number] += 1
		                open("good", "a").write("\n")
		            else:
		                bad.append("%d %r" % (answer.status, body[:100]))
		            if number % 4 >= 2:
		                client.close()
		                client = None
		        except Exception as error:
		            bad.append("%r" % error)
		            client = None


		threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
		for thread in threads:
		    thread.start()
		for thread in threads:
		    thread.join()
		print("%d good, %d bad: %s" % (sum(good), len(bad), bad[:3]))
		sys.exit(1 if bad or 0 in good else 0)
	END
	rm -f good
	python3 load.py "$ADDRESS" >load.said 2>&1 3>&- &
	loader=$!
	wait_until "$PATIENCE" file_lines good 20
}

load_end() {
	touch stop
	reap "$loader"
	[ "$status" = 0 ] || fail "$(cat load.said)"
}

@test "an app answers through its own nginx and uWSGI, on Python 3 and on 2.7" {
	app_of_parts
	put
	[[ $(get /python) == 3.* ]]
	[ "$(get /read -d 12345)" = 5 ]
	get /environ >environ
	for line in SCRIPT_NAME= PATH_INFO=/environ wsgi.url_scheme=http HTTP_X_FORWARDED_PROTO=http \
		HTTP_X_FORWARDED_PROTOCOL=http "HTTP_X_FORWARDED_PORT=${ADDRESS##*:}" HTTP_X_REAL_IP=127.0.0.1 \
		REMOTE_ADDR=127.0.0.1 SERVER_NAME=www-shop.default.localhost; do
		grep -qx "$line" environ || fail "no $line in $(cat environ)"
	done
	# The edge alone says where a request comes from.
	get /environ -H 'X-Real-IP: 10.9.9.9' -H 'X-Forwarded-For: 10.9.9.9' -H 'X-Forwarded-Proto: https' \
		-H 'X-Forwarded-Protocol: https' -H 'X-Forwarded-Port: 443' >forged
	run ! grep -E '10\.9\.9\.9|https|=443' forged
	manifest '.python = "2.7"'
	put
	[[ $(get /python) == 2.7.* ]]
	[ "$(get /read -d 12345)" = 5 ]
}

@test "no request fails while replicas are replaced, restarted and scaled: GET and POST, kept connections and others" {
	app_of_parts
	put
	load_begin
	for _ in 1 2; do
		put
		sandboxctl service restart shop/www >/dev/null
		sandboxctl service rollback shop/www >/dev/null
	done
	sandboxctl scale shop/www=3
	wait_until "$PATIENCE" eval '[ "$(sandboxctl service info --json shop/www | jq "[.replicas[] | select(.serves)] | length")" = 3 ]'
	sandboxctl scale shop/www=1
	load_end
}

@test "an app that cannot be loaded, and files that nginx does not understand, leave the version before" {
	app_of_parts
	put
	echo 'import absent' >app/code/wsgi.py
	put_refused "wsgi.py cannot be loaded: ModuleNotFoundError: No module named 'absent'"
	[[ $stderr == *'  |   File "/home/dotcloud/current/wsgi.py", line 1, in <module>'* ]]
	echo 'app = None' >app/code/wsgi.py
	put_refused "wsgi.py cannot be loaded: AttributeError: module 'wsgi' has no attribute 'application'"
	rm app/code/wsgi.py
	put_refused 'there is no wsgi.py in .'
	app_of_parts
	printf '\nlocation /m {\n  rooot /x;\n}\n' >app/code/nginx.conf
	put_refused 'nginx: unknown directive "rooot" in nginx.conf:3'
	# A name that nobody resolves.
	printf 'location /m { proxy_pass http://name.invalid; }\n' >app/code/nginx.conf
	put_refused 'nginx: host not found in upstream "name.invalid" in nginx.conf:1'
	printf 'location /m {\n' >app/code/my-nginx.conf
	rm app/code/nginx.conf
	put_refused 'nginx: unexpected end of file, expecting "}" in my-nginx.conf:2'
	rm app/code/my-nginx.conf
	manifest '.config.uwsgi_processes = "many"'
	put_refused "config.uwsgi_processes: must be a whole number, not 'many'"
	manifest '.config.uwsgi_enable_threads = "perhaps"'
	put_refused "config.uwsgi_enable_threads: must be true or false, not 'perhaps'"
	[ "$(get /x)" = 'of the app: /x' ]
	[ "$(sandboxctl service revisions --json shop/www | jq length)" = 1 ]
}

@test "an exception and an answer without start_response are a 500 with the traceback in the log" {
	cat >app/code/wsgi.py <<-'END'
		def late(start_response):
		    start_response("200 OK", [])
		    raise ValueError("late")
		    yield b""


		def pieces(start_response):
		    yield b""
		    start_response("200 OK", [("Content-Type", "text/plain")])
		    yield b"one "
		    yield b"two"


		def written(start_response):
		    start_response("200 OK", [])(b"written ")
		    return [b"and returned"]


		def application(environ, start_response):
		    path = environ["PATH_INFO"]
		    if path == "/raise":
		        raise ValueError("at once")
		    if path == "/exit":
		        raise SystemExit(3)
		    if path == "/none":
		        return [b"without"]
		    if path == "/late":
		        return late(start_response)
		    if path == "/pieces":
		        return pieces(start_response)
		    if path == "/written":
		        return written(start_response)
		    start_response("200 OK", [])
		    if path == "/file":
		        return environ["wsgi.file_wrapper"](open("wsgi.py", "rb"), 4096)
		    return [b"well"]
	END
	for python in 3.11 2.7; do
		manifest ".python = \"$python\""
		put
		for path in raise exit none late; do
			[ "$(status "/$path")" = 500 ] || fail "$path: $(cat body)"
			[ "$(cat body)" = 'Internal Server Error' ]
			[ "$(status "/$path" -d body)" = 500 ]
			[ "$(cat body)" = 'Internal Server Error' ]
		done
		[ "$(get /pieces)" = 'one two' ]
		[ "$(get /written)" = 'written and returned' ]
		[ "$(get /file)" = "$(cat app/code/wsgi.py)" ]
		[ "$(get /)" = well ]
		wait_until "$PATIENCE" eval 'logs | grep -q "ValueError: late"'
		logs | grep -q 'GET /raise: Traceback (most recent call last):'
		logs | grep -q 'GET /none: the app has not called start_response'
	done
}

@test "uwsgi_processes, uwsgi_memory_report, and the variables that say the same" {
	app_of_parts
	manifest '.config = {uwsgi_processes: 2, uwsgi_memory_report: true}'
	put
	for _ in {1..40}; do get /pid; echo; done | sort -u >pids
	[ "$(wc -l <pids)" -le 2 ]
	logs | grep -Eq '\{address space usage: [0-9]+ bytes/[0-9]+MB\} \{rss usage: [0-9]+ bytes/[0-9]+MB\} \[pid: [0-9]+\|app: 0\|req: [0-9]+/[0-9]+\].* GET /pid => generated '
	manifest '.environment = {UWSGI_PROCESSES: "3", UWSGI_VACUUM: "true"}'
	put
	# The log keeps the line of each process.
	[ "$(logs | grep -c 'spawned uWSGI worker')" = 5 ]
	reported=$(logs | grep -c 'GET /pid => generated')
	get /pid
	[ "$(logs | grep -c 'GET /pid => generated')" = "$reported" ]
	# The file's word beats the variable, and without any there are four.
	manifest '.environment = {UWSGI_PROCESSES: "3"} | .config.uwsgi_processes = 1'
	put
	[ "$(logs | grep -c 'spawned uWSGI worker')" = 6 ]
	manifest
	put
	[ "$(logs | grep -c 'spawned uWSGI worker')" = 10 ]
}

@test "uwsgi_buffer_size: request headers of 5 to 7 KiB come through, or are told" {
	local long

	app <<-'END'
		return "%d" % len(environ["HTTP_X_LONG"])
	END
	put
	long=$(printf 'x%.0s' {1..6000})
	[ "$(get / -H "X-Long: ${long:0:3000}")" = 3000 ]
	[ "$(status / -H "X-Long: $long")" = 502 ]
	wait_until "$PATIENCE" eval 'logs | grep -q "invalid request block size: [0-9]* (max 4096)...skip"'
	manifest '.config.uwsgi_buffer_size = 8192'
	put
	[ "$(get / -H "X-Long: ${long:0:5000}")" = 5000 ]
	[ "$(get / -H "X-Long: $long")" = 6000 ]
	[ "$(get / -H "X-Long: ${long}${long:0:1100}")" = 7100 ]
}

@test "uwsgi_harakiri ends a request that takes longer and its process, and the client has an answer" {
	app <<-'END'
		if environ["PATH_INFO"] == "/long":
		    time.sleep(1000)
		return "%d" % os.getpid()
	END
	manifest '.config = {uwsgi_harakiri: 1, uwsgi_processes: 1}'
	put
	pid=$(get /)
	[ "$(status /long)" = 502 ]
	wait_until "$PATIENCE" eval 'logs | grep -q "HARAKIRI ON WORKER 1"'
	[ "$(get /)" != "$pid" ]
}

@test "uwsgi_enable_threads: a thread of the app runs between its requests" {
	app <<-'END'
		import threading
		if "steps" not in globals():
		    globals()["steps"] = []

		    def step():
		        while True:
		            steps.append(1)
		            time.sleep(0.01)
		    threading.Thread(target=step, daemon=True).start()
		return "%d" % len(steps)
	END
	manifest '.config = {uwsgi_processes: 1}'
	put
	get / >/dev/null
	logs | grep -q 'Python threads support is disabled'
	manifest '.config = {uwsgi_processes: 1, uwsgi_enable_threads: true}'
	put
	get / >/dev/null
	wait_until "$PATIENCE" eval '[ "$(get /)" -gt 20 ]'
	[ "$(logs | grep -c 'Python threads support is disabled')" = 1 ]
}

@test "uwsgi_single_interpreter: a second mount point shares its modules, else it has its own" {
	app <<-'END'
		import wsgiref
		wsgiref.mark = getattr(wsgiref, "mark", 0) + 1
		return "%d" % wsgiref.mark
	END
	sed 's/wsgiref.mark + 1/&/' app/code/wsgi.py >app/code/second.py
	cat >app/code/nginx.conf <<-'END'
		location /second {
		    include uwsgi_params;
		    uwsgi_param SCRIPT_NAME /second;
		    uwsgi_param UWSGI_SCRIPT second;
		    uwsgi_pass uwsgi;
		}
	END
	manifest '.config = {uwsgi_processes: 1}'
	put
	[ "$(get /)" = 1 ]
	[ "$(get /second)" = 1 ]
	manifest '.config = {uwsgi_processes: 1, uwsgi_single_interpreter: true}'
	put
	[ "$(get /)" = 1 ]
	[ "$(get /second)" = 2 ]
	logs | grep -q 'uWSGI is running in multiple interpreter mode'
}

@test "variables that would have uWSGI leave its service are not taken, and that is said" {
	app_of_parts
	manifest '.environment = {UWSGI_DAEMONIZE: "/tmp/x", UWSGI_PROTOCOL: "http", UWSGI_MASTER_FIFO: "/tmp/f", UWSGI_UID: "0",
		UWSGI_CHROOT: "/tmp", UWSGI_LISTEN: "7", UWSGI_POST_BUFFERING: "4096", UWSGI_EMPEROR: "/tmp", UWSGI_VERSION: "true"}'
	put
	[ "$(get /x)" = 'of the app: /x' ]
	for name in DAEMONIZE PROTOCOL MASTER_FIFO UID CHROOT EMPEROR VERSION; do
		logs | grep -q "UWSGI_$name is not taken: " || fail "$name"
	done
	[ "$(get /read -d 12345)" = 5 ]
}

@test "a burst waits for its turn" {
	app <<-'END'
		time.sleep(0.01)
		return "late"
	END
	manifest '.config = {uwsgi_processes: 2}'
	put
	for _ in {1..300}; do
		curl -sS --max-time "$PATIENCE" -o /dev/null -w '%{http_code}\n' -H 'Host: www-shop.default.localhost' "http://$ADDRESS/" 3>&- &
	done >codes
	wait
	[ "$(sort codes | uniq -c | xargs)" = '300 200' ] || fail "$(sort codes | uniq -c)"
}

#!/usr/bin/env bats
# Services of the types python and static: nginx and uWSGI in each replica, by what they do.
# shellcheck disable=SC2154,SC2016 # run sets status, output and stderr; texts are evaluated later
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make service web27 service313
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
	end_background
	services_remove
}

teardown_file() {
	daemon_remove
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

# logs: of the replica that serves. (service logs also shows those that finish.)
logs() {
	sandboxctl logs "$(sandboxctl service info --json shop/www | jq -r '.replicas[] | select(.serves).run')"
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

# spawned N: uWSGI has begun so many processes.
spawned() {
	[ "$(logs | grep -c 'spawned uWSGI worker')" = "$1" ]
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
	wait_until "$PATIENCE" spawned 3 || fail "$(logs)"
	get /pid
	run ! grep -q 'GET /pid => generated' <(logs)
	# The file's word beats the variable, and without any there are four.
	manifest '.environment = {UWSGI_PROCESSES: "3"} | .config.uwsgi_processes = 1'
	put
	wait_until "$PATIENCE" spawned 1 || fail "$(logs)"
	manifest
	put
	wait_until "$PATIENCE" spawned 4 || fail "$(logs)"
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
	run ! grep -q 'Python threads support is disabled' <(logs)
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
	logs | grep -q 'uWSGI is running in multiple interpreter mode'
	manifest '.config = {uwsgi_processes: 1, uwsgi_single_interpreter: true}'
	put
	[ "$(get /)" = 1 ]
	[ "$(get /second)" = 2 ]
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

# What real apps had in their nginx.conf, each directive of it.
corpus() {
	mkdir -p app/code/static app/code/media app/code/pages
	echo 'body {}' >app/code/static/site.css
	head -c 5000 /dev/zero | tr '\0' a >app/code/static/big.js
	echo icon >app/code/static/favicon.ico
	echo 'media of current' >app/code/media/one.txt
	echo 'the page for 404' >app/code/pages/404.html
	echo 'upkeep' >app/code/pages/503.html
	printf 'ann:{PLAIN}secret\n' >app/code/htpasswd
	echo 'location = /of-include { return 200 included; }' >app/code/more.inc
	cat >app/code/nginx.conf <<-'END'
		# The usual ones: roots below ~/current, ~/data and ~/volatile.
		location /static/ { root /home/dotcloud/current; expires 30d; gzip_types text/html text/css application/javascript; }
		location /media { alias /home/dotcloud/current/media; autoindex on; }
		location /data/ { alias /home/dotcloud/data/; }
		location /volatile/ { root /home/dotcloud; add_header X-Of "“volatile”"; }
		location = /favicon.ico { root /home/dotcloud/current/static; access_log off; log_not_found off; }
		include /home/dotcloud/current/more.inc;
		rewrite ^/old/(.*)$ /new/$1 permanent;
		rewrite "^/year/(\d{4})$" /y?y=$1 last;
		location /try/ { try_files /static$uri /media/one.txt =404; }
		location /plain/ { try_files $uri @app; }
		location @app { uwsgi_pass uwsgi; include uwsgi_params; uwsgi_param UWSGI_SCRIPT wsgi; }
		location /private/ {
		    auth_basic "Restricted";
		    auth_basic_user_file htpasswd;
		    alias /home/dotcloud/current/media/;
		}
		location /closed/ { allow 10.0.0.0/8; deny all; }
		location /own/ {
		    proxy_pass http://127.0.0.1:8080/;
		    proxy_redirect off;
		    proxy_http_version 1.1;
		    proxy_set_header Host $host;
		    proxy_set_header Upgrade $http_upgrade;
		    proxy_set_header Connection "upgrade";
		}
		if ($http_x_forwarded_port = 8443) { return 301 https://$host$request_uri; }
		location /secure/ {
		    if ($http_x_forwarded_proto != https) { rewrite ^ https://$host$request_uri? redirect; }
		    return 200 safe;
		}
		client_max_body_size 2m;
		gzip on;
		gzip_comp_level 6;
		gzip_min_length 100;
		gzip_vary on;
		gzip_disable "MSIE [1-6]\.";
		client_body_temp_path /home/dotcloud/volatile/body;
		error_page 404 /pages/404.html;
		location /pages/ { internal; }
		location @404 { return 404 "of the app's own @404"; }
		location @503 { root /home/dotcloud/current/pages; try_files /503.html =503; }
	END
	echo 'uwsgi_param ENVIRONMENT prod; location /nested { uwsgi_pass uwsgi; expires 1d; }' >app/code/my_uwsgi.conf
}

@test "what real apps have in nginx.conf and uwsgi.conf loads as it is, and does what it says" {
	app_of_parts
	corpus
	cat >app/code/own.py <<-'END'
		import base64
		import hashlib
		import http.server
		import os


		class Handler(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"

		    def do_GET(self):
		        if self.headers.get("Upgrade") == "websocket":
		            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
		            self.send_response(101)
		            self.send_header("Upgrade", "websocket")
		            self.send_header("Connection", "Upgrade")
		            self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
		            self.end_headers()
		            while True:
		                data = self.connection.recv(65536)
		                if not data:
		                    break
		                self.connection.sendall(data)
		            self.close_connection = True
		            return
		        body = ("own " + self.path).encode()
		        self.send_response(200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)


		os.makedirs(os.path.expanduser("~/volatile"), exist_ok=True)
		open(os.path.expanduser("~/volatile/v.txt"), "w").write("of volatile")
		open(os.path.expanduser("~/data/d.txt"), "w").write("of data")
		http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
	END
	manifest '.processes = [{name: "own", command: "exec python3 own.py"}]'
	put
	[ "$(get /static/site.css)" = 'body {}' ]
	get /static/site.css -D head -o body
	grep -qi '^cache-control: max-age=2592000' head
	[ "$(status /static/site.css -d x)" = 405 ]
	# Python sees nothing of it.
	get /static/big.js -H 'Accept-Encoding: gzip' -D head -o body
	grep -qi '^content-encoding: gzip' head
	grep -qi '^vary: accept-encoding' head
	[ "$(get /media/one.txt)" = 'media of current' ]
	get /media/ | grep -q one.txt
	wait_until "$PATIENCE" eval '[ "$(get /data/d.txt)" = "of data" ]'
	[ "$(get /volatile/v.txt -D head)" = 'of volatile' ]
	grep -qi '^x-of: “volatile”' head
	[ "$(get /favicon.ico)" = icon ]
	[ "$(get /of-include)" = included ]
	[ "$(status /old/x -D head)" = 301 ]
	grep -qi '^location: /new/x' head
	[ "$(get /year/2012)" = 'of the app: /y' ]
	[ "$(get /try/a)" = 'media of current' ]
	[ "$(get /plain/a)" = 'of the app: /plain/a' ]
	[ "$(status /private/one.txt)" = 401 ]
	[ "$(get /private/one.txt -u ann:secret)" = 'media of current' ]
	[ "$(status /closed/x)" = 403 ]
	wait_until "$PATIENCE" eval '[ "$(get /own/x)" = "own /x" ]'
	[ "$(status /secure/x?a=1 -D head)" = 302 ]
	grep -qi '^location: https://www-shop.default.localhost/secure/x?a=1' head
	head -c 1500000 /dev/zero >big
	[ "$(status / --data-binary @big)" = 200 ]
	cat big big >bigger
	[ "$(status / --data-binary @bigger)" = 413 ]
	[ "$(status /data/absent)" = 404 ]
	[ "$(cat body)" = 'the page for 404' ]
	[ "$(get /ENVIRONMENT)" = prod ]
	[ "$(get /nested/x)" = 'of the app: /nested/x' ]
	# A WebSocket, through the edge and the replica's nginx to the app's own process.
	python3 - "$ADDRESS" <<-'END'
		import socket, sys
		host, port = sys.argv[1].rsplit(":", 1)
		sock = socket.create_connection((host, int(port)), 60)
		sock.sendall(b"GET /own/ws HTTP/1.1\r\nHost: www-shop.default.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		data = b""
		while b"\r\n\r\n" not in data:
		    more = sock.recv(65536)
		    assert more, data
		    data += more
		assert data.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in data, data
		for piece in b"\x81\x03one", b"\x81\x03two":
		    sock.sendall(piece)
		    got = b""
		    while len(got) < len(piece):
		        more = sock.recv(65536)
		        assert more, got
		        got += more
		    assert got == piece, got
	END
	# The file may come at any time, and static files still answer.
	run=$(sandboxctl service info --json shop/www | jq -r '.replicas[0].run')
	in_replica "$run" touch /work/code/maintenance
	[ "$(status /x)" = 503 ]
	[ "$(cat body)" = upkeep ]
	[ "$(get /static/site.css)" = 'body {}' ]
	in_replica "$run" rm /work/code/maintenance
	[ "$(get /x)" = 'of the app: /x' ]
}

# in_replica RUN COMMAND...: in the sandbox, as its user.
in_replica() {
	local pid
	pid=$(payload "$1")
	nsenter -t "$pid" -m -U -S 1000 -G 1000 -- "${@:2}"
}

@test "error pages @404 and the like are used where the app has them" {
	app_of_parts
	mkdir app/code/empty
	cat >app/code/nginx.conf <<-'END'
		location /files/ { alias /home/dotcloud/current/empty/; }
		location @404 { return 404 "none of the app's files"; }
		location @502 { return 502 "the app has died"; }
	END
	app <<-'END'
		os._exit(1)
	END
	put
	[ "$(status /files/x)" = 404 ]
	[ "$(cat body)" = "none of the app's files" ]
	[ "$(status /die)" = 502 ]
	[ "$(cat body)" = 'the app has died' ]
	rm app/code/nginx.conf
	put
	[ "$(status /die)" = 502 ]
	grep -q '502 Bad Gateway' body
}

@test "nginx.conf, uwsgi.conf and wsgi.py that postinstall has written are those that count" {
	cat >app/code/hook <<-'END'
		echo 'location /hooked { return 200 hooked; }' >>nginx.conf
		echo 'uwsgi_param HOOKED yes;' >uwsgi.conf
		sed 's/before/after/' <template >wsgi.py
	END
	cat >app/code/template <<-'END'
		def application(environ, start_response):
		    start_response("200 OK", [])
		    return [("before " + environ["HOOKED"]).encode()]
	END
	manifest '.postinstall = "sh ./hook"'
	put
	[ "$(get /hooked)" = hooked ]
	[ "$(get /)" = 'after yes' ]
}

@test "a service of the type static answers with files" {
	mkdir -p app/code/public/sub
	echo home >app/code/public/index.html
	echo sub >app/code/public/sub/index.html
	manifest '.type = "static" | .approot = "public"'
	put
	[ "$(get /)" = home ]
	[ "$(get /sub/)" = sub ]
	[ "$(status /sub -D head)" = 301 ]
	grep -qi '^location: /sub/' head
	[ "$(status /absent)" = 404 ]
	[ "$(status /../manifest --path-as-is)" = 400 ]
	echo again >app/code/public/index.html
	put
	[ "$(get /)" = again ]
}

@test "a further http port is that of the app's own process, and a health path is asked through nginx" {
	app <<-'END'
		if environ["PATH_INFO"] == "/break":
		    open("/tmp/broken", "w").close()
		if environ["PATH_INFO"] == "/health" and os.path.exists("/tmp/broken"):
		    raise ValueError("broken")
		return "well"
	END
	cat >app/code/own.py <<-'END'
		import http.server, os
		class Handler(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        self.send_response(200)
		        self.end_headers()
		        self.wfile.write(b"of the second port")
		http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT_SIDE"])), Handler).serve_forever()
	END
	manifest '.ports += [{name: "side", kind: "http"}] | .processes = [{name: "own", command: "exec python3 own.py"}] |
		.health = {path: "/health", interval_s: 1, timeout_s: 5, failures: 2}'
	put
	[ "$(get /)" = well ]
	wait_until "$PATIENCE" eval '[ "$(curl -sS --max-time 60 -H "Host: side-www-shop.default.localhost" "http://$ADDRESS/")" = "of the second port" ]'
	run=$(sandboxctl service info --json shop/www | jq -r '.replicas[0].run')
	get /break
	wait_until "$PATIENCE" eval '[ "$(sandboxctl service info --json shop/www | jq -r ".replicas[0].run")" != '"$run"' ]'
	wait_until "$PATIENCE" eval '[ "$(get /health)" = well ]'
}

@test "programs of supervisord.conf run beside the app; supervisorctl and crontab are there as apps call them" {
	app_of_parts
	mkdir app/code/sub
	cat >app/code/supervisord.conf <<-'END'
		[program:ticker]
		command = python3 ticker.py %(process_num)d
		process_name = %(program_name)s-%(process_num)d
		numprocs = 2
		directory = /home/dotcloud/current/sub
		environment = MARK="of the file"
		stdout_logfile = /var/log/supervisor/ticker.log
		redirect_stderr = true
		[program:once]
		command = echo once
		autorestart = false
		startsecs = 0
		[program:asleep]
		command = sleep 1000
		autostart = false
	END
	cat >app/code/sub/ticker.py <<-'END'
		import os, sys, time
		print("ticker", sys.argv[1], os.environ["MARK"], os.environ["DOTCLOUD_SERVICE_NAME"], flush=True)
		time.sleep(1000)
	END
	cat >app/code/hook <<-'END'
		printf '%s\n' 'MAILTO=""' '* * * * * cd ~/current && bash -lc "echo by cron in $PWD"' >table
		crontab table
		crontab -l
		supervisorctl status
		! echo 'nonsense' | crontab -
	END
	manifest '.postinstall = "sh ./hook"'
	put
	logs | grep -q 'no program runs yet'
	logs | grep -q 'crontab: line 1: must be five fields'
	logs | grep -qx once
	run=$(sandboxctl service info --json shop/www | jq -r '.replicas[0].run')
	control() {
		in_replica "$run" env -i PATH=/usr/bin:/bin HOME=/home/dotcloud /home/dotcloud/.sandboxd/bin/supervisorctl "$@"
	}
	control status >told
	[ "$(grep -Ec '^(nginx|uwsgi|ticker:ticker-[01]) +RUNNING +pid [0-9]+, uptime 0:' told)" = 4 ] || fail "$(cat told)"
	grep -Eq '^once +EXITED' told
	grep -Eq '^asleep +STOPPED' told
	[ "$(in_replica "$run" sort /var/log/supervisor/ticker.log)" = "$(printf 'ticker %d of the file www\n' 0 1)" ]
	pid=$(control pid ticker:ticker-1)
	[ "$(control restart ticker:ticker-1)" = "$(printf 'ticker:ticker-1: stopped\nticker:ticker-1: started')" ]
	[ "$(control pid ticker:ticker-1)" != "$pid" ]
	[ "$(control start asleep)" = 'asleep: started' ]
	[ "$(control stop asleep)" = 'asleep: stopped' ]
	run ! control restart absent
	[ "$output" = 'absent: ERROR (no such process)' ]
	# uWSGI is one of them, and nobody misses a request while it starts again.
	control restart uwsgi
	[ "$(get /x)" = 'of the app: /x' ]
	wait_until "$((PATIENCE + 60))" eval 'logs | grep -q "by cron in /work/code\|by cron in /home/dotcloud/current"'
	echo '[program:x]' >app/code/supervisord.conf
	put_refused 'supervisord.conf: [program:x] command: is missing'
}

@test "enable_newrelic: uWSGI runs under the agent's command, with threads and a single interpreter, and the app is wrapped" {
	app <<-'END'
		import newrelic.agent
		return "%s %s %s" % (newrelic.agent.asked, os.environ["NEW_RELIC_LICENSE_KEY"], sys.prefix)
	END
	# In place of the agent, of which this has what is called here.
	mkdir app/code/newrelic
	touch app/code/newrelic/__init__.py
	cat >app/code/newrelic/agent.py <<-'END'
		asked = 0


		def WSGIApplicationWrapper(app):
		    def wrapper(environ, start_response):
		        global asked
		        asked += 1
		        return app(environ, start_response)
		    return wrapper
	END
	cat >app/code/hook <<-'END'
		python3 -m venv --without-pip ~/env
		printf '%s\n' '#!/bin/sh' '[ "$1" = run-program ] || exit 9' 'shift' \
			'exec env NEW_RELIC_ADMIN_COMMAND=run-program "$@"' >~/env/bin/newrelic-admin
		chmod 755 ~/env/bin/newrelic-admin
	END
	manifest '.config = {enable_newrelic: true, uwsgi_processes: 1} | .environment.NEW_RELIC_LICENSE_KEY = "key"'
	put_refused 'config.enable_newrelic: there is no newrelic in the virtualenv: requirements.txt has to name it'
	manifest '.config = {enable_newrelic: true, uwsgi_processes: 1} | .environment.NEW_RELIC_LICENSE_KEY = "key" |
		.postinstall = "sh ./hook"'
	put
	[ "$(get /)" = '1 key /home/dotcloud/env' ]
	[ "$(get /)" = '2 key /home/dotcloud/env' ]
	run ! grep -q 'Python threads support is disabled\|multiple interpreter mode' <(logs)
}

@test "the image service313 serves the same by Debian 13's nginx and uWSGI" {
	app_of_parts
	corpus
	manifest '.sandbox.image = "service313"'
	put
	[[ $(get /python) == 3.13.* ]]
	[ "$(get /static/site.css)" = 'body {}' ]
	[ "$(get /ENVIRONMENT)" = prod ]
	load_begin
	put
	sandboxctl service restart shop/www >/dev/null
	load_end
	echo 'location /m { rooot /x; }' >app/code/nginx.conf
	put_refused 'nginx: unknown directive "rooot" in nginx.conf:1'
}

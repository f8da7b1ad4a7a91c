#!/usr/bin/env bats
# Requests of clients who lose access while the request is under way, because their project is removed or
# their token revoked.
# shellcheck disable=SC2154 # code and body are set by http
load daemon
load http

# begun PATH TOKEN FILE: sends a request with half of its body, and the rest once there is a FILE; prints
# the answer.
begun() {
	python3 - "$(http_url)" "$@" <<-'END'
		import os, socket, sys, time
		url, path, token, file = sys.argv[1:]
		host, port = url.split("//")[1].split(":")
		s = socket.create_connection((host, int(port)), 60)
		s.sendall(("POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: OAuth %s\r\n"
		           "Content-Type: application/json\r\nContent-Length: 4\r\nConnection: close\r\n\r\n{ "
		           % (path, token)).encode())
		open(file + ".begun", "w")
		while not os.path.exists(file):
		    time.sleep(0.05)
		s.sendall(b" }")
		while part := s.recv(4096):
		    sys.stdout.buffer.write(part)
	END
}

@test "a project goes, or a token, while a request's body comes: the front lives, and refuses it" {
	made=$(sandboxctl project create going --json)
	id=$(jq -r .id <<<"$made")
	front=$(role front)
	begun "/2/projects/$id/tasks" "$(jq -r .token <<<"$made")" go >going &
	a=$!
	made=$(sandboxctl project token create one --json)
	begun "/2/projects/$ONE/tasks" "$(jq -r .token <<<"$made")" go >revoked &
	b=$!
	begun "/2/projects/$ONE/tasks" "$ONE_TOKEN" go2 >other &
	c=$!
	wait_until "$PATIENCE" test -e go.begun -a -e go2.begun
	sandboxctl project rm going
	sandboxctl project token revoke one "$(jq -r .id <<<"$made")"
	touch go go2
	wait "$a" "$b" "$c"
	grep -q '^HTTP/1.1 401' going
	grep -q '^HTTP/1.1 401' revoked
	grep -q '^HTTP/1.1 400' other
	[ "$(role front)" = "$front" ]
}

@test "a log that is being read ends with the token that it is read by, and with no other" {
	code_make talks <<<'import time; print("first", flush=True); time.sleep(600)'
	task=$(queue talks)
	made=$(sandboxctl project token create one --json)
	for token in "$(jq -r .token <<<"$made")" "$ONE_TOKEN"; do
		TOKEN=$token stream "$task" "events.${token:0:8}" --max-time "$PATIENCE"
		echo $! >"pid.${token:0:8}"
	done
	mine=$(jq -r .token <<<"$made")
	wait_until "$PATIENCE" grep -q first "events.${mine:0:8}"
	wait_until "$PATIENCE" grep -q first "events.${ONE_TOKEN:0:8}"
	sandboxctl project token revoke one "$(jq -r .id <<<"$made")"
	wait_until "$PATIENCE" eval "! kill -0 $(cat "pid.${mine:0:8}")"
	kill -0 "$(cat "pid.${ONE_TOKEN:0:8}")"
	http POST "tasks/$task/cancel"
	answered 200
	wait_until "$PATIENCE" eval "! kill -0 $(cat "pid.${ONE_TOKEN:0:8}")"
	grep -q 'event: end' "events.${ONE_TOKEN:0:8}"
	run ! grep -q 'event: end' "events.${mine:0:8}"
}

@test "one project's half-sent bodies leave room for another's" {
	python3 - "$(http_url)" "$ONE" "$ONE_TOKEN" held <<-'END' &
		import os, socket, sys, time
		url, project, token, file = sys.argv[1:]
		host, port = url.split("//")[1].split(":")
		held = []
		for _ in range(10):
		    s = socket.create_connection((host, int(port)), 60)
		    s.sendall(("POST /2/projects/%s/tasks HTTP/1.1\r\nHost: localhost\r\n"
		               "Authorization: OAuth %s\r\nContent-Length: %d\r\n\r\n"
		               % (project, token, 8 << 20)).encode() + b" " * ((8 << 20) - 1))
		    held.append(s)
		open(file, "w")
		while os.path.exists(file):
		    time.sleep(0.05)
	END
	wait_until "$PATIENCE" test -e held
	head -c 6000000 /dev/zero | tr '\0' ' ' >blank
	echo '{}' >>blank
	PROJECT=TWO http POST tasks --data-binary @blank
	answered 400
	http POST tasks --data-binary @blank
	answered 503
	rm held
	wait
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# sandboxctl serve runs as somebody who may open files and reach networks, and answers what workers in
# sandboxes ask it for: a hostile one gets what its bindings name, and nothing else.
# shellcheck disable=SC2154 # run sets status and output

load lib.bash

setup_file() {
	security_setup web
	cd "$BATS_FILE_TMPDIR" || return
	cp "$SECURITY/workers/served.py" evil.py
	printf '%s\n' 'from workers import Response' 'def on_fetch(request, env):' '    return Response("the secret of victim")' >victim.py
	mkdir -p folder/below secret
	echo 'a file' >folder/file
	echo 'not for workers' >secret/file
	ln -s ../secret/file folder/link
	ln -s "$PWD/secret" folder/absolute
	ln -s .. folder/below/up
	ln -s /proc/self/root folder/root
	mkfifo folder/fifo
	cat >config.capnp <<-'END'
		using Workerd = import "/workerd/workerd.capnp";
		const config :Workerd.Config = (
		  services = [
		    (name = "evil", worker = (
		      modules = [(name = "evil.py", pythonModule = embed "evil.py")], compatibilityDate = "2024-01-01",
		      bindings = [(name = "FOLDER", service = "folder"), (name = "KV", kvNamespace = "evils")])),
		    (name = "victim", worker = (
		      modules = [(name = "victim.py", pythonModule = embed "victim.py")], compatibilityDate = "2024-01-01",
		      bindings = [(name = "KV", kvNamespace = "victims"), (name = "SECRET", service = "secret")])),
		    (name = "folder", disk = (path = "folder")),
		    (name = "secret", disk = (path = "secret", writable = true)),
		  ],
		  sockets = [
		    (name = "evil", address = "localhost:0", http = (), service = "evil"),
		    (name = "victim", address = "localhost:0", http = (), service = "victim"),
		  ]
		);
	END
	# On a terminal, whose bytes are in the file `typescript`.
	script -qfec "'$CTL' serve" typescript >/dev/null 3>&- &
	export SERVED=$!
	wait_until "$PATIENCE" file_has typescript 'Ready on ' || fail "$(cat typescript)"
	wait_until "$PATIENCE" file_has typescript '(victim)'
	EVIL=$(sed -n 's/^Ready on \(.*\) (evil).*/\1/p' typescript)
	VICTIM=$(sed -n 's/^Ready on \(.*\) (victim).*/\1/p' typescript)
	export EVIL VICTIM
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return
}

teardown_file() {
	kill "$SERVED" || true
	wait "$SERVED" || true
	daemon_remove
}

get() {
	curl -sS -m "$PATIENCE" "$@"
}

# ask JSON: what the command answers to evil for it.
ask() {
	get -X POST --data-binary "$1" "$EVIL/ask"
}

# fetch BINDING URL [METHOD]
fetch() {
	ask "$(jq -n --arg b "$1" --arg u "$2" --arg m "${3:-GET}" \
		'{binding: $b, method: "fetch", http: {method: $m, url: $u, headers: []}}')"
}

answers() {
	[ "$(curl -s -m 5 -X POST --data-binary '{"binding": "KV", "method": "delete", "key": "k"}' "$EVIL/ask")" = '0 ' ]
}

@test "a worker asks for its own bindings alone" {
	[[ $(ask '{"binding": "KV", "method": "put", "key": "k", "body": "v"}') == '0 ' ]]
	[[ $(ask '{"binding": "KV", "method": "get", "key": "k"}') == '0 v' ]]
	for binding in SECRET victim secret evil internet KV2 ' ' FOLDER/../SECRET; do
		for method in get fetch put; do
			[[ $(ask "{\"binding\": \"$binding\", \"method\": \"$method\", \"key\": \"k\"}") == \
				'AskError: the worker has no such binding' ]]
		done
	done
	[[ $(ask '{"binding": "KV", "method": "get", "key": "k", "namespace": "victims"}') == '0 v' ]]
	[[ $(ask '{"binding": "KV", "method": "drop"}') == 'AskError: '* ]]
	[[ $(ask '{"binding": "FOLDER", "method": "get", "key": "file"}') == 'AskError: '* ]]
}

@test "a folder is read, and nothing beside it" {
	[ "$(fetch FOLDER http://x/file)" = '200 a file' ]
	for path in ../secret/file ..%2fsecret%2ffile %2e%2e/secret/file below/up/../../secret/file link absolute/file \
		root/etc/passwd /etc/passwd '%00' fifo 'file%00'; do
		echo "$path"
		[[ $(fetch FOLDER "http://x/$path") == 404* ]]
	done
	# The control: a link that stays inside.
	[ "$(fetch FOLDER http://x/below/up/file)" = '200 a file' ]
	for method in PUT DELETE; do
		[[ $(fetch FOLDER http://x/file "$method") == 405* ]]
	done
	[ "$(cat folder/file)" = 'a file' ]
	[ "$(cat secret/file)" = 'not for workers' ]
}

@test "fetch() reaches public addresses alone, and speaks HTTP alone" {
	port=${EVIL##*:}
	for host in 127.0.0.1 localhost 0.0.0.0 '[::1]' '[::ffff:127.0.0.1]' '[::]' 127.1 2130706433 10.0.0.1 169.254.169.254 \
		'[fe80::1]' '[fd00::1]' '[64:ff9b::7f00:1]'; do
		echo "$host"
		[[ $(fetch '' "http://$host:$port/") == 'AskError: the address is not one'* ]]
	done
	# The control: the port answers.
	[ "$(get "$VICTIM")" = 'the secret of victim' ]
	for url in file:///etc/passwd "gopher://127.0.0.1:$port/" "ftp://127.0.0.1/" 'dict://127.0.0.1:1/' ''; do
		[[ $(fetch '' "$url") == 'AskError: '* ]]
	done
	for method in 'GET / HTTP/1.1' $'GET\r\nX: y'; do
		[[ $(fetch FOLDER http://x/ "$method") != 200* ]]
		[[ $(fetch '' http://192.0.2.1/ "$method") == 'AskError: the request has no method' ]]
	done
	[[ $(ask '{"binding": "", "method": "fetch", "http": {"method": "GET", "url": "http://192.0.2.1/", "headers": [["A", "b\r\nX: y"]]}}') == \
		'AskError: a header of the request is none' ]]
}

@test "what is no frame, and too many asks, end the worker that sends them, and no other" {
	for what in junk long huge noop many; do
		echo "$what"
		get "$EVIL/$what" || true
		wait_until "$PATIENCE" answers
		[ "$(get "$VICTIM")" = 'the secret of victim' ]
	done
	grep -q 'evil: .*, and is started again' typescript
}

@test "what a worker says reaches the terminal without what a terminal obeys" {
	[ "$(get "$EVIL/say")" = said ]
	wait_until "$PATIENCE" file_has typescript printed
	wait_until "$PATIENCE" file_has typescript ':3: '
	run ! grep -q $'\x1b' typescript
	wait_until "$PATIENCE" answers
}

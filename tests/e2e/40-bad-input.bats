#!/usr/bin/env bats
# Bad input: each error names the field's path, and nothing is created for a refused task.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

# refused WANT [OPTION...]: task.json is refused with these words, and no task is made.
refused() {
	local want=$1

	shift
	run --separate-stderr timeout "$PATIENCE" "$CTL" run python task.json "$@"
	[ ! -f task.json ] || head -c 200 task.json
	echo " -> $status $stderr"
	[ "$status" = 125 ] || return 1
	[ -z "$output" ] || return 1
	[[ $stderr == *"$want"* ]] || return 1
	[ "$(sandboxctl ps --all --json)" = "[]" ]
}

@test "task.json: each error names the field's path" {
	local json want
	while IFS='|' read -r json want; do
		printf '%s' "$json" >task.json
		refused "$want"
	done <<-'EOT'
		|task.json
		{|line 1
		[]|object
		"code"|object
		null|object
		{}|exec, code and entry
		{"code": "1"} x|line 1
		{"code": "1", "code": "2"}|duplicate
		{"code": "1", "exec": "a.py"}|exec
		{"code": 1}|code
		{"code": null}|code
		{"code": ""}|code
		{"code": ["1"]}|code
		{"exec": "/bin/sh"}|exec
		{"exec": "../x.py"}|exec
		{"exec": "a/../../x.py"}|exec
		{"entry": "nofunction"}|entry
		{"entry": "os;x:y"}|entry
		{"code": "1", "colour": "red"}|colour
		{"code": "1", "dir": "/etc"}|dir
		{"code": "1", "dir": "nosuchfolder"}|dir
		{"code": "1", "dir": 3}|dir
		{"code": "1", "package": "../x"}|package
		{"code": "1", "args": "x"}|args
		{"code": "1", "args": [1]}|args[0]
		{"code": "1", "args": ["a", {"b": 1}]}|args[1]
		{"code": "1", "env": ["A=1"]}|env
		{"code": "1", "env": {"A": 1}}|env.A
		{"code": "1", "env": {"A B": "1"}}|env
		{"code": "1", "env": {"": "1"}}|env
		{"code": "1", "env": {"A=B": "1"}}|env
		{"code": "1", "env": {"TASK_ID": "1"}}|env.TASK_ID
		{"code": "1", "policy": "../default"}|policy
		{"code": "1", "policy": ""}|policy
		{"code": "1", "limits": 3}|limits
		{"code": "1", "limits": {"memory": true}}|limits.memory
		{"code": "1", "limits": {"memory": "12X"}}|limits.memory
		{"code": "1", "limits": {"memory": "1K"}}|limits.memory
		{"code": "1", "limits": {"memory": "-1M"}}|limits.memory
		{"code": "1", "limits": {"memory": "99999999999999999999G"}}|limits.memory
		{"code": "1", "limits": {"memory": "900G"}}|limits.memory
		{"code": "1", "limits": {"cpus": 0}}|limits.cpus
		{"code": "1", "limits": {"cpus": "many"}}|limits.cpus
		{"code": "1", "limits": {"pids": 1.5}}|limits.pids
		{"code": "1", "limits": {"pids": -1}}|limits.pids
		{"code": "1", "limits": {"disk": []}}|limits.disk
		{"code": "1", "limits": {"timeout": 0}}|limits.timeout
		{"code": "1", "limits": {"timeout": 1e300}}|limits.timeout
		{"code": "1", "limits": {"speed": 1}}|limits.speed
		{"code": "1", "start": "warm"}|start
		{"code": "1", "start": 1}|start
		{"code": "1", "warm": []}|warm
		{"code": "1", "warm": {"imports": "numpy"}}|warm.imports
		{"code": "1", "warm": {"imports": ["a-b"]}}|warm.imports[0]
		{"code": "1", "warm": {"exports": []}}|warm.exports
		{"code": "1", "priority": 9}|priority
		{"code": "1", "priority": "high"}|priority
		{"code": "1", "label": 3}|label
		{"code": "1", "label": "a\u0007b"}|label
	EOT
}

@test "task.json: what it names lies in its own folder, whatever links say" {
	mkdir -p far/away job/data job/releases/1
	echo 'print("far")' >far/main.py
	echo 'print("near")' >job/releases/1/main.py
	ln -s ../far job/link
	ln -s "$PWD/far" job/absolute
	ln -s ../far/main.py job/script.py
	ln -s releases/1 job/current
	ln -s current/main.py job/near.py
	cd job
	for dir in .. ../far link absolute data/../../far releases/../link link/away; do
		echo '{"code": "print(1)", "dir": "'"$dir"'"}' >task.json
		refused "task.json: dir: $dir leads out of task.json's folder"
	done
	echo '{"exec": "script.py"}' >task.json
	refused "task.json: exec: script.py leads out of task.json's folder"
	# A link that stays inside counts as a folder.
	echo '{"exec": "main.py", "dir": "current"}' >task.json
	[ "$(sandboxctl run python task.json)" = near ]
	echo '{"exec": "near.py"}' >task.json
	[ "$(sandboxctl run python - <task.json)" = near ]
	sandboxctl ps --all --json | jq -r '.[].id' | xargs "$CTL" rm
}

@test "task.json: bytes that are not text" {
	printf '{"code": "\xff"}' >task.json
	refused task.json
	printf '{"code": "a\\u0000b"}' >task.json
	refused task.json
	printf '{"code": "1"}\0' >task.json
	refused task.json
	printf '\xef\xbb\xbf{"code": "1"}' >task.json
	refused task.json
}

@test "task.json: too big, too deep" {
	{ printf '{"code": "'; head -c 6000000 /dev/zero | tr '\0' x; printf '"}'; } >task.json
	refused bytes
	{ printf '{"code": "1", "payload": '; printf '[%.0s' $(seq 5000); printf ']%.0s' $(seq 5000); printf '}'; } >task.json
	refused task.json
	{ printf '{"code": "1", "label": "'; printf 'x%.0s' $(seq 5000); printf '"}'; } >task.json
	refused label
}

@test "task.json: cut short at every byte" {
	local whole='{"code": "print(1)", "limits": {"memory": "64M"}, "args": ["a"]}' n
	for n in $(seq 0 $((${#whole} - 1))); do
		printf '%s' "${whole:0:n}" >task.json
		refused task.json >/dev/null
	done
}

@test "task.json: a folder, a device, a pipe, nothing" {
	mkdir task.json
	refused "regular file"
	rmdir task.json
	ln -s /dev/zero task.json
	refused "regular file"
	rm task.json
	mkfifo task.json
	refused "regular file"
	rm task.json
	run --separate-stderr sandboxctl run python task.json
	[ "$status" = 125 ]
	[[ $stderr == *"task.json: No such file"* ]]
}

@test "options: each error names the option or the field" {
	echo '{"code": "1"}' >task.json
	refused ": --memory: must be" --memory lots
	refused ": --timeout: must be" --timeout soon
	refused ": --timeout: must be" --timeout 1e9
	refused ": --cpus: must be" --cpus -1
	refused ": --pids: must be" --pids 0
	refused ": --start: must be" --start now
	refused ": --policy: " --policy ../x
	# What only the daemon can refuse.
	refused ": --memory: " --memory 900G
	refused nosuch --policy nosuch
	refused payload --payload '{'
	refused payload --payload @/nonexistent
	refused payload --payload @/dev/zero
	refused env.TASK_DIR -e TASK_DIR=x
	refused ": --label: " --label ''
	# Where the option says nothing, task.json counts.
	echo '{"code": "1", "start": "now"}' >task.json
	refused "task.json: start: " --timeout 9
	refused "UTF-8" -- "$(printf 'a\xffb')"
}

@test "an image's name is checked before anything is looked up" {
	for name in '../../etc' '/etc' 'a b' '.' '' 'x/y' "$(printf 'x%.0s' {1..300})"; do
		run --separate-stderr timeout "$PATIENCE" "$CTL" run "$name" --code 1
		echo "'$name': $status $stderr"
		[ "$status" = 125 ]
	done
	[ "$(sandboxctl ps --all --json)" = "[]" ]
}

@test "ids: too short, unknown, or no id at all" {
	for id in abc '../x' 'zzzz' 'ABCD' 0123456789abcdef01234567 0123456789abcdef0123456789 ''; do
		for verb in inspect wait cancel rm logs; do
			run --separate-stderr timeout "$PATIENCE" "$CTL" $verb "$id"
			echo "$verb '$id': $status $stderr"
			[ "$status" = 125 ]
			[ -z "$output" ]
		done
	done
}

@test "control messages that are no messages close their connection and nothing else" {
	[ -x /usr/bin/python3 ] || fail "no Python to send with"
	/usr/bin/python3 - "$SANDBOXD_SOCKET" <<-'EOT'
		import socket, struct, sys
		def send(data):
		    s = socket.socket(socket.AF_UNIX)
		    s.connect(sys.argv[1])
		    try:
		        s.sendall(data)
		        s.shutdown(socket.SHUT_WR)
		        s.settimeout(30)
		        while s.recv(65536):
		            pass
		    except (BrokenPipeError, ConnectionResetError):
		        pass
		    s.close()
		def frame(data):
		    return struct.pack("<I", len(data)) + data
		send(b"")
		send(b"\0")
		send(struct.pack("<I", 0))
		send(struct.pack("<I", 0xffffffff))
		send(struct.pack("<I", 100) + b"{")
		send(frame(b"\0" * 10))
		send(frame(b"[]"))
		send(frame(b"{}"))
		send(frame(b'{"op": 3}'))
		send(frame(b'{"op": "reboot"}'))
		send(frame(b'{"op": "ps", "all": "yes"}'))
		send(frame(b'{"op": "run"}'))
		send(frame(b'{"op": "run", "image": "python", "task": "x"}'))
		send(frame(b'{"op": "inspect", "id": {"a": 1}}'))
		send(b"GET / HTTP/1.1\r\n\r\n")
		send(frame(b"[" * 100000))
	EOT
	sandboxctl version
	[ "$(sandboxctl ps --all --json)" = "[]" ]
}

@test "the daemon works after all of this, and nothing is left" {
	run sandboxctl run python --code 'print("fine")'
	[ "$output" = fine ]
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

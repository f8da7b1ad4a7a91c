#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the machine may refuse the daemon: disk space, inodes, file descriptors. Requests are refused with
# a reason, running tasks go on, and the daemon recovers without a restart.

load lib.bash

setup_file() {
	daemon_make
	mkdir "$WORK/out"
	daemon_stop
	# Small file systems for the folders in which the roles write, so that tests can fill them.
	for folder in front logs packages; do
		small_disk "$STATE/$folder"
	done
	daemon_start
	sandboxctl run python --code 'print(1)' >/dev/null
}

teardown_file() {
	# Lazily, because the daemon still uses them, and daemon_remove wants the daemon to be alive.
	umount -l "$STATE/front" "$STATE/logs" "$STATE/packages"
	daemon_remove
}

# small_disk FOLDER: mounts a disk of 8 MiB there, with the owner, the mode and the files that the folder
# had.
small_disk() {
	local owner mode

	owner=$(stat -c %u:%g "$1") mode=$(stat -c %a "$1")
	mv "$1" "$1.before"
	mkdir "$1"
	mount -t tmpfs -o size=8M,nr_inodes=2000,mode="$mode" small "$1"
	chown "$owner" "$1"
	cp -a "$1.before/." "$1/"
	rm -r "$1.before"
}

fill() {
	dd if=/dev/zero of="$1/ballast" bs=64k 2>/dev/null || true
	dd if=/dev/zero of="$1/ballast2" bs=1 2>/dev/null || true
	refute dd if=/dev/zero of="$1/ballast3" bs=4k count=1 2>/dev/null
}

drain() {
	rm -f "$1"/ballast*
}

works() {
	[ "$(sandboxctl run python --code 'print(6 * 7)' 2>/dev/null)" = 42 ]
}

@test "full disk below the store: run is refused in words, and works again when there is room" {
	fill "$STATE/front"
	run sandboxctl run python --code 'print(1)' --label full-store
	drain "$STATE/front"
	# The request was refused, or it was done and recorded: what is acknowledged is never lost.
	if [ "$status" -ne 0 ]; then
		[ "$status" -eq 125 ]
		[ -n "$output" ]
	fi
	wait_until "$PATIENCE" works
	sandboxctl ps --all >/dev/null
}

@test "full disk below the store while a task runs: its end is recorded when there is room" {
	local id

	id=$(detached python "$GATE"'
print("waiting")
gate()
sys.exit(7)')
	wait_until "$PATIENCE" log_has "$id" waiting
	fill "$STATE/front"
	signal_task "$id" USR1
	wait_until "$PATIENCE" no_cgroup "$id"
	sleep 0.5
	drain "$STATE/front"
	run timeout "$PATIENCE" "$CTL" wait "$id"
	[ "$(inspect "$id" .exit_code)" = 7 ]
}

@test "full disk below the logs: the task goes on, what is lost is counted, and said" {
	local label=full-logs

	fill "$STATE/logs"
	run timeout "$PATIENCE" "$CTL" run python --label "$label" --code '
import sys
for n in range(20000):
    sys.stdout.write("x" * 99 + "\n")
sys.exit(5)'
	drain "$STATE/logs"
	[ "$status" -eq 5 ]
	[ "$(inspect "$(id_of $label)" .log.dropped)" -gt 0 ]
	wait_until "$PATIENCE" works
}

@test "full disk below the packages: refused in words, no half package is used later" {
	mkdir -p "$WORK/package"
	echo 'import data; print(len(data.text))' >"$WORK/package/main.py"
	echo "text = '$(head -c 100000 /dev/zero | tr '\0' x)'" >"$WORK/package/data.py"
	echo '{"exec": "main.py", "dir": "."}' >"$WORK/package/task.json"
	fill "$STATE/packages"
	run sandboxctl run python "$WORK/package/task.json"
	drain "$STATE/packages"
	[ "$status" -eq 125 ]
	[[ $output == *pace* ]] || fail "$output"
	[ "$(sandboxctl run python "$WORK/package/task.json")" = 100000 ]
}

# upload FILE: uploads a zip with a main.py; prints the answer's status.
upload() {
	curl -sS -o "$WORK/out/upload" -w '%{http_code}' -H "Authorization: OAuth $(jq -r .token "$WORK/out/project")" \
		-F "file=@$1" -F 'data={"name":"up","runtime":"python","file_name":"main.py","image":"python"}' \
		"$(http_url)/2/projects/$(jq -r .id "$WORK/out/project")/codes"
}

@test "full disk below the packages while a zip is read, or unpacked: 507, and nothing of it stays" {
	local size before

	sandboxctl project create full --json >"$WORK/out/project"
	echo 'print(1)' >"$WORK/package/main.py"
	before=$(ls -A "$STATE/packages")
	# The zip as it arrives, the zip that is kept, and the file in it: 8 MiB are not enough for one,
	# two, or all three of them.
	for size in 9 5 3; do
		head -c "${size}M" /dev/urandom >"$WORK/package/data"
		(cd "$WORK/package" && rm -f ../up.zip && zip -q0 ../up.zip main.py data)
		[ "$(upload "$WORK/up.zip")" = 507 ] || fail "$size: $(cat "$WORK/out/upload")"
		[[ $(jq -r .msg "$WORK/out/upload") =~ room|space ]] || fail "$size: $(cat "$WORK/out/upload")"
		[ "$(ls -A "$STATE/packages")" = "$before" ]
	done
	head -c 1M /dev/urandom >"$WORK/package/data"
	(cd "$WORK/package" && zip -q0 ../up.zip main.py data)
	[ "$(upload "$WORK/up.zip")" = 200 ] || fail "$(cat "$WORK/out/upload")"
	rm "$WORK/package/data"
}

# queued COUNT: queues so many tasks of the worker up, one after the other. The file queued has the ids
# of those that were acknowledged, the file refused the other answers.
queued() {
	local n answer

	for ((n = 0; n < $1; n++)); do
		answer=$(curl -sS -w '\n%{http_code}' -H "Authorization: OAuth $(jq -r .token "$WORK/out/project")" \
			-d "{\"tasks\":[{\"code_name\":\"up\",\"payload\":\"$(head -c 30000 /dev/zero | tr '\0' x)\"}]}" \
			"$(http_url)/2/projects/$(jq -r .id "$WORK/out/project")/tasks")
		if [ "${answer##*$'\n'}" = 200 ]; then
			jq -r '.tasks[].id' <<<"${answer%$'\n'*}" >>"$WORK/out/queued"
		else
			echo "$answer" >>"$WORK/out/refused"
		fi
	done
}

@test "full disk below the store: the queue refuses with 507 or 503, and keeps what it took" {
	local id

	: >"$WORK/out/queued"
	: >"$WORK/out/refused"
	queued 3
	fill "$STATE/front"
	queued 20
	drain "$STATE/front"
	[ -s "$WORK/out/refused" ] || fail "nothing was refused: $(wc -l <"$WORK/out/queued")"
	refute grep -vxE '50[37]|\{"msg":".*"\}' "$WORK/out/refused"
	queued 3
	[ "$(wc -l <"$WORK/out/queued")" -ge 6 ] || fail "$(cat "$WORK/out/queued")"
	while read -r id; do
		wait_until "$PATIENCE" ended "$id" || fail "$(inspect "$id")"
		[ "$(inspect "$id" .status)" = complete ] || fail "$(inspect "$id")"
	done <"$WORK/out/queued"
}

@test "full disk below the store: a worker's revisions are refused with 507 or 503, or are kept" {
	local n kept=0 refused=0 answer url

	url=$(http_url)/2/projects/$(jq -r .id "$WORK/out/project")/codes
	jq -n --arg config "$(head -c 60000 /dev/zero | tr '\0' x)" \
		'{name: "texts", image: "python", command: "true", config: $config}' >"$WORK/out/texts"
	fill "$STATE/front"
	for ((n = 0; n < 200 && refused < 3; n++)); do
		answer=$(curl -sS -w '\n%{http_code}' -H "Authorization: OAuth $(jq -r .token "$WORK/out/project")" \
			-F "data=<$WORK/out/texts" "$url")
		case ${answer##*$'\n'} in
		200) kept=$((kept + 1)) ;;
		507 | 503) refused=$((refused + 1)) && [[ $answer == *'"msg":"the task store cannot'* ]] ;;
		*) fail "$answer" ;;
		esac
	done
	drain "$STATE/front"
	[ "$refused" = 3 ] || fail "$kept were written"
	# What it remembers is what it has said, and so is what another front finds.
	[ "$(revision_of texts)" = "$kept" ] || fail "$(revision_of texts), not $kept"
	daemon_stop
	daemon_start
	[ "$(revision_of texts)" = "$kept" ] || fail "$(revision_of texts), not $kept"
}

# revision_of WORKER: its newest revision; 0: there is no such worker.
revision_of() {
	curl -sS -H "Authorization: OAuth $(jq -r .token "$WORK/out/project")" \
		"$(http_url)/2/projects/$(jq -r .id "$WORK/out/project")/codes" |
		jq --arg name "$1" '[.codes[] | select(.name == $name) | .rev] | max // 0'
}

# nothing_left: nothing is left of any task (the function clean would see this test's own small disks).
nothing_left() {
	[ -z "$(task_groups)" ] && [ -z "$(find "$RUN/tasks" -mindepth 1)" ]
}

# ended ID
ended() {
	[ "$(inspect "$1" .finished_at)" != null ]
}

@test "no file descriptor left in the roles: tasks wait or are refused in words, and it recovers" {
	local n id ids=()

	daemon_stop
	# Each role gets no more descriptors than this. prlimit(1) on a running role would need
	# CAP_SYS_RESOURCE.
	ulimit -n 130
	daemon_start
	for ((n = 0; n < 40; n++)); do
		if id=$(timeout "$PATIENCE" "$CTL" run --detach python --code "$FOREVER" 2>>"$WORK/out/refused"); then
			ids+=("$id")
		fi
	done
	[ "${#ids[@]}" -gt 0 ]
	# Accepted tasks run, wait, or have failed with a reason; none hangs or is forgotten.
	for id in "${ids[@]}"; do
		[ "$(inspect "$id" .status)" != error ] || [ "$(inspect "$id" .error)" != null ]
		timeout "$PATIENCE" "$CTL" cancel --force "$id" || true
	done
	for id in "${ids[@]}"; do
		wait_until "$PATIENCE" ended "$id" || fail "$(inspect "$id")"
	done
	wait_until "$PATIENCE" works
	wait_until "$PATIENCE" nothing_left || fail "$(left_overs)"
}

#!/usr/bin/env bats
# Background workers in one task, by the images' own atasker: the same program on each Python 3, in each start mode.
# shellcheck disable=SC2154,SC2030,SC2031 # stderr is set by run
load daemon

setup_file() {
	local name

	paths
	FOUND=
	for name in python python39 python313 python314 web iron; do
		! has_image $name || FOUND+=" $name"
	done
	export FOUND
	# shellcheck disable=SC2086 # several names
	WARM=1 daemon_make $FOUND
}

# same DIR WANT: main.py of the folder prints that on each image in each start mode, and nothing on stderr.
same() {
	local name mode

	for name in $FOUND; do
		for mode in $MODES; do
			run --separate-stderr timeout "$PATIENCE" "$CTL" run "$name" --start "$mode" --label "$name-$mode" - \
				<<<"{\"exec\": \"main.py\", \"dir\": \"$1\"}"
			echo "$name $mode: $status; $output; $stderr"
			[ "$status" = 0 ] || return 1
			[ "$output" = "$2" ] || return 1
			[ -z "$stderr" ] || return 1
		done
	done
}

@test "one program with workers of every kind runs on every Python 3" {
	mkdir app
	cp "$E2E/background.py" app/main.py
	same app 'async
co_mp_apply 5
collection
error ZeroDivisionError
event None
interval
plain once
process 2 True
queue 1 True
queue 2 True
queue 3 True
task 4
main is over: True'
}

@test "a project's own atasker comes before the image's" {
	mkdir own
	echo 'OWN = 5' >own/atasker.py
	echo 'import atasker; print(atasker.OWN)' >own/main.py
	same own 5
}

@test "a template that has imported it, with workers defined, is forked" {
	mkdir warm
	cat >warm/jobs.py <<-'EOT'
		from atasker import background_worker
		@background_worker(q=True)
		def f(item, **kwargs):
		    print("item", item)
		    return item != "last"
		f.put("first")
	EOT
	printf 'import jobs\njobs.f.start()\njobs.f.put("last")\n' >warm/main.py
	echo '{"exec": "main.py", "dir": ".", "warm": {"module": "jobs"}}' >warm/task.json
	for name in $FOUND; do
		wait_until "$PATIENCE" forked "$name"
		run --separate-stderr sandboxctl run "$name" warm/task.json --start fork
		echo "$name: $status; $output; $stderr"
		[ "$output" = $'item first\nitem last' ]
		[ -z "$stderr" ]
	done
}

# forked IMAGE: the task of warm/task.json is forked.
forked() {
	sandboxctl run "$1" warm/task.json --label "forked-$1" >/dev/null 2>&1
	[ "$(inspect "$(id_of "forked-$1")" .start.mode)" = fork ]
}

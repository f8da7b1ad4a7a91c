#!/usr/bin/env bats
# What a warm-up may use and for how long, how many there are at a time, and who hears of one
# that has failed.
load daemon

setup_file() {
	daemon_make
	jq '.name = "small" | .limits += {"memory": "64M", "pids": 16}' "$TOP/policies/default.json" \
		>"$WORK/small.json"
	sandboxctl policy install "$WORK/small.json"
}

# app NAME [MEMBER...]: makes a folder with a module of that name, whose source is stdin, and a task that
# does not import it itself; members are added to task.json.
app() {
	local member

	mkdir -p "$1"
	cat >"$1/$1.py"
	jq -n --arg name "$1" '{code: "print(1)", dir: ".", policy: "small", warm: {module: $name}}' >"$1/task.json"
	for member in "${@:2}"; do
		jq ". + {$member}" "$1/task.json" >"$1/new"
		mv "$1/new" "$1/task.json"
	done
}

# told NAME WORDS [OPTION...]: a task of that folder is told in these words why it was started cold.
# Without OPTION it asks for no mode.
told() {
	sandboxctl run python "$1/task.json" --label told "${@:3}" >out 2>err || return 1
	[ "$(cat out)" = 1 ] && grep -qF "warning: cold start: $2" err && [ "$(mode told)" = cold ]
}

# restored NAME: such a task is restored, or forked from a template of the same checkpoint.
restored() {
	sandboxctl run python "$1/task.json" --label restored && [ "$(mode restored)" != cold ]
}

# restored_of PROJECT NAME: the same for a task of another project.
restored_of() {
	sandboxctl run python "$2/task.json" --project "$1" --label "of-$1" && [ "$(mode "of-$1")" != cold ]
}

# log_lines_are WORDS N: this test's part of the daemon's log has the words on so many lines.
log_lines_are() {
	[ "$(tail -n "+$SINCE" "$WORK/log" | grep -cF "$1")" = "$2" ]
}

# bats test_tags=v2
@test "a warm-up has no more memory than the policy gives by default, whatever it allows at most" {
	app big <<<'x = b"x" * (100 << 20)'
	wait_until "$PATIENCE" told big 'warm: the imports took more than 64 MiB of memory'
}

# bats test_tags=v2-all
@test "a task that may use more than the default gives it to its warm-up" {
	app more '"limits": {"memory": "256M"}' <<<'x = b"x" * (100 << 20)'
	wait_until "$PATIENCE" restored more
}

# bats test_tags=v2-all
@test "a task with less than the default does not take it from its warm-up" {
	app less '"limits": {"memory": "32M", "pids": 4}' <<-'EOF'
		import os, signal
		x = b"x" * (40 << 20)
		children = [os.fork() or signal.pause() for _ in range(8)]
		for pid in children:
		    os.kill(pid, 9)
		    os.wait()
		del x
	EOF
	wait_until "$PATIENCE" restored less
}

# bats test_tags=v2-all
@test "a warm-up has no more processes than the policy gives by default" {
	app many <<-'EOF'
		import os, signal
		children = []
		try:
		    for _ in range(30):
		        children.append(os.fork() or signal.pause())
		finally:
		    for pid in children:
		        os.kill(pid, 9)
		        os.wait()
	EOF
	wait_until "$PATIENCE" told many "warm: module 'many' does not import: BlockingIOError"
}

@test "a package's module has no more time than the task" {
	app late '"limits": {"timeout": 1}' <<<'import time; time.sleep(1000)'
	wait_until "$PATIENCE" told late 'warm: the imports took more than 1 s'
}

@test "slow packages leave room for the operator and for other projects, and each has one warm-up" {
	local n

	SINCE=$(($(wc -l <"$WORK/log") + 1))
	for n in {1..5}; do
		app "slow$n" <<<"import time; time.sleep(1000)"
	done
	jq '.warm.imports = ["json"]' slow1/task.json >slow1/list.json
	sandboxctl run python slow1/list.json
	wait_until "$PATIENCE" log_lines_are "of a task's list" 1
	# The same package with another list of modules.
	sandboxctl run python slow1/task.json
	for n in {2..5}; do
		sandboxctl run python "slow$n/task.json"
	done
	wait_until "$PATIENCE" log_lines_are "module slow4;" 1
	sandboxctl image warm python --imports decimal
	log_lines_are "of a task's list" 4
	log_lines_are failed 0
	# An operator sees the warm-ups.
	sandboxctl template ls --json >list
	jq -e 'map(select(.state == "warming")) | length == 4 and all(.[]; .policy == "small" and
		.image == "python" and .memory_bytes > 0) and any(.[]; .warm == ["json", "@module slow1"])' list
	grep -q "warm-up $(jq -r 'map(select(.state == "warming"))[0].id' list).* begins" "$WORK/log"
	# Another project does not wait for any of them, although its module has the same name as one.
	sandboxctl project create neighbour >/dev/null
	mkdir neighbour
	(cd neighbour && app slow1 <<<"x = 1")
	wait_until "$PATIENCE" restored_of neighbour neighbour/slow1
	log_lines_are "of a task's list" 5
	log_lines_are failed 0
	# The warm-ups that are left end with the daemon.
	daemon_stop
	daemon_start
}

@test "who names a module that does not import is told by the next task" {
	local start

	echo '{"code": "print(1)", "warm": {"imports": ["nosuch"]}}' >task.json
	for start in auto restore fork; do
		wait_until "$PATIENCE" told . "warm: module 'nosuch' does not import: ModuleNotFoundError" \
			--start "$start"
	done
	# Other tasks of the image get no warning about it.
	sandboxctl run python --code 'print(1)' 2>err
	[ ! -s err ]
}

@test "a module that leaves a thread is refused, and its task told" {
	app thread <<-'EOF'
		import threading, time
		threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
	EOF
	wait_until "$PATIENCE" told thread 'warm: a module has started a thread'
}

@test "a mended list is another one, and is warmed at once" {
	echo '{"code": "print(1)", "warm": {"imports": ["missing"]}}' >task.json
	wait_until "$PATIENCE" told . "warm: module 'missing'"
	jq '.warm.imports = ["csv"]' task.json >new && mv new task.json
	wait_until "$PATIENCE" restored .
}

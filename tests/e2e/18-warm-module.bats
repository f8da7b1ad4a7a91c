#!/usr/bin/env bats
# bats file_tags=v2-all
# A task's own module, imported before the task is there: once, for all tasks of that folder.
# shellcheck disable=SC2154 # stderr is set by run
load daemon

# app VALUE [LINE...]: makes a folder with a module that prints something when it is imported.
app() {
	mkdir -p app
	cat >app/app.py <<-EOF
		import sys, time
		VALUE, LOADED = "$1", time.time_ns()
		sys.stderr.write("importing\\n")
		${2:-}
		def main():
		    return [VALUE, LOADED]
	EOF
	echo '{"entry": "app:main", "dir": ".", "warm": {"module": "app"'"${3:-}"'}}' >app/task.json
}

# forked: such a task is forked.
forked() {
	sandboxctl run python app/task.json --label forked >forked.out 2>forked.err || return 1
	[ "$(mode forked)" = fork ]
}

@test "a module of the task's own folder is imported once, for all that follow" {
	app one
	run --separate-stderr sandboxctl run python app/task.json --label first
	[ "$status" = 0 ]
	[ "$(mode first)" = cold ]
	[ "$stderr" = importing ]
	wait_until "$PATIENCE" forked
	[ ! -s forked.err ]
	cp forked.out before
	sandboxctl run python app/task.json --start restore --label restored >out 2>err
	[ "$(mode restored)" = restore ]
	[ ! -s err ]
	cmp out before
	[ "$(jq -r '.[0]' out)" = one ]
}

@test "another folder has its own, also under the same name" {
	app one
	sandboxctl run python app/task.json
	wait_until "$PATIENCE" forked
	app two
	sandboxctl run python app/task.json --label other >out
	[ "$(jq -r '.[0]' out)" = two ]
	wait_until "$PATIENCE" forked
	[ "$(jq -r '.[0]' forked.out)" = two ]
}

@test "a module that draws random numbers where that is refused is imported by each task" {
	app three 'import random; random.random()' ', "entropy": "refuse"'
	for label in a b; do
		run --separate-stderr sandboxctl run python app/task.json --label "$label"
		[ "$status" = 0 ]
		[ "$(grep -cx importing <<<"$stderr")" = 1 ]
		# The second task is told why, sooner or later.
		[ "$label" = a ] || [[ $stderr == *"warning: cold start: warm: module 'app' does not import"* ]]
		[ "$(jq -r '.[0]' <<<"$output")" = three ]
		wait_until "$PATIENCE" file_has "$WORK/log" 'random.random() draws what all tasks would share'
	done
	[ "$(mode b)" = cold ]
}

@test "one that draws none may be refused them" {
	app four 'import random' ', "entropy": "refuse"'
	sandboxctl run python app/task.json
	wait_until "$PATIENCE" forked
	[ ! -s forked.err ]
}

@test "a module without a folder is refused by the field's name" {
	run sandboxctl run python - <<<'{"code": "print(1)", "warm": {"module": "app"}}'
	[ "$status" = 125 ]
	[[ $output == *warm.module* ]]
}

@test "one that has code run in each fork: no clone of it waits, and its tasks are forked when they come" {
	app hooks 'import os, threading
def burn():
    while True:
        time.sleep(0.001)
os.register_at_fork(after_in_child=lambda: threading.Thread(target=burn, daemon=True).start())'
	wait_until "$PATIENCE" forked
	wait_until "$PATIENCE" file_has "$WORK/log" 'a clone has started other processes or threads: none of its clones will wait'
	wait_until "$PATIENCE" forked
	none_waits() {
		sandboxctl template ls --json | jq -e '[.[] | select(.warm | tostring | contains("app"))] |
			any(.[]; .state == "ready" and .parked == 0 and .forks > 2)'
	}
	forked
	wait_until "$PATIENCE" none_waits
}

@test "what it reads of the environment is each task's own, in every start mode" {
	app five 'import os; MODE = os.environ.get("MODE", "development")'
	sed -i 's/return.*/return [MODE, os.environ.get("MODE")]/' app/app.py
	sandboxctl run python app/task.json
	wait_until "$PATIENCE" forked
	[ "$(jq -c . forked.out)" = '["development",null]' ]
	for mode in $MODES; do
		run sandboxctl run python app/task.json --start "$mode" --label env -e MODE=production
		[ "$(tail -n 1 <<<"$output" | jq -c .)" = '["production","production"]' ]
		[ "$(mode env)" = "$mode" ]
		# A variable that the module has not read changes nothing.
		run sandboxctl run python app/task.json --start "$mode" -e OTHER=production
		[ "$(tail -n 1 <<<"$output" | jq -c .)" = '["development",null]' ]
	done
}

@test "one that reads what is another in each task is imported by each task, which is told why" {
	app six 'import os; ID = os.environ["TASK_ID"]'
	sed -i 's/return.*/return [ID, os.environ["TASK_ID"]]/' app/app.py
	# The task before may be waiting out a pause for another module of this name, so each task asks
	# again.
	asked() {
		sandboxctl run python app/task.json >/dev/null && file_has "$WORK/log" "$1"
	}
	wait_until "$PATIENCE" asked "module 'app' reads TASK_ID when it is imported"
	run --separate-stderr sandboxctl run python app/task.json --label own
	[ "$(jq -c . <<<"$output")" = "[\"$(id_of own)\",\"$(id_of own)\"]" ]
	[[ $stderr == *"warning: cold start: warm: module 'app' reads TASK_ID when it is imported"* ]]
}

# told WORDS: a task starts cold, its module has read what is the task's own, and a warning has these
# words.
told() {
	sandboxctl run python app/task.json >told.out 2>told.err
	cat told.out >>told.all
	file_has told.err "warning: cold start: warm: $1"
}

@test "one that reads what is its sandbox's has what the task has" {
	app seven 'import os, platform, resource'
	cat >>app/app.py <<-'EOF'
		def around():
		    return [platform.node(), os.getuid(), os.getgroups(), resource.getrlimit(resource.RLIMIT_NOFILE),
		            open("/etc/hosts").read(), os.listdir("/run")]
		READ = around()
		def main():
		    return READ == around()
	EOF
	wait_until "$PATIENCE" told "module 'app' reads /run when it is imported"
	[ "$(sort -u told.all)" = true ]
}

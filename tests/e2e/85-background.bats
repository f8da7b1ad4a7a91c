#!/usr/bin/env bats
# Background workers that the node keeps at work: from a file to workers of every kind, their durable queues, and what
# becomes of both when something ends that should not.
# shellcheck disable=SC2154,SC2016 # run sets status, output and stderr; texts are evaluated later
load lib

setup_file() {
	local name each

	paths
	FOUND=
	for name in python python39 python313 python314; do
		! has_image $name || FOUND+=" $name"
	done
	export FOUND EDGE=127.0.0.1:0
	# shellcheck disable=SC2086 # several names
	daemon_make $FOUND
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	mkdir app
	cp "$E2E/background_workers.py" app/jobs.py
}

teardown() {
	end_background
	local each

	for each in $(sandboxctl background ls --json | jq -r '.[].name'); do
		sandboxctl background rm "$each" || true
	done
	wait_until "$PATIENCE" nothing_runs
}

teardown_file() {
	daemon_remove
}

# up WORKERS [JQ]: workers of app/jobs.py, as JSON.
up() {
	jq -n "{kind: \"background\", dir: \"app\", module: \"jobs\", workers: $1} | ${2:-.}" >b.json
	sandboxctl background up b.json 2>progress || fail "$(cat progress; sandboxctl background logs "$(jq -r '.workers[0]' b.json)")"
}

# of NAME JQ: of what the node says of the worker.
of() {
	sandboxctl background ls --json | jq -r ".[] | select(.name == \"$1\") | $2"
}

is() {
	[ "$(of "$1" "$2")" = "$3" ]
}

# becomes NAME JQ VALUE
becomes() {
	wait_until "$PATIENCE" is "$1" "$2" "$3" || fail "$1 has $2 $(of "$1" "$2"), not $3: $(sandboxctl background logs "$1")"
}

# says NAME TEXT: it has printed a line that has it; so many times, where a number follows.
says() {
	[ "$(sandboxctl background logs "$1" | grep -cF -- "$2")" -ge "${3:-1}" ]
}

hears() {
	wait_until "$PATIENCE" says "$@" || fail "$(sandboxctl background logs "$1")"
}

# let_go: what waits in an executor goes on.
let_go() {
	local each

	for each in "$STATE"/data/*/; do
		touch "${each}go"
	done
}

# put_one NAME: puts an item, and prints its id: items have them in the order in which they were stored.
put_one() {
	sandboxctl background put "$1" 0 --json | jq '.ids[0]'
}

# end WHAT: kills a role, the worker's process, or the process of its replica that keeps it.
end() {
	local pid

	case $1 in
	process | replica)
		pid=$(pgrep -f _sandboxd_service/background.py | head -n 1) && [ -n "$pid" ] || return 1
		[ "$1" = process ] || pid=$(ps -o ppid= -p "$pid")
		# shellcheck disable=SC2086 # a word with blanks before it
		kill -KILL $pid 2>/dev/null
		;;
	*) role_kill "$1" ;;
	esac
}

@test "an item that is put from outside is executed, acknowledged and gone" {
	up '["square"]'
	sandboxctl background put square 3 '"text"' '{"a": [1, null]}' null
	becomes square .done 4
	is square '.ready + .held + .later + .dead' 0
	hears square "square of 3"
	hears square "square of 'text'"
	hears square "square of {'a': [1, None]}"
	hears square 'square of None'
}

@test "workers of all five kinds are at work on each Python, from one file" {
	local name each

	for name in $FOUND; do
		up '["plain", "coroutine", "square", "async_square", "event", "fast", "pooled"]' ".image = \"$name\""
		sandboxctl background put square 3
		sandboxctl background put async_square 4
		sandboxctl background put pooled 21
		sandboxctl background trigger event
		hears plain 'plain is called'
		hears coroutine 'coroutine is called'
		hears square 'square of 3'
		hears async_square 'async square of 4'
		hears event 'event ends, number 1'
		hears fast 'fast is called'
		hears pooled 'pooled 42'
		becomes pooled .done 1
		becomes event .triggered false
		[ "$(sandboxctl background ls --json | jq -r '[.[] | .name + " " + .kind + " " + .state] | sort | join(", ")')" = \
			"async_square queue up, coroutine async up, event event up, fast interval up, plain plain up, pooled queue up, square queue up" ]
		for each in plain coroutine square async_square event fast pooled; do
			sandboxctl background rm $each
		done
		wait_until "$PATIENCE" nothing_runs
	done
}

@test "one that raises is tried again with the attempt's number, and is a dead letter at last" {
	up '["picky"]' '.attempts = 3 | .backoff_s = 0'
	sandboxctl background put picky '"bad"'
	becomes picky .dead 1
	becomes picky .failed 3
	for n in 1 2 3; do
		says picky "picky of 'bad', attempt $n"
	done
	says picky "on_error: 'bad' is not liked" 3
	[ "$(sandboxctl background dead picky --json | jq -c '.[0] | [.item, .failures, .error]')" = \
		'["bad",3,"RuntimeError: '\''bad'\'' is not liked"]' ]
	[[ $(sandboxctl background dead picky) == *"RuntimeError: 'bad' is not liked"* ]]
	sandboxctl background retry picky "$(sandboxctl background dead picky --json | jq '.[0].id')"
	becomes picky .failed 6
	becomes picky .dead 1
	run sandboxctl background retry picky 99999
	[ "$status" != 0 ]
	[[ $output == *"there is no such dead letter"* ]]
	sandboxctl background dead picky --rm all
	is picky .dead 0
	is picky .bytes 0
}

@test "an executor that takes the process with it is tried again, and the items behind it are not blamed" {
	up '["picky"]' '.attempts = 2 | .backoff_s = 0'
	sandboxctl background put picky '"exit"' '"once"'
	becomes picky .dead 1
	becomes picky .done 1
	[ "$(sandboxctl background dead picky --json | jq -c '.[0] | [.item, .failures]')" = '["exit",2]' ]
	[[ $(sandboxctl background dead picky) == *"the worker's process has ended"* ]]
	is picky .state up
}

@test "an executor that never ends is ended at its limit, and the item is a dead letter" {
	up '["picky"]' '.attempts = 1 | .limit_s = 1'
	sandboxctl background put picky '"hang"'
	becomes picky .dead 1
	[[ $(sandboxctl background dead picky) == *"its executor took longer than limit_s, 1 s"* ]]
	sandboxctl background put picky '"hang"'
	becomes picky .dead 2
}

@test "an attempt that failed waits for its backoff" {
	up '["picky"]' '.attempts = 3 | .backoff_s = 600'
	sandboxctl background put picky '"bad"'
	becomes picky .later 1
	is picky .failed 1
	is picky .ready 0
}

@test "False acknowledges and keeps the worker stopped; put and trigger wait for its start" {
	up '["picky"]' '.attempts = 1'
	sandboxctl background put picky '"stop"'
	becomes picky .state stopped
	is picky .done 1
	wait_until "$PATIENCE" nothing_runs
	sandboxctl background put picky '"bad"'
	is picky .ready 1
	daemon_stop
	daemon_start
	is picky .state stopped
	is picky .ready 1
	sandboxctl background start picky
	becomes picky .dead 1
}

@test "a static executor's item is acknowledged after process_result, whose False stops the worker" {
	up '["pooled"]' '.attempts = 1'
	sandboxctl background put pooled '"raise"' '"enough"'
	becomes pooled .state stopped
	is pooled .dead 1
	is pooled .done 1
	[[ $(sandboxctl background dead pooled) == *"ValueError: of the pool's"* ]]
}

@test "stop ends a worker when its call has ended, and nothing it has fetched is lost" {
	up '["slow"]'
	sandboxctl background put slow 1 2 3
	hears slow 'slow of 1 begins'
	sandboxctl background stop slow
	is slow .state stopped
	let_go
	wait_until "$PATIENCE" nothing_runs
	says slow 'slow of 1 ends'
	is slow .done 1
	is slow .ready 2
	is slow .failed 0
	sandboxctl background start slow
	becomes slow .done 3
}

@test "several instances share what waits" {
	up '["slow"]' '.instances = 2'
	wait_until "$PATIENCE" is slow .working 2
	sandboxctl background put slow 1 2
	hears slow 'slow of 1 begins'
	hears slow 'slow of 2 begins'
	let_go
	becomes slow .done 2
}

@test "triggers from outside are kept while the worker runs, and are one more run" {
	up '["event"]'
	sandboxctl background trigger event
	hears event 'event begins'
	for _ in 1 2 3; do sandboxctl background trigger event; done
	hears event 'event ends, number 2'
	becomes event .triggered false
	run says event "number 3"
	[ "$status" != 0 ]
	sandboxctl background stop event
	sandboxctl background trigger event
	is event .triggered true
	sandboxctl background start event
	hears event 'event ends, number 3'
	up '["square"]'
	run sandboxctl background trigger square
	[[ $output == *"event and interval workers are triggered"* ]]
}

@test "an interval keeps its grid over a restart, drops what it has missed, and says that it is late" {
	local first last

	up '["tick"]'
	hears tick 'tick at' 2
	sandboxctl background stop tick
	wait_until "$PATIENCE" nothing_runs
	# More than one tick is missed.
	sleep 4
	sandboxctl background start tick
	hears tick 'are dropped'
	hears tick 'tick at' 5
	sandboxctl background logs tick
	# Before and after, on time: a whole number of intervals apart, to a fifth of one.
	first=$(sandboxctl background logs tick | sed -n 's/.*tick at //p' | sed -n 2p)
	last=$(sandboxctl background logs tick | sed -n 's/.*tick at //p' | sed -n 5p)
	jq -ne "(($last - $first) / 1.5) | (. - round) | . > -0.2 and . < 0.2"
}

@test "a PriorityQueue's worker takes by priority across what waits, and gives back what it has fetched" {
	up '["ranked"]'
	sandboxctl background put ranked '[0, "wait"]'
	hears ranked "ranked [0, 'wait']"
	sandboxctl background put ranked '[5, "a"]' '[3, "b"]' '[5, "c"]'
	# More than it fetches ahead.
	seq 1 400 | sed 's/.*/[7, &]/' | sandboxctl background put ranked --lines -
	sandboxctl background put ranked '[1, "first"]' '[-2.5, "very first"]' 1.5
	let_go
	becomes ranked .done 407
	[ "$(sandboxctl background logs ranked | sed -n 's/.*ranked //p' | head -n 9 | tr '\n' ' ')" = \
		"[0, 'wait'] [-2.5, 'very first'] [1, 'first'] 1.5 [3, 'b'] [5, 'a'] [5, 'c'] [7, 1] [7, 2] " ]
	[ "$(sandboxctl background logs ranked | tail -n 1 | sed 's/.*ranked //')" = '[7, 400]' ]
}

@test "items of its own process are pickled; what cannot be stays there, with a warning" {
	up '["feeds"]'
	sandboxctl background put feeds '"self"'
	hears feeds "feeds of 'Point'"
	becomes feeds .done 2
	sandboxctl background put feeds '"lock"'
	hears feeds "feeds of 'lock'"
	says feeds 'an item cannot be pickled, and stays in this process'
	becomes feeds .done 3
}

@test "a worker feeds and triggers others, which have sandboxes of their own" {
	up '["feeds", "square", "event"]'
	sandboxctl background put feeds '"square"' '"event"'
	hears square 'square of Point(8)'
	hears event 'event ends, number 1'
	[ "$(sandboxctl ps --quiet | wc -l)" = 3 ]
}

@test "a worker that its module starts itself is not started twice, and not in the sandboxes of others" {
	up '["own_start", "square"]'
	sandboxctl background put own_start 1
	sandboxctl background put square 2
	hears own_start 'own start of 1'
	hears square 'square of 2'
	becomes own_start .done 1
	[ "$(sandboxctl background logs own_start | grep -c 'own start')" = 1 ]
}

@test "another version takes the place of one at work, and its queue goes on" {
	up '["square"]'
	sandboxctl background put square 1
	becomes square .done 1
	sed -i 's/"square of/"second square of/' app/jobs.py
	sandboxctl background up b.json
	is square .revision r2
	sandboxctl background put square 2
	hears square 'second square of 2'
	becomes square .done 2
	sandboxctl background restart square
	sandboxctl background put square 3
	becomes square .done 3
}

@test "a module that cannot be imported is told at once, and the old version goes on" {
	up '["square"]'
	echo 'raise RuntimeError("not today")' >>app/jobs.py
	run sandboxctl background up b.json
	[ "$status" != 0 ]
	[[ $output == *"RuntimeError: not today"* ]]
	sandboxctl background put square 2
	becomes square .done 1
	cp "$E2E/background_workers.py" app/jobs.py
	jq '.workers = ["DATA"]' b.json | jq '.workers = [{"worker": "DATA", "name": "text"}]' >c.json
	run sandboxctl background up c.json
	[[ $output == *"jobs.DATA is no background worker"* ]]
}

@test "a file that is wrong is told by its field" {
	local each

	while IFS='|' read -r change want; do
		jq -n '{kind: "background", dir: "app", module: "jobs", workers: ["square"]} | '"$change" >b.json
		run sandboxctl background up b.json
		[ "$status" = 125 ]
		[[ $output == *"$want"* ]] || fail "$change: $output"
	done <<-'END'
		.kind = "service"|kind: is no word
		.workers = []|workers: must name at least one
		.workers = ["A"]|workers[0]: needs a name of its own
		.workers = ["a", "a"]|workers[1]: is there twice
		.workers = ["1"]|workers[0]: must be a name in the module
		del(.module)|module
		.restart = "never"|restart
		.attempts = 0|attempts
		.instances = 1.5|instances
		.more = 1|more
	END
	run sandboxctl background put nobody 1
	[[ $output == *"there is no background worker nobody"* ]]
	run sandboxctl background put nobody '{'
	[[ $output == *"it must be JSON"* ]]
}

@test "the project's quota bounds what waits" {
	sandboxctl project create small --quota background_items=3 >/dev/null
	jq -n '{kind: "background", dir: "app", module: "jobs", workers: ["square"]}' >b.json
	sandboxctl background up b.json --project small
	sandboxctl background stop square --project small
	sandboxctl background put square 1 2 3 --project small
	run sandboxctl background put square 4 --project small
	[ "$status" != 0 ]
	[[ $output == *'"background_items" is 3'* ]]
	sandboxctl background start square --project small
	sandboxctl project rm small --force
}

@test "kill -9 of the worker's process, of what keeps it and of roles: nothing is lost, nothing acknowledged twice" {
	local ends=(process front replica process monitor logger process front all process) seed=${KILLS_SEED:-$RANDOM}
	local n=0 kills=${KILLS:-$(count 10 1000)} known=0 all

	up '["writes"]' '.attempts = 1000 | .backoff_s = 0'
	echo "# KILLS_SEED=$seed" >&3
	RANDOM=$seed
	known=$(put_one writes)
	: >put
	while [ "$n" -lt "$kills" ]; do
		seq $((n * 100 + 1)) $((n * 100 + 100)) >lines
		sandboxctl background put writes --lines lines >/dev/null 2>&1 && cat lines >>put &
		sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
		if end "${ends[n % ${#ends[@]}]}"; then
			n=$((n + 1))
		fi
		wait $! || true
		wait_until "$PATIENCE" sandboxctl version >/dev/null
		# Ten ends of replicas within half a minute are too many.
		if is writes .state failed; then sandboxctl background restart writes || true; fi
	done
	all=$(($(put_one writes) - known + 1))
	# A replica that was ended often waits before it is started again.
	wait_until $((2 * PATIENCE)) is writes '.ready + .held + .later' 0
	[ -s put ]
	sort -u put >want
	cat "$STATE"/data/*/had | sort -u >had
	[ -z "$(comm -23 want had)" ] || fail "lost: $(comm -23 want had | tr '\n' ' ')"
	# So many were ever stored, and so many were acknowledged.
	echo "# $n ends, $(wc -l <want) items put, $all stored, $(of writes .done) acknowledged, $(cat "$STATE"/data/*/had | wc -l) calls" >&3
	is writes .done "$all"
	is writes .dead 0
}

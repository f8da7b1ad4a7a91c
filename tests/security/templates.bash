# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # status, output and stderr are set by run
# Templates that a module of their image has made hostile, and what must hold with all of them:
# their tasks end with the right result, in another start mode if need be, and the neighbours' tasks
# are forked.

# The daemon, the image evil, and a template of a neighbour.
setup_file() {
	security_setup
	evil_image
	cp "$SECURITY"/bombs/hold.py "$SECURITY"/probes/{probe,init}.py "$EVIL/rootfs/usr/lib/python3/dist-packages/"
	# Under this policy each clone is made only when its task has come.
	jq '.name = "unparked" | .fork = {"parked": 0}' "$TOP/policies/default.json" >"$WORK/unparked.json"
	"$CTL" policy install "$WORK/unparked.json" >/dev/null
	"$CTL" image warm python >/dev/null
	forks python
	role monitor >"$WORK/monitor"
	(nothing_of evil && fds) >"$WORK/fds"
}

# evil SOURCE [OPTION...]: makes a module, and a checkpoint that has it. hold.py says what the
# module may call; only once it is parked does the module do its worst.
evil() {
	MODULE=evil_${BATS_TEST_NUMBER}_$((++MODULES))
	printf 'if open("/proc/self/cmdline").read().endswith("park\\0"):\n    from hold import *\n%s\n' \
		"    ${1//$'\n'/$'\n    '}" >"$EVIL/rootfs/usr/lib/python3/dist-packages/$MODULE.py"
	"$CTL" image warm evil --imports "$MODULE" "${@:2}" >"$WORK/out/warm" 2>&1
}

# run_evil CODE [OPTION...]: runs a task that is to be forked; its output is in $output and its
# status in $status.
run_evil() {
	jq -n --arg code "$1" --arg name "$MODULE" \
		'{code: $code, warm: {imports: [$name]}, start: "fork"}' >"$WORK/out/task.json"
	run --separate-stderr timeout "$PATIENCE" "$CTL" run evil "$WORK/out/task.json" \
		--label "$MODULE" --timeout 20 "${@:2}"
}

# its_template FILTER: what a jq filter says of this test's template.
its_template() {
	"$CTL" --json template ls | jq -e --arg m "$MODULE" "[.[] | select(.warm == [\$m])] | $1"
}

# settled: the template is ready, or it was refused and the log says why.
settled() {
	its_template 'any(.[]; .state == "ready")' || grep -q "$REASON" <(new_log)
}

new_log() {
	tail -n "+$LOGGED" "$WORK/log"
}

# right MODE: tasks of this template have the right result, and are started in this mode; "other":
# in any but fork; "any": in any.
right() {
	local mode n

	for n in 1 2 3 4 5 6; do
		run_evil 'print(6 * 7)' "${@:2}"
		[ "$status $output" = "0 42" ] || fail "task $n: status $status, $output, $stderr, $(new_log)"
	done
	mode=$(field "$MODULE" .start.mode)
	[ "$1" != other ] || [ "$mode" = fork ] || return 0
	[ "$1" = any ] || [ "$mode" = "$1" ] || fail "$(modes_of "$MODULE") instead of $1: $(new_log)"
}

# unharmed: the neighbour's tasks are forked, the monitor lives, and nothing is left of this
# template when it is retired.
unharmed() {
	# The neighbour's checkpoint may have been dropped, when this test's was the 65th.
	forks python
	[ "$(role monitor)" = "$(cat "$WORK/monitor")" ]
	wait_until "$PATIENCE" nothing_of evil || fail "$("$CTL" template ls; left_overs)"
	fds_at_most $(($(cat "$WORK/fds") + 3)) || fail "$(cat "$WORK/fds") fds have become $(fds)"
}

# nothing_of IMAGE: no template and no process of the image is left.
nothing_of() {
	local id

	for id in $("$CTL" --json template ls | jq -r --arg i "$1" '.[] | select(.image == $i) | .id'); do
		"$CTL" template retire "$id" >/dev/null
	done
	clean && [ "$("$CTL" --json template ls | jq --arg i "$1" '[.[] | select(.image == $i)] | length')" = 0 ] &&
		[ "$(find /sys/fs/cgroup -type d -path "*/$GROUP/template-*" -printf '%f\n' | sort -u | wc -l)" = \
			"$("$CTL" --json template ls | jq length)" ]
}

# holds MODE SOURCE [REASON]: makes a template whose module does SOURCE, and looks at its tasks.
# With a reason, the template must be refused for it.
holds() {
	REASON=${3:-the template is held}
	LOGGED=$(($(wc -l <"$WORK/log") + 1))
	evil "$2" || fail "$(cat "$WORK/out/warm")"
	wait_until "$PATIENCE" settled || fail "neither held nor refused: $(new_log)"
	echo "$2: $(new_log)"
	right "$1"
	[ -z "${3:-}" ] || grep -q "$3" <(new_log) || fail "no word of $3: $(new_log)"
	unharmed
}

# never_warm SOURCE REASON [OPTION...]: no checkpoint may be made, for this reason; the image's
# tasks start cold.
never_warm() {
	LOGGED=$(($(wc -l <"$WORK/log") + 1))
	refute evil "$1" "${@:3}"
	grep -q "$2" "$WORK/out/warm" || fail "$(cat "$WORK/out/warm")"
	right cold "${@:3}"
	unharmed
}

# harmless SOURCE: a checkpoint and a template may or may not be made; tasks must end well either
# way.
harmless() {
	LOGGED=$(($(wc -l <"$WORK/log") + 1)) REASON=template
	! evil "$1" || wait_until "$PATIENCE" settled || fail "neither held nor refused: $(new_log)"
	right any
	unharmed
}

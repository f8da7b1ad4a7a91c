#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 of every process that takes part in a fork, at random moments: the template, its keeper, the
# process that clones, the init, the builder, the clone. A task ends with the right result or with a
# reason, the monitor lives, nothing is left behind, and later tasks are forked again.
#
#   KILLS       how many clones; a sixth as many templates, for which the daemon takes its time
#   KILLS_SEED  of the random moments (printed)

load lib.bash

KILLS=${KILLS:-$(count 18 1000)}
KILLS_SEED=${KILLS_SEED:-$$}

setup_file() {
	security_setup
	jq '.name = "unparked" | .fork = {"parked": 0}' "$TOP/policies/default.json" >"$WORK/unparked.json"
	"$CTL" policy install "$WORK/unparked.json" >/dev/null
	"$CTL" image warm python >/dev/null
	"$CTL" image warm python --policy unparked >/dev/null
	role monitor >"$WORK/monitor"
}

# killed WHAT POLICY COUNT: runs tasks of this policy while killer.py kills; judges each of them.
killed() {
	local killer n=0 right=0

	forks python --policy "$2"
	"$SECURITY/killer.py" "$(cat "$WORK/monitor")" "$1" "$3" "$KILLS_SEED" >"$WORK/out/killer" 3>&- 4>&- &
	killer=$!
	while kill -0 "$killer" 2>/dev/null; do
		n=$((n + 1))
		run --separate-stderr timeout "$PATIENCE" "$CTL" run python --policy "$2" --start fork \
			--label "killed-$1" --code 'print(6 * 7)'
		if [ "$status" = 0 ]; then
			[ "$output" = 42 ] || fail "task $n: $output"
			right=$((right + 1))
		else
			# The kernel's message, or the daemon's.
			[[ ($status == 137 || $status == 125) && -n $stderr ]] || fail "task $n: $status: $stderr"
		fi
	done
	wait "$killer"
	echo "# KILLS_SEED=$KILLS_SEED $1: $(tail -n 1 "$WORK/out/killer"); $n tasks, $right right" >&3
	[ "$right" -gt 0 ]
	[ "$(role monitor)" = "$(cat "$WORK/monitor")" ]
	forks python --policy "$2"
	retire_all
}

@test "the template, held" {
	killed template default $((KILLS / 6))
}

@test "the keeper, with all that came out of it" {
	killed keeper default $((KILLS / 6))
}

@test "what is parked: inits and clones" {
	killed parked default "$KILLS"
}

@test "whatever is there for a moment while a clone is made" {
	killed making unparked $((KILLS / 3))
}

#!/usr/bin/env bats
# bats file_tags=v2-all
# SPDX-License-Identifier: Apache-2.0
# The probes of ./probes in every start mode under every policy. Each result is judged by what it must be
# inside a sandbox. What the probe gets where nothing confines it is the positive control. And the start
# modes must not differ.

load lib.bash

setup_file() {
	local policy

	security_setup
	cp -r "$SECURITY/probes" "$WORK/probes"
	hostname >"$WORK/probes/hostname"
	for policy in $SECURITY_POLICIES; do
		warm python --policy "$policy"
	done
}

# in_sandboxes SCRIPT: runs a probe in every mode under every policy, and judges all results.
in_sandboxes() {
	local script=$1 policy mode label out files bad=0

	task "$WORK/probes" "$script.py"
	for policy in $SECURITY_POLICIES; do
		files=()
		for mode in $SECURITY_MODES; do
			label=$script-$policy-$mode out=$WORK/out/$script-$policy-$mode
			"$CTL" run python "$WORK/probes/task.json" --policy "$policy" --start "$mode" \
				--label "$label" -- "policy=$policy" >"$out" 2>"$out.err" ||
				fail "$label: exit status $?: $(cat "$out.err")"
			[ "$(modes_of "$label")" = "$mode" ] ||
				fail "$label was started as $(modes_of "$label"): $(cat "$out.err")"
			echo "-- $label"
			"$SECURITY/judge.py" sandbox "$out" || bad=1
			files+=("$out")
		done
		"$SECURITY/judge.py" same "${files[@]}" || bad=1
	done
	[ "$bad" = 0 ]
}

in_the_open() {
	"$SECURITY/control" "$(rootfs python)" "$WORK/probes" "$1.py" policy=default \
		>"$WORK/out/$1-control"
	"$SECURITY/judge.py" control "$WORK/out/$1-control"
}

@test "control: denied system calls reach the kernel outside" {
	in_the_open syscalls
}

@test "control: socket families are there outside" {
	in_the_open sockets
}

@test "control: privileges are held outside" {
	in_the_open identity
}

@test "control: files open for writing and paths lead out outside" {
	in_the_open files
}

@test "control: processes can be signalled outside" {
	in_the_open processes
}

@test "control: what is asked of the init is done outside" {
	in_the_open init
}

@test "system calls: refused before the kernel looks, in each mode and policy" {
	in_sandboxes syscalls
}

@test "sockets: the policy's families and no others" {
	in_sandboxes sockets
}

# bats test_tags=v2
@test "identity: no capability, no group, no fd, no name of the daemon" {
	in_sandboxes identity
}

@test "files: no way out, nothing of the kernel's writable, the exact /dev" {
	in_sandboxes files
}

@test "processes: the own tree only" {
	in_sandboxes processes
}

@test "the init: out of reach" {
	in_sandboxes init
}

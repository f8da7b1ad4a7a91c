#!/usr/bin/env bats
# sandboxctl by itself: words, exit statuses, and what it says where no daemon answers.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load lib

setup_file() {
	paths
	export SANDBOXD_SOCKET=$BATS_FILE_TMPDIR/none.sock SANDBOXD_STATE=$BATS_FILE_TMPDIR/state
}

@test "help names every verb, and each verb has help of its own" {
	run --separate-stderr sandboxctl help
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	for verb in run logs ps inspect wait cancel rm image policy deploy dev serve tail secret kv service scale background url open upload install queue schedule update retry \
		log status cancel-task cancel-schedule cancel-all rm-worker info pause resume webhook stacks workers tasks dead-letters schedules \
		doctor version; do
		grep -q "^  $verb " <<<"$output"
		run --separate-stderr sandboxctl help "$verb"
		[ "$status" = 0 ]
		[[ $output == *"sandboxctl $verb"* ]]
		[ "$(sandboxctl "$verb" --help)" = "$output" ]
		run --separate-stderr sandboxctl help
	done
	# IronWorker's words for two of them.
	for verb in rm-code codes; do
		! grep -q "^  $verb " <<<"$output"
		[ "$(sandboxctl help "$verb")" = "$(sandboxctl help "${verb/code/worker}")" ]
	done
}

@test "--version says this command's version without a daemon" {
	run sandboxctl --version
	[ "$status" = 0 ]
	[ "$output" = "sandboxctl $(cat "$TOP/VERSION")" ]
}

@test "version exits 0 only when the daemon answers" {
	run --separate-stderr sandboxctl version
	[ "$status" = 125 ]
	[[ $output == "sandboxctl "* ]]
	[[ $stderr == *"no daemon answers at $SANDBOXD_SOCKET"* ]]
	run --separate-stderr sandboxctl version --json
	[ "$status" = 125 ]
	[ "$(jq .sandboxd <<<"$output")" = null ]
}

@test "ps, inspect, logs, wait, cancel and rm are 125 without a daemon, and name the socket" {
	for words in ps "inspect abcd" "logs abcd" "logs -f abcd" "wait abcd" "cancel abcd" "rm abcd"; do
		# shellcheck disable=SC2086 # several words
		run --separate-stderr sandboxctl $words
		[ "$status" = 125 ]
		[ -z "$output" ]
		[[ $stderr == *"$SANDBOXD_SOCKET"* ]]
	done
}

@test "run is 125 without a daemon, with nothing on stdout" {
	run --separate-stderr sandboxctl run python --code 'print(1)'
	[ "$status" = 125 ]
	[ -z "$output" ]
	[[ $stderr == *"no daemon answers"* ]]
}

@test "doctor reports each thing on a line, and fails when the daemon does not answer" {
	run --separate-stderr sandboxctl doctor
	[ "$status" = 1 ]
	for name in kernel "system calls" namespaces cgroups seccomp overlayfs "loop devices" network criu users daemon; do
		grep -qE "^(OK|WARN|FAIL) +$name " <<<"$output"
	done
	grep -qE '^FAIL +daemon' <<<"$output"
	run --separate-stderr sandboxctl doctor --json
	[ "$status" = 1 ]
	[ "$(jq .ok <<<"$output")" = false ]
	[ "$(jq -r '.checks[] | select(.name == "cgroups") | .level' <<<"$output")" = OK ]
	[ "$(jq -r '.checks[] | select(.name == "daemon") | .todo' <<<"$output")" != null ]
}

@test "doctor fails where there is no image or no policy, for no task can run there" {
	local -x SANDBOXD_STATE=$BATS_TEST_TMPDIR/state
	local name

	mkdir "$SANDBOXD_STATE"
	run sandboxctl doctor
	[ "$status" = 1 ]
	for name in images policies; do
		grep -qE "^FAIL +$name +none: no task can run" <<<"$output" || fail "$output"
		grep -qE -- '-> as root: sandboxctl (image build|policy install)' <<<"$output" || fail "$output"
	done
	sandboxctl policy install --defaults >/dev/null
	mkdir -p "$SANDBOXD_STATE/images/by-name"
	ln -s ../0 "$SANDBOXD_STATE/images/by-name/some"
	run sandboxctl doctor
	grep -qE '^OK +images +1: some' <<<"$output" || fail "$output"
	grep -qE '^OK +policies +4: ' <<<"$output" || fail "$output"
	# Who may not look is told that, and not that there is none.
	chmod 700 "$SANDBOXD_STATE/images" "$SANDBOXD_STATE/policies"
	run setpriv --reuid=65534 --regid=65534 --clear-groups "$CTL" doctor
	[ "$(grep -cE '^OK +(images|policies) +only root can see them' <<<"$output")" = 2 ] || fail "$output"
}

@test "doctor tries whether the state folder's file system can show files as a task's" {
	export SANDBOXD_STATE=$BATS_TEST_TMPDIR/state
	mkdir "$SANDBOXD_STATE"
	run sandboxctl doctor
	grep -qE "^OK +state folder +$SANDBOXD_STATE" <<<"$output" || fail "$output"
	# On a file system that cannot.
	run unshare --mount -- sh -c 'mount -t ramfs -o mode=755 none "$SANDBOXD_STATE" && "$CTL" doctor'
	[ "$status" = 1 ]
	grep -qE "^FAIL +state folder +$SANDBOXD_STATE: no task with files of its own can start" <<<"$output" || fail "$output"
	grep -q -- '-> move it to ext4' <<<"$output"
}

@test "doctor says which cgroups this host has" {
	run sandboxctl doctor
	if is_v2; then
		grep -qE '^OK +cgroups +v2' <<<"$output"
	else
		grep -qE '^OK +cgroups +v1' <<<"$output"
	fi
}

@test "doctor needs no root" {
	run setpriv --reuid=65534 --regid=65534 --clear-groups "$CTL" doctor \
		--socket /nonexistent/socket --state /nonexistent
	[ "$status" = 1 ]
	grep -qE '^OK +kernel' <<<"$output"
}

@test "a wrong command line is 125 and says what is wrong" {
	local words
	while read -r words; do
		# shellcheck disable=SC2086 # several words
		run --separate-stderr sandboxctl ${words%% :*}
		echo "$words -> $status $stderr"
		[ "$status" = 125 ]
		[ -z "$output" ]
		[[ $stderr == *"${words##*: }"* ]]
	done <<-'EOT'
		frobnicate : no verb 'frobnicate'
		help frobnicate : no verb 'frobnicate'
		help image build : does not take 'build': 'sandboxctl help image' has all of image
		--frob ps : no option '--frob'
		--socket : --socket needs a value
		run : names no image
		run python : names no task.json
		run --frob python : no option --frob
		run python --start : --start needs a value
		run python a.json b.json : does not take 'b.json'
		logs : names no task
		logs --since yesterday abcd : --since yesterday
		logs --since 10 abcd : --since 10
		inspect : names no task
		inspect --frob : no option '--frob'
		wait : names no task
		cancel : names no task
		cancel --frob abcd : no option --frob
		rm : names no task
		ps --frob : no option --frob
		ps abcd : does not take 'abcd'
		doctor me : does not take 'me'
		version me : does not take 'me'
	EOT
}

@test "global options stand before or after the verb, or in the environment" {
	local other=$BATS_TEST_TMPDIR/other.sock
	run sandboxctl --socket "$other" ps
	[[ $output == *"$other"* ]]
	run sandboxctl ps "--socket=$other"
	[[ $output == *"$other"* ]]
	SANDBOXD_SOCKET=$other run sandboxctl ps
	[[ $output == *"$other"* ]]
	run sandboxctl ps --socket "/tmp/$(printf 'x%.0s' {1..200})"
	[ "$status" = 125 ]
	[[ $output == *"longer than"* ]]
}

@test "the command's own words never carry raw control characters" {
	run sandboxctl "$(printf 'x\033[31m\302\233y')"
	[ "$status" = 125 ]
	[[ $output == *'x\x1b[31m\u009by'* ]]
}

# shellcheck shell=bash
# One line a phase, with its elapsed time. Sourced, never run.
#
# On a terminal the line of the running phase is redrawn; elsewhere a phase is one plain line,
# written when it ends. Everything goes to stderr: a script's result is on stdout.

progress_label=
progress_phase=
progress_dir=
progress_ticker_pid=

# progress_start LABEL: LABEL stands before every line.
progress_start() {
	progress_label=$1
	progress_dir=$(mktemp -d)
}

progress_is_terminal() {
	[ -t 2 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${CI:-}" ]
}

# progress_line: the running phase as one line.
progress_line() {
	local now=${EPOCHREALTIME//[!0-9]/} detail=

	now=$(((now - progress_began) / 100000))
	[ ! -s "$progress_dir/detail" ] || read -r detail <"$progress_dir/detail" || true
	printf '%s: %-22s %4d.%d s%s' "$progress_label" "$progress_phase" \
		$((now / 10)) $((now % 10)) "${detail:+  $detail}"
}

# Redraws the line until the script ends, in whatever way it ends.
progress_tick() {
	while sleep 0.25 && kill -0 $$ 2>/dev/null; do
		printf '\r\033[K%s' "$(progress_line)" >&2
	done
}

# phase NAME: ends the phase before it and begins this one.
phase() {
	phase_end
	progress_phase=$1
	progress_began=${EPOCHREALTIME//[!0-9]/}
	: >"$progress_dir/detail"
	if progress_is_terminal; then
		progress_tick &
		progress_ticker_pid=$!
		printf '\r\033[K%s' "$(progress_line)" >&2
	fi
}

# phase_detail TEXT: shown behind the elapsed time.
phase_detail() {
	printf '%s\n' "$*" >"$progress_dir/detail"
}

phase_end() {
	[ -n "$progress_phase" ] || return 0
	if [ -n "$progress_ticker_pid" ]; then
		kill "$progress_ticker_pid" 2>/dev/null || true
		wait "$progress_ticker_pid" 2>/dev/null || true
		progress_ticker_pid=
		printf '\r\033[K' >&2
	fi
	printf '%s\n' "$(progress_line)" >&2
	progress_phase=
}

# quietly WHAT COMMAND...: a phase whose output is shown only when it fails, which ends the script.
# The script has a folder $work and a function die.
quietly() {
	local what=$1

	shift
	phase "$what"
	# shellcheck disable=SC2154 # the script sets it
	"$@" </dev/null >"$work/log" 2>&1 || {
		phase_end
		tail -n 40 "$work/log" >&2
		die "$what failed"
	}
	phase_end
}

# progress_stop: for the script's EXIT trap, after success and failure alike.
progress_stop() {
	[ -n "$progress_dir" ] || return 0
	phase_end
	rm -rf "$progress_dir"
	progress_dir=
}

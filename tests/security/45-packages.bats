#!/usr/bin/env bats
# Zips that are uploaded: what is hostile is refused with words and leaves no trace; the forms
# of the usual tools run.
# shellcheck disable=SC2154 # output is set by run
load lib

setup_file() {
	local made

	security_setup
	mkdir "$WORK/zips"
	python3 -W ignore "$SECURITY/hostile_zips.py" "$WORK/zips"
	made=$(sandboxctl project create packages --json)
	PROJECT=$(jq -r .id <<<"$made") TOKEN=$(jq -r .token <<<"$made")
	export PROJECT TOKEN
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown_file() {
	daemon_remove
}

# api METHOD PATH [CURL-OPTION...]
api() {
	curl -sS -X "$1" -H "Authorization: OAuth $TOKEN" "${@:3}" \
		"$(http_url)/2/projects/$PROJECT/$2"
}

# upload NAME FILE: the answer, after it a line with the status.
upload() {
	api POST codes -w '\n%{http_code}\n' -F "file=@$2" -F "data=$(jq -n --arg n "$1" \
		'{name: $n, runtime: "python", file_name: "worker.py", image: "python"}')"
}

# zips KIND: the names of those that are good, or of those that are hostile.
zips() {
	awk -F '\t' -v kind="$1" '($2 == "ok") == (kind == "good") {print $1}' "$WORK/zips/table"
}

# packages: what there is of them, by name.
packages() {
	find "$STATE/packages" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort
}

code_id() {
	api GET 'codes?per_page=100' | jq -r --arg n "$1" '.codes[] | select(.name == $n) | .id'
}

# ended ID STATUS
ended() {
	[ "$(api GET "tasks/$1" | jq -r .status)" = "$2" ]
}

@test "what is hostile is refused, with words and the entry's name, and leaves nothing" {
	local before name words answer

	before=$(packages)
	while IFS=$'\t' read -r name words; do
		[ "$words" != ok ] || continue
		answer=$(upload hostile "$WORK/zips/$name.zip")
		[[ $(tail -n 1 <<<"$answer") == 4?? ]] || fail "$name: $answer"
		[[ $(head -n 1 <<<"$answer" | jq -r .msg) == *"$words"* ]] ||
			fail "$name: $answer does not say $words"
	done <"$WORK/zips/table"
	[ "$(zips hostile | wc -l)" -ge 30 ]
	[ "$(packages)" = "$before" ]
	[ -z "$(code_id hostile)" ]
}

@test "the forms of the usual tools are taken, and run" {
	local name answer ids=()

	for name in $(zips good); do
		answer=$(upload "$name" "$WORK/zips/$name.zip")
		[ "$(tail -n 1 <<<"$answer")" = 200 ] || fail "$name: $answer"
		ids+=("$(api POST tasks -H 'Content-Type: application/json' \
			-d "{\"tasks\":[{\"code_name\":\"$name\",\"payload\":\"{}\"}]}" | jq -r '.tasks[0].id')")
	done
	for name in "${ids[@]}"; do
		wait_until "$PATIENCE" ended "$name" complete ||
			fail "$(api GET "tasks/$name") $(api GET "tasks/$name/log")"
		[ "$(api GET "tasks/$name/log")" = "it runs" ]
	done
}

@test "who unpacks is no more than the front, and nobody else reads what it has made" {
	local answer

	answer=$(upload python "$WORK/zips/python.zip")
	[ "$(tail -n 1 <<<"$answer")" = 200 ] || fail "$answer"
	[ "$(find "$STATE/packages" -printf '%u\n' | sort -u)" = _sandboxd ]
	[ "$(stat -c %a "$STATE/packages")" = 700 ]
	run setpriv --reuid nobody --clear-groups ls "$STATE/packages"
	[ "$status" != 0 ]
}

@test "the zip comes back as it was, for as long as its code is there" {
	local answer sum

	printf 'a comment' | zip -qz "$WORK/zips/stored.zip" # the first of these bytes
	answer=$(upload back "$WORK/zips/stored.zip")
	[ "$(tail -n 1 <<<"$answer")" = 200 ] || fail "$answer"
	sum=$(sha256sum <"$WORK/zips/stored.zip" | cut -c -64)
	api GET "codes/$(code_id back)/download" -o back.zip
	cmp back.zip "$WORK/zips/stored.zip"
	# The same again is one revision more, and no file more.
	answer=$(packages)
	upload back "$WORK/zips/stored.zip"
	[ "$(packages)" = "$answer" ]
	touch -d '1 hour ago' "$STATE/packages/$sum.zip"
	api DELETE "codes/$(code_id python)"
	api DELETE "codes/$(code_id back)"
	wait_until "$PATIENCE" test ! -e "$STATE/packages/$sum.zip"
}

unpacking() {
	compgen -G "$STATE/packages/.tmp-*" >/dev/null
}

@test "a front that is killed while it unpacks leaves nothing behind" {
	local i

	mkdir big
	for ((i = 0; i < 20; i++)); do
		head -c 2M /dev/urandom >"big/$i"
	done
	echo 'print("it runs")' >big/worker.py
	(cd big && zip -q0r ../big.zip .)
	upload big big.zip >answer 2>&1 3>&- &
	until unpacking; do
		kill -0 $! || fail "it was not seen to unpack: $(cat answer)"
	done
	kill -KILL "$(role front)"
	wait || true
	wait_until "$PATIENCE" sandboxctl version
	run ! unpacking
	[ -z "$(code_id big)" ]
	upload big big.zip
	[ -n "$(code_id big)" ]
}

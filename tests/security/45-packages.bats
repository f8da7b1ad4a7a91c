#!/usr/bin/env bats
# Zips that are uploaded: what is hostile is refused with words and leaves no trace; the forms
# of the usual tools run.
# shellcheck disable=SC2154 # code and body are set by http
load lib
load ../e2e/http

setup_file() {
	security_setup
	mkdir "$WORK/zips"
	python3 -W ignore "$SECURITY/hostile_zips.py" "$WORK/zips"
	project_make one
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# upload NAME FILE: the file before the data, as some clients send them.
upload() {
	http POST codes -F "file=@$2" -F "data=$(jq -n --arg n "$1" \
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
	rest GET 'codes?per_page=100' | jq -r --arg n "$1" '.codes[] | select(.name == $n) | .id'
}

@test "what is hostile is refused, with words and the entry's name, and leaves nothing" {
	local before name words

	before=$(packages)
	while IFS=$'\t' read -r name words; do
		[ "$words" != ok ] || continue
		upload hostile "$WORK/zips/$name.zip"
		[[ $code == 4?? ]] || fail "$name: $code $body"
		said "$words" || fail "$name"
	done <"$WORK/zips/table"
	[ "$(zips hostile | wc -l)" -ge 30 ]
	[ "$(packages)" = "$before" ]
	[ -z "$(code_id hostile)" ]
}

@test "the forms of the usual tools are taken, and run" {
	local name id ids=()

	for name in $(zips good); do
		upload "$name" "$WORK/zips/$name.zip"
		[ "$code" = 200 ] || fail "$name: $code $body"
		ids+=("$(queue "$name" '{"payload": "{}"}')")
	done
	for id in "${ids[@]}"; do
		wait_until "$PATIENCE" is "$id" complete || fail "$body $(rest GET "tasks/$id/log")"
		[ "$(rest GET "tasks/$id/log")" = "it runs" ]
	done
}

@test "the process that unpacks has no more rights than the front, and nobody else reads what it makes" {
	upload python "$WORK/zips/python.zip"
	answered 200
	[ "$(find "$STATE/packages" -printf '%u\n' | sort -u)" = _sandboxd ]
	[ "$(stat -c %a "$STATE/packages")" = 700 ]
	run setpriv --reuid nobody --clear-groups ls "$STATE/packages"
	[ "$status" != 0 ]
}

@test "the zip comes back as it was, for as long as its code is there" {
	local before sum

	printf 'a comment' | zip -qz "$WORK/zips/stored.zip" # the first of these bytes
	upload back "$WORK/zips/stored.zip"
	answered 200
	sum=$(sha256sum <"$WORK/zips/stored.zip" | cut -c -64)
	rest GET "codes/$(code_id back)/download" >back.zip
	cmp back.zip "$WORK/zips/stored.zip"
	# The same again is one revision more, and no file more.
	before=$(packages)
	upload back "$WORK/zips/stored.zip"
	answered 200
	[ "$(packages)" = "$before" ]
	touch -d '1 hour ago' "$STATE/packages/$sum.zip"
	rest DELETE "codes/$(code_id python)"
	rest DELETE "codes/$(code_id back)"
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
		kill -0 $! || fail "it was not seen to unpack: $(cat answer body)"
	done
	kill -KILL "$(role front)"
	wait || true
	wait_until "$PATIENCE" sandboxctl version
	run ! unpacking
	[ -z "$(code_id big)" ]
	upload big big.zip
	answered 200
	[ -n "$(code_id big)" ]
}

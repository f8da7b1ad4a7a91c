#!/usr/bin/env bats
# Pushes: from a folder with a dotcloud.yml to services that run.
# shellcheck disable=SC2154,SC2016 # run sets status, output and stderr; texts are evaluated later
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	image_link web27
	image_link service
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS HOME=$WORK/home PIP_CONFIG_FILE=$WORK/pip.conf
	unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX
	mkdir -p "$HOME" "$WORK/index/simple"
	python3 "$E2E/wheels.py" "$WORK/index/simple/ccc" ccc 3.0 'ddd>=1'
	python3 "$E2E/wheels.py" "$WORK/index/simple/ddd" ddd 1.5
	python3 "$E2E/wheels.py" "$WORK/index/simple/pillow" Pillow 6.2
	python3 "$E2E/package_index.py" index "$WORK/index" 127.0.0.1 0 >"$WORK/index.log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/index.pid"
	wait_until "$PATIENCE" file_has "$WORK/index.log" Serving
	printf '%s\n' '[global]' 'retries = 0' \
		"index-url = http://127.0.0.1:$(sed -n 's/^Serving //p' "$WORK/index.log")/simple" >"$PIP_CONFIG_FILE"
}

setup() {
	cp -r "$E2E/push" "$BATS_TEST_TMPDIR/src"
	cd "$BATS_TEST_TMPDIR/src" || return
}

teardown() {
	end_background
	services_remove
}

teardown_file() {
	kill "$(cat "$WORK/index.pid")" || true
	daemon_remove
}

# push ARG...: with what it says in $BATS_TEST_TMPDIR/said.
push() {
	local run

	sandboxctl push "$@" 2>"$BATS_TEST_TMPDIR/said" && return
	run=$(sed -n 's/.*sandboxctl logs \([0-9a-f]*\).*/\1/p' "$BATS_TEST_TMPDIR/said" | tail -1)
	fail "$(cat "$BATS_TEST_TMPDIR/said"; [ -z "$run" ] || sandboxctl logs "$run" 2>&1)"
}

said() {
	grep -qF -- "$1" "$BATS_TEST_TMPDIR/said" || fail "$(cat "$BATS_TEST_TMPDIR/said")"
}

# refused TEXT ARG...: a push fails, and says so.
refused() {
	local text=$1

	shift
	run --separate-stderr sandboxctl push "$@"
	[ "$status" = 125 ] || fail "$stderr"
	[[ $stderr == *"$text"* ]] || fail "$stderr"
}

# get [PATH] [SERVICE-APP]
get() {
	curl -sS --max-time 60 -H "Host: ${2:-www-three}.default.localhost" "http://$ADDRESS/${1:-}"
}

@test "an app of Python 3 is pushed, pushed again, and rolled back" {
	push three
	said 'www: Python 3.11 (image service)'
	said '  | from prebuild'
	[ "$(get)" = 'one 0 3' ]
	[ "$(jq -r .app three/.dotcloud/config)" = three ]
	# What the build finds, and what its requirements bring.
	[ "$(get built)" = 'three www hello' ]
	[ "$(get ccc)" = '3.0 1.5' ]
	sed -i 's/one/two/' three/approot/server.py
	(cd three/approot && push)
	said 'www: requirements.txt'
	[ "$(get)" = 'two 0 3' ]
	sandboxctl service rollback three/www
	[ "$(get)" = 'one 0 3' ]
}

@test "an app of Python 2.7 is pushed" {
	push old
	said 'www: Python 2.7 (image web27): nothing asks for another one'
	[ "$(get '' www-old)" = '3.0 2.7 and more' ]
	# The virtualenv is gone on with.
	push old
	said 'www: Python 2.7, as before'
	[ "$(get '' www-old)" = '3.0 2.7 and more' ]
	refused 'python_version: v2.6 is not here; there are v2.7 (image web27), v3.11 (image service)' old --python v2.6
}

@test "what is wrong in the file is told with its place, and nothing is built" {
	printf 'www:\n  type: python\n  approot:\n    - a\n' >three/dotcloud.yml
	refused 'read: dotcloud.yml:4:5: www: approot: must be a text, and is a list' three
	[[ $stderr == *'|     - a'*'|     ^'* ]] || fail "$stderr"
	printf 'www: {type: custom, process: a, systempackages: [libpq-dev]}\n' >three/dotcloud.yml
	refused 'systempackages: a push installs no packages of the system' three
	printf 'a: &a [x, x]\n' >three/dotcloud.yml
	for each in b c d e f g h i j k l m; do
		printf '%s: &%s [*%s, *%s]\n' "$each" "$each" "$(echo "$each" | tr b-m a-l)" "$(echo "$each" | tr b-m a-l)"
	done >>three/dotcloud.yml
	refused 'means too much' three
	rm three/dotcloud.yml
	refused 'three: has no dotcloud.yml' three
	[ "$(sandboxctl service ls --json)" = '[]' ]
}

@test "a hook that fails leaves what serves, and shows what it has printed" {
	push three
	echo 'echo not at all; exit 7' >three/approot/prebuild
	refused 'build: www: prebuild: exit status 7' three
	[[ $stderr == *'  | not at all'* ]]
	[ "$(get)" = 'one 0 3' ]
	echo 'true' >three/approot/prebuild
	echo 'echo nor this; exit 8' >three/approot/postinstall
	refused 'start: start: www.0: postinstall: exit status 8' three
	[[ $stderr == *'  | nor this'* ]]
	[ "$(get)" = 'one 0 3' ]
	rm three/approot/postinstall
	echo 'http://127.0.0.1:1/x-1.0.tar.gz' >>three/approot/requirements.txt
	refused 'www: requirements: requirements.txt:2: http://127.0.0.1:1/x-1.0.tar.gz cannot be fetched' three
	echo 'nothing-of-this-name' >three/approot/requirements.txt
	refused 'www: requirements: requirements.txt: pip: exit status 1' three
	[[ $stderr == *'No matching distribution found for nothing-of-this-name'* ]]
	echo 'PIL' >three/approot/requirements.txt
	push three
	said 'PIL is installed as Pillow'
	[ "$(get)" = 'one 0 3' ]
}

@test "services of a push switch together, and one that is gone from the file stays" {
	cat >>three/dotcloud.yml <<-'END'
		back_end:
		  type: python-worker
		  approot: approot
		  config: {python_version: v3}
		  ports: {http: http}
		  process: python server.py
		db:
		  type: postgresql
	END
	push three
	said 'db: postgresql is not run here'
	[ "$(get '' back-end-three)" = 'one 0 3' ]
	[ "$(get env | grep ^DOTCLOUD_BACK_END_HTTP_HOST=)" = DOTCLOUD_BACK_END_HTTP_HOST=back-end-three.default.localhost ]
	# One that cannot start keeps the other from being switched.
	sed -i 's/one/two/' three/approot/server.py
	sed -i '$!b; s/$/\n/' three/dotcloud.yml
	python3 - <<-'END'
		text = open("three/dotcloud.yml").read()
		at = text.rindex("process: python server.py")
		open("three/dotcloud.yml", "w").write(text[:at] + "process: exit 3" + text[at + 25:])
	END
	refused 'back_end.0: ' three
	[ "$(get) $(get '' back-end-three)" = 'one 0 3 one 0 3' ]
	sed -i '/^back_end/,$d' three/dotcloud.yml
	push three
	said 'back_end is no longer in dotcloud.yml and goes on'
	[ "$(get) $(get '' back-end-three)" = 'two 0 3 one 0 3' ]
}

@test "a push loses no request" {
	push three
	sandboxctl scale three/www=2
	touch "$WORK/bad"
	(
		while ! [ -e "$WORK/stop" ]; do
			out=$(curl -sS --max-time 60 -o /dev/null -w '%{http_code}' -H 'Host: www-three.default.localhost' \
				"http://$ADDRESS/" 2>&1)
			if [ "$out" = 200 ]; then echo >>"$WORK/good"; else echo "$out" >>"$WORK/bad"; fi
		done
	) &
	sed -i 's/one/two/' three/approot/server.py
	push three
	wait_until "$PATIENCE" test -s "$WORK/good"
	push three --clean
	touch "$WORK/stop"
	wait
	[ ! -s "$WORK/bad" ] || fail "$(cat "$WORK/bad")"
	[ "$(get | cut -d' ' -f1)" = two ]
}

@test "what is sent follows rsync's rules" {
	cat >>three/approot/prebuild <<-'END'
		(cd ~/code && find . | sort) >sent
	END
	sed -i 's/open("built")/open("sent")/' three/approot/server.py
	mkdir -p three/media/a three/.git three/keep
	touch three/media/a/x.log three/x.log three/keep/x.log three/y.pyc three/.git/z
	ln -s /etc/passwd three/out
	ln -s keep/x.log three/in
	printf '%s\n' '# ours' '/media/' '+ keep/*.log' '*.log' >three/.dotcloudignore
	push three
	said 'not sent along: out (a link out of the folder)'
	[ "$(get built | tr '\n' ' ' | sed 's/ $//')" = '. ./.dotcloudignore ./approot ./approot/built ./approot/prebuild ./approot/requirements.txt ./approot/sent ./approot/server.py ./dotcloud.yml ./in ./keep ./keep/x.log' ]
	# What a build has made stays; what is sent no more goes.
	rm three/in
	push three
	[[ $(get built) != *./in* ]]
	[[ $(get built) == *./approot/built* ]]
	mkdir three/many
	(cd three/many && seq 100001 | xargs touch)
	refused 'has more than 100000 files' three
}

@test "a database that runs elsewhere is attached, and the app is told of it" {
	printf 'db:\n  type: postgresql\n' >>three/dotcloud.yml
	push three
	said 'sandboxctl service attach db postgresql --url URL'
	(cd three && sandboxctl service attach db postgresql --url 'postgresql://me:p%40ss@db.example.com/shop')
	[ "$(get env | grep ^DOTCLOUD_DB_ | sort | tr '\n' ' ')" = 'DOTCLOUD_DB_SQL_HOST=db.example.com DOTCLOUD_DB_SQL_LOGIN=me DOTCLOUD_DB_SQL_PASSWORD=p@ss DOTCLOUD_DB_SQL_PORT=5432 DOTCLOUD_DB_SQL_URL=postgresql://me:p%40ss@db.example.com/shop ' ]
	push three
	[ "$(grep -c 'is not run here' "$BATS_TEST_TMPDIR/said")" = 0 ]
	sandboxctl service detach --app three db postgresql
	[ "$(get env | grep -c ^DOTCLOUD_DB_)" = 0 ]
	run --separate-stderr sandboxctl service attach three/db oracle --url x://y
	[[ $stderr == *'kind: must be postgresql'* ]]
	run --separate-stderr sandboxctl service attach three/db redis --url y
	[[ $stderr == *'url: must be scheme://'* ]]
}

@test "a command runs beside the replicas, and the folder data goes out and comes in" {
	push three
	cd three
	run --separate-stderr sandboxctl service run www -- python -c 'import os, sys, ccc; print(ccc.VERSION, os.environ["GREETING"], sys.stdin.read()); sys.exit(5)' <<<"from stdin"
	[ "$status" = 5 ] || fail "$stderr"
	[[ $output == '3.0 hello from stdin'* ]]
	sandboxctl service run www 'mkdir -p ~/data/a && echo kept >~/data/a/b && ln -s a/b ~/data/c'
	sandboxctl service data export www >../data.tar
	[ "$(tar -tf ../data.tar | tr '\n' ' ')" = 'a/ a/b c ' ]
	sandboxctl service run www 'rm -r ~/data/a ~/data/c'
	[ "$(sandboxctl service data import www <../data.tar)" = '2 files' ]
	[ "$(sandboxctl service run www 'cat ~/data/c')" = kept ]
	# A hostile archive leads nowhere.
	ln -s /etc ../x
	tar -cf ../bad.tar -C .. x
	rm ../x
	mkdir ../x
	touch ../x/y
	tar -rf ../bad.tar -C .. x/y
	run --separate-stderr sandboxctl service data import www <../bad.tar
	[ "$status" != 0 ]
	[[ $output$stderr == *'x/y: leads out of the folder'* ]] || fail "$output$stderr"
	run --separate-stderr sandboxctl service run nothing true
	[[ $stderr == *'there is no service three/nothing'* ]]
}

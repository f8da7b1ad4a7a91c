#!/usr/bin/env bats
# What a deploy makes of a folder, in a sandbox: its configuration, and what the worker needs.
# shellcheck disable=SC2154 # run sets status and stderr
load daemon

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make
	image_link web
	export HOME=$WORK/home PIP_CONFIG_FILE=$WORK/pip.conf
	unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX
	mkdir -p "$HOME" "$WORK/index/simple"
	python3 "$E2E/wheels.py" "$WORK/index/simple/ccc" ccc 3.0 'ddd>=1'
	python3 "$E2E/wheels.py" "$WORK/index/simple/ddd" ddd 1.5
	python3 "$E2E/package_index.py" index "$WORK/index" 127.0.0.1 0 >"$WORK/index.log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/index.pid"
	wait_until "$PATIENCE" file_has "$WORK/index.log" Serving
	printf '%s\n' '[global]' 'retries = 0' \
		"index-url = http://127.0.0.1:$(sed -n 's/^Serving //p' "$WORK/index.log")/simple" >"$PIP_CONFIG_FILE"
}

teardown_file() {
	kill "$(cat "$WORK/index.pid")" || true
	daemon_remove
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	mkdir src
	printf '%s\n' 'name = "hello"' 'main = "src/entry.py"' 'compatibility_date = "2024-04-01"' >wrangler.toml
	echo 'import json' >src/entry.py
}

# manifest OPTION...: what a deploy of this folder would be.
manifest() {
	sandboxctl --json deploy --dry-run "$@" | jq -c .manifest
}

# refused_with TEXT: the deploy fails with exactly that in its message.
refused_with() {
	run --separate-stderr sandboxctl deploy --dry-run
	[ "$status" = 125 ]
	[[ $stderr == *"$1"* ]] || fail "$stderr"
}

@test "what is wrong in a configuration is told with its line" {
	echo 'main' >>wrangler.toml
	refused_with 'sandboxctl: read: wrangler.toml:4: '
	sed -i '4d; s/entry/entrance/' wrangler.toml
	refused_with "read: wrangler.toml:2: main: 'src/entrance.py': is not there: the .py file that is there is src/entry.py"
	sed -i 's/entrance/entry/' wrangler.toml
	echo 'compatability_flags = []' >>wrangler.toml
	run --separate-stderr sandboxctl deploy --dry-run
	[ "$output" = 'hello can be deployed.' ]
	[[ $stderr == *'warning: wrangler.toml:4: compatability_flags: there is no such key: is compatibility_flags meant?'* ]]
	rm wrangler.toml
	refused_with 'there is no configuration: wrangler.toml, '
}

@test "each kind of configuration becomes a manifest" {
	mkdir public && echo hi >public/index.html
	cat >>wrangler.toml <<-'END'
		[assets]
		directory = "public"
		[env.staging]
		routes = ["Example.com/*"]
		[env.staging.vars]
		A = "1"
	END
	[ "$(manifest --env staging --var A=2 | jq -c '[.name, .routes[0].pattern, .bindings[0].text, .assets.directory]')" = \
		'["hello-staging","example.com/*","2",".sandboxd/assets"]' ]
	mv wrangler.toml old
	echo '{"name": "hello", /* 1 */ "main": "src/entry.py", "compatibility_date": "2024-04-01",}' >wrangler.jsonc
	[ "$(manifest | jq -r .main_file)" = entry.py ]
	rm wrangler.jsonc
	cat >config.capnp <<-'END'
		using Workerd = import "/workerd/workerd.capnp";
		const config :Workerd.Config = (
		  services = [(name = "main", worker = .w)],
		  sockets = [(name = "http", address = "*:8080", http = (), service = "main")]
		);
		const w :Workerd.Worker = (
		  modules = [(name = "worker.py", pythonModule = embed "src/entry.py")],
		  compatibilityDate = "2024-01-01",
		);
	END
	[ "$(manifest | jq -c '[.name, .main, .imports]')" = '["main","worker",["json"]]' ]
}

@test "what the image lacks comes out of this machine's index, and nothing else is asked for" {
	printf '%s\n' 'import ccc' 'import numpy' >src/entry.py
	printf '%s\n' ccc 'numpy>=1' >requirements.txt
	run --separate-stderr manifest
	[ "$status" = 0 ] || fail "$stderr"
	[ "$(jq -c '[.requirements[] | select(.from == "package") | .name + " " + .version], .imports, .package_imports' <<<"$output")" = \
		$'["ccc 3.0","ddd 1.5"]\n["numpy"]\n["ccc"]' ] || fail "$output"
	[[ $stderr == *'installed ccc 3.0, ddd 1.5'* ]] || fail "$stderr"
	run ! grep -q numpy "$WORK/index.log"
	echo 'ccc>=4' >requirements.txt
	refused_with 'resolve: requirements.txt:1: ccc>=4: cannot be had: the index has 3.0'
}

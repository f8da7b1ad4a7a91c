#!/usr/bin/env bats
# The sample workers of the image web, and the examples of Cloudflare's and workerd's descriptions that
# are whole projects, deployed as they stand.
# shellcheck disable=SC2154 # run sets status and stderr
load daemon

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS SAMPLES=$TOP/images/web/example HOME=$WORK/home PIP_CONFIG_FILE=$WORK/pip.conf
	unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX
	mkdir "$HOME"
	index_of "$SANDBOXD_CACHE/langchain"
}

# index_of DIR: an index of its wheels, which this machine's pip asks.
index_of() {
	local wheel name

	for wheel in "$1"/*.whl; do
		name=${wheel##*/}
		name=$WORK/index/simple/$(tr '_[:upper:]' '-[:lower:]' <<<"${name%%-*}")
		mkdir -p "$name"
		cp "$wheel" "$name/"
	done
	python3 "$E2E/package_index.py" index "$WORK/index" 127.0.0.1 0 >"$WORK/index.log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/index.pid"
	wait_until "$PATIENCE" file_has "$WORK/index.log" Serving
	printf '%s\n' '[global]' 'retries = 0' \
		"index-url = http://127.0.0.1:$(sed -n 's/^Serving //p' "$WORK/index.log")/simple" >"$PIP_CONFIG_FILE"
}

teardown_file() {
	kill "$(cat "$WORK/index.pid")" || true
	for name in $(sandboxctl --json deploy ls | jq -r '.[].name'); do
		sandboxctl deploy rm "$name" || true
	done
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

# deployed DIR: the deploy works, and makes a snapshot with the worker's top level in it.
deployed() {
	run --separate-stderr sandboxctl deploy "$1"
	[ "$status" = 0 ] || fail "$stderr"
	grep -q '^snapshot  *dedicated$' <<<"$output" || fail "$output$stderr"
}

# ask WORKER [CURL'S OPTION...] PATH
ask() {
	curl -sS --max-time 60 -H "Host: $1.default.localhost" "${@:2:$#-2}" "http://$ADDRESS/${*: -1}"
}

@test "the sample basic" {
	deployed "$SAMPLES/basic"
	[ "$(ask basic '?name=Ada')" = "Hello Ada!" ]
	sandboxctl deploy test basic
}

@test "the sample fastapi" {
	deployed "$SAMPLES/fastapi"
	[ "$(ask fastapi '')" = '{"message":"Hello from FastAPI"}' ]
	[ "$(ask fastapi items/tea)" = '{"name":"tea","price":3.5,"currency":"EUR"}' ]
	[ "$(ask fastapi --json '{"name": "milk", "price": 1}' items)" = '{"name":"milk","price":1.0}' ]
	[ "$(ask fastapi items/milk | jq .price)" = 1 ]
	[ "$(ask fastapi -o /dev/null -w '%{http_code}' --json '{"name": "milk", "price": "much"}' items)" = 422 ]
	[ "$(ask fastapi items/gold)" = '{"detail":"there is no gold"}' ]
}

# Out of wheels that scripts/test has fetched.
@test "the sample langchain, with what it needs installed by the deploy" {
	# With libraries of its own: they are in the snapshot, too.
	deployed "$SAMPLES/langchain"
	[[ $stderr == *'installed '*'langchain_core '* ]] || fail "$stderr"
	[[ "$(ask langchain '?profession=gardener')" == 'I am a gardener, and I '* ]]
	# A clone keeps what it has of its template's files when that is gone.
	wait_until "$PATIENCE" is_forked
	sandboxctl template retire --all
	[[ "$(ask langchain '?profession=welder')" == 'I am a welder, and I '* ]]
}

is_forked() {
	local id

	id=$(sandboxctl --json deploy info langchain | jq -r '.instances[0].id')
	[ "$(inspect "$id" .start.mode)" != fork ] || return 0
	sandboxctl cancel --force "$id"
	ask langchain ''
	return 1
}

@test "Cloudflare's first worker, without a flag" {
	mkdir src
	cat >src/entry.py <<-'END'
		from js import Response

		async def on_fetch(request, env):
		    return Response.new("Hello world!")
	END
	cat >wrangler.toml <<-'END'
		name = "hello-world-python-worker"
		main = "src/entry.py"
		compatibility_date = "2024-04-01"
	END
	deployed .
	[ "$(ask hello-world-python-worker '')" = 'Hello world!' ]
}

@test "workerd's configuration with requirements, and what is installed when the worker runs" {
	cat >config.capnp <<-'END'
		using Workerd = import "/workerd/workerd.capnp";
		const config :Workerd.Config = (
		services = [
		(name = "main", worker = .pythonWorker),
		],
		sockets = [
		( name = "http",
		address = "*:8080",
		http = (),
		service = "main"
		),
		]
		);
		const pythonWorker :Workerd.Worker = (
		modules = [
		(name = "worker.py", pythonModule = embed "worker.py"),
		],
		compatibilityDate = "2024-01-01",
		compatibilityFlags = ["experimental", "python_workers"],
		bindings = [
		(name = "requirements", json = "[\"numpy\", \"requests\"]"),
		],
		);
	END
	cat >worker.py <<-'END'
		from js import Response
		from workers import WorkerEntrypoint
		import numpy as np
		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        import micropip
		        # Install packages at runtime
		        await micropip.install("numpy")
		        import numpy as np
		        return Response.new("OK %d" % np.arange(4).sum())
	END
	deployed .
	[ "$(ask main '')" = 'OK 6' ]
}

@test "workerd's FastAPI application" {
	printf '%s\n' 'name = "asgi"' 'main = "worker.py"' 'compatibility_date = "2024-04-01"' >wrangler.toml
	cat >worker.py <<-'END'
		from fastapi import FastAPI
		from workers import WorkerEntrypoint
		app = FastAPI()
		@app.get("/")
		async def root():
		    return {"message": "Hello from FastAPI"}
		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        # ASGI adapter handles the request
		        from asgi import asgi_adapter
		        return await asgi_adapter(app, request)
	END
	deployed .
	[ "$(ask asgi '')" = '{"message":"Hello from FastAPI"}' ]
}

-- SPDX-License-Identifier: Apache-2.0
-- The socket by which the front says what there is: RUN/edge/edge.sock, HTTP with JSON.
--
--	PUT /workers/PROJECT/NAME, DELETE   one worker
--	PUT /hosts                          all routes
--	PUT /ready                          all that there is has been said: {"workers": [KEY, ...]},
--	                                    beside which there are no others
--	GET /table                          all of it, and the requests that instances have
--	GET /instances/NAME                 {"in_flight": n}; NAME: PROJECT/NAME/VERSION/INSTANCE
--	GET /stats                          requests by worker
--	GET /stats/lines                    the same in lines of words, as stats.lua says
--
-- Every answer has X-Edge, which is another one when nginx was started again and knows nothing.
local cjson = require("cjson.safe")

local counts = require("counts")
local state = require("state")
local stats = require("stats")

local M = {}

local function body()
	local file

	ngx.req.read_body()
	file = ngx.req.get_body_file()
	if file then
		local f = io.open(file, "rb")
		local all = f and f:read("*a")

		if f then
			f:close()
		end
		return all or ""
	end
	return ngx.req.get_body_data() or ""
end

local function answer(status, value)
	ngx.status = status
	if value then
		ngx.header.content_type = "application/json"
		ngx.print(cjson.encode(value), "\n")
	end
	return ngx.exit(status)
end

local function done(ok, status, why)
	if ok then
		return answer(204)
	end
	return answer(status, {error = why})
end

local function ready(raw)
	local of = cjson.decode(raw)

	if type(of) ~= "table" then
		return nil, 400, "must be an object"
	end
	if type(of.workers) == "table" then
		local named = {}

		for _, key in ipairs(of.workers) do
			named[key] = true
		end
		for key in pairs(state.all().workers) do
			if not named[key] then
				state.delete_worker(key)
			end
		end
	end
	state.set_ready()
	return true
end

function M.serve()
	local method = ngx.req.get_method()
	local path = ngx.var.uri
	local key = path:match("^/workers/([^/]+/[^/]+)$")
	local name = path:match("^/instances/([^/]+/[^/]+/[^/]+/[^/]+)$")

	ngx.header["X-Edge"] = state.id()
	if key and method == "PUT" then
		return done(state.put_worker(key, body()))
	elseif key and method == "DELETE" then
		state.delete_worker(key)
		stats.forget(key)
		return done(true)
	elseif path == "/hosts" and method == "PUT" then
		return done(state.put_hosts(body()))
	elseif path == "/ready" and method == "PUT" then
		return done(ready(body()))
	elseif path == "/table" and method == "GET" then
		local all = state.all()

		all.id, all.ready, all.in_flight = state.id(), state.is_ready(), counts.all()
		return answer(200, all)
	elseif name and method == "GET" then
		local project, worker, version, id = name:match("^(.*)/(.*)/(.*)/(.*)$")

		return answer(200, {
			in_flight = counts.of_name(project .. "/" .. worker .. " " .. version .. " " .. id),
		})
	elseif path == "/stats" and method == "GET" then
		return answer(200, {bounds = stats.bounds(), workers = stats.all()})
	elseif path == "/stats/lines" and method == "GET" then
		ngx.header.content_type = "text/plain"
		return ngx.print(stats.lines())
	end
	return answer(404, {error = "no such thing"})
end

return M

-- SPDX-License-Identifier: Apache-2.0
-- One request, phase by phase, as nginx.conf names them.
local balancer = require("ngx.balancer")
local cjson = require("cjson.safe")

local assets = require("assets")
local certificates = require("certificates")
local counts = require("counts")
local pick = require("pick")
local state = require("state")
local stats = require("stats")
local strict = require("strict")

local M = {}

-- Seconds that a request waits for the front to tell a new nginx what there is.
local READY_MAX = 30
-- Seconds for an instance to accept a connection.
local CONNECT = 5

local suffix -- of the hosts that workers have without a route: ".DOMAIN"

function M.init(config)
	suffix = "." .. config.domain
	pick.begin(config.folder .. "/wake.sock")
	state.begin(config.folder, config.assets)
end

function M.init_worker()
	-- The processes of nginx begin as copies of one, with the same random numbers.
	math.randomseed(ngx.now() * 1000 + ngx.worker.pid() * 7919)
	counts.begin(ngx.worker.count())
	stats.begin()
	if ngx.worker.id() == 0 then
		ngx.timer.at(0, function(premature)
			if not premature then
				pick.tell_new(0.05)
			end
		end)
	end
end

local function refuse(status, text)
	ngx.status = status
	ngx.header.content_type = "text/plain; charset=utf-8"
	ngx.header.cache_control = "no-store"
	if status == 503 or status == 429 then
		ngx.header.retry_after = "1"
	end
	-- The front has to tell what the edge says from what a worker does.
	if ngx.var.sandboxd_inner == "1" then
		ngx.header["X-Sandboxd-Error"] = "1"
	end
	ngx.say(status, " ", text, " (request ", ngx.var.request_id, ")")
	return ngx.exit(status)
end

-- Of NAME.PROJECT.DOMAIN; false: the host is not such a one. What was found is kept, for so many
-- hosts.
local KEYS_MAX = 10000
local keys, n_keys = {}, 0

local function default_key(host)
	local key = keys[host]
	local name, project

	if key ~= nil then
		return key
	end
	if host:sub(-#suffix) == suffix then
		name, project = host:sub(1, -#suffix - 1):match("^([^.]+)%.(.+)$")
	end
	key = name and project .. "/" .. name or false
	if n_keys >= KEYS_MAX then
		keys, n_keys = {}, 0
	end
	keys[host] = key
	n_keys = n_keys + 1
	return key
end

local function find_worker()
	local host = ngx.var.host
	local target = ngx.var.request_uri
	local key = state.route(host, strict.path(target))
	local e

	if key ~= nil then
		return key and state.worker(key)
	end
	key = default_key(host)
	e = key and state.worker(key)
	-- It may be there by its routes alone.
	return e and not e.hidden and e
end

local function wait_ready()
	local till = ngx.now() + READY_MAX

	while not state.is_ready() do
		if ngx.now() > till then
			return false
		end
		ngx.sleep(0.02)
	end
	return true
end

-- Whether the worker is asked before its assets are looked at; and whether one of its patterns, of
-- which those with "!" before them are for assets, has said that they answer.
local function worker_first(a, path)
	local first = a.first == true

	for _, pattern in ipairs(type(a.first) == "table" and a.first or {}) do
		pattern = tostring(pattern)
		if pattern:sub(1, 1) == "!" and assets.fits(pattern:sub(2), path) then
			return false, true
		end
		first = first or assets.fits(pattern, path)
	end
	return first, false
end

-- What has no body but the end of its head.
local function bare(answer)
	ngx.status = answer.status
	ngx.header.location = answer.location
	ngx.header.content_length = 0
	ngx.header.content_type = nil
	assets.change(answer.changes)
	ngx.send_headers()
	return ngx.exit(answer.status)
end

-- Answers by an asset, a redirect, or that there is none.
local function answer_by(a, answer)
	local var = ngx.var

	if not answer.file then
		return bare(answer)
	end
	var.sandboxd_assets = a.folder .. a.name
	var.sandboxd_status = answer.status
	var.sandboxd_changes = answer.changes and cjson.encode(answer.changes) or ""
	return ngx.exec("/.sandboxd/assets" .. answer.file)
end

-- A version with assets: true, when one of them has answered. Where the worker has no code of its
-- own, they answer everything.
local function try_assets(a, host, target)
	local method = ngx.req.get_method()
	local is_read = method == "GET" or method == "HEAD"
	local url = assets.url(host, strict.path(target), target)
	local keep = a.only or type(a.first) == "table" or
		a.navigate and ngx.var.http_sec_fetch_mode == "navigate"
	local answer, first, named

	if not is_read and not a.only then
		return false
	end
	first, named = worker_first(a, url.path)
	if first and not a.only then
		return false
	end
	answer = assets.answer(a, url, keep)
	if answer and not is_read and answer.file then
		ngx.header.allow = "GET, HEAD"
		answer_by(a, {status = 405})
	elseif answer then
		answer_by(a, answer)
	elseif a.only or named then
		answer_by(a, assets.none(a, url))
	end
	return answer ~= nil or a.only or named
end

local function over_rate(e)
	local second = math.floor(ngx.now())
	local n = e.rate and
		ngx.shared.sandboxd_counts:incr("rate " .. e.project .. " " .. second, 1, 0, 3)

	return n and n > e.rate
end

-- What a service is told of how its client has come; and its connection may become another one.
local function ask_service(var)
	local upgrade = var.http_upgrade

	var.sandboxd_protocol = var.scheme
	var.sandboxd_port = var.server_port
	if upgrade and upgrade:lower() == "websocket" then
		var.sandboxd_upgrade = upgrade
		var.sandboxd_connection = "upgrade"
	end
end

local function serve(e, v)
	local var = ngx.var
	local length = e.max_body and tonumber(var.content_length)
	local instance, status, why

	-- What is refused is one of the worker's requests, too.
	var.sandboxd_peer = e.key .. " - -"
	if length and length > e.max_body then
		return refuse(413, "the request's body is longer than the worker takes")
	end
	instance, status, why = pick.instance(e, v, var.request_id)
	if not instance then
		return refuse(status, why)
	end
	var.sandboxd_peer = instance.name
	ngx.ctx.instance = instance
	ngx.ctx.timeout = e.timeout
	if instance.version.once or instance.version.turns then
		-- A connection of its own, which serves nothing else.
		var.sandboxd_upstream = "sandboxd_once"
		var.sandboxd_connection = "close"
	end
	if instance.version.turns and var.sandboxd_inner ~= "1" then
		ask_service(var)
	end
end

-- By one of the worker's versions, or its assets.
local function serve_worker(e, host, target)
	local v = pick.choose(e)

	-- Whoever answers, an asset or an instance: it is one of the project's requests.
	if over_rate(e) then
		ngx.var.sandboxd_peer = e.key .. " - -"
		return refuse(429, "the project has more requests a second than its quota")
	end
	if not v then
		return refuse(404, "the worker has no version that serves")
	end
	if v.assets then
		ngx.var.sandboxd_peer = e.key .. " " .. v.id .. " assets"
		if try_assets(v.assets, host, target) then
			return
		end
	end
	return serve(e, v)
end

-- What find says, when all that there is was told; nil: nothing, and the request was refused.
local function when_ready(find, why)
	local e = find()

	if not e and not state.is_ready() then
		if not wait_ready() then
			return nil, refuse(503, "the edge has just been started")
		end
		e = find()
	end
	return e, not e and refuse(404, why)
end

-- location /: what is wrong with the request, whose it is, and where it goes.
function M.access()
	local why = strict.request()
	local e

	if why then
		return refuse(400, why)
	end
	if ngx.var.https == "on" and not certificates.covers(ngx.var.ssl_server_name, ngx.var.host) then
		return refuse(421, "this connection is for the hosts of another certificate")
	end
	e = when_ready(find_worker, "no worker is at this address")
	if e then
		return serve_worker(e, ngx.var.host, ngx.var.request_uri)
	end
end

-- location /.sandboxd/fetch, where the front alone can ask: what the code of a worker asks of
-- another one, or of its own assets. The fields X-Sandboxd-... say what is meant.
function M.fetch()
	local var = ngx.var
	local target = var.http_x_sandboxd_target
	local host = var.http_x_sandboxd_host:lower()
	local key = var.http_x_sandboxd_worker
	local own = not key and var.http_x_sandboxd_assets
	local e

	var.sandboxd_inner = "1"
	if own then
		local a = state.assets(cjson.decode(own))
		local method = ngx.req.get_method()
		local url = assets.url((host:gsub(":%d+$", "")), strict.path(target), target)
		local answer

		if not a then
			return refuse(500, "the version has no assets")
		end
		answer = assets.answer(a, url, true)
		if answer and answer.file and method ~= "GET" and method ~= "HEAD" then
			answer = {status = 405}
		end
		return answer_by(a, answer or assets.none(a, url))
	end
	e = when_ready(function()
		return state.worker(key)
	end, "the worker is not there any more")
	if e then
		var.sandboxd_target = target
		return serve_worker(e, host, target)
	end
end

-- The head of a file, or that it has not changed since.
function M.asset()
	local var = ngx.var

	if ngx.status == 200 and var.sandboxd_status ~= "200" then
		ngx.status = tonumber(var.sandboxd_status)
	end
	-- Its time is made of its content, for the ETag.
	ngx.header.last_modified = nil
	if not var.http_authorization and not var.http_range then
		ngx.header.cache_control = "public, max-age=0, must-revalidate"
	end
	if var.sandboxd_changes ~= "" then
		assets.change(cjson.decode(var.sandboxd_changes))
	end
end

-- True when bytes of the request have gone to an instance that has failed.
local function was_sent()
	for n in (ngx.var.upstream_bytes_sent or ""):gmatch("%d+") do
		if n ~= "0" then
			return true
		end
	end
	return false
end

-- The only end of a request that a balancer has is nginx's 500, of which M.error makes a 502.
local function fail()
	ngx.var.sandboxd_failed = "502"
	return ngx.exit(ngx.ERROR)
end

-- A place in another instance of the same version, as the table is now; or nil.
local function other_than(instance)
	local e = state.worker(instance.key)
	local v = pick.version(e, instance.version.id)

	return v and pick.place(e, v)
end

function M.balance()
	local ctx = ngx.ctx
	local instance = ctx.instance
	local ok, why

	if ctx.tried then
		-- A request is sent to one instance only, for it may have done what it was asked.
		local next_one

		if not was_sent() then
			counts.set_down(instance)
			next_one = not instance.version.once and other_than(instance)
		end
		if not next_one then
			return fail()
		end
		pick.leave(instance.name)
		instance = next_one
		ctx.instance = instance
		ngx.var.sandboxd_peer = instance.name
	end
	ctx.tried = true
	balancer.set_more_tries(1)
	balancer.set_timeouts(CONNECT, ctx.timeout, ctx.timeout)
	ok, why = balancer.set_current_peer(instance.peer)
	if not ok then
		ngx.log(ngx.ERR, "instance ", instance.name, ": ", why)
		return fail()
	end
end

function M.header()
	if not strict.response() then
		return ngx.exit(ngx.ERROR)
	end
end

function M.log()
	local var = ngx.var
	local peer = var.sandboxd_peer
	local instance, key

	if not peer or peer == "" then
		return
	end
	instance = pick.leave(peer)
	key = instance and instance.key or peer:match("^%S+")
	stats.count(key, ngx.status, tonumber(var.bytes_sent), ngx.now() - ngx.req.start_time())
end

local TEXTS = {
	[400] = "the request is not HTTP as it should be",
	[408] = "the request did not come in time",
	[413] = "the request's body is too long",
	[414] = "the request's target is too long",
	[429] = "this address has too many requests at a time",
	[431] = "the request's header fields are too long",
	[500] = "the edge has failed; its error log says why",
	[502] = "the worker's instance ended, or did not answer in HTTP",
	[504] = "the worker did not answer in time",
}

-- What nginx has to say itself.
function M.error()
	local status = tonumber(ngx.var.sandboxd_failed) or ngx.status

	return refuse(status, TEXTS[status] or "the request cannot be served")
end

local API_TEXTS = {
	[502] = "the daemon did not answer, or has just been started again: " ..
		"whether it did what was asked is not known",
	[504] = "the daemon did not answer in time",
}

-- The same at the API's host, in the API's words.
function M.api_error()
	local status = ngx.status

	ngx.header.content_type = "application/json"
	ngx.header.cache_control = "no-store"
	if status == 502 or status == 503 then
		ngx.header.retry_after = "1"
	end
	ngx.print('{"msg":"', API_TEXTS[status] or TEXTS[status] or "the request cannot be served", '"}')
end

return M

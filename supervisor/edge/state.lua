-- SPDX-License-Identifier: Apache-2.0
-- What the front has said: which workers there are, where their instances listen, and which hosts
-- lead to them. It is in memory that all of nginx's processes share, as the front's JSON; each
-- process keeps what it has made of that, and looks at one number, the generation, to see whether
-- that is still right.
local cjson = require("cjson.safe")

local dict = ngx.shared.sandboxd_table

local M = {}

local folder -- RUN/edge, below which relative paths are
local assets_folder -- STATE/assets
local known = {} -- KEY -> {generation, raw, entry}
local hosts_generation, hosts_raw
local hosts = {exact = {}, wild = {}}

function M.generation()
	return dict:get("generation") or 0
end

-- Each change is told by a new generation, after the change itself.
local function changed()
	dict:incr("generation", 1, 0)
end

function M.begin(run, assets)
	local bytes = {}
	local f = assert(io.open("/dev/urandom", "rb"))

	for c in f:read(16):gmatch(".") do
		bytes[#bytes + 1] = ("%02x"):format(c:byte())
	end
	f:close()
	folder = run
	assets_folder = assets
	dict:add("id", table.concat(bytes))
end

function M.id()
	return dict:get("id")
end

-- The front has put all that there is since this nginx was started.
function M.is_ready()
	return dict:get("ready") == true
end

function M.set_ready()
	dict:set("ready", true)
end

local function text(v)
	return type(v) == "string" and v ~= "" and not v:find("[%s%c]") and v or nil
end

local function number(v, otherwise)
	return type(v) == "number" and v >= 0 and v or otherwise
end

local function absolute(path)
	return path:byte() == 47 and path or folder .. "/" .. path
end

local HTML = {
	["auto-trailing-slash"] = true,
	["force-trailing-slash"] = true,
	["drop-trailing-slash"] = true,
	["none"] = true,
}

-- The assets of a version, as assets.lua wants them; nil: there are none.
function M.assets(of)
	if type(of) ~= "table" or not text(of.path) or not of.path:find("^%w+$") then
		return nil
	end
	return {
		folder = assets_folder,
		name = "/" .. of.path,
		html = HTML[of.html] and of.html or "auto-trailing-slash",
		missing = text(of.missing) or "none",
		first = of.run_worker_first,
		navigate = of.navigate == true,
		only = of.only == true,
	}
end

-- What the log says of a request names the instance by three words.
local function instance(key, version, of)
	if type(of) ~= "table" or not text(of.id) or not text(of.path) then
		return nil
	end
	return {
		id = of.id,
		key = key,
		version = version,
		peer = "unix:" .. absolute(of.path),
		name = key .. " " .. version.id .. " " .. of.id,
	}
end

local function version(key, of)
	local v, seen = {}, {}

	if type(of) ~= "table" or not text(of.id) then
		return nil, "versions: each needs an id"
	end
	v.id, v.percent = of.id, number(of.percent, 100)
	v.name = key .. " " .. v.id
	v.room = number(of.room, 100)
	v.instances = {}
	-- Instances get requests in turns, each by a connection of its own.
	v.turns = of.turns == true
	v.assets = M.assets(of.assets)
	if of.isolation == "request" then
		v.once = instance(key, v, {id = "-", path = of.path})
		if not v.once then
			return nil, "versions: isolation request needs a path"
		end
		return v
	end
	for _, i in ipairs(type(of.instances) == "table" and of.instances or {}) do
		local one = instance(key, v, i)

		if not one then
			return nil, "instances: each needs an id and a path"
		end
		if not seen[one.id] then
			seen[one.id] = true
			v.instances[#v.instances + 1] = one
		end
	end
	return v
end

-- An entry as the front writes it becomes what a request is served by.
local function entry(key, raw)
	local of, why = cjson.decode(raw)
	local e = {key = key, versions = {}, total = 0}

	if type(of) ~= "table" then
		return nil, why or "must be an object"
	end
	for _, one in ipairs(type(of.versions) == "table" and of.versions or {}) do
		local v, problem = version(key, one)

		if not v then
			return nil, problem
		end
		e.versions[#e.versions + 1] = v
		e.total = e.total + v.percent
	end
	e.max_body = number(of.max_body)
	e.timeout = number(of.timeout_s, 60)
	e.rate = number(of.rate)
	e.hidden = of.hidden == true
	e.project = key:match("^[^/]+")
	return e
end

function M.worker(key)
	local generation = M.generation()
	local has = known[key]
	local raw

	if has and has.generation == generation then
		return has.entry
	end
	raw = dict:get("worker " .. key)
	if not raw then
		known[key] = nil
		return nil
	end
	if has and has.raw == raw and not has.added then
		has.generation = generation
		return has.entry
	end
	has = {generation = generation, raw = raw, entry = entry(key, raw)}
	known[key] = has
	return has.entry
end

-- An instance that the front has told one request of: it is used until the next change.
function M.add_instance(key, version_id, id, path)
	local e = M.worker(key)

	-- A process that has not looked since may find the front's words as they were before.
	if e then
		known[key].added = true
	end
	for _, v in ipairs(e and e.versions or {}) do
		if v.id == version_id and not v.once then
			for _, i in ipairs(v.instances) do
				if i.id == id then
					return
				end
			end
			v.instances[#v.instances + 1] = instance(key, v, {id = id, path = path})
		end
	end
end

-- Sets one value, or says why not. A value is never pushed out by another one.
local function put(name, raw)
	local ok, why

	if dict:get(name) == raw then
		return true
	end
	ok, why = dict:safe_set(name, raw)
	if not ok then
		return nil, 507, "the edge's table is full: " .. why
	end
	changed()
	return true
end

function M.put_worker(key, raw)
	local e, why = entry(key, raw)

	if not e then
		return nil, 400, why
	end
	-- Also where nothing is changed: an instance that was told in between is not in it.
	if dict:get("worker " .. key) == raw then
		changed()
	end
	return put("worker " .. key, raw)
end

function M.delete_worker(key)
	dict:delete("worker " .. key)
	changed()
end

-- Routes of one host: the longest pattern first, and of two that are as long the one without '*'.
local function paths(list)
	local ret = {}

	for _, r in ipairs(list) do
		local path = type(r) == "table" and text(r.path)

		if not path or path:sub(1, 1) ~= "/" or
			(r.worker ~= cjson.null and not text(r.worker)) then
			return nil
		end
		ret[#ret + 1] = {
			prefix = path:sub(-1) == "*" and path:sub(1, -2) or nil,
			path = path,
			key = text(r.worker),
		}
	end
	table.sort(ret, function(a, b)
		local na, nb = #(a.prefix or a.path), #(b.prefix or b.path)

		if na ~= nb then
			return na > nb
		end
		return a.prefix == nil and b.prefix ~= nil
	end)
	return ret
end

local function hosts_of(raw)
	local of, why = cjson.decode(raw)
	local ret = {exact = {}, wild = {}}

	if type(of) ~= "table" then
		return nil, why or "must be an object"
	end
	for host, list in pairs(of) do
		local routes = type(list) == "table" and paths(list)

		if not routes then
			return nil, host .. ": each route needs a path that begins with / and a worker"
		end
		if host:sub(1, 1) == "*" then
			ret.wild[#ret.wild + 1] = {suffix = host:sub(2), routes = routes}
		else
			ret.exact[host] = routes
		end
	end
	table.sort(ret.wild, function(a, b)
		return #a.suffix > #b.suffix
	end)
	return ret
end

function M.put_hosts(raw)
	local h, why = hosts_of(raw)

	if not h then
		return nil, 400, why
	end
	return put("hosts", raw)
end

local function find_path(routes, path)
	for _, r in ipairs(routes) do
		if r.prefix and path:sub(1, #r.prefix) == r.prefix or r.path == path then
			return r
		end
	end
	return nil
end

-- The worker of a host and a path: its key; or false: a route says that there is none; or nil: no
-- route says anything.
function M.route(host, path)
	local generation = M.generation()
	local r

	if hosts_generation ~= generation then
		local raw = dict:get("hosts")

		if raw and raw ~= hosts_raw then
			hosts = hosts_of(raw) or hosts
			hosts_raw = raw
		end
		hosts_generation = generation
	end
	r = hosts.exact[host] and find_path(hosts.exact[host], path)
	if r then
		return r.key or false
	end
	for _, w in ipairs(hosts.wild) do
		if host:sub(-#w.suffix) == w.suffix then
			r = find_path(w.routes, path)
			if r then
				return r.key or false
			end
		end
	end
	return nil
end

-- All of it, for whoever wants to see: two JSON values by their names.
function M.all()
	local ret = {workers = {}, hosts = {}}

	for _, name in ipairs(dict:get_keys(0)) do
		local key = name:match("^worker (.*)$")

		if key then
			ret.workers[key] = cjson.decode(dict:get(name) or "")
		end
	end
	ret.hosts = cjson.decode(dict:get("hosts") or "") or {}
	return ret
end

return M

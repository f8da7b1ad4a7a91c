-- SPDX-License-Identifier: Apache-2.0
-- Requests, bytes and times of each worker. A process counts for itself, and adds it to what all
-- have counted once a second.
local dict = ngx.shared.sandboxd_stats

local M = {}

-- Upper bounds in seconds, of which the last one is for all others.
local BOUNDS = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, math.huge}
local EVERY = 1

local counted = {} -- KEY -> {requests, bytes, seconds, [1..5], bucket1..}

local function new()
	local c = {requests = 0, bytes = 0, seconds = 0, [1] = 0, [2] = 0, [3] = 0, [4] = 0, [5] = 0}

	for i = 1, #BOUNDS do
		c["b" .. i] = 0
	end
	return c
end

local bucket_names = {}
for i = 1, #BOUNDS do
	bucket_names[i] = "b" .. i
end

function M.count(key, status, bytes, seconds)
	local c = counted[key]
	local class = math.floor(status / 100)
	local i = 1

	if not c then
		c = new()
		counted[key] = c
	end
	c.requests = c.requests + 1
	c.bytes = c.bytes + bytes
	c.seconds = c.seconds + seconds
	c[class] = (c[class] or 0) + 1
	while seconds > BOUNDS[i] do
		i = i + 1
	end
	c[bucket_names[i]] = c[bucket_names[i]] + 1
end

local function flush()
	local was = counted

	counted = {}
	for key, c in pairs(was) do
		for name, n in pairs(c) do
			if n > 0 then
				dict:incr(key .. " " .. name, n, 0)
			end
		end
	end
end

function M.begin()
	ngx.timer.every(EVERY, flush)
end

-- {KEY: {"requests", "bytes", "seconds", "status": {"2": n}, "buckets": [n, ...]}}
function M.all()
	local ret = {}

	flush()
	for _, key in ipairs(dict:get_keys(0)) do
		local worker, name = key:match("^(.*) (%w+)$")
		local w = ret[worker]
		local bucket = name:match("^b(%d+)$")

		if not w then
			w = {status = {}, buckets = {}}
			for i = 1, #BOUNDS do
				w.buckets[i] = 0
			end
			ret[worker] = w
		end
		if bucket then
			w.buckets[tonumber(bucket)] = dict:get(key)
		elseif tonumber(name) then
			w.status[name] = dict:get(key)
		else
			w[name] = dict:get(key)
		end
	end
	return ret
end

-- "bounds" and the bounds; then of each worker its key, requests, bytes, seconds, those of status
-- 1xx to 5xx, and those of each bucket.
function M.lines()
	local ret = {"bounds"}

	for _, bound in ipairs(M.bounds()) do
		ret[#ret + 1] = (" %g"):format(bound)
	end
	ret[#ret + 1] = "\n"
	for key, w in pairs(M.all()) do
		ret[#ret + 1] = ("%s %d %d %.3f"):format(key, w.requests or 0, w.bytes or 0,
			w.seconds or 0)
		for class = 1, 5 do
			ret[#ret + 1] = (" %d"):format(w.status[tostring(class)] or 0)
		end
		for _, n in ipairs(w.buckets) do
			ret[#ret + 1] = (" %d"):format(n)
		end
		ret[#ret + 1] = "\n"
	end
	return ret
end

function M.forget(key)
	for _, name in ipairs(dict:get_keys(0)) do
		if name:sub(1, #key + 1) == key .. " " then
			dict:delete(name)
		end
	end
end

function M.bounds()
	local ret = {}

	for i = 1, #BOUNDS - 1 do
		ret[i] = BOUNDS[i]
	end
	return ret
end

return M

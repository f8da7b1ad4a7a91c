-- SPDX-License-Identifier: Apache-2.0
-- How many requests each instance has at the moment. Each of nginx's processes counts its own, and
-- publishes the number under its own name: what a process that was killed had counted is forgotten
-- by the process that takes its place, so no request is counted for ever.
local dict = ngx.shared.sandboxd_counts

local M = {}

local mine = {} -- an instance's name -> {n, instance}
local down = {} -- an instance's name -> until when it is not tried again
local own, others = "0 ", {}

-- An instance that could not be connected to is left alone for so long. It may have been busy only:
-- a unix socket whose queue is full refuses.
local DOWN_SECONDS = 2

function M.begin(n_processes)
	own = ngx.worker.id() .. " "
	others = {}
	for i = 0, n_processes - 1 do
		if i ~= ngx.worker.id() then
			others[#others + 1] = i .. " "
		end
	end
	for _, key in ipairs(dict:get_keys(0)) do
		if key:sub(1, #own) == own then
			dict:delete(key)
		end
	end
end

function M.of(instance)
	local has = mine[instance.name]
	local n = has and has.n or 0

	for i = 1, #others do
		n = n + (dict:get(others[i] .. instance.name) or 0)
	end
	return n
end

-- For a name alone, and of all processes.
function M.of_name(name)
	local has = mine[name]
	local n = has and has.n or 0

	for i = 1, #others do
		n = n + (dict:get(others[i] .. name) or 0)
	end
	return n
end

-- The instances with requests, of all processes: by their names.
function M.all()
	local ret = {}

	for _, key in ipairs(dict:get_keys(0)) do
		local name = key:match("^%d+ (.*)$")

		ret[name] = (ret[name] or 0) + (dict:get(key) or 0)
	end
	return ret
end

function M.enter(instance)
	local has = mine[instance.name]

	if not has then
		has = {n = 0, instance = instance}
		mine[instance.name] = has
	end
	has.n = has.n + 1
	dict:set(own .. instance.name, has.n)
end

-- The instance whose name this is has one request less: the instance as it was when the first of
-- its requests came, or nil.
function M.leave(name)
	local has = mine[name]

	if not has then
		return nil
	end
	has.n = has.n - 1
	if has.n > 0 then
		dict:set(own .. name, has.n)
	else
		mine[name] = nil
		dict:delete(own .. name)
	end
	return has.instance
end

function M.set_down(instance)
	down[instance.name] = ngx.now() + DOWN_SECONDS
end

function M.is_down(instance)
	local till = down[instance.name]

	if till and till <= ngx.now() then
		down[instance.name] = nil
		return false
	end
	return till ~= nil
end

return M

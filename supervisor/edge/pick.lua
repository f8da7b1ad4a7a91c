-- SPDX-License-Identifier: Apache-2.0
-- Which instance serves a request. Where none has room, the request waits while the front is asked
-- for one: by one process for all requests that wait for the same version.
local semaphore = require("ngx.semaphore")

local counts = require("counts")
local state = require("state")

local M = {}

-- Requests that wait, of one version in one process of nginx. Those beyond are refused at once.
local WAITING_MAX = 1000
-- Seconds: how long a request waits for an instance at most. Then how often one that waits looks
-- for room that another process of nginx has made, and how long the front is not asked again after
-- it has said no.
local WAIT_MAX = 60
local LOOK_EVERY = 0.1
local ASK_AGAIN = 0.5

local wake_path
local waiting = {} -- a version's name -> {n, sem, asking, refused, quiet}
local turns = {} -- a version's name -> how far its instances have had their turns

function M.begin(path)
	wake_path = path
end

-- By the percentages of the deployment, anew for each request; nil: none serves.
function M.choose(e)
	local at

	if #e.versions < 2 then
		return e.versions[1]
	end
	at = math.random() * e.total
	for _, v in ipairs(e.versions) do
		at = at - v.percent
		if at < 0 then
			return v
		end
	end
	return e.versions[#e.versions]
end

-- The instance with the fewest requests, the first of several: so the last ones have nothing to do
-- when there is little, and can end. Those of a service do not end, and have turns.
local function pick_instance(v)
	local list = v.instances
	local best, least

	local begin = 0

	if v.once then
		return counts.of(v.once) < v.room and v.once or nil
	end
	-- In turns it is the next one that comes first, of those that have as few.
	if v.turns and #list > 1 then
		begin = turns[v.name] or math.random(#list)
		turns[v.name] = begin % #list + 1
	end
	for i = 1, #list do
		local one = list[(begin + i - 1) % #list + 1]

		if not counts.is_down(one) then
			local n = counts.of(one)

			if n < v.room and (not least or n < least) then
				best, least = one, n
				if n == 0 then
					break
				end
			end
		end
	end
	return best
end

-- Takes a place in an instance of this version; nil: there is none; nil, true: the entry e is not
-- what the front says any more. The place is published before the table is looked at again: so when
-- the front has taken an instance out and sees no request of it, none will come.
function M.place(e, v)
	local instance = pick_instance(v)

	if not instance then
		return nil
	end
	counts.enter(instance)
	if state.worker(e.key) == e then
		return instance
	end
	M.leave(instance.name)
	return nil, true
end

-- Asks the front by one line. The answer: "OK", path, instance; or "ERR", status, text; or nil: the
-- front is not there.
local function ask(line)
	local sock = ngx.socket.tcp()
	local answer

	sock:settimeouts(1000, 1000, WAIT_MAX * 1000)
	if not sock:connect("unix:" .. wake_path) then
		return nil
	end
	answer = sock:send(line) and sock:receive("*l")
	sock:close()
	if not answer then
		return nil
	end
	return answer:match("^(%S+) ?(%S*) ?(.*)$")
end

-- A new nginx tells the front that it knows nothing, until the front has heard it.
function M.tell_new(pause)
	if state.is_ready() then
		return
	end
	if ask("NEW " .. state.id() .. "\n") ~= "OK" then
		ngx.timer.at(pause, function(premature)
			if not premature then
				M.tell_new(math.min(pause * 2, 2))
			end
		end)
	end
end

local function wake(premature, w, key, version, request_id)
	local word, one, two = nil, nil, nil

	while not premature and w.n > 0 and not word do
		word, one, two = ask(("WAKE %s %s %s\n"):format(key, version, request_id))
		if not word then
			-- The front is being started again. It forgets no worker.
			ngx.sleep(LOOK_EVERY)
			if not w.named() then
				break
			end
		end
	end
	if word == "OK" and one ~= "" and two ~= "" then
		state.add_instance(key, version, two, one)
	elseif word == "ERR" then
		w.refused = {status = tonumber(one) or 503, text = two}
		w.quiet = ngx.now() + ASK_AGAIN
	end
	w.asking = false
	if w.n > 0 then
		w.sem:post(w.n)
	end
end

function M.version(e, id)
	for _, v in ipairs(e and e.versions or {}) do
		if v.id == id then
			return v
		end
	end
	return nil
end

local function wait(e, v, request_id)
	local w = waiting[v.name]
	local till = ngx.now() + WAIT_MAX
	local key, id = e.key, v.id
	local refused, instance, other

	if not w then
		w = {n = 0, sem = semaphore.new(), quiet = 0}
		w.named = function()
			return M.version(state.worker(key), id) ~= nil
		end
		waiting[v.name] = w
	end
	if w.n >= WAITING_MAX then
		return nil, 503, "the worker has more requests than it can serve"
	end
	-- What was refused to those who waited before says nothing about this request.
	if w.n == 0 then
		w.refused = nil
		w.quiet = 0
	end
	w.n = w.n + 1
	repeat
		if not w.asking and w.quiet <= ngx.now() then
			w.asking = true
			w.refused = nil
			if not ngx.timer.at(0, wake, w, key, id, request_id) then
				w.asking = false
			end
		end
		w.sem:wait(LOOK_EVERY)
		-- The deployment may be another one by now.
		e = state.worker(key)
		other = M.version(e, id) or e and M.choose(e)
		if not other then
			break
		end
		instance = M.place(e, other)
		refused = w.refused
		-- Where instances are only full, a place in them is still waited for.
	until instance or refused and #other.instances == 0 or ngx.now() > till
	w.n = w.n - 1
	if w.n == 0 and not w.asking then
		waiting[v.name] = nil
	end
	if instance then
		return instance, e
	elseif not other then
		return nil, 404, "the worker was removed"
	elseif refused then
		return nil, refused.status, refused.text
	end
	return nil, 504, "no instance of the worker was there in time"
end

-- The instance of a worker's version for one request, which has a place in it until leave(): the
-- instance, and the worker's entry; or nil, a status, and why.
function M.instance(e, v, request_id)
	local instance, again

	repeat
		instance, again = M.place(e, v)
		if again then
			e = state.worker(e.key)
			if not e then
				return nil, 404, "the worker was removed"
			end
			v = M.version(e, v.id) or M.choose(e)
			if not v then
				return nil, 404, "the worker has no version that serves"
			end
		end
	until not again
	if instance then
		return instance, e
	end
	return wait(e, v, request_id)
end

-- The request has left the instance with this name, which is returned (or nil), and whoever waits
-- for its version may have the place.
function M.leave(name)
	local instance = counts.leave(name)
	local w = instance and waiting[instance.version.name]

	if w and w.n > 0 and w.sem:count() <= 0 then
		w.sem:post(1)
	end
	return instance
end

return M

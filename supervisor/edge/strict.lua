-- SPDX-License-Identifier: Apache-2.0
-- What nginx would let through of a message's form and an instance shall not see: RFC 9112 wants it
-- refused, or another program might read it in another way.
local M = {}

local find = ngx.re.find

-- What no head may have: controls other than tabs and the ends of lines, a CR that no LF follows, a
-- field without a colon.
local BAD = [=[[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\n[^:\r\n]+[\r\n]]=]

local AUTHORITY = [[^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$]]

-- What a Connection header may name without anything being taken away by that: these words are
-- about the connection, and nginx makes a new one.
local OF_CONNECTION = {
	["close"] = true,
	["keep-alive"] = true,
	["upgrade"] = true,
	["te"] = true,
	["content-length"] = true,
	["transfer-encoding"] = true,
	["host"] = true,
}

-- Header fields that a Connection header names are for this hop alone (RFC 9110, 7.6.1).
local function each_named(connection, fn)
	for name in connection:gmatch("[^,%s]+") do
		name = name:lower()
		if not OF_CONNECTION[name] then
			fn(name)
		end
	end
end

-- Nil, or what is wrong with the request. Host is set to the one that the request is for.
function M.request()
	local var = ngx.var
	local target = var.request_uri
	local authority = var.http_host
	local raw = ngx.req.raw_header()
	local connection

	if ngx.req.http_version() < 1 then
		return "HTTP/0.9 is not served"
	end
	if find(raw, BAD, "jo") then
		return "a control character or a line without a colon in the request's head"
	end
	if target:byte() ~= 47 then
		-- A target with a host in it says which host, whatever Host says.
		authority = target:match("^%w+://([^/?#]+)")
		if not authority then
			return "the request's target is neither a path nor a URL"
		end
		ngx.req.set_header("Host", authority)
	end
	if authority and not find(authority, AUTHORITY, "jo") then
		return "Host is not the name of a host"
	end
	connection = var.http_connection
	if connection and connection ~= "keep-alive" and connection ~= "close" then
		each_named(connection, ngx.req.clear_header)
	end
	return nil
end

local function without_dots(path)
	local steps, ends = {}, false

	for step in path:gmatch("/([^/]*)") do
		local plain = step:gsub("%%2[eE]", ".")

		ends = plain == "." or plain == ".."
		if plain == ".." then
			steps[#steps] = nil
		elseif plain ~= "." then
			steps[#steps + 1] = step
		end
	end
	return "/" .. table.concat(steps, "/") .. (ends and #steps > 0 and "/" or "")
end

-- The path of a target, without the query and without steps like "/./" and "/../", however they are
-- written. (Searches for plain text are compiled, those for patterns are not.)
function M.path(target)
	local path = target
	local query

	if path:byte() ~= 47 then
		path = path:match("^%w+://[^/?#]+(.*)$") or "/"
		path = path:byte() == 47 and path or "/" .. path
	end
	query = path:find("?", 1, true) or path:find("#", 1, true)
	if query then
		path = path:match("^[^?#]*")
	end
	if path:find("/.", 1, true) or path:find("%2", 1, true) then
		return without_dots(path)
	end
	return path
end

-- Takes an instance's fields that are for this hop alone out of its answer. False: the answer must
-- not reach the client. It has no HTTP in it, and nginx would pass its bytes on as an answer of
-- HTTP/0.9; or its length is given twice, of which nginx 1.22 takes the last one; or it is one of
-- those that another answer follows (1xx), whose rest nginx would pass on without any framing; but
-- 101, where the client has asked for it, is followed by what the two say to each other.
function M.response()
	local var = ngx.var
	local connection, length = var.upstream_http_connection, var.upstream_http_content_length

	if connection and connection ~= "keep-alive" and connection ~= "close" then
		each_named(connection, function(name)
			ngx.header[name] = nil
		end)
	end
	return ngx.req.http_version() >= 1 and
		(ngx.status >= 200 or ngx.status == 101 and var.sandboxd_upgrade ~= "") and
		(not length or length == ngx.header.content_length or ngx.header.content_length == nil)
end

return M

-- SPDX-License-Identifier: Apache-2.0
-- The certificate for a handshake, read when it is wanted, so that a new or replaced one needs no
-- word to anybody. For a.b.example.com the first of a.b.example.com.pem, b.example.com.pem,
-- example.com.pem that is there, so that one for *.example.com lies in example.com.pem; for a
-- client that names no host, that of --domain.
local ssl = require("ngx.ssl")

local M = {}

-- A certificate with its chain and key is not longer.
local SIZE_MAX = 256 * 1024

local folder, domain
local parsed = {} -- file -> {text, chain, key}

function M.init(config)
	folder, domain = config.certificates, config.domain
end

local function load(name)
	local f = io.open(folder .. "/" .. name .. ".pem", "rb")
	local text = f and f:read(SIZE_MAX)
	local has = parsed[name]
	local chain, key, why

	if f then
		f:close()
	end
	if not text then
		parsed[name] = nil
		return nil
	end
	if has and has.text == text then
		return has
	end
	chain, why = ssl.parse_pem_cert(text)
	if chain then
		key, why = ssl.parse_pem_priv_key(text)
	end
	if not key then
		ngx.log(ngx.ERR, "certificate ", name, ".pem: ", why)
		return nil
	end
	has = {text = text, chain = chain, key = key}
	parsed[name] = has
	return has
end

-- The certificate, and the name of its file.
local function find(host)
	local name = host

	while name do
		local has = load(name)

		if has then
			return has, name
		end
		name = name:match("^[^.]+%.(.+)$")
	end
	return nil
end

local function is_name(host)
	return #host <= 253 and host:find("^[a-z0-9_-][a-z0-9._-]*$") and not host:find("..", 1, true)
end

-- Whether a connection whose handshake has named one host, or none, may be asked for another one:
-- for those alone that have the same certificate. What stands before the connection may have looked
-- at the name of the handshake only.
function M.covers(named, host)
	local ours, theirs, _

	named = (named or domain):lower()
	host = host:lower()
	if named == host then
		return true
	end
	if not is_name(named) or not is_name(host) then
		return false
	end
	_, ours = find(named)
	_, theirs = find(host)
	return ours ~= nil and ours == theirs
end

function M.serve()
	local host = (ssl.server_name() or domain):lower()
	local has

	-- The name becomes part of a path.
	if not is_name(host) then
		return ngx.exit(ngx.ERROR)
	end
	has = find(host)
	if not has then
		return ngx.exit(ngx.ERROR)
	end
	ssl.clear_certs()
	if not ssl.set_cert(has.chain) or not ssl.set_priv_key(has.key) then
		ngx.log(ngx.ERR, "certificate of ", host, ": certificate and key do not fit")
		return ngx.exit(ngx.ERROR)
	end
end

return M

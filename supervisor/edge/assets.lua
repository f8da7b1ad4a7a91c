-- SPDX-License-Identifier: Apache-2.0
-- Which file of a version's assets answers a request: one set of rules, for requests of the world
-- and for those that a worker sends by its binding.
--
-- The folder of assets has files/, and rules.json with what _redirects and _headers say. A build
-- has written both, so that neither is trusted: paths are looked for below files/ alone, no link
-- is followed, and what the rules cost is bounded by their size.
local cjson = require("cjson.safe")
local ffi = require("ffi")

ffi.cdef([[
int access(const char *path, int mode);
long readlink(const char *path, char *buf, size_t size);
void *memmem(const void *in, size_t in_len, const void *what, size_t what_len);
]])

local M = {}

-- Bytes of one file of rules, and of all that a process keeps.
local RULES_MAX = 256 * 1024
-- Rules that are looked at one by one, of redirects and of headers; a build makes no more.
local EACH_MAX = 100
local RULES_KEPT = 16 * 1024 * 1024
local PATH_MAX = 4000
local DEPTH_MAX = 70 -- of folders, and more than a build makes
local R_OK = 4

local link = ffi.new("char[1]")

-- Whether there is a regular file, which nginx may read, below the folder root. Steps of the path
-- are looked at one by one: what a link leads to is not there.
local function exists(root, path)
	local at = 1

	if #path > PATH_MAX or path:byte() ~= 47 or path:byte(-1) == 47 or
		path:find("\0", 1, true) or path:find("//", 1, true) then
		return false
	end
	for step in path:gmatch("[^/]+") do
		if step == "." or step == ".." then
			return false
		end
	end
	-- Mostly there is nothing, which one look tells.
	if ffi.C.access(root .. path, R_OK) ~= 0 or ffi.C.access(root .. path .. "/.", 0) == 0 then
		return false
	end
	repeat
		at = path:find("/", at + 1, true)
		-- It is no link, or is not there: 0 bytes and more are those of a link.
		if ffi.C.readlink(root .. path:sub(1, at and at - 1), link, 1) >= 0 then
			return false
		end
	until not at
	return true
end

-- The same of one of the version's files.
local function has(a, path)
	return path:byte() == 47 and exists(a.folder, a.name .. "/files" .. path)
end

local function unhex(text)
	return string.char(tonumber(text, 16))
end

-- Step by step; one that is not encoded as it should be stays as it is.
local function decode(path)
	local steps = {}

	for step in (path .. "/"):gmatch("([^/]*)/") do
		if step:find("%", 1, true) and not step:gsub("%%%x%x", ""):find("%", 1, true) then
			step = step:gsub("%%(%x%x)", unhex)
		end
		steps[#steps + 1] = step
	end
	return (table.concat(steps, "/"):gsub("/+", "/"))
end

local function encode(path)
	return (path:gsub("[^%w%-_.!~*'()/]", function(c)
		return ("%%%02X"):format(c:byte())
	end))
end

-- How the parts of a path in which an HTML file is asked for end, the longest first.
local SHAPES = {"/index.html", "/index", ".html", "/"}

-- By mode and shape: {the file that is meant, where it has its address}, each behind the path
-- without the shape. "exact": the file of this very path comes before those that follow.
local PAGE_SLASH = {"/index.html", "/"}
local PAGE = {"/index.html", ""}
local FILE_SLASH = {".html", "/"}
local FILE = {".html", ""}
local MOVED = {
	["auto-trailing-slash"] = {
		["/index.html"] = {PAGE_SLASH, FILE},
		["/index"] = {"exact", PAGE_SLASH, FILE},
		[".html"] = {FILE, PAGE_SLASH},
		["/"] = {"exact", FILE},
		[""] = {"exact", PAGE_SLASH},
	},
	["force-trailing-slash"] = {
		["/index.html"] = {PAGE_SLASH, FILE_SLASH},
		["/index"] = {"exact", PAGE_SLASH, FILE_SLASH},
		[".html"] = {FILE_SLASH, "exact", PAGE_SLASH},
		["/"] = {},
		[""] = {"exact", FILE_SLASH, PAGE_SLASH},
	},
	["drop-trailing-slash"] = {
		["/index.html"] = {PAGE, "exact", FILE},
		["/index"] = {"exact", FILE, PAGE},
		[".html"] = {FILE, PAGE},
		["/"] = {FILE, PAGE},
		[""] = {"exact"},
	},
}

-- The file that is at an address itself, or nil.
local function at_address(a, path)
	local files

	if has(a, path) then
		return path
	end
	if a.html == "auto-trailing-slash" then
		files = path:byte(-1) == 47 and {path .. "index.html"} or {path .. ".html"}
	elseif a.html == "force-trailing-slash" then
		files = path:byte(-1) == 47 and {path .. "index.html", path:sub(1, -2) .. ".html"}
	elseif a.html == "drop-trailing-slash" then
		files = path == "/" and {"/index.html"} or {path .. ".html", path .. "/index.html"}
	end
	for _, file in ipairs(files or {}) do
		if has(a, file) then
			return file
		end
	end
	return nil
end

local function shape_of(path)
	for _, shape in ipairs(SHAPES) do
		if path:sub(-#shape) == shape then
			return shape, path:sub(1, -#shape - 1)
		end
	end
	return "", path
end

-- Through one list of MOVED: the file of the path, or nil and the address that it has.
local function look(a, path, shape, stem)
	for _, one in ipairs(MOVED[a.html][shape]) do
		if one == "exact" then
			local file = at_address(a, path)

			if file and (file == path or shape == "" or shape == "/") then
				return file
			end
		-- The root is the address of its own page alone.
		elseif stem ~= "" or one[1] ~= ".html" then
			local file, address = stem .. one[1], stem .. one[2]

			address = address == "" and "/" or address
			if address ~= path and not has(a, address) and
				has(a, file) and at_address(a, address) == file then
				return nil, address
			end
		end
	end
	return nil
end

-- The file of a path; or nil, and the address that it has.
local function find(a, path)
	local shape, stem = shape_of(path)
	local file, moved

	if not MOVED[a.html] then
		return at_address(a, path)
	end
	file, moved = look(a, path, shape, stem)
	if not file and not moved then
		file = at_address(a, path)
	end
	-- It may be the name of a folder all the same.
	if not file and not moved and shape ~= "" and shape ~= "/" then
		file, moved = look(a, path, "", path)
	end
	return file, moved
end

-- What answers where there is no such file: the file and its status, or nil.
local function missing(a, path)
	if a.missing == "single-page-application" and has(a, "/index.html") then
		return "/index.html", 200
	end
	if a.missing == "404-page" then
		local at = 1

		-- No file is deeper.
		for _ = 1, DEPTH_MAX do
			at = at and path:find("/", at + 1, true)
		end
		path = at and path:sub(1, at) or path
	end
	while a.missing == "404-page" and path ~= "" do
		path = path:match("^(.*)/[^/]*$") or ""
		if has(a, path .. "/404.html") then
			return path .. "/404.html", 404
		end
	end
	return nil
end

-- Whether a pattern, in which * stands for anything, fits the whole of a text. Patterns are a
-- tenant's, the text is a client's, and whoever else is served by this process waits: so the
-- time is by the sum of their lengths, whatever they are. What is before the first and behind
-- the last * has its place; of what is between, the first place behind the one before is
-- right, and memmem(3) takes time by the length alone.
function M.fits(pattern, text)
	local first = pattern:find("*", 1, true)
	local last, base, at, rest, suffix

	if not first then
		return pattern == text
	end
	last = #pattern - pattern:reverse():find("*", 1, true) + 1
	suffix = pattern:sub(last + 1)
	at, rest = first - 1, #text - #suffix
	if at > rest or text:sub(1, at) ~= pattern:sub(1, at) or text:sub(rest + 1) ~= suffix then
		return false
	end
	base = ffi.cast("const char *", text)
	while first < last do
		local star = pattern:find("*", first + 1, true)
		local part = pattern:sub(first + 1, star - 1)
		local found = ffi.C.memmem(base + at, rest - at, part, #part)

		if found == nil then
			return false
		end
		at = tonumber(ffi.cast("const char *", found) - base) + #part
		first = star
	end
	return true
end

-- The parts of a rule's pattern that have names, as they are in a text: "*" is called splat, and
-- ":name" stands for one step. nil: it does not fit.
local function parts_of(pattern, text)
	local parts = {}
	local p, t = 1, 1

	while p <= #pattern do
		local c = pattern:sub(p, p)
		local name = c == ":" and pattern:match("^:(%a[%w_]*)", p)

		if c == "*" then
			local rest = pattern:sub(p + 1)

			if #text - t + 1 < #rest or rest ~= "" and text:sub(-#rest) ~= rest then
				return nil
			end
			parts.splat = text:sub(t, #text - #rest)
			return parts
		elseif name then
			local step = text:match("^[^/]+", t)

			if not step then
				return nil
			end
			parts[name] = step
			p, t = p + 1 + #name, t + #step
		else
			-- All that stands for itself, at once.
			local behind = pattern:find("[*:]", p + 1) or #pattern + 1
			local size = behind - p

			if text:sub(t, t + size - 1) ~= pattern:sub(p, behind - 1) then
				return nil
			end
			p, t = behind, t + size
		end
	end
	return t > #text and parts or nil
end

local function filled(text, parts)
	return (text:gsub(":(%a[%w_]*)", function(name)
		return parts[name]
	end))
end

local kept, kept_bytes, kept_order = {}, 0, {}

local function is_text(v)
	return type(v) == "string" and not v:find("%c")
end

local function list(v)
	return type(v) == "table" and v or {}
end

-- What is wrong in it is left out.
local function rules_of(text)
	local of = list(cjson.decode(text))
	local rules = {exact = {}, redirects = {}, headers = {}}

	for _, r in ipairs(list(of.redirects)) do
		local from, to, status = list(r)[1], list(r)[2], list(r)[3]

		if is_text(from) and is_text(to) and type(status) == "number" then
			r = {from = from, to = to, status = status}
			if not from:find("[*:]", from:sub(1, 8) == "https://" and 7 or 1) then
				rules.exact[from] = rules.exact[from] or r
			elseif #rules.redirects < EACH_MAX then
				rules.redirects[#rules.redirects + 1] = r
			end
		end
	end
	for _, h in ipairs(list(of.headers)) do
		if is_text(list(h)[1]) and #rules.headers < EACH_MAX then
			rules.headers[#rules.headers + 1] = {from = h[1], set = list(h[2]), unset = list(h[3])}
		end
	end
	return rules
end

local function rules(a)
	local old = kept[a.name]
	local f, text, new

	if old then
		return old.rules
	end
	f = exists(a.folder, a.name .. "/rules.json") and
		io.open(a.folder .. a.name .. "/rules.json", "rb")
	text = f and f:read(RULES_MAX + 1) or ""
	if f then
		f:close()
	end
	new = {rules = rules_of(#text <= RULES_MAX and text or ""), bytes = #text + 100}
	kept[a.name] = new
	kept_order[#kept_order + 1] = a.name
	kept_bytes = kept_bytes + new.bytes
	while kept_bytes > RULES_KEPT do
		local oldest = table.remove(kept_order, 1)

		kept_bytes = kept_bytes - kept[oldest].bytes
		kept[oldest] = nil
	end
	return new.rules
end

-- What a rule's pattern is held against: a path, or with the host before it.
local function subject(pattern, url)
	return pattern:sub(1, 8) == "https://" and "https://" .. url.host .. url.path or url.path
end

local function redirect(a, url)
	local r = rules(a)
	local rule = r.exact["https://" .. url.host .. url.path] or r.exact[url.path]
	local parts = {}
	local to

	for i = 1, rule and 0 or #r.redirects do
		parts = parts_of(r.redirects[i].from, subject(r.redirects[i].from, url))
		if parts then
			rule = r.redirects[i]
			break
		end
	end
	if not rule then
		return nil
	end
	to = filled(rule.to, parts)
	if not to:find("^%w+://") then
		to = to:gsub("/+", "/")
	end
	if rule.status ~= 200 and url.query ~= "" and not to:find("?", 1, true) then
		local hash = to:find("#", 1, true)

		to = hash and to:sub(1, hash - 1) .. url.query .. to:sub(hash) or to .. url.query
	end
	return rule.status, to
end

-- What _headers changes in the answer to this URL: {{name, value}, ...}; without a value the field
-- goes. nil: nothing.
local function changes(a, url)
	local ret

	for _, h in ipairs(rules(a).headers) do
		local parts = parts_of(h.from, subject(h.from, url))

		for _, name in ipairs(parts and h.unset or {}) do
			if is_text(name) then
				ret = ret or {}
				ret[#ret + 1] = {name}
			end
		end
		for _, set in ipairs(parts and h.set or {}) do
			if is_text(list(set)[1]) and is_text(set[2]) then
				ret = ret or {}
				ret[#ret + 1] = {set[1], filled(set[2], parts)}
			end
		end
	end
	return ret
end

-- Fields that say how the answer is framed, or what the front reads.
local FRAMING = {
	["connection"] = true,
	["content-length"] = true,
	["content-range"] = true,
	["keep-alive"] = true,
	["te"] = true,
	["trailer"] = true,
	["transfer-encoding"] = true,
	["upgrade"] = true,
}

-- Changes the head of the answer that is about to be sent.
function M.change(all)
	local seen = {}

	for _, change in ipairs(all or {}) do
		local name, value = change[1], change[2]
		local low = name:lower()

		if FRAMING[low] or low:sub(1, 11) == "x-sandboxd-" or
			not low:find("^[%w!#$%%&'*+.^_`|~-]+$") then
			ngx.log(ngx.INFO, "_headers: ", name, " is left out")
		elseif not value then
			ngx.header[name] = nil
			seen[low] = nil
		elseif seen[low] then
			seen[low][#seen[low] + 1] = value
			ngx.header[name] = seen[low]
		else
			seen[low] = {value}
			ngx.header[name] = value
		end
	end
end

-- The URL of a target whose path has no dots any more.
function M.url(host, path, target)
	local query = target:match("^[^?#]*(%?[^#]*)") or ""

	return {host = host, path = path, query = query == "?" and "" or query}
end

-- What answers: {status, file}, {status, location} or {status} alone; nil: no asset does. With
-- keep_missing what stands in for missing files is an answer too. The member "changes" is what
-- _headers changes in it.
function M.answer(a, url, keep_missing)
	local rule, to = redirect(a, url)
	local raw = url.path
	local path, file, moved
	local code = 200

	if rule and rule ~= 200 then
		return {status = rule, location = to, changes = changes(a, url)}
	end
	if rule then
		raw = to:match("^%w+://[^/?#]*([^?#]*)") or to:match("^[^?#]*")
	end
	path = decode(raw)
	file, moved = find(a, path)
	if not file and not moved and keep_missing then
		file, code = missing(a, path)
	end
	if file and encode(path) ~= raw then
		-- Each file has one address, in the usual encoding.
		moved = path
	end
	if moved then
		return {status = 307, location = encode(moved) .. url.query, changes = changes(a, url)}
	elseif file then
		return {status = code, file = encode(file), changes = changes(a, url)}
	elseif rule then
		return M.none(a, url)
	end
	return nil
end

function M.none(a, url)
	return {status = 404, changes = changes(a, url)}
end

return M

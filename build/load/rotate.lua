-- Requests in turn from a file (4 bytes of length, little-endian, before each body), and the outcome as one line of JSON.
local function read(path)
  local file = assert(io.open(path, "rb"))
  local all, bodies, at = file:read("*a"), {}, 1
  file:close()
  while at <= #all do
    local a, b, c, d = all:byte(at, at + 3)
    local size = a + b * 256 + c * 65536 + d * 16777216
    bodies[#bodies + 1] = all:sub(at + 4, at + 3 + size)
    at = at + 4 + size
  end
  return bodies
end

local requests, next_at = {}, 0

function init(args)
  for i = 2, #args do
    local name, value = args[i]:match("^(.-)=(.*)$")
    wrk.headers[name] = value
  end
  for i, body in ipairs(read(args[1])) do requests[i] = wrk.format("POST", nil, nil, body) end
end

function request()
  next_at = next_at % #requests + 1
  return requests[next_at]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\n{"answered":%d,"microseconds":%d,"p50":%d,"p99":%d,"failed":%d}\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout + e.status))
end

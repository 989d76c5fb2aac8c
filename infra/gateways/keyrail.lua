-- `http-request lua.keyrail` of haproxy.cfg: asks Keyrail about a request, and ends it where the answer is no.
--
-- Anything but an answer of Keyrail's is 503: a gateway that can't ask lets nothing pass.

local QUESTIONS = "http://127.0.0.1:8091/v1/authorize"
local GATEWAY_KEY = os.getenv("KEYRAIL_GATEWAY_KEY") or ""
local TIMEOUT_MS = 8000  -- beyond two tries of backend keyrail
local FROM_CLIENT = { "authorization", "x-api-key", "traceparent", "x-correlation-id" }
local IDENTITY = { "x-keyrail-key-id", "x-keyrail-generation", "x-keyrail-tenant", "x-keyrail-principal", "x-keyrail-scopes" }
local FOR_CLIENT = { "content-type", "cache-control", "www-authenticate", "retry-after", "x-correlation-id" }
local REASONS = { [401] = "Unauthorized", [403] = "Forbidden", [429] = "Too Many Requests", [503] = "Service Unavailable" }
local NO_ANSWER = '{"type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "UNAVAILABLE"}'

-- All values of a header: HAProxy counts them from 0, and one that is sent twice must be seen twice.
local function values_of(headers, name)
  local values, n = {}, 0
  while headers[name] and headers[name][n] do
    values[n + 1] = headers[name][n]
    n = n + 1
  end
  return values
end

local function question(txn)
  local sent = txn.http:req_get_headers()
  local asked = { ["host"] = { "keyrail" }, ["x-real-ip"] = { txn.f:src() }, ["x-keyrail-gateway-key"] = { GATEWAY_KEY } }
  for _, name in ipairs(FROM_CLIENT) do
    local values = values_of(sent, name)
    if #values > 0 then asked[name] = values end
  end
  local needs = txn:get_var("txn.keyrail_needs")
  return { url = QUESTIONS .. (needs and "?" .. needs or ""), headers = asked, timeout = TIMEOUT_MS }
end

local function refuse(txn, status, headers, body)
  local reply = txn:reply()
  reply:set_status(status, REASONS[status])
  for name, value in pairs(headers) do reply:add_header(name, value) end
  reply:set_body(body)
  txn:done(reply)
end

local function pass(txn, headers)
  for _, name in ipairs(IDENTITY) do
    txn.http:req_set_header(name, values_of(headers, name)[1] or "")
  end
  for _, name in ipairs({ "deprecation", "sunset" }) do
    local value = values_of(headers, name)[1]
    if value then txn:set_var("txn.keyrail_" .. name, value) end
  end
end

core.register_action("keyrail", { "http-req" }, function(txn)
  local asked, answer = pcall(function() return core.httpclient():get(question(txn)) end)
  local headers = asked and answer.headers or {}
  if asked and answer.status == 200 and headers["x-keyrail-key-id"] then
    pass(txn, headers)
  elseif asked and REASONS[answer.status] and headers["x-keyrail-code"] then
    local told = {}
    for _, name in ipairs(FOR_CLIENT) do told[name] = values_of(headers, name)[1] end
    refuse(txn, answer.status, told, answer.body)
  else
    local told = { ["content-type"] = "application/problem+json", ["cache-control"] = "no-store", ["retry-after"] = "1" }
    refuse(txn, 503, told, NO_ANSWER)
  end
end)

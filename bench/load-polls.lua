-- What pages that poll send, over and over: the same three reads by turns.
local authorization = os.getenv("BENCH_AUTHORIZATION")
local headers = { ["Content-Type"] = "application/json", ["Authorization"] = authorization }
local methods = { "getbalance", "getinfo", "history" }
local number = 0

function request()
  number = number + 1
  local method = methods[number % 3 + 1]
  local body = '{"jsonrpc": "2.0", "id": ' .. number .. ', "method": "' .. method .. '", "params": []}'
  return wrk.format("POST", "/", headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"calls": %d, "seconds": %.6f, "errors": %d, "p50": %.6f, "p99": %.6f, "slowest": %.6f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency.max / 1e6))
end

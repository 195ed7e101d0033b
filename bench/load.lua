-- The load that wrk sends: one JSON-RPC call a request, no two alike unless BENCH_IDENTICAL is set.
local authorization = os.getenv("BENCH_AUTHORIZATION")
local identical = os.getenv("BENCH_IDENTICAL") == "1"
local headers = { ["Content-Type"] = "application/json", ["Authorization"] = authorization }
local number = 0

function request()
  number = number + 1
  local parameter = identical and "bench" or "bench-" .. number
  local body = '{"jsonrpc": "2.0", "id": ' .. number .. ', "method": "validateaddress", "params": ["' .. parameter .. '"]}'
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

// Numbers, times and lines as the page shows them: the same as figures.py, for what changes while the page is open.

const STEPS = [[86400, 3], [3600, 2], [60, 1]];
const MIB = 1048576, GIB = 1073741824;
const WIDTH = 120, HEIGHT = 24, GAP = 5;

const is = (value) => typeof value === "number" && Number.isFinite(value);
const grouped = (value) => Math.round(value).toLocaleString("en-US");

export const number = (value) => (is(value) ? grouped(value) : "");
export const decimal = (value) => (is(value) ? value.toFixed(2) : "");
export const share = (value) => (is(value) ? `${Math.round(value * 100)}%` : "");

export function rate(value) {
  if (!is(value)) return "0";
  return value >= 10 || value === 0 ? grouped(value) : value.toFixed(1);
}

export function milliseconds(value) {
  if (!is(value) || value === 0) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return value >= 10 ? `${value.toFixed(0)} ms` : `${value.toFixed(1)} ms`;
}

export function size(value) {
  if (!is(value)) return "";
  return value >= 10 * GIB ? `${(value / GIB).toFixed(1)} GiB` : `${grouped(value / MIB)} MiB`;
}

export function duration(seconds, units) {
  for (const [step, place] of STEPS) {
    if (seconds >= 2 * step) return `${Math.floor(seconds / step)}${units[place]}`;
  }
  return seconds >= 1 ? `${Math.floor(seconds)}${units[0]}` : units[4];
}

export function sparkline(samples) {
  const known = (samples || []).filter(is);
  if (known.length < 2) return "";
  const top = Math.max(...known, 5);
  const step = WIDTH / (samples.length - 1);
  let path = "", last = -2 * GAP;
  samples.forEach((value, place) => {
    if (!is(value)) return;
    const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
    path += `${place - last <= GAP ? "L" : "M"}${(place * step).toFixed(1)} ${y.toFixed(1)}`;
    last = place;
  });
  return path;
}

// How the figures of a daemon and of a wallet are written; `was` is what stands there.
export const ofBackend = (units) => ({
  score: (one) => decimal(one.score),
  slots: (one, was) => was.replace(/\d+/, String(one.in_flight)),
  height: (one) => number(one.height),
  horizon: (one) => number(one.horizon),
  latency_ms: (one) => milliseconds(one.latency_ms),
  memory: (one) => size(one.memory?.used),
  memory_share: (one, was) => (one.memory ? was.replace(/\d+%/, share(one.memory.share)) : was),
  next_try: (one) => (typeof one.next_try === "number" ? duration(one.next_try, units) : ""),
});

export const OF_WALLET = {
  calls: (one) => rate(one.rates?.calls),
  errors: (one) => rate(one.rates?.errors),
  p50_ms: (one) => milliseconds(one.rates?.p50_ms),
  p95_ms: (one) => milliseconds(one.rates?.p95_ms),
  in_flight: (one) => number(one.in_flight),
  waiting: (one) => number(one.waiting),
  handed: (one, was) => (one.addresses ? was.replace(/[\d,]+/, number(one.addresses.handed)) : was),
  addresses: (one, was) => (one.addresses ? was.replace(/^[\d,]+/, number(one.addresses.ahead)) : was),
};

// Calls and errors are those of ten seconds, as the gateway's are.
const lately = new WeakMap();
export function smooth(section, second) {
  const seen = lately.get(section) || [];
  seen.push(second);
  if (seen.length > 10) seen.shift();
  lately.set(section, seen);
  const mean = (key) => seen.reduce((sum, one) => sum + (one[key] || 0), 0) / seen.length;
  return { calls: mean("calls"), errors: mean("errors") };
}

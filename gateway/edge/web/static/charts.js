// Draws a wallet's calls, errors and latencies of the last ten minutes with uPlot, which is beside this file.

const KEPT = 600;
const HEIGHT = 150;
const LINES = {
  calls: [["calls", "--line-1", []], ["errors", "--line-2", [4, 3]]],
  latency: [["p50_ms", "--line-1", []], ["p95_ms", "--line-3", [4, 3]]],
};

// Says to the gateway that nobody has pressed anything: what a page fetches so keeps no session alive.
export const BY_ITSELF = { "X-By-Itself": "1" };

export class Charts {
  constructor(lang) {
    this.lang = lang;
    this.wallets = new Map(); // name -> {times, calls, errors, p50_ms, p95_ms}
    this.drawn = new Map(); // element -> uPlot
    this.resized = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        this.drawn.get(target)?.setSize({ width: Math.max(200, Math.floor(contentRect.width)), height: HEIGHT });
      }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const [element, chart] of this.drawn) {
        chart.destroy();
        this.drawn.delete(element);
      }
      this.look();
    });
  }

  // Draws what is on the page and not drawn yet.
  look() {
    for (const [element, chart] of this.drawn) {
      if (element.isConnected) continue;
      chart.destroy();
      this.resized.unobserve(element);
      this.drawn.delete(element);
    }
    for (const element of document.querySelectorAll("[data-chart]")) {
      if (this.drawn.has(element)) continue;
      const name = element.closest("[data-wallet]").dataset.wallet;
      const data = this.wallets.get(name);
      if (data) this.draw(element, data);
      else this.ask(name);
    }
  }

  async ask(name) {
    this.wallets.set(name, empty());
    try {
      const path = `/api/v1/samples?wallet=${encodeURIComponent(name)}&seconds=${KEPT}`;
      const found = await (await fetch(path, { headers: BY_ITSELF })).json();
      const count = found.calls.length;
      this.wallets.set(name, {
        times: found.calls.map((_, place) => Math.floor(found.until) - (count - 1 - place) * found.step),
        calls: found.calls, errors: found.errors, p50_ms: found.p50_ms, p95_ms: found.p95_ms,
      });
    } catch {
      // the stream fills it from now on
    }
    this.look();
    this.renew(name);
  }

  // Takes the second that has just ended.
  push(samples) {
    for (const [name, data] of this.wallets) {
      const second = samples.wallets?.[name];
      const time = Math.floor(samples.time);
      const last = data.times.at(-1) ?? -Infinity;
      if (!second || time <= last) continue;
      // what was missed while the device slept is a gap
      if (time - last > 2 && data.times.length) add(data, time - 1, {});
      add(data, time, second);
      this.renew(name);
    }
  }

  renew(name) {
    const data = this.wallets.get(name);
    if (document.hidden || !data?.times.length) return;
    for (const [element, chart] of this.drawn) {
      if (element.closest("[data-wallet]")?.dataset.wallet === name) chart.setData(rows(element, data));
    }
  }

  draw(element, data) {
    if (!window.uPlot) return;
    const style = getComputedStyle(element);
    const ink = style.getPropertyValue("--dim").trim(), grid = style.getPropertyValue("--hair").trim();
    const font = `12px ${style.fontFamily}`;
    const is_latency = element.dataset.chart === "latency";
    const show = is_latency ? (value) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`) : (value) => String(value);
    const clock = new Intl.DateTimeFormat(this.lang(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const axis = { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const chart = new window.uPlot(
      {
        width: Math.max(200, Math.floor(element.clientWidth)), height: HEIGHT,
        legend: { show: false }, cursor: { show: false }, padding: [8, 20, 0, 0],
        scales: {
          x: { range: (_, least, most) => [most - KEPT, most] },
          y: { range: (_, least, most) => [0, Math.max(most || 0, is_latency ? 5 : 1) * 1.1] },
        },
        axes: [
          { ...axis, size: 24, space: 70, values: (_, ticks) => ticks.map((tick) => clock.format(tick * 1000)) },
          { ...axis, size: 56, space: 34, values: (_, ticks) => ticks.map(show) },
        ],
        series: [{}, ...LINES[element.dataset.chart].map(([, color, dash]) => ({
          stroke: style.getPropertyValue(color).trim(), width: 1.5, dash, points: { show: false }, spanGaps: is_latency,
        }))],
      },
      rows(element, data),
      element,
    );
    this.drawn.set(element, chart);
    this.resized.observe(element);
  }
}

const empty = () => ({ times: [], calls: [], errors: [], p50_ms: [], p95_ms: [] });

function add(data, time, second) {
  data.times.push(time);
  for (const key of ["calls", "errors", "p50_ms", "p95_ms"]) data[key].push(second[key] ?? null);
  if (data.times.length > KEPT) for (const key of Object.keys(data)) data[key].shift();
}

const rows = (element, data) => [data.times, ...LINES[element.dataset.chart].map(([key]) => data[key])];

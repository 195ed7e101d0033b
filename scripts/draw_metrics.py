"""Draws docs/metrics.md from the catalogue of metrics and the words beside it.

    python scripts/draw_metrics.py          print it
    python scripts/draw_metrics.py --write  write it

Rule: the tables hold nothing that is not in `gateway/observe/catalogue.py`; a test compares the two.
"""

import sys
from pathlib import Path

from gateway.observe.catalogue import table
from gateway.observe.metrics import BUCKETS, MOST_METHODS, MOST_REASONS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"

HEAD = f"""# Metrics

`/metrics` on the operators' door shows them in the text format of Prometheus. The tables are drawn from
`gateway/observe/catalogue.py` by `scripts/draw_metrics.py --write`; a test compares the two, and another one has seen
each of them in a real Prometheus.

- **How many series there are is bounded.** Labels are names from the configuration (`wallet`, `backend`, `sink`), from
  profiles (`method`, `effect`) and from tables of the gateway (all others). No client and no daemon can make up one: a
  method that no profile classifies is `other`, there are {MOST_METHODS} names of methods and {MOST_REASONS} ends of
  tries at most, and what a reload takes out of the configuration is no longer shown. No address, no key and no amount
  of a customer is in a label. Fifty daemons behind ten wallets, all called, are some 3,200 lines, 230 kB and 5 ms of
  the processor.
- **Histograms** have buckets at {", ".join(f"{one:g}" for one in BUCKETS)} s.
- **A counter that is not there has not happened yet**, for those whose label names an end (`outcome`, `reason`,
  `cause`). `increase` does not see its first value: ask for that as `EcgwUnknownOutcome` in
  `config/prometheus/ec-gateway.rules.yml` does.
- In `backend_phase` and `backend_kind` one of the series of each daemon is 1 and the others are 0.
- The process itself is shown under the names that all of Prometheus knows: `process_cpu_seconds_total`,
  `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds` and others.

The rules are in `config/prometheus/`, the dashboards in `config/grafana/dashboards/`: [alerts.md](alerts.md),
[containers.md](containers.md#monitoring).

"""

TAIL = """
## Traces

A request may bring the header `traceparent` ([W3C Trace Context](https://www.w3.org/TR/trace-context/)). One that is
exactly right is gone on with; where it is malformed, or there are two, a trace begins here, and no call is
refused for it. The log names it at level debug in the line of each call (`call`) and of each try on a daemon
(`attempt`), as `trace`, `parent` and `span`, and at every level in the lines that somebody may have to follow up:
`call.outcome_unknown`, `call.answered_late`, `address.repeated`, `notification.refused`.

It goes along to the daemon, in the one write of the call, where the profile says `traceparent: true` (a daemon has to
bear a header that it does not know; both profiles here say so), and to the gateway that holds the wallet. Each sending
has an id of its own. `tracestate` is not passed on, and a call that came without the
header belongs to no trace, nor do the gateway's own probes and upkeep.
"""


def draw() -> str:
    """Return the page."""
    return HEAD + table() + TAIL


def main(arguments: list[str]) -> None:
    """Print the page, or write it."""
    if arguments == ["--write"]:
        PAGE.write_text(draw(), encoding="utf-8")
    else:
        print(draw())


if __name__ == "__main__":
    main(sys.argv[1:])

"""Panels that more than one dashboard has."""

from typing import Any

from scripts.dashboards.model import (
    KIND_COLORS,
    KINDS,
    PHASE_COLORS,
    PHASES,
    RED_FROM_ONE,
    YES_NO,
    Ask,
    I,
    Panel,
    W,
    coded,
    shown,
)


def calls(name: str, **how: Any) -> Panel:
    """Return the panel of calls by one label."""
    expr = f"sum by (instance, wallet, {name}) (rate(ecgw_calls_total{{{W}}}[$__rate_interval]))"
    return Panel(
        f"Calls by {name}", how.pop("text"), [Ask(expr, f"{{{{wallet}}}} {{{{{name}}}}}")], unit="reqps", **how
    )


def quantile(share: float, by: str) -> str:
    """Return how long so many of the calls took at most."""
    rate = f"rate(ecgw_call_duration_seconds_bucket{{{W}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({by}, le) ({rate}))"


D = "{{wallet}} {{backend}}"

SICK = Panel(
    "What is the matter", "Each daemon's state in words. busy: works on a call of ours; adrift: answers, but is not on "
    "the chain; wedged: silent without an excuse; dead: nobody listens.",
    [Ask(coded("ecgw_backend_kind", "kind", KINDS), D)], "state-timeline", width=12,
    mappings=shown(KINDS, KIND_COLORS),
)  # fmt: skip
PHASE = Panel(
    "What the gateway does with it", "EJECTED: stepped around. RESTARTING: being stopped, started, loaded and synced. "
    "WARMING: back, with a small share. FAILED: restarted too often, left alone.",
    [Ask(coded("ecgw_backend_phase", "phase", PHASES), D)], "state-timeline", width=12,
    mappings=shown(PHASES, PHASE_COLORS),
)  # fmt: skip
SINCE = Panel(
    "In its phase for", "Seconds since each daemon came into the phase that it is in; a short time is a recent change.",
    [Ask(f"time() - ecgw_backend_phase_since_timestamp_seconds{{{W}}}", D)], "table", "s", width=12,
)  # fmt: skip
ALERTS = Panel(
    "Open alerts", "What the gateway has told and what is not over; docs/alerts.md has a chapter for each kind.",
    [Ask(f"sum by (instance, wallet, kind) (ecgw_alerts_open{{{W}}}) > 0", "{{wallet}} {{kind}}")], width=12,
)  # fmt: skip
PRIMARY = Panel(
    "Primary", "Which daemon signs, writes and derives addresses; a change is a promotion.",
    [Ask(f"ecgw_backend_primary{{{W}}}", D)], "state-timeline", width=12, mappings=YES_NO,
)  # fmt: skip
RESTARTS = Panel(
    "Restarts since the gateway began", "A step is a restart; failed ones and those that are only told (dry) apart.",
    [Ask(f"sum by (instance, wallet, backend, cause, outcome) (ecgw_restarts_total{{{W}}})",
         "{{backend}} {{cause}} {{outcome}}")], width=12,
)  # fmt: skip
LATENCY = Panel(
    "Latency by effect", "95 of 100 calls were answered within this. A bucket of the histogram is the resolution.",
    [Ask(quantile(0.95, "instance, wallet, effect"), "{{wallet}} {{effect}} p95")], unit="s",
)  # fmt: skip
QUEUE = Panel(
    "Waiting and under way", "Calls wait in the gateway, never in a daemon. Refused: too many waited already.",
    [Ask(f"ecgw_queue_waiting_calls{{{W}}}", "{{wallet}} wait"),
     Ask(f"ecgw_calls_in_progress{{{W}}}", "{{wallet}} under way"),
     Ask(f"rate(ecgw_overloaded_calls_total{{{W}}}[$__rate_interval])", "{{wallet}} refused/s")],
)  # fmt: skip
UNKNOWN = Panel(
    "Outcomes that nobody knows", "Somebody has to look: `ec-gateway outcome` lists them. Broadcasts are sent again by "
    "themselves until the chain has spoken.",
    [Ask(f"ecgw_calls_unknown{{{W}}}", "{{wallet}} calls"),
     Ask(f"ecgw_broadcasts_unknown{{{W}}}", "{{wallet}} broadcasts")],
)  # fmt: skip
HELD = Panel(
    "Coins held", "Coins of signed payments that the chain does not have. Nobody else can spend them meanwhile.",
    [Ask(f"ecgw_held_satoshis{{{W}}}", "{{wallet}} satoshi")],
)  # fmt: skip
HELD_AGE = Panel(
    "Oldest hold", "After a day somebody should decide: `ec-gateway outcome KEY --abandon` gives a payment up.",
    [Ask(f"ecgw_held_oldest_age_seconds{{{W}}}", "{{wallet}}")], unit="s",
)  # fmt: skip
LEDGER = Panel(
    "Ledger", "Time of its last transaction, failed or not, or of one that waits now. Failing: nothing is given out.",
    [Ask(f"ecgw_ledger_last_transaction_seconds{{{W}}}", "{{wallet}} last transaction"),
     Ask(f"ecgw_ledger_failing{{{W}}}", "{{wallet}} failing (1)")], unit="s",
)  # fmt: skip
LEDGER_TIMES = Panel(
    "Ledger, as each gateway reaches it", "95 of 100 transactions took no longer, those of leases included; a "
    "gateway that holds nothing has these alone. One that waits for long is a database that does not answer.",
    [Ask("histogram_quantile(0.95, sum by (instance, outcome, le) "
         f"(rate(ecgw_ledger_transaction_duration_seconds_bucket{{{I}}}[$__rate_interval])))",
         "{{instance}} {{outcome}} p95"),
     Ask(f"ecgw_ledger_waiting_seconds{{{I}}}", "{{instance}} the oldest waits"),
     Ask(f"ecgw_ledger_waiting_transactions{{{I}}}", "{{instance}} wait (number)")], unit="s",
)  # fmt: skip
POOL = Panel(
    "Addresses ahead", "What can be given out while every daemon is down, and what the pool is filled up to.",
    [Ask(f"ecgw_pool_addresses{{{W}}}", "{{wallet}} ahead"),
     Ask(f"ecgw_pool_target_addresses{{{W}}}", "{{wallet}} wanted")],
)  # fmt: skip
POOL_LASTS = Panel(
    "The pool lasts for", "At the rate of the last half hour, if it were not filled any more.",
    [Ask(f"ecgw_pool_addresses{{{W}}} / on (instance, wallet) (sum by (instance, wallet) "
         f'(rate(ecgw_calls_total{{{W}, effect="allocate", outcome="ok"}}[30m])) > 0)', "{{wallet}}")], unit="s",
)  # fmt: skip
GIVEN = Panel(
    "Addresses given out", "Allocations a second that were answered, and those that were not.",
    [Ask(f'sum by (instance, wallet, outcome) (rate(ecgw_calls_total{{{W}, effect="allocate"}}[$__rate_interval]))',
         "{{wallet}} {{outcome}}")], unit="reqps",
)  # fmt: skip
LEASE = Panel(
    "Who holds the wallet", "Of several gateways one holds a wallet; the others send its calls there.",
    [Ask(f"ecgw_lease_held{{{W}}}", "{{instance}} {{wallet}}")], "state-timeline", width=12, mappings=YES_NO,
)  # fmt: skip
NO_HOLDER = Panel(
    "Known to be held", "No: nobody holds it, as far as this gateway knows; calls wait for a holder.",
    [Ask(f"ecgw_lease_has_holder{{{W}}}", "{{instance}} {{wallet}}")], "state-timeline", width=12,
    mappings=shown(("NOBODY", "held"), ("red", "green")),
)  # fmt: skip


def now(title: str, text: str, expr: str, **how: Any) -> Panel:
    """Return one number of now."""
    return Panel(title, text, [Ask(expr)], "stat", width=4, height=4, **{"thresholds": RED_FROM_ONE, **how})

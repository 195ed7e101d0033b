"""Every metric that the gateway has: its name, what kind it is, its labels, and what it says.

Rule: what is not in this table is not shown, and what is in it is in docs/metrics.md, written from here.

Names follow Prometheus: base units at the end (seconds, bytes, a plural of what is counted), `_total` for what only
grows, no label in a name.  Labels are names from the configuration, from profiles or from tables of ours; what a
client or a daemon wrote is none.
"""

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "ecgw_"


class Kind(StrEnum):
    """What Prometheus does with it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric; `labels` in the order in which they are shown."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    text: str

    @property
    def samples(self) -> tuple[str, ...]:
        """The names under which Prometheus knows its values."""
        ends = ("_bucket", "_sum", "_count") if self.kind is Kind.HISTOGRAM else ("",)
        return tuple(f"{PREFIX}{self.name}{end}" for end in ends)


GROUPS: dict[str, str] = {
    "What clients call": """
calls_total | counter | wallet method effect outcome |
    Calls of clients that were answered, by what they may do and how they ended: `ok`, `daemon_error`, or the
    name of an error of the gateway.
call_duration_seconds | histogram | wallet effect |
    Time from the moment a call was let in to its answer, waiting included.
calls_in_progress | gauge | wallet | Calls under way or waiting, the gateway's own upkeep included.
queue_waiting_calls | gauge | wallet | Calls that wait for a free daemon.
overloaded_calls_total | counter | wallet | Calls refused because too many waited already.
shared_reads_in_progress | gauge | wallet | Reads under way that several callers can share.
joined_reads_total | counter | wallet | Reads that were answered by one that was under way already.
hedges_total | counter | wallet | Reads asked of a second daemon because the first took unusually long.
retries_total | counter | wallet | Tries after one that brought no answer.
retry_budget_tokens | gauge | wallet | Retries and hedges that may follow one another now.
""",
    "The daemons": """
backends_serving | gauge | wallet | Daemons of a wallet that are in service.
panic | gauge | wallet | 1 while fewer than half of a wallet's daemons serve.
backend_up | gauge | wallet backend | 1 while a daemon is in service.
backend_level | gauge | wallet backend | How far up it is: 0 nothing, 1 accepts, 2 answers, 3 wallet loaded, 4 synced.
backend_phase | gauge | wallet backend phase | 1 for what the gateway does with it, 0 for everything else.
backend_phase_since_timestamp_seconds | gauge | wallet backend | Since when it is in its phase, in seconds since 1970.
backend_kind | gauge | wallet backend kind | 1 for what is the matter with it (`ok`: nothing), 0 for everything else.
backend_primary | gauge | wallet backend | 1 for the one that signs, writes and derives addresses.
backend_aligned | gauge | wallet backend | 1 while it is known to list every address that was given out.
backend_circuit_open | gauge | wallet backend | 1 while it gets no calls because too many in a row failed.
backend_slots_taken | gauge | wallet backend | Calls in it whose fate is not settled.
backend_score | gauge | wallet backend | Its health, from 0 to 1; calls go by it.
backend_latency_seconds | gauge | wallet backend |
    Its usual time for an answer; one slow answer counts at once and is forgotten slowly.
backend_height_blocks | gauge | wallet backend | Height of the chain as it sees it.
backend_listed_addresses | gauge | wallet backend |
    Receiving addresses that it listed last; it is blind to payments past them.
attempts_total | counter | wallet backend outcome |
    Tries on a daemon by their end: `answered`, or why there was no answer.
attempt_duration_seconds | histogram | wallet backend | Time of one try, the wait before it left out.
probes_total | counter | wallet backend outcome | Probes by the level that they showed, or why they showed none.
wire_connections_opened_total | counter | | Connections opened to daemons.
wire_connections_reused_total | counter | | Calls sent over a connection that was kept.
""",
    "What is done for the daemons": """
restarts_total | counter | wallet backend cause outcome |
    Restarts by why they were made and how they ended: `done`, `failed`, or `dry` where they are only told.
backend_restarting | gauge | wallet backend | 1 while it is restarted.
backend_drained | gauge | wallet backend | 1 while an operator keeps calls away from it.
backend_held | gauge | wallet backend | 1 while an operator keeps restarts away from it.
backend_memory_bytes | gauge | wallet backend | Memory of the daemon, page cache left out.
backend_memory_limit_bytes | gauge | wallet backend | Its own limit, else the memory of the machine.
backend_memory_growth_bytes_per_second | gauge | wallet backend |
    Slope of its memory over the last hours; a leak shows here.
epoch | gauge | wallet | Number of the primary's reign; it grows with each promotion and each start.
""",
    "Money": """
pool_addresses | gauge | wallet | Addresses derived ahead that can be given out now.
pool_target_addresses | gauge | wallet | Addresses that the pool is filled up to.
ledger_addresses | gauge | wallet | Addresses that the ledger knows, those of the pool included.
calls_unknown | gauge | wallet | Calls of clients whose outcome nobody knows; somebody has to look.
broadcasts_unknown | gauge | wallet | Broadcasts on which the chain has not spoken; they are sent again.
held_satoshis | gauge | wallet | Coins held for signed payments that the chain does not have.
held_oldest_age_seconds | gauge | wallet | Age of the oldest of these holds.
ledger_failing | gauge | wallet |
    1 while the ledger cannot be read or written, or has not answered for two seconds; nothing is given out then.
ledger_last_transaction_seconds | gauge | wallet |
    Time of the ledger's last transaction, the disk or the way to its database included: also of one that failed, and of
    one that waits by now, where that is longer.
ledger_transaction_duration_seconds | histogram | outcome |
    The same of all transactions, by whether they were `done` or `failed`; where gateways share wallets, those of the
    leases as well.
ledger_waiting_transactions | gauge | | Transactions of the ledger that were asked for and are not answered.
ledger_waiting_seconds | gauge | | Age of the oldest of these.
""",
    "Several gateways": """
lease_held | gauge | wallet | 1 while this gateway holds the wallet.
lease_has_holder | gauge | wallet | 1 while any gateway is known to hold it.
lease_term | gauge | wallet | Number of the holding that was seen last; it grows with each change of holder.
lease_answer_age_seconds | gauge | wallet | Time since the database answered about the lease.
forwarded_calls_total | counter | wallet outcome |
    Calls sent to the gateway that holds their wallet, by what became of them.
forwarded_repeats_total | counter | wallet reason |
    Further tries of such calls, by why the one before brought no answer.
peer_calls_total | counter | outcome | Calls that other gateways sent here, by what became of them.
""",
    "The gateway itself": """
build_info | gauge | version | Always 1; which version runs.
ready | gauge | | 1 while `/readyz` says yes: every wallet takes calls, and it is not on its way out.
draining | gauge | | 1 while it is on its way out and takes no new connections.
door_connections | gauge | | Open connections of clients.
door_connections_refused_total | counter | | Connections of clients beyond the cap, closed unread.
door_requests_total | counter | | HTTP requests of clients.
door_auth_failures_total | counter | | Requests without valid credentials.
door_rate_limited_requests_total | counter | | Requests beyond a client's own rate.
door_malformed_requests_total | counter | reason | Requests that are none, by what was wrong with them.
door_slow_heads_total | counter | | Connections closed because no whole request came in time.
log_lines_dropped_total | counter | | Log lines that could not be written.
history_rows_unwritten | gauge | |
    Incidents, restarts and orders that are not in the ledger yet; without one they never are.
history_rows_dropped_total | counter | | Such rows that memory had no room for before they could be written.
admin_stream_listeners | gauge | | Open pages and programs that listen to the stream of events.
alerts_open | gauge | wallet kind | Alerts of a kind that were told and are not over.
alert_queue_messages | gauge | sink | Messages that wait for a sink.
alert_sink_failing | gauge | sink | 1 while a sink takes no message.
alert_messages_total | counter | sink outcome | Messages to a sink by what became of them.
""",
}
"""By chapter: name, kind, labels, what it says; a line that is indented goes on with the one above."""


def _rows(lines: str) -> tuple[Row, ...]:
    found = []
    for line in lines.replace("\n    ", " ").strip().splitlines():
        name, kind, labels, text = (part.strip() for part in line.split("|"))
        found.append(Row(name, Kind(kind), tuple(labels.split()), text))
    return tuple(found)


CHAPTERS = {title: _rows(lines) for title, lines in GROUPS.items()}

CATALOGUE = {row.name: row for rows in CHAPTERS.values() for row in rows}
"""By name, without the prefix."""


def table() -> str:
    """Return the whole as Markdown, as it stands in docs/metrics.md."""
    parts = []
    for title, rows in CHAPTERS.items():
        lines = [f"## {title}", "", "| name | kind | labels | what it says |", "|---|---|---|---|"]
        lines += [
            f"| `{PREFIX}{row.name}` | {row.kind} | {', '.join(row.labels)} | {row.text} |" for row in rows
        ]  # fmt: skip
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)

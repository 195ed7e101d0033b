"""The shapes of what the operators' API answers, as JSON Schema; `openapi` says where each of them comes.

Rule: a field that is always there is required here, and one that comes with a ledger, a launcher or a cluster is not; a
test holds every answer of a real gateway against them.
"""

from typing import Any

from gateway.base.levels import Level
from gateway.observe.rates import SPARKS
from gateway.rules.health import Kind
from gateway.rules.kinds import Severity
from gateway.rules.lifecycle import Phase

Schema = dict[str, Any]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
AT = "Seconds since 1970."


def text(about: str = "", **more: object) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", **({"description": about} if about else {}), **more}


def count(about: str = "", **more: object) -> Schema:
    """Return the schema of a whole number that is not negative."""
    return {"type": "integer", "minimum": 0, **({"description": about} if about else {}), **more}


def figure(about: str = "", *, may_lack: bool = False) -> Schema:
    """Return the schema of a number."""
    kind = ["number", "null"] if may_lack else "number"
    return {"type": kind, **({"description": about} if about else {})}


def truth(about: str = "") -> Schema:
    """Return the schema of true or false."""
    return {"type": "boolean", **({"description": about} if about else {})}


def listed(of: Schema, about: str = "") -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": of, **({"description": about} if about else {})}


def thing(fields: dict[str, Schema], *, lacks: tuple[str, ...] = (), about: str = "") -> Schema:
    """Return the schema of an object; all fields but those that it `lacks` now and then are always there."""
    return {
        "type": "object",
        **({"description": about} if about else {}),
        "required": [name for name in fields if name not in lacks],
        "properties": fields,
    }


def ref(name: str) -> Schema:
    """Return a reference to a schema of this document."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Schema) -> Schema:
    """Return the schema of something that may be absent."""
    return {"anyOf": [schema, {"type": "null"}]}


MAYBE_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
SERIES = listed(figure(may_lack=True), "Milliseconds; null where nothing was called.")

SCHEMAS: dict[str, Schema] = {
    "Problem": thing(
        {
            "type": text(),
            "title": text(),
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": text("One sentence with the way out."),
            "known": listed(text(), "The names there are, where one was not known."),
        },
        lacks=("known",),
        about="RFC 9457.",
    ),
    "Alert": thing(
        {
            "kind": text("One of docs/alerts.md."),
            "severity": text(enum=[severity.value for severity in Severity]),
            "wallet": text(),
            "backend": text('"" where it is about no daemon.'),
            "title": text(),
            "text": text("One sentence about what is wrong now."),
            "since": figure(AT),
            "quiet_since": figure(
                f"Since when it does not hold any more, and is only watched; null while it holds. {AT}", may_lack=True
            ),
            "closes_at": figure(f"When it is told as over, if it does not come back. {AT}", may_lack=True),
            "incident": text("The same from opening to closing."),
            "docs": text("Where it is explained."),
        },
        about="An alert that is open.",
    ),
    "Lease": thing(
        {
            "held": truth("By this gateway."),
            "holder": {"type": ["string", "null"]},
            "address": {"type": ["string", "null"], "description": "Where its clients' door is."},
            "term": count("Number of the holding."),
            "since": figure(
                f"When this gateway took it; null where it does not hold it, or is not known to since then. {AT}",
                may_lack=True,
            ),
            "answered_ago": figure("Seconds since the database answered.", may_lack=True),
            "forwarding": count("Calls on their way to the holder."),
            "closed": text("Why this gateway could not take it over, with the way out; empty where it could."),
            "forwarded": thing(
                {
                    "calls": count(),
                    "outcomes": {"type": "object", "additionalProperties": count()},
                    "repeats": count("Further tries of them."),
                },
                about="Calls that were sent to other gateways since this one was started, by what became of them.",
            ),
        },
        lacks=("since", "forwarding"),
    ),
    "Ledger": thing(
        {
            "error": text("Why the last transaction failed, or the ledger is not open; empty where all is well."),
            "transactions": or_null(
                thing(
                    {
                        "count": count(),
                        "failed": count(),
                        "usual_ms": figure("On the average, failed ones included; null without any.", may_lack=True),
                        "slowest_ms": figure("One that waits now included."),
                        "waiting": count("Asked for and not answered now."),
                        "waits_ms": figure("Age of the oldest of these."),
                    },
                    about="Of the last minute, those of leases included; null while the ledger is not open.",
                )
            ),
        },
        about="The ledger as this gateway reaches it.",
    ),
    "Rates": thing(
        {
            "calls": figure("Per second."),
            "errors": figure("Per second; what was not answered, refusals of what a client may not do left out."),
            "p50_ms": figure(may_lack=True),
            "p95_ms": figure(may_lack=True),
        },
        about="The last ten seconds.",
    ),
    "Wallet": thing(
        {
            "wallet": text(),
            "not_ready": listed(text(), "Why it takes no call; empty when it does."),
            "not_ready_since": figure(f"Since when it takes none; null when it does. {AT}", may_lack=True),
            "overdue": truth("It has taken none for longer than a call waits, so that clients are answered errors."),
            "lease": ref("Lease"),
            "holder": ref("Lease"),
            "profile": text(),
            "primary": text("Name of the backend that signs and derives."),
            "promoted": or_null(
                thing(
                    {"backend": text("The primary."), "before": text("Who was it."), "at": figure(AT)},
                    about="The last promotion since this gateway holds the wallet, until the one before is in full "
                    "service again.",
                )
            ),
            "panic": truth("Fewer than half serve, and reads go to the least bad."),
            "waiting": count("Calls in the queue."),
            "in_flight": count("Calls at daemons."),
            "slots": count(),
            "slots_taken": count(),
            "rates": ref("Rates"),
            "addresses": or_null(
                thing({"ahead": count("Can be given out now."), "of": count("Wanted ahead."), "handed": count()})
            ),
            "unresolved": count("Calls and broadcasts whose outcome nobody knows; GET /api/v1/outcomes."),
            "ledger": or_null({"type": "object"}),
            "backends": listed(ref("Backend")),
        },
        lacks=(
            "lease",
            "holder",
            "profile",
            "primary",
            "promoted",
            "panic",
            "waiting",
            "in_flight",
            "slots",
            "slots_taken",
            "rates",
            "addresses",
            "unresolved",
            "ledger",
            "backends",
        ),
        about="A wallet; one that another gateway holds has only its lease here.",
    ),
    "Memory": thing(
        {
            "used": count("Bytes, page cache left out."),
            "limit": count("Bytes."),
            "share": figure(),
            "grows_per_hour": figure("Bytes.", may_lack=True),
        }
    ),
    "Backend": thing(
        {
            "name": text(),
            "url": text("HOST:PORT, without credentials."),
            "primary": truth(),
            "phase": text(enum=[phase.value for phase in Phase]),
            "kind": text("What is the matter.", enum=[kind.value for kind in Kind]),
            "reason": text(),
            "since": figure(f"When its phase began. {AT}"),
            "for_seconds": figure("The same as an age."),
            "level": text(enum=[level.name.lower() for level in Level]),
            "height": {"type": ["integer", "null"]},
            "horizon": MAYBE_COUNT | {"description": "Receiving addresses that it listed last."},
            "aligned": truth("Known to list every address."),
            "circuit": text(),
            "score": figure("0 to 1."),
            "slots": count(),
            "in_flight": count("Calls of ours that are not settled there."),
            "suspect": truth("Missed a deadline and waits for a probe."),
            "expected": truth("Will be restarted, or is being."),
            "latency_ms": figure("Peak-sensitive average."),
            "sparkline": {
                **listed(figure(may_lack=True), "The slowest answer of each of the last seconds, in milliseconds."),
                "minItems": SPARKS,
                "maxItems": SPARKS,
            },
            "step": text("What is being done about it."),
            "care": text("What will be, and why."),
            "next_try": figure("Seconds.", may_lack=True),
            "restarts": count("In the last hour."),
            "restarts_in_a_row": count(),
            "ordered": text("Why a restart was ordered that is still to come."),
            "failure": or_null(thing({"seconds_ago": figure(), "step": text(), "reason": text()})),
            "held": truth(),
            "drained": truth(),
            "process": {"type": ["string", "null"]},
            "process_age": figure("Seconds.", may_lack=True),
            "launcher": {"type": ["string", "null"]},
            "launcher_error": text(),
            "memory": or_null(ref("Memory")),
        },
        lacks=(
            "step",
            "care",
            "next_try",
            "restarts",
            "restarts_in_a_row",
            "ordered",
            "failure",
            "held",
            "drained",
            "process",
            "process_age",
            "launcher_error",
            "memory",
        ),
    ),
    "Status": thing(
        {
            "version": text(),
            "gateway": text("Its name."),
            "sandbox": truth("The coins are not real."),
            "started_at": figure(AT),
            "time": figure(f"When this was made. {AT}"),
            "draining": truth(),
            "ledger": or_null(ref("Ledger")),
            "peer_calls": or_null(
                thing(
                    {"taken": count(), "not_holder": count(), "refused": count()},
                    about="Calls that other gateways sent here since this one was started; null where it is alone.",
                )
            ),
            "warnings": listed(text(), "What should be known about this door."),
            "alerts": listed(ref("Alert")),
            "wallets": {"type": "object", "additionalProperties": ref("Wallet")},
            "switches": listed({"type": "object"}, "In the sandbox alone."),
            "shop_port": count("In the sandbox alone."),
        },
        lacks=("switches", "shop_port"),
    ),
    "Samples": thing(
        {
            "wallet": text(),
            "step": count("Seconds from one to the next."),
            "until": count(f"The second that the last one is of. {AT}"),
            "calls": listed(count()),
            "errors": listed(count()),
            "p50_ms": SERIES,
            "p95_ms": SERIES,
        }
    ),
    "Outcome": thing(
        {
            "wallet": text(),
            "id": text("call-NUMBER, broadcast-TXID or key-HASH-CLIENT."),
            "client": text(),
            "method": text(),
            "opened_at": figure(AT),
            "state": text(),
            "backend": text(),
            "note": text("What is known of it."),
        }
    ),
    "Incident": thing(
        {
            "id": text(),
            "kind": text("Of an alert, or out_of_service, planned, stood_still, gateway_killed, gateway_stopped."),
            "severity": text(),
            "wallet": text(),
            "backend": text(),
            "title": text(),
            "opened_at": figure(AT),
            "closed_at": figure("null while it lasts.", may_lack=True),
            "seconds": figure(),
            "times": count("How often, where it came back soon."),
            "alerts": listed(text(), "Ids of the alerts that belong to it."),
            "done": listed(thing({"at": figure(AT), "text": text()}), "What was done meanwhile, by whom."),
            "gateway": text(),
        }
    ),
    "Share": thing(
        {
            "day": text("In UTC.", format="date"),
            "wallet": text(),
            "backend": text('"" is the wallet itself.'),
            "elapsed": figure("Seconds of the day so far."),
            "watched": figure("Seconds of them in which it was looked at."),
            "available": figure("Seconds of those in which it was available."),
            "share": figure("Available of watched.", may_lack=True),
            "met": {"type": ["boolean", "null"], "description": "99.9 %."},
            "stood_still": figure("Seconds in which the gateway itself stood still."),
            "not_running": figure("Seconds without a gateway."),
            "reasons": {"type": "object", "additionalProperties": figure("Seconds.")},
        },
        about="A day of a wallet or of a backend.",
    ),
    "Restart": thing(
        {
            "id": text(),
            "wallet": text(),
            "backend": text(),
            "cause": text(),
            "reason": text(),
            "by": text(),
            "began_at": figure(AT),
            "ended_at": figure(may_lack=True),
            "seconds": figure(),
            "outcome": text(),
            "step": text("That did not end well."),
            "detail": text(),
            "gateway": text(),
        }
    ),
    "Order": thing(
        {
            "id": text(),
            "at": figure(AT),
            "who": text(),
            "by": text("session, token or open."),
            "peer": text(),
            "wallet": text(),
            "backend": text(),
            "verb": text(),
            "reason": text(),
            "outcome": text(),
            "answer": text("What came of it."),
            "done_at": figure(may_lack=True),
            "gateway": text(),
        }
    ),
    "Done": thing(
        {"wallet": text(), "backend": text(), "order": text(), "answer": text("What came of it, in a sentence.")}
    ),
    "Resolved": thing({"wallet": text(), "outcome": text(), "order": text(), "answer": text()}),
    "Flipped": thing({"backend": text(), "switch": text(), "on": truth(), "answer": text()}),
}

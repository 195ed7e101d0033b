"""The operators' API as an OpenAPI 3.1 document: what can be asked, what is answered, and how it is refused.

Rule: it is the reference, so it says no more and no less than the door does; a test asks a real gateway everything
that is written here, and compares the answers.
"""

from functools import cache

import msgspec

from gateway import __version__
from gateway.edge.admin_history import DEFAULT_SINCE, LIMIT, MORE, MOST, MOST_DAYS
from gateway.edge.admin_orders import VERBS
from gateway.edge.admin_requests import MAX_REASON
from gateway.edge.openapi_schemas import NAME, SCHEMAS, Schema, listed, ref, text, thing, truth
from gateway.observe.rates import KEPT

ABOUT = """How the wallets of a gateway stand, what happened to them, and orders.

Whoever looks needs a token or a session where `admin.users` or `admin.tokens` are set; an order always needs an
operator's, unless the door is `open`. A session repeats its CSRF token in `X-CSRF-Token`. Every refusal is a problem of
RFC 9457 whose `detail` says the way out. Moments are seconds since 1970. No answer holds an address of a customer, a
key or a password. Fields may be added; readers ignore those that they do not know."""


REASONS = {
    400: "Something about the request is wrong.",
    401: "Who this is has to be shown.",
    403: "Whoever this is may not, or a page of another site sent it.",
    404: "There is nothing of that name.",
    405: "This takes another method.",
    408: "The body did not come.",
    409: "It cannot be done as things stand; `detail` says why, and where to go.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    421: "This door does not answer to that name.",
    500: "The gateway failed; its log says why.",
    503: "Not now; `Retry-After` says when.",
    504: "It goes on, and takes longer than anybody waits.",
}

LOOKS = (400, 401, 403, 405, 421, 500)
ORDERS = (400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 500, 503, 504)


def answers(good: Schema, refusals: tuple[int, ...]) -> Schema:
    """Return what a request may be answered with."""
    refused = {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(set(refusals))}
    return {"200": good, **refused}


def problem(status: int) -> Schema:
    """Return how a request is refused."""
    return {
        "description": REASONS[status],
        "content": {"application/problem+json": {"schema": ref("Problem")}},
        **({"headers": {"Allow": {"schema": text()}}} if status == 405 else {}),
    }


def json_of(schema: Schema, about: str) -> Schema:
    """Return a good answer."""
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def where(name: str, about: str) -> Schema:
    """Return a part of a path."""
    return {"name": name, "in": "path", "required": True, "description": about, "schema": text(pattern=NAME)}


def parameter(name: str, schema: Schema, *, is_needed: bool = False) -> Schema:
    """Return a parameter of a query."""
    return {"name": name, "in": "query", "required": is_needed, "schema": schema}


def look(summary: str, schema: Schema, *parameters: Schema, more: tuple[int, ...] = ()) -> Schema:
    """Return a request that only looks."""
    good = json_of(schema, summary)
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": answers(good, (*LOOKS, *more))}}


def order(summary: str, schema: Schema, body: Schema, *parameters: Schema, is_needed: bool = False) -> Schema:
    """Return a request that has something done."""
    return {
        "post": {
            "summary": summary,
            "parameters": [*parameters, {"$ref": "#/components/parameters/Csrf"}],
            "security": [{"token": []}, {"session": []}],
            "requestBody": {"required": is_needed, "content": {"application/json": {"schema": body}}},
            "responses": answers(json_of(schema, "It is done, or under way."), ORDERS),
        }
    }


REASON = text("Goes into the log; one line.", maxLength=MAX_REASON, pattern=r"^[ -~]*$")
WALLET, BACKEND = where("wallet", "Name of the wallet."), where("backend", "Name of the backend.")


def closed(fields: dict[str, Schema], *required: str) -> Schema:
    """Return the schema of a body, in which nothing else is taken."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


STREAM: Schema = {
    "get": {
        "summary": "Server-sent events: a snapshot at once and whenever something changed, samples each second.",
        "description": (
            "`event: status` holds a Status: at once, then when more than figures changed, at most two a second. "
            '`event: samples` holds {"time", "wallets": {NAME: {"calls", "errors", "p50_ms", "p95_ms", "backends": '
            "{NAME: milliseconds or null}}}} of the second that has just ended. `event: incident` holds an Incident "
            "that was opened, changed or closed. A comment each 15 s keeps the connection open. A listener that does "
            "not keep up is let go, and begins with a whole snapshot when it comes back."
        ),
        "parameters": [],
        "responses": answers(
            {"description": "It does not end.", "content": {"text/event-stream": {"schema": text()}}}, (*LOOKS, 503)
        ),
    }
}

MOMENT: Schema = {
    "description": "How long ago (30d, 12h, 90m, 30s, 2w), a date or a time in ISO 8601, or seconds since 1970.",
    "anyOf": [text(pattern=r"^[0-9]{1,6}[smhdw]$"), text(pattern=r"^[0-9]{1,10}(\.[0-9]{1,6})?$"), text(format="date")],
}


def past(name: str, summary: str, of: str) -> Schema:
    """Return a request for what happened, as JSON or as a table."""
    fields = {
        name: listed(ref(of)),
        "complete": truth("false where the ledger could not be asked."),
        "incomplete_because": text('"no_ledger", or "unread" where it cannot be read now; else empty.'),
        "more": truth("true where there are older ones that had no room: ask for them by `until`."),
    }
    most, default = MOST, LIMIT
    if name == "availability":
        most = default = MOST_DAYS
        fields["first_day"] = text("The first day that is told, where older ones would be too many rows.")
    found = look(
        summary, thing(fields),
        parameter("since", {**MOMENT, "default": DEFAULT_SINCE}), parameter("until", MOMENT),
        parameter("wallet", text(pattern=NAME)),
        parameter("limit", {"type": "integer", "minimum": 1, "maximum": most, "default": default}),
        parameter("format", text(enum=["json", "csv"], default="json")), more=(503,),
    )  # fmt: skip
    good = found["get"]["responses"]["200"]
    good["content"]["text/csv"] = {"schema": text()}
    good["headers"] = {MORE: {"description": "The same as `more`.", "schema": text(enum=["true", "false"])}}
    return found


PATHS: dict[str, Schema] = {
    "/api/v1/status": look("How everything stands.", ref("Status")),
    "/api/v1/stream": STREAM,
    "/api/v1/samples": look(
        "The last minutes of a wallet, second by second.", ref("Samples"),
        parameter("wallet", text(pattern=NAME), is_needed=True),
        parameter("seconds", {"type": "integer", "minimum": 1, "maximum": KEPT, "default": KEPT}),
        more=(404, 409),
    ),
    "/api/v1/outcomes": look(
        "Calls, broadcasts and keys whose outcome nobody knows.", thing({"outcomes": listed(ref("Outcome"))}),
        parameter("wallet", text(pattern=NAME)), more=(404, 503),
    ),
    "/api/v1/incidents": past("incidents", "What went wrong: what is open, then the newest first.", "Incident"),
    "/api/v1/availability": past("availability", "Days of wallets and backends, the oldest first.", "Share"),
    "/api/v1/restarts": past("restarts", "Restarts, the newest first.", "Restart"),
    "/api/v1/audit": past("audit", "Orders, the newest first.", "Order"),
    "/api/v1/openapi.json": look("This document.", {"type": "object"}),
    "/api/v1/wallets/{wallet}/backends/{backend}/{order}": order(
        "Drain, undrain, restart, hold, release or promote a backend.", ref("Done"), closed({"reason": REASON}),
        WALLET, BACKEND, {**where("order", "What is to be done."), "schema": text(enum=list(VERBS))},
    ),
    "/api/v1/wallets/{wallet}/handover": order(
        "Give a wallet to another gateway.", ref("Done"), closed({"reason": REASON}), WALLET
    ),
    "/api/v1/wallets/{wallet}/outcomes/{outcome}/resolve": order(
        "Say how a call of unknown outcome ended, or give up a key that was never broadcast.", ref("Resolved"),
        closed({"executed": truth("Whether it was."), "reason": REASON}, "executed"),
        WALLET, {**where("outcome", "Its id."), "schema": text(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")},
        is_needed=True,
    ),
    "/api/v1/sandbox/{backend}/{switch}": order(
        "Turn a switch of the sandbox.", ref("Flipped"), closed({"on": truth()}, "on"),
        BACKEND, where("switch", "Name of the switch."), is_needed=True,
    ),
}  # fmt: skip

DOCUMENT: Schema = {
    "openapi": "3.1.0",
    "info": {"title": "ec-gateway, the operators' door", "version": __version__, "description": ABOUT},
    "security": [{}, {"token": []}, {"session": []}],
    "paths": PATHS,
    "components": {
        "schemas": SCHEMAS,
        "responses": {str(status): problem(status) for status in REASONS},
        "parameters": {
            "Csrf": {
                "name": "X-CSRF-Token",
                "in": "header",
                "required": False,
                "description": "What an order of a session repeats; a token needs none.",
                "schema": text(),
            }
        },
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": "ecgw_session"},
        },
    },
}


@cache
def document() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(DOCUMENT) + b"\n"

"""What the socket guard lets through: which requests, about which containers.

Rule: a request is allowed only when all of it was understood; what is passed on is written anew from the decision,
never copied.  So encodings, second headers, hidden bodies and odd paths have nothing to hide in.

What comes back is `answers.py`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode

LONGEST_TARGET = 4096
LONGEST_STOP = 600
"""Seconds of grace that may be asked for."""
EVENTS = frozenset({"die", "oom"})
SIGNALS = frozenset({"KILL", "SIGKILL", "9", "TERM", "SIGTERM", "15"})

_TARGET = re.compile(
    # below 1.24 a start takes a whole configuration of the container
    r"(?P<version>/v1\.(?:2[4-9]|[3-9][0-9]))?"
    r"/(?:(?P<page>_ping|events)|containers/(?P<container>[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254})/(?P<verb>[a-z]+))"
    # yarl, and so aiohttp, leaves : and , as they are
    r"(?:\?(?P<query>[A-Za-z0-9_.~%=&+:,-]*))?"
)
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
_LABEL = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*(?:=[a-zA-Z0-9_.-]+)?")


class Kind(StrEnum):
    """What sort of answer there will be."""

    PING = "ping"
    EVENTS = "events"
    INSPECT = "inspect"
    STATS = "stats"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Label:
    """What makes a container ours: a label, and its value unless any will do."""

    key: str
    value: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Label":
        """Read KEY or KEY=VALUE; raises ValueError for anything else."""
        if not _LABEL.fullmatch(text):
            raise ValueError(f"a label is KEY or KEY=VALUE of letters, digits and _ . -, got {text!r}")
        key, _, value = text.partition("=")
        return cls(key, value or None)

    def __str__(self) -> str:
        return self.key if self.value is None else f"{self.key}={self.value}"

    def is_on(self, labels: object) -> bool:
        """Whether these labels of a container make it ours."""
        if not isinstance(labels, Mapping) or self.key not in labels:
            return False
        return self.value is None or labels[self.key] == self.value


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came.

    Args:
        target: what stood in its first line, untouched.
        has_body: it brings a body, or says that it will.
        upgrades: it wants another protocol on this connection, as exec and attach do.
    """

    method: str
    target: str
    has_body: bool = False
    upgrades: bool = False


@dataclass(frozen=True, slots=True)
class Allowed:
    """A request that may be asked of the engine.

    Args:
        version: "/v1.41", or "" for the engine's own.
        container: as the caller names it; "" where there is none.
        verb: "start", "json" ...
        query: what to ask with it, in a fixed order.
        patience: seconds that the engine may take longer than usual for it.
    """

    kind: Kind
    version: str = ""
    container: str = ""
    verb: str = ""
    query: tuple[tuple[str, str], ...] = ()
    patience: float = 0.0

    def target(self, container: str = "") -> str:
        """Write the request's target anew, about a container by its full id."""
        path = f"/containers/{container}/{self.verb}" if self.container else f"/{self.verb}"
        return self.version + path + (f"?{urlencode(self.query)}" if self.query else "")


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that is not passed on: the HTTP status and the reason, which is the way out as well."""

    status: int
    reason: str


Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Row:
    method: str
    kind: Kind
    query: Mapping[str, Check]
    needs: str = ""
    """A parameter without which the engine does more than we let it."""


def _is_seconds(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= LONGEST_STOP


def _is_time(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text) is not None


def _is_no(text: str) -> bool:
    return text in {"false", "0"}


def _is_yes_or_no(text: str) -> bool:
    return text in {"false", "0", "true", "1"}


def _is_signal(text: str) -> bool:
    return text in SIGNALS


def _is_any(_text: str) -> bool:
    return True


VERBS: Mapping[str, _Row] = {
    "json": _Row("GET", Kind.INSPECT, {}),
    # without it this is a stream of its own
    "stats": _Row("GET", Kind.STATS, {"stream": _is_no, "one-shot": _is_yes_or_no}, needs="stream"),
    "start": _Row("POST", Kind.ORDER, {}),
    "stop": _Row("POST", Kind.ORDER, {"t": _is_seconds}),
    "restart": _Row("POST", Kind.ORDER, {"t": _is_seconds}),
    # without it the engine sends KILL
    "kill": _Row("POST", Kind.ORDER, {"signal": _is_signal}),
    "unpause": _Row("POST", Kind.ORDER, {}),
}
"""All that may be asked about a container."""

PAGES: Mapping[str, _Row] = {
    "_ping": _Row("GET", Kind.PING, {}),
    # what may be in the filters is a question of its own: _filters
    "events": _Row("GET", Kind.EVENTS, {"filters": _is_any, "since": _is_time, "until": _is_time}),
}
"""All else that may be asked."""


def decide(asked: Asked, label: Label) -> Allowed | Refused:
    """Return what may be asked of the engine for a request, or why nothing is."""
    if asked.upgrades:
        return Refused(403, "no other protocol is spoken here")
    if asked.has_body:
        return Refused(413, "send no body; nothing that is allowed here has one")
    match = _TARGET.fullmatch(asked.target) if len(asked.target) <= LONGEST_TARGET else None
    if match is None:
        return Refused(403, "not allowed here")
    verb = match["verb"] or match["page"]
    row = VERBS.get(verb) if match["verb"] else PAGES[verb]
    if row is None:
        return Refused(403, f"{verb} is not allowed here; there is {', '.join(VERBS)}")
    if asked.method != row.method and not (asked.method == "HEAD" and row.kind is Kind.PING):
        return Refused(405, f"{verb} is asked by {row.method}")
    query = _query(match["query"] or "", row, verb)
    if isinstance(query, Refused):
        return query
    if row.kind is Kind.EVENTS:
        filters = _filters(query.get("filters", "{}"), label)
        if isinstance(filters, Refused):
            return filters
        query["filters"] = filters
    return Allowed(
        row.kind,
        version=match["version"] or "",
        container=match["container"] or "",
        verb=verb,
        query=tuple(sorted(query.items())),
        patience=float(query.get("t", 0)),
    )


def _query(text: str, row: _Row, verb: str) -> dict[str, str] | Refused:
    """Return the parameters of a request, each once and each known."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=8) if text else []
    except ValueError:
        return Refused(400, "the query is none")
    query = dict(pairs)
    if len(query) < len(pairs):
        return Refused(400, "a parameter is there twice")
    for name, value in query.items():
        is_right = row.query.get(name)
        if is_right is None:
            return Refused(403, f"{verb} takes no parameter {name[:20]!r} here")
        if not is_right(value):
            return Refused(403, f"{name} of {verb} may not be {value[:20]!r} here")
    if row.needs and row.needs not in query:
        return Refused(403, f"{verb} needs {row.needs}=false here")
    return query


def _filters(text: str, label: Label) -> str | Refused:
    """Return the filters of an event stream: what was asked for, no wider than deaths of our containers."""
    refused = Refused(403, f"events are filtered by type container, event {' or '.join(sorted(EVENTS))}, container")
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        return refused
    if not isinstance(asked, dict) or not asked.keys() <= {"type", "event", "container", "label"}:
        return refused
    lists: dict[str, list[str]] = {}
    for name, values in asked.items():
        # the engine also takes {"die": true}
        flat = [key for key, is_on in values.items() if is_on] if isinstance(values, dict) else values
        if not isinstance(flat, list) or not all(isinstance(value, str) for value in flat):
            return refused
        lists[name] = flat
    is_right = (
        set(lists.get("type", ())) <= {"container"}
        and set(lists.get("event", ())) <= EVENTS
        and all(_NAME.fullmatch(name) for name in lists.get("container", ()))
        and set(lists.get("label", ())) <= {label.key, str(label)}
    )
    if not is_right:
        return refused
    narrowed = {"type": ["container"], "event": sorted(lists.get("event") or EVENTS), "label": [str(label)]}
    if lists.get("container"):
        narrowed["container"] = lists["container"]
    return json.dumps(narrowed, separators=(",", ":"))

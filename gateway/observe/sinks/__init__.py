"""Sinks of alerts: where a message to a person goes, one file each, with the same two functions.

Rule: a sink delivers one message or says why not; who waits, tries again and counts is `observe/courier.py`.  A new
one is a file with `check` and `build` and a line in SINKS, or comes with a package by the entry point
`ec_gateway.sinks`.  Nothing is imported of a sink that no configuration names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol

from gateway.base.care import Sink as SinkSettings

GROUP = "ec_gateway.sinks"

SINKS = {
    "apprise": "gateway.observe.sinks.apprise",
    "webhook": "gateway.observe.sinks.webhook",
}
"""Kinds, and the room that has `check` and `build`."""


@dataclass(frozen=True, slots=True)
class Message:
    """One transition of one alert, as a person is told it; holds no address, no key and no secret.

    Args:
        id: the same for every try to deliver this very transition, and for no other.
        type: alert.opened, alert.repeated, alert.closed, alert.told or alert.test.
        incident: the same from opening to closing.
        alert: what it is about: the kind, and where; the same each time it comes up.
        at, opened_at: seconds since 1970.
        seconds: for how long it has lasted.
        count: how often it has happened, where it is something that happens.
    """

    id: str
    type: str
    incident: str
    alert: str
    kind: str
    severity: str
    wallet: str
    backend: str
    title: str
    text: str
    at: float
    opened_at: float
    seconds: float
    repeats: int = 0
    count: int = 1
    facts: Mapping[str, object] = field(default_factory=dict)
    gateway: str = ""

    @property
    def may_be_dropped(self) -> bool:
        """Whether nobody misses it much where there is no room: it was said before."""
        return self.type == "alert.repeated"


class SinkError(Exception):
    """A message was not delivered.

    Args:
        message: what happened and what to do about it; holds no secret.
        is_refused: this very message will never be taken; the next one may be.
    """

    def __init__(self, message: str, *, is_refused: bool = False) -> None:
        """Keep both."""
        super().__init__(message)
        self.is_refused = is_refused


class Sink(Protocol):
    """Delivers messages to one receiver, one at a time."""

    async def send(self, message: Message) -> None:
        """Deliver it.  It may be delivered twice where an answer got lost.  Raises SinkError."""

    async def close(self) -> None:
        """Let go of connections."""


Finding = tuple[str, str, str]
"""A key of the sink, what is wrong with it, and what would be right."""


class Maker(Protocol):
    """What a sink's room offers."""

    def check(self, sink: SinkSettings) -> list[Finding]:
        """Say what is wrong with its settings, as far as it can be known without sending anything."""

    def build(self, sink: SinkSettings) -> Sink:
        """Build it; must be called on the loop that sends."""


def check(sink: SinkSettings) -> list[Finding]:
    """Say what is wrong with the settings of a sink; empty when it can be built."""
    makers = _makers()
    if sink.kind not in makers:
        return [("kind", f"is not a kind of sink, got {sink.kind}", f"take one of {', '.join(sorted(makers))}")]
    try:
        maker = makers[sink.kind]()
    except Exception as error:  # noqa: BLE001 - a package from elsewhere may do anything when it is imported
        what = f"the sink {sink.kind} cannot be loaded ({type(error).__name__})"
        return [("kind", what, "install the package that brings it once more, or take another kind")]
    return maker.check(sink)


def build(sink: SinkSettings) -> Sink:
    """Build a sink whose settings were checked."""
    return _makers()[sink.kind]().build(sink)


def unknown_keys(sink: SinkSettings, known: tuple[str, ...]) -> list[Finding]:
    """Return a finding for each key that a kind does not know."""
    remedy = f"take one of {', '.join(known)}, or take it out" if known else "take it out"
    return [(name, "is not a key that is known here", remedy) for name in sorted(set(sink.own) - set(known))]


def _makers() -> dict[str, Callable[[], Maker]]:
    """Return what brings each kind; ours cannot be replaced by a package that happens to be there."""
    ours: dict[str, Callable[[], Maker]] = {kind: partial(import_module, room) for kind, room in SINKS.items()}
    return {point.name: point.load for point in entry_points(group=GROUP)} | ours

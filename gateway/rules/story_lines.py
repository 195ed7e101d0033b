"""What an event says about an incident that is open, in a sentence for whoever was asleep.

Rule: one row an event; an event without a row says nothing that a person would do something about.  No sentence holds
an address, a key or a password, whatever a daemon put into words that are quoted.
"""

from collections.abc import Callable, Mapping

from gateway.base.events import Event
from gateway.rules.kinds import blot


class _Fields(dict[str, str]):
    """The fields of an event as words; one that is not there is nothing."""

    def __missing__(self, key: str) -> str:
        return ""


LINES: Mapping[str, str] = {
    "backend.ejected": "taken out of service, its calls go elsewhere{because}",
    "backend.starting": "not ready again{because}",
    "backend.draining": "gets no more calls, and finishes those it has",
    "backend.restarting": "its process is stopped and started",
    "backend.failed": "restarted too often, and left alone but for a try now and then{because}",
    "backend.warming": "back in service, with a small share at first",
    "backend.ready": "in full service",
    "backend.drained": "gets no more calls, by order",
    "backend.undrained": "gets calls again, by order",
    "backend.died": "its process has ended{because}",
    "backend.reloaded": "its wallet was closed and loaded again{because}",
    "backend.not_reloaded": "its wallet could not be loaded again{because}",
    "backend.reinitialized": "it was given another daemon's wallet file",
    "restart.begun": "restart begun ({cause}){because}",
    "restart.done": "restarted, which took {took} s",
    "restart.failed": "the restart failed (at: {step}){because}",
    "restart.left_out": "its restart by cron was left out for this time{because}",
    "restart.would_be": "would be restarted ({cause}), but restart.enforce is off",
    "wallet.loaded": "its wallet was loaded",
    "wallet.not_loaded": "its wallet could not be loaded{because}",
    "primary.cannot_be_promoted": "no other daemon could be made primary{because}",
    "order.given": "{verb} ordered by {by_whom}{because}",
    "order.done": "{verb}: {answer}",
    "order.failed": "{verb} was not done: {answer}",
    "lease.gained": "this gateway took the wallet over",
    "lease.lost": "this gateway has lost the wallet{because}",
    "ledger.opened": "its ledger is open again",
}
"""Names of fields stand in braces; `because` is the reason after a colon."""


THREADS: Mapping[str, tuple[str, bool]] = {
    "restart.begun": ("restart", False),
    "backend.draining": ("restart", False),
    "backend.restarting": ("restart", False),
    "restart.done": ("restart", True),
    "restart.failed": ("restart", True),
    "backend.warming": ("slow start", False),
    "backend.ready": ("slow start", True),
    "order.given": ("order", False),
    "order.done": ("order", True),
    "order.failed": ("order", True),
}
"""What begins something that may outlast its story, and what ends it (True)."""


def thread_of(event: Event) -> tuple[str, bool]:
    """Return what an event begins or ends (True), named so that both have the same name; "" for neither."""
    name, is_end = THREADS.get(event.name, ("", False))
    if not name:
        return "", False
    which = f"{event.fields.get('order') or event.fields.get('verb')}" if name == "order" else ""
    return f"{name} {which} {event.backend}", is_end


def _promoted(fields: Mapping[str, str], event: Event) -> str:
    return f"{event.backend} was made primary in place of {fields['before']}{fields['because']}"


def _step(fields: Mapping[str, str], _event: Event) -> str:
    """Only a step that did not end well is worth a line; the log has them all."""
    return f"a step of the restart failed ({fields['step']}){fields['because']}" if fields["reason"] else ""


ODD: Mapping[str, Callable[[Mapping[str, str], Event], str]] = {
    "primary.promoted": _promoted,
    "restart.step": _step,
}
"""Events that need more than a template."""


def line_of(event: Event) -> str:
    """Return what an event says, "" for nothing."""
    template, odd = LINES.get(event.name), ODD.get(event.name)
    if template is None and odd is None:
        return ""
    fields = _Fields({name: str(blot(value)) for name, value in event.fields.items()})
    fields["because"] = f": {fields['reason']}" if fields["reason"] else ""
    fields["by_whom"] = fields["who"] or fields["peer"] or "an operator"
    return odd(fields, event) if odd is not None else str(template).format_map(fields)

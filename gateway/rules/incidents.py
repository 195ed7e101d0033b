"""What went wrong, as stories: what opened each, what the gateway or a person did meanwhile, and when it was over.

Rule: whatever takes a daemon or a wallet out of service is a story, be it for a moment; alerts about it join that
story, and all other alerts are stories of their own.  A story ends when what it is about serves again, or its alert
closes; what cannot be watched any more is closed with a note, and nothing stays open for ever.

    nothing --out of service | alert opened--> OPEN --in service | alert closed--> CLOSED --LINGERS--> told and gone
                                                <--out again within SETTLE (one more time)--

A closed story lingers, because what was done for it may end after it: a restart is done once its daemon is aligned.
It takes the ends of what was begun while it was open, and nothing else: what comes later is another story's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.base.events import Event
from gateway.rules.kinds import ROWS, Kind
from gateway.rules.service import Place, Service
from gateway.rules.stories import ALL_DOWN, LONGEST, OUT, PLANNED, SEVERITIES, STOOD_STILL, TAKEN_OVER, Incident
from gateway.rules.story_lines import line_of, thread_of

SETTLE = 30.0
"""Seconds within which what comes back is the same story, as with alerts."""

LINGERS = 300.0
"""Seconds for which a closed story takes lines of what was begun for it."""

SERVICE = "service"
"""The group of stories about being out of service; the group of other ones is their alert's kind."""

JOINS = frozenset({Kind.STUCK, Kind.FAILURES, Kind.FAILED, Kind.RESTART_FAILED, Kind.NOT_LOADED, Kind.ADRIFT})
"""Alerts about a daemon that are part of the story of its being out of service."""

OF_DAEMONS = frozenset({SERVICE, Kind.BELOW_HALF.value, Kind.ALL_ADRIFT.value})
"""Groups whose stories of a whole wallet take the lines of its daemons."""

Key = tuple[str, str, str]
"""A group, a wallet and a backend."""


@dataclass(frozen=True, slots=True)
class Stories:
    """What is open or has just been closed.

    Args:
        life: begins the ids; told anew by each start of a gateway.
    """

    life: str
    number: int = 0
    stories: Mapping[Key, Incident] = field(default_factory=dict)

    @property
    def open(self) -> list[Incident]:
        """What lasts."""
        return [one for one in self.stories.values() if one.closed_at is None]


def is_of_interest(event: Event) -> bool:
    """Whether an event may open, close or tell something, beside what it says of service; all deeds do."""
    return event.name.startswith("alert.") or bool(line_of(event))


def step(
    before: Stories, places: Mapping[Place, Service], at: float, event: Event | None = None
) -> tuple[Stories, list[Incident]]:
    """Take in how everything serves now, and the event that says why, if it is one; return also what has changed.

    Args:
        places: every wallet and backend there is (`Services.places`).
        at: seconds since 1970.
    """
    stories = {key: one for key, one in before.stories.items() if one.closed_at is None or at - one.closed_at < LINGERS}
    work = _Work(before.life, before.number, stories)
    work.see_places(places, at)
    if event is not None:
        work.hear(event, at)
    return work.result(before.stories)


def stand_still(before: Stories, begin: float, end: float) -> tuple[Stories, list[Incident]]:
    """Take in that the process of the gateway stood still; both in seconds since 1970."""
    work = _Work(before.life, before.number, dict(before.stories))
    work.stand_still(begin, end)
    return work.result(before.stories)


def end(before: Stories, at: float, note: str) -> tuple[Stories, list[Incident]]:
    """Close everything that is open, for nobody will later."""
    work = _Work(before.life, before.number, dict(before.stories))
    work.close([key for key, one in work.stories.items() if one.closed_at is None], at, note)
    return work.result(before.stories)


class _Work:
    """The stories while one thing is taken in."""

    def __init__(self, life: str, number: int, stories: dict[Key, Incident]) -> None:
        self.life = life
        self.number = number
        self.stories = stories
        self.closing: set[Key] = set()
        """What ends by the very event that is told next, which is its last line."""

    def result(self, before: Mapping[Key, Incident]) -> tuple[Stories, list[Incident]]:
        changed = [one for key, one in self.stories.items() if before.get(key) != one]
        return Stories(self.life, self.number, self.stories), changed

    # -- being out of service -------------------------------------------------------------------------------

    def see_places(self, places: Mapping[Place, Service], at: float) -> None:
        for place, service in places.items():
            key = (SERVICE, *place)
            story = self.stories.get(key)
            is_told = story is not None and OUT in story.parts
            if service.is_out and story is not None and is_told:
                self.stories[key] = _worsened(story, place, service)
            elif service.is_out:
                self._out(key, place, service, at)
            elif is_told and story is not None:
                self.stories[key] = story.ended(at)
                self.closing.add(key)
        gone = [
            key
            for key, one in self.stories.items()
            if one.closed_at is None and key[1] and (key[1], key[2]) not in places and (OUT in one.parts or key[2])
        ]
        self.close(gone, at, "it is not watched here any more: taken out of the configuration, or held elsewhere")

    def _out(self, key: Key, place: Place, service: Service, at: float) -> None:
        """Open a story, or go on with one: an alert's that came before, or the last one of the same daemon."""
        story = self.stories.get(key)
        if story is not None and story.closed_at is not None and at - story.closed_at >= SETTLE:
            story = None
        if story is None:
            kind, severity, title = _told(place, service)
            story = Incident(self._id(), kind, severity, *place, title, at, parts=frozenset({OUT}))
        else:
            times = story.times + (story.closed_at is not None)
            story = replace(story, closed_at=None, parts=story.parts | {OUT}, times=times)
            story = _worsened(story, place, service)
        self.stories[key] = story

    def close(self, keys: Iterable[Key], at: float, note: str) -> None:
        for key in keys:
            self.stories[key] = self.stories[key].with_line(note, at).ended(at)

    def stand_still(self, begin: float, end: float) -> None:
        key = (STOOD_STILL, "", "")
        story = self.stories.get(key)
        if story is None or story.closed_at is None or begin - story.closed_at >= SETTLE:
            title = "the gateway stood still: its process was frozen, or its machine had no time for it"
            story = Incident(self._id(), STOOD_STILL, "warning", "", "", title, begin)
        else:
            story = replace(story, times=story.times + 1)
        self.stories[key] = story.with_line(f"it went on after {end - begin:.1f} s", end).ended(end)

    # -- events -----------------------------------------------------------------------------------------------

    def hear(self, event: Event, at: float) -> None:
        if event.name.startswith("alert."):
            self._alert(event, at)
            return
        if event.name == "lease.gained":
            self._taken_over(event, at)
        text = line_of(event)
        if not text:
            return
        former = event.fields.get("before") if event.name == "primary.promoted" else None
        thread, is_end = thread_of(event)
        for key, story in self.stories.items():
            group, wallet, backend = key
            if wallet != event.wallet or group == STOOD_STILL:
                continue
            if backend in (event.backend, former):
                line = text
            elif not backend and (former is not None or group in OF_DAEMONS):
                line = text if former is not None else f"{event.backend}: {text}"
            else:
                continue
            self.stories[key] = self._with_line(key, story, line, at, thread, is_end=is_end)

    def _with_line(
        self, key: Key, story: Incident, line: str, at: float, thread: str, *, is_end: bool
    ) -> Incident:  # fmt: skip
        """Return a story with a line, unless it is over and the line is another one's."""
        is_open = story.closed_at is None or key in self.closing
        if is_open or (is_end and thread in story.begun):
            story = story.with_line(line, at)
        # what is begun anew after a story is over ends for another one
        begun = story.begun | {thread} if is_open and thread and not is_end else story.begun - {thread}
        return replace(story, begun=begun)

    def _taken_over(self, event: Event, at: float) -> None:
        """Tell that the wallet was another gateway's before, and why that may be is in what that one tells."""
        former, gateway = str(event.fields.get("former") or ""), str(event.fields.get("gateway") or "")
        if former in ("", gateway):
            return
        title = f"{gateway} took the wallet {event.wallet} over from {former}"
        story = Incident(self._id(), TAKEN_OVER, "info", event.wallet, "", title[:LONGEST], at)
        self.stories[TAKEN_OVER, event.wallet, ""] = story.ended(at)

    def _alert(self, event: Event, at: float) -> None:
        kind, number = str(event.fields.get("alert", "")), str(event.fields.get("incident", ""))
        match event.name:
            case "alert.opened" if number and kind in _KINDS:
                self._opened(Kind(kind), number, event, at)
            case "alert.closed":
                for key in [key for key, one in self.stories.items() if number in one.parts]:
                    self._alert_closed(key, number, event, at)

    def _opened(self, kind: Kind, number: str, event: Event, at: float) -> None:
        wallet, backend = event.wallet, event.backend
        joins = kind in JOINS or kind is Kind.ALL_DOWN
        key = (SERVICE if joins else kind.value, wallet, backend)
        text, severity = str(event.fields.get("text", "")), ROWS[kind].severity.value
        story = self.stories.get(key)
        # one that is opened again without having been closed would leave its first story open for ever
        if story is not None and (story.closed_at is None or (joins and at - story.closed_at < SETTLE)):
            story = replace(story, severity=_worse(story.severity, severity)).with_alert(number)
            if OUT not in story.parts and story.closed_at is None:
                story = replace(story, parts=story.parts | {number})
            self.stories[key] = story.with_line(f"alert: {text}", at)
            return
        began = at - _seconds(event)
        self.stories[key] = Incident(
            number, kind.value, severity, wallet, backend, f"{ROWS[kind].title}: {text}"[:LONGEST], began,
            alerts=(number,), parts=frozenset({number}),
        )  # fmt: skip

    def _alert_closed(self, key: Key, number: str, event: Event, at: float) -> None:
        story = self.stories[key]
        parts = story.parts - {number}
        if parts:
            self.stories[key] = replace(story, parts=parts)
            return
        # an alert lasted until it last held, and is closed after a time of quiet
        self.stories[key] = story.ended(min(at, story.opened_at + _seconds(event)))

    def _id(self) -> str:
        self.number += 1
        return f"{self.life}-s{self.number}"


_KINDS = frozenset(kind.value for kind in Kind)


def _told(place: Place, service: Service) -> tuple[str, str, str]:
    """Return kind, severity and title of a story about being out of service."""
    wallet, backend = place
    why = f": {service.reason or service.word}"
    if service.is_planned:
        what = backend or f"every daemon of {wallet}"
        return PLANNED, "info", f"{what} is out of service on purpose{why}"[:LONGEST]
    if backend:
        return OUT, "warning", f"{backend} is out of service{why}"[:LONGEST]
    return ALL_DOWN, "critical", f"{wallet} cannot be used{why}"[:LONGEST]


def _worsened(story: Incident, place: Place, service: Service) -> Incident:
    """Return a story that was meant, and is not any more."""
    if story.kind != PLANNED or service.is_planned:
        return story
    kind, severity, title = _told(place, service)
    return replace(story, kind=kind, severity=_worse(story.severity, severity), title=title)


def _worse(one: str, other: str) -> str:
    return max(one, other, key=SEVERITIES.index)


def _seconds(event: Event) -> float:
    seconds = event.fields.get("seconds", 0.0)
    return max(0.0, float(seconds)) if isinstance(seconds, int | float) else 0.0

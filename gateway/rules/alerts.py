"""When a person is told of what holds: each alert opens once, is repeated ever more seldom, and closes once.

Rule: what comes back before an alert was quiet for `settle` seconds is the same alert, so that a daemon that comes
and goes does not flood anybody; and what was told as opened is told as closed.

    nothing --holds--> PENDING --for its delay--> OPEN --gone--> QUIET --for `settle`--> CLOSED --in time--> nothing
                       PENDING --gone--> nothing    <--holds--         CLOSED --holds--> PENDING, settles longer
                                                 OPEN or QUIET --gone, and watched here no more--> CLOSED

What is watched here no more will not come back here, so that there is nothing to wait for.  An alert that opens again
soon after it closed settles twice as long, up to `repeat`.  News (a restart was done) have nothing to close: they are
told at once, and what happens again soon is counted and told together.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.base.care import Alerts
from gateway.rules.kinds import Condition, Key

LEFT = "it is watched here no more: taken out of the configuration, or held by another gateway"

REMEMBERED = 4
"""Times its settling that a closed alert is remembered: one that is back by then flaps."""


class Stage(StrEnum):
    """Where an alert is."""

    PENDING = "pending"
    """Holds, and nobody was told yet."""
    OPEN = "open"
    QUIET = "quiet"
    """Told, and does not hold at this moment."""
    CLOSED = "closed"
    """Over, remembered for a while."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Args:
        condition: as it was when it last held.
        since: when it began to hold; changed_at: when its stage began.
        settle: seconds of quiet after which it closes.
        next_at, pause: when it is told again, and how long after that.
        counted: how much of what happened was told.
        repeats: how often it was told again.
    """

    stage: Stage
    condition: Condition
    since: float
    changed_at: float
    settle: float
    next_at: float = 0.0
    pause: float = 0.0
    counted: int = 0
    repeats: int = 0

    @property
    def is_told(self) -> bool:
        """Whether somebody was told that it opened, and not yet that it closed."""
        return self.stage in (Stage.OPEN, Stage.QUIET)


class Transition(StrEnum):
    """What a person is told of an alert."""

    OPENED = "opened"
    REPEATED = "repeated"
    CLOSED = "closed"
    TOLD = "told"
    """News: it has happened, and there is nothing to close."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell.

    Args:
        since: when it began, on the clock of `now`; seconds: how long it lasted so far, or altogether.
        count: how often it has happened since it was last told, where it is something that happens.
    """

    transition: Transition
    condition: Condition
    since: float
    seconds: float
    repeats: int = 0
    count: int = 1


def step(
    alerts: Mapping[Key, Alert], holding: Iterable[Condition], now: float, pace: Alerts,
    watched: Collection[str] | None = None,
) -> tuple[dict[Key, Alert], list[Notice]]:  # fmt: skip
    """Return the alerts after one look, and what is to be told, in the order of the conditions.

    Args:
        watched: wallets whose daemons this gateway has; None for all of them.
    """
    held = {condition.key: condition for condition in holding}
    after: dict[Key, Alert] = {}
    notices: list[Notice] = []
    for key in [*held, *(key for key in alerts if key not in held)]:
        condition = held.get(key)
        alert = alerts.get(key)
        if condition is None:
            assert alert is not None  # noqa: S101 - a key is of either
            alert, notice = _gone(alert, now) if _is_watched(alert, watched) else _left(alert, now)
        else:
            alert, notice = _held(alert, condition, now, pace, is_said=_is_said(condition, held, alerts))
        if alert is not None:
            after[key] = alert
        if notice is not None:
            notices.append(notice)
    return after, notices


def close_all(alerts: Mapping[Key, Alert], now: float) -> list[Notice]:
    """Return the closings of everything that is open, for a gateway that stops: whoever comes after begins anew."""
    told = [alert for alert in alerts.values() if alert.is_told and not alert.condition.row.is_news]
    return [_closing(_noted(alert, "this gateway stops, and looks no more"), now) for alert in told]


def _noted(alert: Alert, note: str) -> Alert:
    condition = alert.condition
    return replace(alert, condition=replace(condition, text=f"{condition.text} ({note})"))


def _is_said(condition: Condition, held: Mapping[Key, Condition], alerts: Mapping[Key, Alert]) -> bool:
    """Whether nobody needs to be told: it is no reason to begin, or an alert of the whole wallet says it already."""
    under = condition.row.under
    if under is None:
        return condition.is_quiet
    above = (under, condition.wallet, "")
    return condition.is_quiet or above in held or (above in alerts and alerts[above].is_told)


def _held(
    alert: Alert | None, condition: Condition, now: float, pace: Alerts, *, is_said: bool
) -> tuple[Alert, Notice | None]:
    """Take in that a condition holds."""
    if alert is None:
        alert = Alert(Stage.PENDING, condition, now, now, pace.settle)
    elif alert.stage is Stage.CLOSED:
        settle = max(pace.settle, min(alert.settle * 2, pace.repeat))
        alert = Alert(Stage.PENDING, condition, now, now, settle)
    alert = replace(alert, condition=condition)
    match alert.stage:
        case Stage.PENDING:
            if is_said or now - alert.since < condition.row.delay:
                return alert, None
            return _open(alert, now, pace)
        case Stage.QUIET:
            alert = replace(alert, stage=Stage.OPEN, changed_at=now)
    if condition.row.is_news:
        return _tell_more(alert, now, pace)
    if is_said or now < alert.next_at:
        return alert, None
    pause = min(alert.pause * 2, pace.repeat_max)
    alert = replace(alert, next_at=now + pause, pause=pause, repeats=alert.repeats + 1)
    return alert, Notice(Transition.REPEATED, condition, alert.since, now - alert.since, alert.repeats, condition.count)


def _open(alert: Alert, now: float, pace: Alerts) -> tuple[Alert, Notice]:
    """Tell of it for the first time."""
    condition = alert.condition
    transition = Transition.TOLD if condition.row.is_news else Transition.OPENED
    opened = replace(
        alert, stage=Stage.OPEN, changed_at=now, next_at=now + pace.repeat, pause=pace.repeat, counted=condition.count
    )
    return opened, Notice(transition, condition, alert.since, now - alert.since, 0, condition.count)


def _tell_more(alert: Alert, now: float, pace: Alerts) -> tuple[Alert, Notice | None]:
    """Tell news again, when there are more of them and the pause is over."""
    more = alert.condition.count - alert.counted
    if more <= 0 or now < alert.next_at:
        return alert, None
    pause = min(alert.pause * 2, pace.repeat_max)
    told = replace(alert, next_at=now + pause, pause=pause, repeats=alert.repeats + 1, counted=alert.condition.count)
    return told, Notice(Transition.TOLD, alert.condition, alert.since, now - alert.since, told.repeats, more)


def _gone(alert: Alert, now: float) -> tuple[Alert | None, Notice | None]:
    """Take in that a condition does not hold."""
    match alert.stage:
        case Stage.PENDING:
            return None, None
        case Stage.OPEN:
            return (None if alert.condition.row.is_news else replace(alert, stage=Stage.QUIET, changed_at=now)), None
        case Stage.QUIET:
            if now - alert.changed_at < alert.settle:
                return alert, None
            return replace(alert, stage=Stage.CLOSED, changed_at=now), _closing(alert, now)
        case _:
            return (alert if now - alert.changed_at < REMEMBERED * alert.settle else None), None


def _is_watched(alert: Alert, watched: Collection[str] | None) -> bool:
    """Whether what an alert is about is still looked at here; what belongs to no wallet is while there is any."""
    condition = alert.condition
    if watched is None or condition.row.is_of_gateway:
        return True
    return condition.wallet in watched if condition.wallet else bool(watched)


def _left(alert: Alert, now: float) -> tuple[Alert | None, Notice | None]:
    """Take in that a condition does not hold, and that nobody here would see it if it did."""
    if not alert.is_told or alert.condition.row.is_news:
        return _gone(alert, now)
    return replace(alert, stage=Stage.CLOSED, changed_at=now), _closing(_noted(alert, LEFT), now)


def _closing(alert: Alert, now: float) -> Notice:
    """Return the closing of an alert; it lasted until it last held."""
    end = alert.changed_at if alert.stage is Stage.QUIET else now
    return Notice(Transition.CLOSED, alert.condition, alert.since, end - alert.since, alert.repeats)

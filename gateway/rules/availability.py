"""For how many seconds of each day each wallet and backend was watched and could be used, and what the rest went to.

Rule: a second counts as watched only if this gateway ran through it and could see what it says; seconds in which its
process stood still, or did not run at all, are told apart and are neither good nor bad.  Totals only grow, so that to
write the same ones down twice does no harm.

    of one day, from when the place was first known until now:

    |--------------- watched ----------------|- stood still -|- not running -|
    |---- available ----|- reasons, by word -|

The share is available of watched; a day meets the target when that is at least 99.9 %.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gateway.rules.service import Place, Service

DAY = 86_400.0

TARGET = 0.999
"""The share of the watched seconds that is promised."""

FRESH = 60.0
"""Seconds for which nothing is missing yet: counts are written down now and then."""

MOST_REASONS = 24
"""Words that a day has; beyond them is `other`."""

OTHER = "other"

Key = tuple[int, str, str]
"""A day (days since 1970, UTC), a wallet and a backend; "" is the wallet itself."""


@dataclass(frozen=True, slots=True)
class Count:
    """The seconds of one day of one place, as one gateway has seen them.

    Args:
        first_at, last_at: from when until when it was known, seconds since 1970.
    """

    watched: float = 0.0
    available: float = 0.0
    stood_still: float = 0.0
    first_at: float = 0.0
    last_at: float = 0.0
    reasons: Mapping[str, float] = field(default_factory=dict)


Totals = Mapping[Key, Count]


def add(
    totals: Totals, places: Mapping[Place, Service], lasted: float, at: float, *, stood_still: bool = False
) -> dict[Key, Count]:
    """Return the totals after a span in which nothing changed.

    Args:
        places: how everything was meanwhile.
        lasted: seconds of a clock that nobody sets.
        at: the end of the span, seconds since 1970.
        stood_still: nobody looked meanwhile.
    """
    after = dict(totals)
    for day, seconds, end in _by_day(at - lasted, at):
        for place, service in places.items():
            key = (day, *place)
            before = after.get(key) or Count(first_at=end - seconds)
            after[key] = _counted(before, service, seconds, end, stood_still=stood_still)
    return after


def _by_day(begin: float, end: float) -> Iterator[tuple[int, float, float]]:
    """Yield the parts of a span that lie in one day each: the day, seconds, the end of the part."""
    while begin < end:
        day = int(begin // DAY)
        until = min(end, (day + 1) * DAY)
        yield day, until - begin, until
        begin = until


def _counted(before: Count, service: Service, seconds: float, end: float, *, stood_still: bool) -> Count:
    last_at = max(before.last_at, end)
    if stood_still:
        return replace(before, stood_still=before.stood_still + seconds, last_at=last_at)
    after = replace(before, watched=before.watched + seconds, last_at=last_at)
    if service.is_serving:
        return replace(after, available=before.available + seconds)
    word = service.word
    if word not in before.reasons and len(before.reasons) >= MOST_REASONS:
        word = OTHER
    return replace(after, reasons={**before.reasons, word: before.reasons.get(word, 0.0) + seconds})


def both(one: Count, other: Count) -> Count:
    """Return what two gateways have seen of the same day, one after the other."""
    words = [*one.reasons, *(word for word in other.reasons if word not in one.reasons)]
    return Count(
        one.watched + other.watched,
        one.available + other.available,
        one.stood_still + other.stood_still,
        min(one.first_at, other.first_at),
        max(one.last_at, other.last_at),
        {word: one.reasons.get(word, 0.0) + other.reasons.get(word, 0.0) for word in words},
    )


@dataclass(frozen=True, slots=True)
class Share:
    """One day of one place.

    Args:
        elapsed: seconds of it in which the place was known, or of which nobody knows.
        not_running: seconds in which no gateway watched at all.
    """

    day: int
    wallet: str
    backend: str
    elapsed: float
    watched: float
    available: float
    stood_still: float
    not_running: float
    reasons: Mapping[str, float]

    @property
    def share(self) -> float | None:
        """The part of the watched seconds in which it could be used; None where nobody watched."""
        return self.available / self.watched if self.watched > 0.0 else None

    @property
    def is_met(self) -> bool | None:
        """Whether that is 99.9 % or more; None where nobody watched."""
        share = self.share
        # summing up thousands of spans must not take the last millionth from a day without fault
        return None if share is None else share >= TARGET - 1e-9


def shares(rows: Iterable[tuple[Key, Count]], until: float) -> list[Share]:
    """Return each day of each place, the oldest first, a wallet before its backends; days without a gateway as well.

    Args:
        rows: of all gateways; those of one day and place are summed up.
        until: now, seconds since 1970.
    """
    summed: dict[Key, Count] = {}
    for key, count in rows:
        summed[key] = both(summed[key], count) if key in summed else count
    spans: dict[Place, tuple[int, int]] = {}
    for day, *place in summed:
        one, other = place
        first, last = spans.get((one, other), (day, day))
        spans[one, other] = (min(first, day), max(last, day))
    found = [
        _share((day, *place), summed.get((day, *place)), is_first=day == first, until=until)
        for place, (first, last) in spans.items()
        for day in range(first, last + 1)
    ]
    return sorted(found, key=lambda one: (one.day, one.wallet, one.backend))


def newest_days(days: list[Share], most: int) -> tuple[list[Share], int | None]:
    """Return the newest days, whole, with so many rows at most; and the first of them where older ones are left out.

    The newest day is always there, however many rows it has.

    Args:
        days: as `shares` returns them, the oldest first.
    """
    if len(days) <= most:
        return days, None
    # the first day of which nothing would be cut off
    begin = min(days[-most].day + (days[-most - 1].day == days[-most].day), days[-1].day)
    return [one for one in days if one.day >= begin], begin


def _share(key: Key, count: Count | None, *, is_first: bool, until: float) -> Share:
    day, wallet, backend = key
    count = count or Count()
    begin = count.first_at if is_first else day * DAY
    if until - FRESH < count.last_at < until:
        until = count.last_at
    elapsed = max(0.0, min((day + 1) * DAY, until) - begin)
    # two gateways whose clocks differ may each have a moment of the same second
    watched = min(count.watched, elapsed)
    part = watched / count.watched if count.watched > 0.0 else 0.0
    stood_still = min(count.stood_still, elapsed - watched)
    return Share(
        day, wallet, backend, elapsed, watched, count.available * part, stood_still, elapsed - watched - stood_still,
        {word: seconds * part for word, seconds in count.reasons.items()},
    )  # fmt: skip


def whole(days: Iterable[Share]) -> list[Share]:
    """Return the days of each place as one, in the order in which they are; its day is the first of them."""
    found: dict[Place, Share] = {}
    for one in days:
        place = (one.wallet, one.backend)
        found[place] = _summed(found[place], one) if place in found else one
    return sorted(found.values(), key=lambda one: (one.wallet, one.backend))


def _summed(one: Share, other: Share) -> Share:
    words = [*one.reasons, *(word for word in other.reasons if word not in one.reasons)]
    return replace(
        one,
        elapsed=one.elapsed + other.elapsed,
        watched=one.watched + other.watched,
        available=one.available + other.available,
        stood_still=one.stood_still + other.stood_still,
        not_running=one.not_running + other.not_running,
        reasons={word: one.reasons.get(word, 0.0) + other.reasons.get(word, 0.0) for word in words},
    )

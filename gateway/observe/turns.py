"""Whose turn it is among the messages that wait for one sink, and when, where not all of them are taken.

Rule: nothing here sends or waits.  Messages of one alert keep their order, and at one moment one message is tried.

A message that is not taken may be at fault itself, or the sink is.  After a few tries the others have their turns as
well, one at each pause, and one that comes new at once: where one is taken, those that were not stand aside from then
on, each with pauses of its own, and are given up after an hour.  Where none is, it is the sink, which is asked ever
more seldom, whatever waits.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.observe.sinks import Message

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds until a message that was not taken is tried again; doubled each time."""

STRIKES = 5
"""Tries in a row that failed, after which others have their turns: half a minute, and a receiver that was restarted is
back by then."""

ASIDE = 3600.0
"""Seconds for which a message is tried that the sink does not take, while it takes others."""


@dataclass(slots=True)
class Trial:
    """How it went with a message that was not taken yet.

    Args:
        tries: those that failed since it was set aside.
        tried_at: when the last one ended.
        aside_since: since when the sink takes others and not this one; None while it takes nothing.
        again_at: when it is tried next, where it stands aside.
        has_overtaker: whether another one was taken since it was tried last.
    """

    tries: int = 0
    tried_at: float = -1.0
    aside_since: float | None = None
    again_at: float = 0.0
    has_overtaker: bool = False


class Turns:
    """The turns at one sink.

    Args:
        chance: numbers in [0, 1), so that several gateways do not knock in step.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        """Have seen nothing fail."""
        self.chance = chance
        self.is_failing = False
        """Whether the sink itself takes nothing, as far as is known."""
        self._trials: dict[str, Trial] = {}
        """By the id of a message."""
        self._strikes = 0
        """Tries in a row that failed, whatever was tried."""
        self._pause = 0.0
        self._again_at = 0.0
        """When a sink that takes nothing is asked again."""

    def next(self, queue: Iterable[Message], now: float, *, has_newcomer: bool) -> tuple[Message | None, float | None]:
        """Return the message that is to be tried now; where there is none, until when to wait, None for the next one.

        Args:
            has_newcomer: whether one has come since this was asked last.
        """
        firsts: dict[str, Message] = {}
        for message in queue:
            firsts.setdefault(message.incident, message)
        if not firsts:
            return None, None
        head = next((one for one in firsts.values() if self._of(one).aside_since is None), None)
        if head is None:
            head = min(firsts.values(), key=lambda one: self._of(one).again_at)
            again_at = max(self._again_at, self._of(head).again_at)
            return (head, None) if now >= again_at else (None, again_at)
        if self._strikes >= STRIKES:
            # in turn, whoever is at fault; what was never tried first, and of that what matters most
            head = min(firsts.values(), key=lambda one: (self._of(one).tried_at, one.severity != "critical"))
        is_new = has_newcomer and self._of(head).tried_at < 0.0
        return (head, None) if is_new or now >= self._again_at else (None, self._again_at)

    def taken(self, message: Message, now: float) -> None:
        """Note that the sink takes messages: what it did not take stands aside, is tried at once, then by itself."""
        self._trials.pop(message.id, None)
        self.is_failing, self._strikes, self._pause, self._again_at = False, 0, 0.0, 0.0
        for trial in self._trials.values():
            trial.has_overtaker = True
            if trial.aside_since is None:
                trial.aside_since = trial.again_at = now

    def failed(self, message: Message, now: float) -> float | None:
        """Note that a message was not taken; return when there is another try, None where it is to be given up."""
        trial = self._trials.setdefault(message.id, Trial())
        is_lost = trial.has_overtaker and trial.aside_since is not None and now - trial.aside_since >= ASIDE
        trial.tried_at, trial.has_overtaker = now, False
        if trial.aside_since is not None and not self.is_failing:
            trial.again_at = now + self._spread(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(trial.tries, 30)))
            trial.tries += 1
            return None if is_lost else trial.again_at
        self.is_failing = True
        self._strikes += 1
        if now >= self._again_at:
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            self._again_at = now + self._spread(self._pause)
        return self._again_at

    def keep(self, queue: Sequence[Message]) -> None:
        """Forget what does not wait any more."""
        waiting = {message.id for message in queue}
        self._trials = {one: trial for one, trial in self._trials.items() if one in waiting}

    def _of(self, message: Message) -> Trial:
        return self._trials.get(message.id) or Trial()

    def _spread(self, pause: float) -> float:
        return pause * (0.75 + self.chance() / 2)

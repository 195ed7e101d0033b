"""Brings the messages of alerts to one sink: a bounded queue, one message at a time, again and again until it is taken.

Rule: whoever hands a message over never waits.  Messages of one alert arrive in order, an opening before its closing;
whose turn it is where the sink does not take them says `observe/turns.py`.  Where there is no room the oldest
repetition goes first; an opening or closing that is given up is counted and told in the log.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from gateway.base.events import Emit, Event
from gateway.observe.sinks import Message, Sink, SinkError
from gateway.observe.turns import ASIDE, Turns
from gateway.rules.kinds import blot

ROOM = 200
"""Messages that may wait; a wallet with all that can be wrong opens a dozen alerts."""

OUTCOMES = ("delivered", "failed", "refused", "dropped", "outdated")
"""Taken; one try that failed; never to be taken; no room; a repetition with something newer behind it."""


class Courier:
    """The way to one sink.

    Args:
        timeout: seconds for one try.
        emit: where its own troubles are told.
        chance: numbers in [0, 1), so that several gateways do not knock in step.
    """

    def __init__(
        self, name: str, sink: Sink, timeout: float, emit: Emit, chance: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Begin with nothing to bring."""
        self.name = name
        self.sink = sink
        self.timeout = timeout
        self.emit = emit
        self.chance = chance
        self.loop = loop
        self.counts: Counter[str] = Counter()
        self.failing_since: float | None = None
        self._queue: deque[Message] = deque()
        self._turns = Turns(chance)
        self._has_newcomer = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Status line."""
        failing = " failing" if self.failing_since is not None else ""
        return f"<Courier {self.name} waiting={len(self._queue)}{failing}>"

    def start(self) -> None:
        """Begin to bring messages."""
        self._task = self.loop.create_task(self._run(), name=f"alerts-{self.name}")

    def push(self, message: Message) -> None:
        """Take a message over."""
        while len(self._queue) >= ROOM:
            self._make_room()
        self._queue.append(message)
        self._has_newcomer = True
        self._idle.clear()
        self._wake.set()

    def take_over(self, former: "Courier") -> None:
        """Bring what another courier to the same sink has not brought; its settings have changed."""
        for message in former._queue:  # noqa: SLF001 - one of the same kind
            self.push(message)
        self.counts.update(former.counts)

    def gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what metrics want to know: name, labels, value."""
        sink = {"sink": self.name}
        yield "alert_queue_messages", sink, float(len(self._queue))
        yield "alert_sink_failing", sink, float(self.failing_since is not None)
        for outcome in OUTCOMES:
            yield "alert_messages_total", {**sink, "outcome": outcome}, float(self.counts[outcome])

    async def stop(self, grace: float = 0.0) -> None:
        """Bring what waits, for `grace` seconds at most, then end; a sink that takes nothing now is not waited for."""
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace if self.failing_since is None else 0.0):
                    await self._idle.wait()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close()

    def give_up(self, reason: str) -> None:
        """Count what is left as dropped, and say so."""
        while self._queue:
            self._drop(self._queue.popleft(), reason)

    async def _close(self) -> None:
        try:
            await self.sink.close()
        except Exception as error:  # noqa: BLE001 - a sink from elsewhere may raise anything
            self._tell("alert.sink_not_closed", {"reason": type(error).__name__})

    # -- bringing -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._skip_outdated()
            message, until = self._turns.next(self._queue, self.loop.time(), has_newcomer=self._has_newcomer)
            self._has_newcomer = False
            if message is None:
                if not self._queue or self.failing_since is None:
                    # what stands aside is not worth waiting for
                    self._idle.set()
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(until):
                        await self._wake.wait()
                continue
            # it stays in the queue until it is taken, for whoever takes the queue over meanwhile
            trouble = await self._try(message)
            if trouble is None or trouble.is_refused:
                self._done(message, trouble)
            else:
                self._failed(message, trouble)

    async def _try(self, message: Message) -> SinkError | None:
        """Try to deliver a message; return what went wrong, None when it was taken."""
        try:
            async with asyncio.timeout(self.timeout):
                await self.sink.send(message)
        except SinkError as error:
            return error
        except TimeoutError:
            return SinkError(f"nothing has come back within {self.timeout:g} s; look whether the receiver runs")
        except Exception as error:  # noqa: BLE001 - a sink from elsewhere may raise anything, with anything in its text
            return SinkError(f"the sink itself failed ({type(error).__name__}); look at the package that brings it")
        return None

    def _done(self, message: Message, refusal: SinkError | None) -> None:
        """Count a message that needs no other try."""
        self._remove(message)
        self._turns.taken(message, self.loop.time())
        if refusal is not None:
            self.counts["refused"] += 1
            fields: dict[str, object] = {"message": message.type, "alert": message.alert, "reason": _words(refusal)}
            self._tell("alert.refused", fields, "error")
        else:
            self.counts["delivered"] += 1
        if self.failing_since is not None:
            lasted = round(self.loop.time() - self.failing_since, 1)
            self.failing_since = None
            self._tell("alert.sink_works", {"lasted": lasted}, "info")

    def _failed(self, message: Message, trouble: SinkError) -> None:
        """Count a try that failed, and say so."""
        now = self.loop.time()
        self.counts["failed"] += 1
        again_at = self._turns.failed(message, now)
        if again_at is None:
            self._remove(message)
            self._drop(message, f"others are taken, and it was not for {ASIDE:g} s: {_words(trouble)}")
            return
        if self._turns.is_failing and self.failing_since is None:
            self.failing_since = now
        fields: dict[str, object] = {
            "message": message.type, "alert": message.alert, "reason": _words(trouble), "waiting": len(self._queue),
            "again_in": round(again_at - now, 1),
        }  # fmt: skip
        self._tell("alert.not_delivered", fields)

    # -- room ---------------------------------------------------------------------------------------------

    def _skip_outdated(self) -> None:
        """Leave out repetitions that have something newer of the same alert behind them."""
        kept: list[Message] = []
        newer: set[str] = set()
        for message in reversed(self._queue):
            if message.may_be_dropped and message.incident in newer:
                self.counts["outdated"] += 1
            else:
                kept.append(message)
            newer.add(message.incident)
        self._queue = deque(reversed(kept))
        self._turns.keep(kept)

    def _remove(self, message: Message) -> None:
        """Take a message out of the queue; it may have been given up while it was tried."""
        with suppress(ValueError):
            self._queue.remove(message)

    def _make_room(self) -> None:
        """Give up the oldest repetition, or where there is none the oldest message."""
        for message in self._queue:
            if message.may_be_dropped:
                self._queue.remove(message)
                self._drop(message, "too many messages wait")
                return
        self._drop(self._queue.popleft(), "too many messages wait")

    def _drop(self, message: Message, reason: str) -> None:
        self.counts["dropped"] += 1
        level = "debug" if message.may_be_dropped else "error"
        self._tell("alert.dropped", {"message": message.type, "alert": message.alert, "reason": reason}, level)

    def _tell(self, name: str, fields: dict[str, object], level: str = "warning") -> None:
        self.emit(Event(name, "", "", {"sink": self.name, **fields}, level))


def _words(error: SinkError) -> object:
    """Return what a sink says, without what a package from elsewhere may have put into it."""
    return blot(error)

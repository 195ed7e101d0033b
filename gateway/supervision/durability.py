"""Sees again and again whether the database of the ledger keeps what it commits: also a gateway that runs must hear.

Rule: it tells, and stops nothing.  To stop would take the shop down for a payment that may be lost at a failover which
may never come; who wants that sets the alert to call him.  It asks on a connection of its own, for a bounded time, and
takes no lock: no renewal of a lease and no call waits for it.

A standby that is asynchronous, fsync or synchronous_commit switched off: each of them shows only when it is too late,
and then the gateway that crashed refuses to start, because of what the others have not said.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.base.errors import LedgerError
from gateway.base.events import Emit, Event
from gateway.ledger.store import MisplacedError
from gateway.rules import durability as rules
from gateway.rules.durability import Finding

LOOK = 1.0
"""Seconds between two looks at whether it is time to ask."""


class Judged(Protocol):
    """A ledger that can be asked; `PostgresLedger` is one."""

    @property
    def connections_made(self) -> int:
        """How many connections were made so far."""

    async def judge(self) -> tuple[str, ...]:
        """Return what may lose payments; ends in time.  Raises LedgerError."""


class Durability:
    """Whether one database keeps what it commits.

    Args:
        known: what the opening found, and told.
        is_borne: the operator has said that he bears it, so that it is told and nobody is woken.
    """

    def __init__(
        self, ledger: Judged, known: tuple[str, ...], emit: Emit, now: Callable[[], float], *, is_borne: bool,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        """Begin with what is known."""
        self.ledger = ledger
        self.emit = emit
        self.now = now
        self.is_borne = is_borne
        self.sleep = sleep
        self._last = Finding(now(), ledger.connections_made, known)

    def __repr__(self) -> str:
        """Status line."""
        return f"<Durability {'; '.join(self._last.unsafe) or 'ok'}>"

    @property
    def alarm(self) -> str:
        """What somebody must be woken for, "" for nothing."""
        return rules.alarm(self._last.unsafe, is_borne=self.is_borne)

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.sleep(LOOK)
            if rules.is_due(self._last, self.ledger.connections_made, self.now()):
                await self._ask()

    async def _ask(self) -> None:
        before, at, made = self._last.unsafe, self.now(), self.ledger.connections_made
        try:
            unsafe = await self.ledger.judge()
        except MisplacedError as error:
            # another server than the one of the start, which could keep a ledger
            unsafe = (str(error),)
        except LedgerError:
            # whatever wants the database says so, and what was known stays so
            unsafe = before
        except Exception as error:  # noqa: BLE001 - a room that nobody watches would be dead in silence
            what = f"{type(error).__name__}: {error}"[:500]
            self.emit(Event("room.failed", fields={"room": "durability", "error": what}, level="error"))
            unsafe = before
        self._last = Finding(at, made, unsafe)
        for sentence in unsafe:
            if sentence not in before:
                fields: dict[str, object] = {"warning": sentence}
                if not self.is_borne:
                    fields["then"] = rules.REFUSED
                self.emit(Event("ledger.unsafe", fields=fields, level="error"))
        if before and not unsafe:
            self.emit(Event("ledger.safe"))

"""A wallet whose ledger cannot be opened now, and who opens it as soon as that is possible.

Rule: reads and broadcasts go on as without a ledger; whatever would have to be written down is refused before anything
is sent, with what would help.  Nothing of the ledger is guessed: not what was given out, not which coins are held, not
who is primary.

When the ledger can be opened the wallet gets its rooms as at a start.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from gateway.base.cluster import Ledger as LedgerSettings
from gateway.base.config import Client
from gateway.base.effects import Effect
from gateway.base.errors import READ_ONLY, Failure, LedgerError
from gateway.base.events import Emit, Event
from gateway.fleet.pool import Pool
from gateway.flow.carry import carrier
from gateway.flow.desk import Desk
from gateway.flow.held_coins import HeldCoins
from gateway.flow.publish import Publisher
from gateway.flow.runner import Runner
from gateway.flow.sent import Sent
from gateway.money import Book, open_book
from gateway.profiles import ROLES
from gateway.rules.methods import Granted
from gateway.upstream.questions import Questions

T = TypeVar("T")

AGAIN = 10.0
"""Seconds between two tries to open a ledger."""

SHOUT = 300.0
"""Seconds between two lines of the log that say that it is closed."""


@dataclass(slots=True)
class Closed:
    """What is served of one wallet meanwhile."""

    wallet: str
    why: str
    """With what would help."""
    desk: Desk = field(init=False)

    def status(self) -> dict[str, object]:
        """Return what an operator asks about the ledger of a wallet, in the words of `Money.status`."""
        return {"state": "closed", "epoch": 0, "addresses": 0, "pool": 0, "pool_size": 0, "error": self.why}

    @property
    def ailment(self) -> str:
        """What is the matter, in words for a person."""
        return f"ledger: closed, nothing is given out and nothing is signed; {self.why}"

    async def refuse(self, _client: Client, _granted: Granted, _deadline: float, _key: str | None) -> Failure:
        """Refuse a call that needs the ledger; nothing is sent."""
        return self._failure()

    async def refuse_own(self, _client: Client, _params: bytes) -> Failure:
        """Refuse a question that the ledger alone could answer."""
        return self._failure()

    def _failure(self) -> Failure:
        message = f"read_only: the ledger is closed, so nothing was sent and nothing given out; {self.why}"
        step = "send the same call again when the ledger is open"
        return Failure(READ_ONLY, message, safe_to_repeat=True, wallet=self.wallet, next_step=step)


class NoLedger:
    """Stands for the ledger that is not there: every transaction fails with the reason."""

    def __init__(self, closed: Closed) -> None:
        """Fail with what is known of it at the time of the call."""
        self.closed = closed
        self.last_error = closed.why

    async def run(self, work: Callable[[Connection], T]) -> T:  # noqa: ARG002 - there is nothing to do it with
        """Do nothing.  Raises LedgerError."""
        raise LedgerError(self.closed.why)

    def close(self) -> None:
        """Have nothing to let go of."""


def close(pool: Pool, runner: Runner, why: str, sent: Sent) -> Closed:
    """Build what answers calls of a wallet that has a ledger, while that is closed; what it sends stays in `sent`."""
    closed = Closed(pool.name, why)
    questions = Questions(runner.profile, runner.call_on, runner.loop)
    publisher = Publisher(
        pool, questions, NoLedger(closed), carrier(runner), time.time, runner.loop,
        on_marked=lambda _backend, _change: None, on_sent=lambda: None, coins=HeldCoins(sent=sent),
    )  # fmt: skip
    closed.desk = Desk(
        pool.name,
        {role: publisher.handle if role == "broadcast" else closed.refuse for role in ROLES},
        dict.fromkeys((Effect.SIGN, Effect.WRITE, Effect.ALLOCATE), closed.refuse),
        runner.loop,
        {"gateway.outcome": closed.refuse_own},
    )
    return closed


class Waiting(Protocol):
    """A wallet, as far as its ledger goes."""

    name: str
    closed: Closed | None

    async def open_ledger(self, book: Book) -> bool:
        """Give it its ledger; False where it is too late for that.  Raises LedgerError."""


P = TypeVar("P", bound=Waiting)


class Opener(Generic[P]):
    """Opens the ledger of a gateway, and each wallet in it, again and again until all are open.

    Args:
        clock: seconds since 1970.
        plants: the wallets of now.
        on_book: called once the file is open; on_wallet: for each wallet that has got its rooms.
        is_shared: see `open_book`.
    """

    def __init__(
        self, settings: LedgerSettings, clock: Callable[[], float], plants: Callable[[], Mapping[str, P]],
        on_book: Callable[[Book], None], on_wallet: Callable[[P], None], emit: Emit,
        loop: asyncio.AbstractEventLoop, book: Book | None = None, why: str = "", *, is_shared: bool = False,
    ) -> None:  # fmt: skip
        """Begin with what the start found: the ledger, or why it could not be opened."""
        self.settings = settings
        self.clock = clock
        self.plants = plants
        self.on_book = on_book
        self.on_wallet = on_wallet
        self.emit = emit
        self.loop = loop
        self.book = book
        self.why = why
        self.is_shared = is_shared
        self._shouted_at = float("-inf")

    async def run(self) -> None:
        """Try for ever: a reload may bring a wallet that cannot be written down at once."""
        while True:
            await self.round()
            await asyncio.sleep(AGAIN)

    async def round(self) -> None:
        """Say how it is, and try once to open what is closed."""
        closed = [plant for plant in self.plants().values() if plant.closed is not None]
        if self.book is None:
            await self._open()
        elif not closed:
            return
        for plant in closed:
            if self.book is not None:
                await self._open_wallet(plant, self.book)
        still = [plant for plant in closed if plant.closed is not None]
        if (still or self.book is None) and self.loop.time() >= self._shouted_at + SHOUT:
            self._shouted_at = self.loop.time()
            whose = [plant.closed.why for plant in still if plant.closed is not None]
            fields: dict[str, object] = {
                "wallets": ", ".join(plant.name for plant in still) or "all",
                "error": whose[0] if whose else self.why,
            }
            self.emit(Event("ledger.closed", fields=fields, level="error"))

    async def _open(self) -> None:
        """Try to open the file, on another thread: to look through a large one takes seconds."""
        work = partial(open_book, self.settings, self.clock, is_shared=self.is_shared)
        opening = self.loop.run_in_executor(None, work)
        try:
            book = await asyncio.shield(opening)
        except LedgerError as error:
            self.why = str(error)
            for plant in self.plants().values():
                if plant.closed is not None:
                    plant.closed.why = self.why
            return
        except asyncio.CancelledError:
            opening.add_done_callback(_let_go)
            raise
        self.book, self.why = book, ""
        self.on_book(book)

    async def _open_wallet(self, plant: P, book: Book) -> None:
        try:
            is_open = await plant.open_ledger(book)
        except LedgerError as error:
            if plant.closed is not None:
                plant.closed.why = str(error)
            return
        if is_open:
            self.emit(Event("ledger.opened", plant.name))
            self.on_wallet(plant)


def _let_go(opening: "asyncio.Future[Book]") -> None:
    """Close a ledger that was opened when nobody wanted it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().ledger.close()

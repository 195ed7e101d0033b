"""Settles what calls left open: broadcasts of unknown fate, payments on their way into the chain, freezes of ours.

Rule: bytes of unknown fate are sent again until the chain has spoken; a coin is free when the chain has spoken for
six blocks, and not before; a freeze that the gateway set is over when every daemon in service has heard of the
transaction, and the owner's is never touched.  Whatever cannot be done now is tried again in the next round.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from gateway.base.effects import Effect
from gateway.base.errors import Failure
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import broadcasts, intents, payments
from gateway.ledger.broadcasts import Followed
from gateway.ledger.key_of import note
from gateway.ledger.marks import Change
from gateway.ledger.store import Ledger, LedgerError
from gateway.rules.coins import Entry
from gateway.rules.following import Accepted, Confirmed, Foreign, Lost, Never, Stale, Unseen, follow, pause, unread
from gateway.rules.payment import CONFIRMED, Said, read_broadcast
from gateway.upstream.questions import NotAnsweredError, Questions

SETTLED = "settled"
"""The fact in which a round writes its time, where it has to write something."""

EVERY = 1.0
"""Seconds between two rounds."""

CALM = 30.0
"""Seconds between two looks at the histories when nothing is urgent: confirmations come every ten minutes."""

PATIENCE = 10.0
"""Seconds that one question may take, queueing included."""

LONG = 86_400.0
"""Seconds after which coins that are held for bytes that were never broadcast are worth a person's attention."""

SENT_AT_ONCE = 3
"""Broadcasts that one round sends again; each may wait for a silent server."""

ENOUGH = 3
"""Refusals in a row, of every daemon, after which bytes of unknown fate count as refused."""

READ_AT_ONCE = 50
"""Transactions that one round looks into, in search of who spent a coin."""

REMEMBERED = 20_000
"""Transactions whose coins are remembered."""


ALONE = 5.0
"""How many times longer the pauses are with one daemon, which a silent server takes away for half a minute."""

SPEAKS = {
    Said.ACCEPTED: broadcasts.ACCEPTED,
    Said.KNOWN: broadcasts.ACCEPTED,
    Said.CONFLICT: broadcasts.CONFLICT,
    Said.REJECTED: broadcasts.REJECTED,
}
"""States that answers lead to."""


@dataclass(slots=True)
class _Sent:
    """How often bytes were sent again."""

    tries: int = 0
    at: float = 0.0
    """Loop time."""
    refusals: int = 0
    """In a row."""


class Memory(Protocol):
    """What a process remembers of held coins while the ledger is away; `flow.held_coins` says what these mean."""

    turn: int

    @property
    def is_uncertain(self) -> bool:
        """Whether a transaction of the ledger may be there or not."""

    def learn(self, held: Iterable[str], turn: int, *, has_written: bool) -> None:
        """Take what the ledger has."""


class Settler:
    """The open ends of one wallet.

    Args:
        is_sending: whether a call is sending these bytes right now.
        clock: seconds since 1970.
        on_marked: hears of each freeze that is over, and on which backend it is lifted already ("" for none).
        write_late: writes down what was sent while the ledger was away.
        coins: learn each round which are held.
    """

    def __init__(
        self, pool: Pool, questions: Questions, ledger: Ledger, is_sending: Callable[[str], bool],
        clock: Callable[[], float], loop: asyncio.AbstractEventLoop,
        on_marked: Callable[[str, Change], None] = lambda _backend, _change: None,
        write_late: Callable[[], Awaitable[None]] | None = None,
        coins: Memory | None = None,
    ) -> None:  # fmt: skip
        """Know nothing yet."""
        self._coins = coins
        self.on_marked = on_marked
        self._write_late = write_late
        self.pool = pool
        self.questions = questions
        self.ledger = ledger
        self.is_sending = is_sending
        self.clock = clock
        self.loop = loop
        self.unknown = 0
        self.held = 0
        """Satoshi of coins that are held for bytes that the chain has not taken."""
        self.oldest = 0.0
        """Seconds since the oldest of these holds began."""
        self._sent: dict[str, _Sent] = {}
        self._spends: dict[str, tuple[str, ...]] = {}
        """The coins that deep transactions spend."""
        self._warned: set[str] = set()
        self._looked_at = 0.0
        self._height: int | None = None
        self._told: frozenset[str] = frozenset()
        self._turn = 0
        self._began = loop.time()
        self._seen: dict[str, float] = {}
        """When a history last had what is followed; loop time."""
        self._resolves_at = 0.0
        """When calls of unknown outcome are looked at again; loop time."""
        self.open_calls = 0
        """Calls of clients whose outcome nobody knows."""

    def __repr__(self) -> str:
        """Status line."""
        return f"<Settler {self.pool.name} unknown={self.unknown} held={self.held}>"

    async def run(self) -> None:
        """Settle for ever."""
        while True:
            await self.round()
            await asyncio.sleep(EVERY)

    async def round(self) -> None:
        """Do what is due; with the ledger away there is nothing to do."""
        try:
            if self._write_late is not None:
                await self._write_late()
            rows = await self._read()
            self._measure(rows)
            await self._send_again(rows)
            await self._follow(rows)
            if self.loop.time() >= self._resolves_at:
                self._resolves_at = self.loop.time() + CALM
                await self._resolve_left()
        except LedgerError:
            return

    async def _read(self) -> list[Followed]:
        """Read what is followed, and which coins are held.  Raises LedgerError."""
        coins = self._coins
        turn, is_uncertain = (0, False) if coins is None else (coins.turn, coins.is_uncertain)

        def work(connection: Connection) -> list[Followed]:
            if is_uncertain:
                # whatever the disk lost before this cannot come back after it
                note(connection, SETTLED, str(self.clock()))
            return broadcasts.followed(connection, self.pool.name, self.clock())

        rows = await self.ledger.run(work)
        if coins is not None:
            coins.learn([coin for row in rows for coin in row.coins], turn, has_written=is_uncertain)
        return rows

    def look_again(self) -> None:
        """Count the calls of unknown outcome anew in the next round: a person has said something about one."""
        self._resolves_at = 0.0

    def gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what metrics want to know: name, labels, value."""
        wallet = {"wallet": self.pool.name}
        yield "broadcasts_unknown", wallet, float(self.unknown)
        yield "calls_unknown", wallet, float(self.open_calls)
        yield "held_satoshis", wallet, float(self.held)
        yield "held_oldest_age_seconds", wallet, self.oldest

    def _measure(self, rows: list[Followed]) -> None:
        """Count what is held, and tell what is held for long."""
        now = self.clock()
        self.unknown = sum(row.state == broadcasts.UNKNOWN for row in rows)
        waiting = [row for row in rows if row.coins and row.state not in (broadcasts.ACCEPTED, CONFIRMED)]
        self.held = sum(sum(row.coins.values()) for row in waiting)
        self.oldest = max((now - row.since for row in waiting), default=0.0)
        late = [row for row in waiting if now - row.since >= LONG]
        for row in late:
            if row.txid not in self._warned:
                # what servers refused ends only so too, where a key has it
                ends = row.state in ("", broadcasts.REJECTED, broadcasts.CONFLICT)
                hint = "ec-gateway outcome KEY --abandon gives it up" if ends else "ec-gateway outcome shows it"
                fields: dict[str, object] = {
                    "satoshi": sum(row.coins.values()), "hours": round((now - row.since) / 3600), "remedy": hint,
                }  # fmt: skip
                self.pool.emit(Event("payment.held_long", self.pool.name, "", fields, "warning"))
        self._warned = {row.txid for row in late}

    # -- unknown broadcasts -------------------------------------------------------------------------------

    async def _send_again(self, rows: list[Followed]) -> None:
        """Send bytes of unknown fate again, each in its own time, to one daemon after the other."""
        unknown = {row.txid: row for row in rows if row.state == broadcasts.UNKNOWN}
        for forgotten in set(self._sent) - set(unknown):
            del self._sent[forgotten]
        due = [row for row in unknown.values() if self._is_time(row.txid) and not self.is_sending(row.txid)]
        for row in due[:SENT_AT_ONCE]:
            backend = self._next_backend()
            if backend is None or row.publication is None:
                return
            sent = self._sent.setdefault(row.txid, _Sent())
            sent.tries, sent.at = sent.tries + 1, self.loop.time()
            answer = await self.questions.broadcast(backend, row.publication.hex, self.loop.time() + PATIENCE)
            if isinstance(answer, Failure):
                continue
            result = None if answer.result is None else msgspec.json.decode(answer.result)
            error = None if answer.error is None else msgspec.json.decode(answer.error)
            await self._hear(row.txid, read_broadcast(result, error, row.txid), sent, backend)

    def _is_time(self, txid: str) -> bool:
        """Whether bytes may be sent again; rarely where that takes the only daemon from everybody."""
        sent = self._sent.get(txid)
        patience = 1.0 if len(self.pool.serving) > 1 else ALONE
        return sent is None or self.loop.time() - sent.at >= pause(sent.tries - 1) * patience

    def _next_backend(self) -> Backend | None:
        """Return the next of those that may wait for a silent server."""
        if not self.pool.slow:
            return None
        self._turn += 1
        return self.pool.slow[self._turn % len(self.pool.slow)]

    async def _hear(self, txid: str, said: Said, sent: "_Sent", backend: Backend) -> None:
        """Write down what the chain said at last."""
        if said is Said.CONFLICT and await self._is_in_history(txid, backend):
            said = Said.KNOWN
        sent.refusals = sent.refusals + 1 if said is Said.REJECTED else 0
        name, state = self.pool.name, SPEAKS.get(said)
        if state is None or (said is Said.REJECTED and sent.refusals < max(ENOUGH, len(self.pool.slow))):
            # one server's policy is not another's, which may have the bytes already
            return

        changes: list[Change] = []

        def work(connection: Connection) -> bool:
            note = broadcasts.AFTER_SILENCE if said in (Said.REJECTED, Said.CONFLICT) else ""
            is_new = broadcasts.spoke(connection, name, txid, state, self.clock(), note)
            if is_new and said is Said.REJECTED:
                changes.extend(payments.release_unkeyed(connection, name, txid, self.clock()))
            return is_new

        if await self.ledger.run(work):
            self.pool.wrote(changes_addresses=False)
            self.pool.emit(Event(f"broadcast.{state}", name, backend.name, {"how": "sent again"}))
        for change in changes:
            self.on_marked("", change)

    async def _is_in_history(self, txid: str, backend: Backend) -> bool:
        try:
            return txid in await self.questions.history(backend, self.loop.time() + PATIENCE)
        except NotAnsweredError:
            return False

    # -- what is on its way into the chain ----------------------------------------------------------------

    async def _follow(self, rows: list[Followed]) -> None:
        """Look at the histories, when there is reason to."""
        height = max((one.height or 0 for one in self.pool.backends), default=0)
        if not self._is_due(rows, height):
            return
        backends = [one for one in self.pool.backends if one.may_serve]
        histories: dict[str, dict[str, Entry]] = {}
        for backend in backends:
            with suppress(NotAnsweredError):
                histories[backend.name] = await self.questions.history(backend, self.loop.time() + PATIENCE)
        if not histories:
            return
        self._looked_at, self._height = self.loop.time(), height
        self._told = frozenset(row.txid for row in rows)
        for gone in self._seen.keys() - self._told:
            del self._seen[gone]
        spenders = await self._spenders(rows, histories)
        is_whole = len(histories) == len(backends)
        parents = {coin.partition(":")[0] for row in rows for coin in row.coins}
        dead = await self.ledger.run(lambda c: broadcasts.dead(c, self.pool.name, parents)) if parents else set()
        for row in rows:
            await self._judge(row, list(histories.values()), spenders, dead, is_whole=is_whole)

    def _is_due(self, rows: list[Followed], height: int) -> bool:
        """Whether something can have changed: a broadcast, a block, a freeze that can soon be lifted, or time.

        For bytes that every server refused only a block is worth a look.
        """
        if not rows:
            return False
        is_urgent = any(
            row.state == broadcasts.UNKNOWN or (row.state == broadcasts.ACCEPTED and row.is_frozen) for row in rows
        )
        is_new = frozenset(row.txid for row in rows) != self._told or height != self._height
        is_time = self.loop.time() - self._looked_at >= CALM
        return is_urgent or is_new or (is_time and any(row.coins or row.state == broadcasts.ACCEPTED for row in rows))

    async def _spenders(self, rows: list[Followed], histories: Mapping[str, Mapping[str, Entry]]) -> dict[str, str]:
        """Return who spends which coin, where a transaction that holds coins is in no history."""
        if all(not row.coins or any(row.txid in one for one in histories.values()) for row in rows):
            return {}
        for backend in self.pool.backends:
            for txid in unread([histories.get(backend.name, {})], self._spends, READ_AT_ONCE):
                try:
                    found = await self.questions.transaction(backend, txid, self.loop.time() + PATIENCE)
                except NotAnsweredError:
                    break
                self._spends[txid] = found.inputs
        while len(self._spends) > REMEMBERED:
            del self._spends[next(iter(self._spends))]
        return {coin: txid for txid, coins in self._spends.items() for coin in coins}

    async def _judge(
        self, row: Followed, histories: Sequence[Mapping[str, Entry]], spenders: Mapping[str, str],
        dead: Collection[str], *, is_whole: bool,
    ) -> None:  # fmt: skip
        """Write down what the chain has come to."""
        name, txid, at = self.pool.name, row.txid, self.clock()
        heard = row.publication.last_at if row.publication else row.since
        now = self.loop.time()
        if any(txid in one for one in histories):
            self._seen[txid] = now
        # a process that has just begun has not looked yet, however long ago something was written down
        quiet = min(at - heard, now - self._seen.get(txid, self._began))
        is_own = row.publication is None or row.publication.spends_own
        verdict = follow(
            txid, row.state, row.coins, histories, spenders, quiet,
            is_own=is_own, is_whole=is_whole, dead=dead, stood=at - heard,
        )  # fmt: skip
        match verdict:
            case Confirmed():
                await self._write(lambda c: broadcasts.confirm(c, name, txid, at))
                self._tell_out(row)
                self.pool.emit(Event("payment.confirmed", name))
            case Accepted(confirmations, is_everywhere):
                height = max(0, (self._height or 0) - confirmations + 1) if confirmations else 0
                spends_own = any(txid in one and one[txid].spends_own for one in histories)
                over = list(row.coins) if is_everywhere and is_whole else []
                await self._write(lambda c: broadcasts.seen(c, name, txid, height, over, at, spends_own=spends_own))
                self._tell_out(row)
            case Never(by, is_parent):
                await self._write(lambda c: broadcasts.never(c, name, txid, by, at, is_parent=is_parent))
                self.pool.emit(Event("payment.conflict", name, "", {"coins": len(row.coins)}, "error"))
            case Lost():
                await self._write(lambda c: broadcasts.lose(c, name, txid, at))
                self.pool.emit(Event("broadcast.lost", name, "", {}, "warning"))
            case Foreign() if row.coins:
                await self._write(lambda c: payments.release_foreign(c, name, txid, at))
            case Unseen() if row.coins and row.publication and not row.publication.is_unseen:
                await self._write(lambda c: broadcasts.unseen(c, name, txid))
            case Stale():
                await self._write(
                    lambda c: broadcasts.unseen(c, name, txid) + payments.release_unkeyed(c, name, txid, at)
                )

    def _tell_out(self, row: Followed) -> None:
        """Tell of bytes that are in a history although servers had refused them."""
        if row.publication is not None and row.state in (broadcasts.REJECTED, broadcasts.CONFLICT):
            self.pool.emit(Event("broadcast.out_after_all", self.pool.name, "", {"state": row.state}, "warning"))

    async def _write(self, work: Callable[[Connection], list[Change]]) -> None:
        """Do one transaction and tell of the freezes that it lifted.  Raises LedgerError."""
        for change in await self.ledger.run(work):
            self.on_marked("", change)

    async def _resolve_left(self) -> None:
        """Close what was left open and is known by now, and count the rest."""
        name = self.pool.name
        methods = [one for one, row in self.questions.profile.methods.items() if row.effect is Effect.SIGN]

        def work(connection: Connection) -> int:
            broadcasts.resolve_left(connection, name, methods)
            return intents.count_unknown(connection, name)

        self.open_calls = await self.ledger.run(work)

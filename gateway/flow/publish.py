"""Broadcasts: the same bytes until the chain has spoken.

Rule: bytes are written down before the first of them leaves, and from then on somebody sends them again until the
chain has taken or refused them: this room until the client's deadline, the settler after it.  To send the same bytes
twice cannot pay twice, so "already known" is success; only what was proved not to have left is taken back.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from gateway.base.config import Client
from gateway.base.errors import INVALID_PARAMS, METHOD_REFUSED, OUTCOME_UNKNOWN, Executed, Failure, Kind
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.fleet.pool import Pool
from gateway.flow.carry import Carried, Carry
from gateway.flow.held_coins import HeldCoins
from gateway.flow.sent import Unwritten
from gateway.ledger import broadcasts, epochs, intents, payments
from gateway.ledger.broadcasts import Publication
from gateway.ledger.marks import Change
from gateway.ledger.store import Ledger, LedgerError, UncertainError
from gateway.rules.arguments import arguments
from gateway.rules.methods import Granted
from gateway.rules.payment import CONFIRMED, Said, read_broadcast
from gateway.rules.transaction import Transaction, bytes_of, parse
from gateway.upstream.questions import NotAnsweredError, Questions

T = TypeVar("T")

GARBAGE = "The transaction could not be decoded."
"""How a daemon's server says that bytes are none."""

LOOK_UP = 1.0
"""Seconds that a question about the coins may delay a broadcast, and so may freezing them."""

LEDGER = 1.0
"""Seconds that a broadcast waits for one transaction of the ledger; one that takes longer counts as away."""

FIRST_SHARE = 0.4
"""Share of the time until the deadline after which a silent daemon is not waited for any longer, if there is another
one to ask: the server behind it may be silent for half a minute, and the other's is not."""

LAST_MOMENT = 0.05
"""Seconds before the deadline in which nothing new is begun."""

SPEAKS = {Said.ACCEPTED: "accepted", Said.KNOWN: "accepted", Said.CONFLICT: "conflict", Said.REJECTED: "rejected"}
"""States that answers lead to."""

REFUSED = (Said.REJECTED, Said.CONFLICT)
"""What one server says of bytes that another one may have: policy, or coins that are spent by the bytes themselves."""


class _TooSlowError(UncertainError):
    """The ledger took too long; what was asked may still be written."""


@dataclass(slots=True)
class _Sending:
    """One broadcast under way."""

    client: Client
    tx: Transaction
    before: Publication | None = None
    intent: int | None = None
    is_written: bool = False
    """Whether the ledger has it."""
    coins: dict[str, int] | None = None
    """What of its coins is to be held, where that was found out for a ledger that was away."""
    spends_own: bool = False
    was_sent: bool = False
    was_unknown: bool = False
    """Some attempt of this call may have brought it out."""
    said: Said = Said.UNKNOWN
    refusals: set[str] = field(default_factory=set)
    """States that servers' refusals lead to, believed or not."""
    is_as_before: bool = False
    """What was known of refused bytes stands."""
    answer: Answer | None = None
    failure: Failure | None = None
    backend: str = ""
    request: str = ""
    asked: set[str] = field(default_factory=set)


class Publisher:
    """The broadcasts of one wallet.

    Args:
        clock: seconds since 1970.
        on_marked, on_sent, coins: as for Payments.
    """

    def __init__(
        self, pool: Pool, questions: Questions, ledger: Ledger, carry: Carry,
        clock: Callable[[], float], loop: asyncio.AbstractEventLoop,
        on_marked: Callable[[str, Change], None], on_sent: Callable[[], None], coins: HeldCoins,
    ) -> None:  # fmt: skip
        """Begin with nothing under way."""
        self.coins = coins
        self.sent = coins.sent
        self.on_marked = on_marked
        self.on_sent = on_sent
        self.pool = pool
        self.questions = questions
        self.ledger = ledger
        self.carry = carry
        self.clock = clock
        self.loop = loop
        self._flights: dict[tuple[str, str], asyncio.Future[Answer | Failure | None]] = {}
        """What calls come to that are under way, by client and transaction; None for one that was broken off."""

    def is_sending(self, txid: str) -> bool:
        """Whether a call is sending these bytes; nobody else sends them meanwhile."""
        return self.sent.under_way[txid] > 0

    async def handle(self, client: Client, granted: Granted, deadline: float, _key: str | None) -> Answer | Failure:
        """Answer a broadcast by its deadline (loop time); the bytes are their own key."""
        try:
            named = arguments(granted.method, granted.params)
        except ValueError as error:
            return self._failure(INVALID_PARAMS, str(error))
        if "tx" not in named:
            return self._failure(INVALID_PARAMS, f"{granted.method.name} takes tx, the signed transaction")
        try:
            tx = parse(bytes_of(msgspec.json.decode(named["tx"])) or "")
        except ValueError:
            return self._garbage()
        if not tx.is_signed:
            return self._garbage()
        flight = (client.name, tx.txid)
        while flight in self._flights:
            try:
                async with asyncio.timeout_at(deadline):
                    told = await asyncio.shield(self._flights[flight])
            except TimeoutError:
                why = "another call of yours is sending these bytes, and it has not ended before the deadline"
                return self._tell_unknown(_Sending(client, tx), why)
            if isinstance(told, Answer):
                # asked once more, as by a client that hung up: sent twice at once, neither could believe a refusal
                return told
        self._flights[flight] = future = self.loop.create_future()
        end: Answer | Failure | None = None
        try:
            end = await self._publish(client, granted, tx, deadline)
        finally:
            del self._flights[flight]
            future.set_result(end)
        return end

    async def _publish(self, client: Client, granted: Granted, tx: Transaction, deadline: float) -> Answer | Failure:
        """Write the bytes down, send them, write down what was heard."""
        sending, is_unsure = _Sending(client, tx), True
        under_way = self.sent.under_way
        under_way[tx.txid] += 1
        try:
            refusal = await self._write(sending, deadline)
            if refusal is not None:
                is_unsure = False
                return refusal
            await self._send(sending, granted.given(msgspec.json.encode([tx.hex])), deadline)
            told = await self._settle(sending)
            is_unsure = isinstance(told, Failure) and told.kind is OUTCOME_UNKNOWN
            return told
        finally:
            if is_unsure:
                self.sent.may_be_out(tx.txid)
            is_out = sending.was_sent and sending.said in (Said.ACCEPTED, Said.KNOWN)
            if not sending.is_written and (is_unsure or is_out):
                said = Said.ACCEPTED if is_out else Said.UNKNOWN
                self.sent.keep(Unwritten(client, tx, said, sending.coins, sending.spends_own))
            under_way[tx.txid] -= 1
            if not under_way[tx.txid]:
                del under_way[tx.txid]

    async def write_late(self) -> None:
        """Write down what went out while the ledger was away, so that it is followed and sent again."""
        for txid, one in list(self.sent.unwritten.items()):
            if self.is_sending(txid):
                continue
            sending = _Sending(one.client, one.tx, was_unknown=True, said=one.said)
            sending.coins, sending.spends_own = one.coins, one.spends_own
            is_answered = await self._write(sending, self.loop.time() + LOOK_UP) is not None
            if not is_answered and not sending.is_written:
                return
            await self._write_end(sending)
            self.sent.written(txid)

    async def _write_end(self, sending: _Sending) -> None:
        """Write down what was heard; where that fails it stays unknown, and the settler finds out."""
        if sending.is_written:
            with suppress(LedgerError):
                self._tell(await self._in_ledger(lambda c: self._note_end(c, sending)))

    def _may_be_out(self, sending: _Sending) -> bool:
        """Whether a refusal is no fact about these bytes: an attempt of this or another call may have brought them out.

        Another call that is still under way counts as such.
        """
        txid, before = sending.tx.txid, sending.before
        was_out = txid in self.sent.perhaps_out or (before is not None and before.may_be_out)
        return sending.was_unknown or was_out or self.sent.under_way[txid] > 1

    # -- before the first byte ----------------------------------------------------------------------------

    async def _write(self, sending: _Sending, deadline: float) -> Answer | Failure | None:
        """Write down what is about to be sent, hold its coins and freeze them; an answer where it is not to be sent.

        Without the ledger it is sent all the same.
        """
        name, tx = self.pool.name, sending.tx

        def look(connection: Connection) -> tuple[bool, bool, Publication | None, dict[str, int]]:
            return (
                payments.was_given_up(connection, name, tx.txid),
                payments.was_signed_here(connection, name, tx.txid),
                broadcasts.find_publication(connection, name, tx.txid),
                payments.coins_of(connection, name, tx.txid),
            )

        try:
            is_given_up, is_own, sending.before, held = await self._in_ledger(look)
            if is_given_up:
                return self._given_up()
            if sending.before is not None and sending.before.state == CONFIRMED:
                return self._success(tx)
            is_dead = sending.before is not None and sending.before.was_never
            if is_dead:
                coins, owned = {}, False
            elif sending.coins is not None:
                coins, owned = sending.coins, sending.spends_own
            else:
                coins, owned = await self._coins(tx, held, deadline)
            with self.coins.holding(coins) as new:
                changes = await self._in_ledger(lambda c: self._note(c, sending, coins, spends_own=is_own or owned))
                if changes is None:
                    new.clear()
        except UncertainError:
            # it may still be written, and whoever finds it sends the bytes: nobody can say that they stay here
            sending.was_unknown = True
            return None
        except LedgerError:
            if sending.coins is None:
                # asked now, for the wallet does not list them any more once they are spent
                sending.coins, sending.spends_own = await self._coins(tx, {}, deadline)
            return None
        if changes is None:
            return self._given_up()
        sending.is_written = True
        primary = self.pool.primary
        frozen = [change.mark.key for change in changes]
        left = await self.questions.freeze(primary, frozen, min(deadline, self.loop.time() + LOOK_UP))
        self._tell(changes, primary.name, left)
        self.on_sent()
        return None

    def _tell(self, changes: list[Change], backend: str = "", left: Collection[str] = ()) -> None:
        """Tell of freezes, and that a backend has all but some of them."""
        for change in changes:
            self.on_marked("" if change.mark.key in left else backend, change)

    async def _coins(self, tx: Transaction, held: dict[str, int], deadline: float) -> tuple[dict[str, int], bool]:
        """Return the coins to hold, and whether some of them are known to be the wallet's.

        Where nobody can say it they are held, and yet no signer has to wait until it has heard of them: bytes of
        others may never come into this wallet's history.  If they do, the settler reads there whose they are.

        Args:
            held: for these bytes already, with what they are worth; 0 where nobody could say whose they are.
        """
        if any(held.values()):
            return {}, True
        try:
            unspent = await self.questions.unspent(self.pool.primary, min(deadline, self.loop.time() + LOOK_UP))
        except NotAnsweredError:
            # to hold the coins of others costs nothing
            return {} if held else dict.fromkeys(tx.inputs, 0), False
        own = {one: unspent[one].value for one in tx.inputs if one in unspent}
        return own, bool(own)

    def _note(
        self, connection: Connection, sending: _Sending, coins: dict[str, int], *, spends_own: bool
    ) -> list[Change] | None:
        """Write it down and return what is to be frozen; None where its key was given up while a daemon was asked."""
        name, tx, at, client = self.pool.name, sending.tx, self.clock(), sending.client.name
        if payments.was_given_up(connection, name, tx.txid):
            return None
        sending.before = broadcasts.publish(connection, name, tx.txid, tx.hex, client, at, spends_own=spends_own)
        if sending.before is not None and sending.before.was_never:
            # its coins are free, but for the one that is spent
            coins = {}
        payments.hold(connection, name, tx.txid, coins, at)
        changes = payments.freeze(connection, name, coins, at)
        standing = epochs.current(connection, name)
        epoch = standing.epoch if standing else self.pool.epoch
        sending.intent = intents.open_(connection, name, epoch, client, "broadcast", at)
        broadcasts.name_intent(connection, sending.intent, tx.txid)
        return changes

    async def _in_ledger(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction that must not hold up a broadcast.  Raises LedgerError, _TooSlowError among them."""
        try:
            async with asyncio.timeout(LEDGER):
                return await self.ledger.run(work)
        except TimeoutError as error:
            raise _TooSlowError("the ledger did not answer in time") from error

    def _given_up(self) -> Failure:
        message = (
            "these bytes belong to a key that was given up; their coins may be another payment's by now. To pay all "
            "the same, send the call that signed them with a key that was never used"
        )
        return self._failure(METHOD_REFUSED, message)

    # -- out ----------------------------------------------------------------------------------------------

    async def _send(self, sending: _Sending, granted: Granted, deadline: float) -> None:
        """Send the bytes, to one daemon after the other while nobody knows, until one has an answer."""
        now = self.loop.time()
        has_others = len(self.pool.serving) > 1
        first = now + FIRST_SHARE * (deadline - now) if has_others else deadline
        carried = await self.carry(sending.client.name, granted, first)
        await self._hear(sending, carried, deadline)
        if not sending.was_sent and has_others and self._has_time(deadline):
            # no daemon was free in the first part of the time; nothing keeps it from waiting for the rest
            await self._hear(sending, await self.carry(sending.client.name, granted, deadline), deadline)
        while sending.was_sent and sending.said is Said.UNKNOWN and self._has_time(deadline):
            other = next((one for one in self.pool.serving if one.name not in sending.asked), None)
            if other is None:
                break
            result = await self.questions.broadcast(other, sending.tx.hex, deadline)
            await self._hear(sending, Carried(result, self.pool.epoch, other.name, ""), deadline)
            self.pool.wrote(changes_addresses=False)

    def _has_time(self, deadline: float) -> bool:
        return self.loop.time() + LAST_MOMENT < deadline

    async def _hear(self, sending: _Sending, carried: Carried, deadline: float) -> None:
        """Take in what one attempt came to."""
        result = carried.result
        if carried.backend:
            sending.asked.add(carried.backend)
            sending.backend, sending.request = carried.backend, carried.request or sending.request
        if isinstance(result, Failure):
            sending.failure = result
            is_out = result.kind.executed is not Executed.NO
            sending.was_sent |= is_out
            sending.was_unknown |= is_out
            return
        sending.was_sent = True
        answer = None if result.result is None else msgspec.json.decode(result.result)
        error = None if result.error is None else msgspec.json.decode(result.error)
        said = read_broadcast(answer, error, sending.tx.txid)
        if said is Said.CONFLICT and await self._has_it(carried.backend, sending.tx.txid, deadline):
            # its coins are spent by itself, in a block
            said = Said.KNOWN
        if said is Said.UNKNOWN:
            sending.was_unknown = True
            return
        if said in REFUSED:
            sending.refusals.add(SPEAKS[said])
            if self._may_be_out(sending):
                # what one server says; another may have it
                return
        sending.said, sending.answer = said, result

    async def _has_it(self, name: str, txid: str, deadline: float) -> bool:
        backend = self.pool.by_name.get(name)
        if backend is None:
            return False
        try:
            return txid in await self.questions.history(backend, min(deadline, self.loop.time() + LOOK_UP))
        except NotAnsweredError:
            return False

    # -- what came of it ----------------------------------------------------------------------------------

    async def _settle(self, sending: _Sending) -> Answer | Failure:
        """Write down what was heard, and answer."""
        was_taken = sending.before is not None and sending.before.state == "accepted"
        if not sending.was_sent and not sending.was_unknown:
            return await self._take_back(sending)
        # what the daemon said is told, whether it could be written or not
        await self._write_end(sending)
        if sending.said is Said.UNKNOWN:
            return self._success(sending.tx) if was_taken else self._tell_unknown(sending)
        if sending.said is Said.KNOWN or (was_taken and sending.said in (Said.REJECTED, Said.CONFLICT)):
            # a server that misses coins which the transaction itself has spent says nothing new
            return self._success(sending.tx)
        assert sending.answer is not None  # noqa: S101 - every other word came with one
        return sending.answer

    def _note_end(self, connection: Connection, sending: _Sending) -> list[Change]:
        name, txid, at = self.pool.name, sending.tx.txid, self.clock()
        if sending.said in REFUSED and self._may_be_out(sending):
            # another call has come meanwhile with the same bytes
            sending.said = Said.UNKNOWN
        state = SPEAKS.get(sending.said, broadcasts.UNKNOWN)
        again = self._refuse_again(connection, sending)
        is_new = bool(again)
        if not again:
            is_new = sending.said is not Said.UNKNOWN and broadcasts.spoke(connection, name, txid, state, at)
        state, sending.is_as_before = again or state, bool(again)
        if sending.said in REFUSED and not is_new:
            # a history has had them meanwhile
            sending.said, state = Said.KNOWN, broadcasts.ACCEPTED
        is_over = state == broadcasts.REJECTED
        changes = payments.release_unkeyed(connection, name, txid, at) if is_over else []
        if sending.intent is not None:
            standing = epochs.current(connection, name)
            # the bytes are anybody's to send, so no epoch is too old for their answer
            epoch = standing.epoch if standing else 0
            ended = intents.UNKNOWN if state == broadcasts.UNKNOWN else intents.ANSWERED
            where = (sending.backend, sending.request)
            intents.close(connection, sending.intent, ended, epoch, at, *where, note=state, txid=txid)
        return changes

    def _refuse_again(self, connection: Connection, sending: _Sending) -> str:
        """Note a refusal that says what an earlier one said, and return the state; "" where it is something else."""
        before, txid = sending.before, sending.tx.txid
        if before is None or not self._is_as_before(sending):
            return ""
        if sending.said not in REFUSED and not before.may_be_out:
            return ""
        return broadcasts.refuse_again(connection, self.pool.name, txid, before, sending.refusals)

    def _is_as_before(self, sending: _Sending) -> bool:
        """Whether servers had refused the bytes, and no attempt since may have brought them out."""
        before, txid = sending.before, sending.tx.txid
        was_refused = before is not None and before.state in (broadcasts.REJECTED, broadcasts.CONFLICT)
        return was_refused and not sending.was_unknown and self.sent.under_way[txid] == 1

    async def _take_back(self, sending: _Sending) -> Answer | Failure:
        """Forget bytes that provably never left, before the client is told so."""
        failure = sending.failure
        assert failure is not None  # noqa: S101 - nothing was sent, and that was told in a failure
        name, txid, at = self.pool.name, sending.tx.txid, self.clock()

        def work(connection: Connection) -> list[Change]:
            changes: list[Change] = []
            sending.is_as_before = self._is_as_before(sending)
            if sending.is_as_before or not self._may_be_out(sending):
                broadcasts.unpublish(connection, name, txid, sending.before)
                is_over = sending.before is None or sending.before.state == broadcasts.REJECTED
                changes = payments.release_unkeyed(connection, name, txid, at) if is_over else []
            if sending.intent is not None:
                intents.close(connection, sending.intent, intents.NOT_EXECUTED, 0, at, "", "", failure.message, txid)
            return changes

        try:
            self._tell(await self.ledger.run(work) if sending.is_written else [])
        except LedgerError:
            return self._tell_unknown(sending)
        if sending.before is not None and sending.before.state == "accepted":
            return self._success(sending.tx)
        return self._tell_unknown(sending) if self._may_be_out(sending) else failure

    def _tell_unknown(self, sending: _Sending, why: str = "") -> Failure:
        """Tell the log and return the error; `why` where it is not what was heard of the bytes."""
        fields: dict[str, object] = {"client": sending.client.name, "request": sending.request}
        self.pool.emit(Event("broadcast.unknown", self.pool.name, sending.backend, fields, "warning"))
        step = f'ask gateway.outcome with {{"txid": "{sending.tx.txid}"}}, or send the same bytes again'
        if not why:
            why, step = self._what_was_heard(sending, step)
        return Failure(
            OUTCOME_UNKNOWN, f"outcome_unknown: {why}", safe_to_repeat=True, wallet=self.pool.name,
            backend=sending.backend, request=sending.request, next_step=step,
        )  # fmt: skip

    def _what_was_heard(self, sending: _Sending, step: str) -> tuple[str, str]:
        """Return why nobody knows what became of the bytes, and what to do; `step` is the usual."""
        if not sending.is_written:
            why = "nobody knows whether these bytes went out; they are sent again when the ledger is back"
            step = "send the same bytes again; they cannot pay twice"
        elif sending.is_as_before:
            why = "servers refused these bytes, and yet one that did not answer before may have them"
            step = f'ask gateway.outcome with {{"txid": "{sending.tx.txid}"}}, and look for them on the chain'
        else:
            why = "the chain has not been heard of these bytes; they are sent again in the background until it has"
        return why, step

    def _success(self, tx: Transaction) -> Answer:
        found: object = [True, tx.txid] if self.questions.tells_pairs else tx.txid
        return Answer(msgspec.json.encode(found), None)

    def _garbage(self) -> Answer:
        """Refuse what is no signed transaction, as a daemon would; nothing is sent."""
        if self.questions.tells_pairs:
            return Answer(msgspec.json.encode([False, f"error: {GARBAGE}"]), None)
        return Answer(None, msgspec.json.encode({"code": 1, "message": GARBAGE}))

    def _failure(self, kind: Kind, message: str) -> Failure:
        return Failure(kind, f"{kind.name}: {message}", safe_to_repeat=False, wallet=self.pool.name)

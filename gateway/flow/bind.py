"""What was signed: what it takes out, and how it is written down before anybody hears of it.

Rule: the epoch of the signer, the coins of others, the limits, the key, the hold and the freeze are one transaction;
bytes that did not pass it were never signed, and whoever asks again gets others.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection

from gateway.base.config import Client
from gateway.base.errors import LIMIT_EXCEEDED, RESULT_WITHHELD, Executed, Failure, Kind
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.flow.carry import Carried
from gateway.flow.held_coins import HeldCoins
from gateway.ledger import epochs, intents, payments
from gateway.ledger.held import LeaseError
from gateway.ledger.marks import Change
from gateway.ledger.store import Ledger, LedgerError
from gateway.rules.coins import address_of, taken_out
from gateway.rules.methods import Granted, is_true
from gateway.rules.payment import day_of, over_limit
from gateway.rules.transaction import Transaction, made_by
from gateway.upstream.questions import NotAnsweredError, Questions

AGAIN = "send the same call again"
NEW_KEY = "send the same call with a key that was never used; the bytes are that key's then"

LOOKED_UP = 20
"""Coins that are looked up, where no limit needs to know them, to find out whether they are the wallet's."""

LOOK_UP = 2.0
"""Seconds that this may take."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that is being signed, and in which epoch that began."""

    key_hash: str
    epoch: int


@dataclass(slots=True)
class Signing:
    """One call that signs."""

    client: Client
    granted: Granted
    deadline: float
    named: dict[str, bytes]
    claim: Claim | None = None
    intent: int | None = None
    """None while the ledger is away."""

    @property
    def is_limited(self) -> bool:
        """Whether what it takes out is counted."""
        return self.client.max_per_call is not None or self.client.max_per_day is not None

    @property
    def is_payment(self) -> bool:
        """Whether the wallet chooses the coins, so that all of them are its own."""
        return self.granted.method.role == "payment"

    @property
    def needs_bytes(self) -> bool:
        """Whether bytes that nobody can read are of no use: they could be neither bound nor counted."""
        return self.claim is not None or self.is_limited


@dataclass(slots=True)
class Value:
    """What is known of the coins that bytes spend; of a coin that is neither own nor foreign nothing is known."""

    own: dict[str, int] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    """Known to be somebody else's: whoever gives the wallet bytes to sign may get them back as they were."""
    frozen: frozenset[str] = frozenset()
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that nobody may have: others hold their coins."""

    coins: list[str]
    has_marks: bool = True
    """The ledger said so, which has a mark for each freeze of ours."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes that nobody may have for another reason."""

    kind: Kind
    why: str
    again: bool
    step: str = ""


class Binder:
    """Writes down what the signers of one wallet signed.

    Args:
        clock: seconds since 1970.
        on_marked: hears of each freeze, and on which backend it is true already ("" for none).
        coins: which are held, for as long as the ledger is away.
        is_shared: another gateway may have the wallet by the time at which the ledger is found to be away.
    """

    def __init__(
        self, pool: Pool, questions: Questions, ledger: Ledger, clock: Callable[[], float],
        on_marked: Callable[[str, Change], None], coins: HeldCoins, *, is_shared: bool = False,
    ) -> None:  # fmt: skip
        """Begin with nothing written."""
        self.coins = coins
        self.is_shared = is_shared
        self.on_marked = on_marked
        self.pool = pool
        self.questions = questions
        self.ledger = ledger
        self.clock = clock

    async def take(self, call: Signing, carried: Carried) -> Answer | Failure | Held:
        """Write down what a daemon answered; only then it may be told."""
        answer = carried.result
        assert isinstance(answer, Answer)  # noqa: S101 - failures were told before
        if answer.result is None:
            return await self.end(call, answer, carried)
        result = msgspec.json.decode(answer.result)
        if isinstance(result, dict) and result.get("error"):
            return await self.end(call, answer, carried)
        try:
            made = made_by(result)
        except ValueError as error:
            if not call.needs_bytes:
                return await self.end(call, answer, carried)
            return await self._withhold(call, carried, f"what the daemon signed cannot be read ({error})")
        if made.is_partial and call.is_limited and not _is_unsigned(call):
            why = "it is signed in part, and what that takes out cannot be counted; ask for it with unsigned: true"
            return await self._withhold(call, carried, why)
        if not made.signed:
            held = None if _is_unsigned(call) else await self._held(_coins_of(made.partial))
            return held or await self.end(call, answer, carried)
        if len(made.signed) > 1 and call.needs_bytes:
            why = "it holds several transactions, and they cannot be bound or counted as one"
            return await self._withhold(call, carried, why)
        value = await self._value(call, made.signed[0], self.pool.by_name.get(carried.backend))
        if isinstance(value, str):
            return await self._withhold(call, carried, f"what the bytes take out could not be found out ({value})")
        return await self._close(call, carried, made.signed, value)

    async def _value(self, call: Signing, tx: Transaction, backend: Backend | None) -> Value | str:
        """Ask the signer what the spent coins are worth; say why not only where a limit needs to know."""
        if backend is None or not call.needs_bytes:
            return "the signer is no backend any more" if call.is_limited else Value()
        value = Value()
        try:
            unspent = await self.questions.unspent(backend, call.deadline)
            value.own = {one: unspent[one].value for one in tx.inputs if one in unspent}
            value.frozen = frozenset(one for one in value.own if unspent[one].is_frozen)
            listed, network = await self.questions.addresses(backend, call.deadline)
            value.spent = taken_out(tx, value.own, listed, network)
            # spent already as far as the signer knows, or not the wallet's at all
            strange = [one for one in tx.inputs if one not in value.own]
            deadline = call.deadline
            if not call.is_limited:
                strange = [] if call.is_payment else strange[:LOOKED_UP]
                deadline = min(deadline, self.questions.loop.time() + LOOK_UP)
            for one in strange:
                made = await self.questions.output(backend, one, deadline)
                if network is None or address_of(made, network) in listed:
                    value.own[one] = made.value
                else:
                    value.foreign.add(one)
            value.spent = taken_out(tx, value.own, listed, network)
        except NotAnsweredError as error:
            return str(error) if call.is_limited else value
        return value

    async def _held(self, coins: list[str]) -> Held | None:
        """Say which coins of something that is signed in part others hold: whoever completes it would spend them."""
        beside = self.coins.beside(coins, is_keyed=False)
        if beside:
            return Held(beside, has_marks=False)
        try:
            others = await self.ledger.run(lambda c: payments.held(c, self.pool.name, coins))
            return Held(others) if others else None
        except LedgerError:
            others = self.coins.of(coins)
            return Held(others, has_marks=False) if others else None

    async def _close(
        self, call: Signing, carried: Carried, signed: tuple[Transaction, ...], value: Value
    ) -> Answer | Failure | Held:
        """Write down what was signed, freeze its coins on the signer, and only then tell it."""
        answer = carried.result
        assert isinstance(answer, Answer)  # noqa: S101 - looked at by the caller
        tx, mine = signed[0], [one for one in _coins_of(signed) if one not in value.foreign]
        beside = self.coins.beside(mine, is_keyed=call.claim is not None)
        if beside:
            return Held(beside, has_marks=False)
        try:
            with self.coins.holding(mine if call.claim is not None else ()) as new:
                written = await self.ledger.run(lambda c: self._write(c, call, carried, tx, mine, value))
                if not isinstance(written, list):
                    new.clear()
        except LeaseError as error:
            # another gateway may be signing with the same coins by now
            return self.failure(RESULT_WITHHELD, f"it was signed, and {error}")
        except LedgerError as error:
            needs_ledger = self.is_shared or call.claim is not None or call.client.max_per_day is not None
            over = over_limit(value.spent, 0, call.client.max_per_call, None)
            if over:
                return self.failure(LIMIT_EXCEEDED, over, again=False)
            if not needs_ledger and carried.epoch == self.pool.epoch:
                others = self.coins.of(mine)
                return Held(others, has_marks=False) if others else answer
            return self.failure(RESULT_WITHHELD, f"it was signed and could not be written down ({error})")
        match written:
            case Held():
                return written
            case Refused(kind, why, again, step):
                return self.failure(kind, why, again=again, step=step)
        if written:
            await self._freeze(carried.backend, written, call.deadline)
        return answer

    def _write(
        self, connection: Connection, call: Signing, carried: Carried, tx: Transaction, mine: list[str], value: Value
    ) -> Held | Refused | list[Change]:
        """Do all of it in one transaction; return what is to be frozen, or why nobody may have the bytes."""
        name, client, at = self.pool.name, call.client, self.clock()
        others = payments.held(connection, name, mine)
        if others:
            return Held(others)
        today = payments.spent_on(connection, name, client.name, day_of(at), tx.txid)
        over = over_limit(value.spent, today, client.max_per_call, client.max_per_day)
        if over:
            self._note(connection, call, carried, intents.WITHHELD, "over the limit")
            self._free(connection, call)
            return Refused(LIMIT_EXCEEDED, over, again=False)
        if not epochs.is_current(connection, name, carried.epoch):
            self._note(connection, call, carried, intents.WITHHELD, "of an older epoch")
            self._free(connection, call)
            return Refused(RESULT_WITHHELD, "another primary was made while it was signed", again=True)
        if refusal := self._not_anybodys(connection, call, tx):
            self._note(connection, call, carried, intents.WITHHELD, refusal.why)
            self._free(connection, call)
            return refusal
        changes: list[Change] = []
        if call.claim is not None:
            whose, epoch = (client.name, call.claim.key_hash), call.claim.epoch
            result = (carried.result.result or b"").decode() if isinstance(carried.result, Answer) else ""
            if not payments.bind_key(connection, name, *whose, epoch, result, tx.txid, value.spent, at):
                self._note(connection, call, carried, intents.WITHHELD, "another call with its key was faster")
                return Refused(RESULT_WITHHELD, "another call with this key was faster", again=True)
            payments.hold(connection, name, tx.txid, {one: value.own.get(one, 0) for one in mine}, at, *whose)
            ours = payments.freezes(connection, name, mine)
            frozen = [one for one in mine if one not in value.frozen or one in ours]
            changes = payments.freeze(connection, name, frozen, at)
        # a row says that the wallet's own coins are spent, and signers wait until they have heard of that: bytes that
        # only spend the coins of others, or perhaps do, must not keep the wallet from paying
        if call.needs_bytes and (value.own or call.is_payment):
            payments.count_spending(connection, name, client.name, tx.txid, day_of(at), value.spent)
        self._note(connection, call, carried, intents.ANSWERED, "", tx.txid)
        return changes

    def _not_anybodys(self, connection: Connection, call: Signing, tx: Transaction) -> Refused | None:
        """Say why bytes that were signed before cannot be this call's too."""
        if call.claim is not None and payments.is_bound(connection, self.pool.name, tx.txid):
            why = "another key has these very bytes; whatever they pay is paid once"
            return Refused(RESULT_WITHHELD, why, again=False, step=f"broadcast them as {tx.txid} of that key")
        if call.claim is None and payments.was_given_up(connection, self.pool.name, tx.txid):
            why = "these very bytes belong to a key that was given up, and would not be broadcast"
            return Refused(RESULT_WITHHELD, why, again=False, step=NEW_KEY)
        return None

    def _note(
        self, connection: Connection, call: Signing, carried: Carried, state: str, note: str, txid: str | None = None
    ) -> None:
        if call.intent is not None:
            at, where = self.clock(), (carried.backend, carried.request)
            intents.close(connection, call.intent, state, carried.epoch, at, *where, note, txid)

    async def _freeze(self, name: str, changes: list[Change], deadline: float) -> None:
        """Freeze coins on the signer; what it does not do, the hold makes up for."""
        backend = self.pool.by_name.get(name)
        coins = [change.mark.key for change in changes]
        left = coins if backend is None else await self.questions.freeze(backend, coins, deadline)
        for change in changes:
            self.on_marked("" if change.mark.key in left else name, change)
        if left:
            self.pool.emit(Event("payment.not_frozen", self.pool.name, name, {"coins": len(left)}, "warning"))

    # -- ends ---------------------------------------------------------------------------------------------

    def _free(self, connection: Connection, call: Signing) -> None:
        if call.claim is not None:
            payments.free_key(
                connection, self.pool.name, call.client.name, call.claim.key_hash, call.claim.epoch
            )  # fmt: skip

    async def _withhold(self, call: Signing, carried: Carried, why: str) -> Failure:
        ended = await self.end(call, self.failure(RESULT_WITHHELD, f"{why}; nobody was told it", again=False), carried)
        assert isinstance(ended, Failure)  # noqa: S101 - a failure stays one
        return ended

    async def end(self, call: Signing, result: Answer | Failure, carried: Carried | None = None) -> Answer | Failure:
        """Close a call that no signed bytes came of, free its key, and return what it ends in."""
        state = _state_of(result)
        epoch, backend, request = (carried.epoch, carried.backend, carried.request) if carried else (0, "", "")

        def work(connection: Connection) -> bool:
            self._free(connection, call)
            if call.intent is None:
                return True
            note = result.message if isinstance(result, Failure) else ""
            at = self.clock()
            return intents.close(connection, call.intent, state, epoch, at, backend, request, note)

        try:
            counts = await self.ledger.run(work)
        except LeaseError:
            counts = False
        except LedgerError:
            counts = not self.is_shared and epoch == self.pool.epoch
        if counts or isinstance(result, Failure) or result.result is None:
            return result
        why = "another primary, or another gateway, may have the wallet by the time at which it was answered"
        return self.failure(RESULT_WITHHELD, why)

    def failure(self, kind: Kind, message: str, *, again: bool = True, step: str = "") -> Failure:
        """Return an error of ours about a call that signs."""
        text, step = f"{kind.name}: {message}", step or (AGAIN if again else "")
        return Failure(kind, text, safe_to_repeat=again, wallet=self.pool.name, next_step=step)


def _coins_of(transactions: Iterable[Transaction]) -> list[str]:
    """Return the coins that transactions spend."""
    return [one for tx in transactions for one in tx.inputs]


def _is_unsigned(call: Signing) -> bool:
    """Whether a call asks for unsigned bytes, or is one that never signs: it takes no password."""
    return "password" not in call.granted.method.params or is_true(call.named.get("unsigned", b"null"))


def _state_of(result: Answer | Failure) -> str:
    if isinstance(result, Answer):
        return intents.ANSWERED
    states = {Executed.NO: intents.NOT_EXECUTED, Executed.UNKNOWN: intents.UNKNOWN, Executed.YES: intents.WITHHELD}
    return states[result.kind.executed]

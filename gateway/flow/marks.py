"""Writes of clients: to the primary, and their last value into the ledger, for the standbys and for tomorrow.

Rule: a write is written down before it is sent and closed in one transaction with its value; a client is told that it
happened only when both are durable and the primary that answered is still the primary.  A mark of which nobody knows
whether the primary has it is kept as wanted, and the reconciler brings every daemon to it: none is left alone with it.
"""

from collections.abc import Callable
from dataclasses import replace

import msgspec
from sqlalchemy import Connection

from gateway.base.config import Client
from gateway.base.errors import (
    INVALID_PARAMS,
    METHOD_REFUSED,
    OUTCOME_UNKNOWN,
    READ_ONLY,
    RESULT_WITHHELD,
    Executed,
    Failure,
    Kind,
)
from gateway.base.jsonrpc import Answer
from gateway.fleet.pool import Pool
from gateway.flow.carry import Carried, Carry
from gateway.ledger import intents, marks
from gateway.ledger.marks import CLIENT, FREEZE, FREEZE_UTXO, FROZEN, LABEL, MOST_KEY, NONE, Change, Wish
from gateway.ledger.store import Ledger, LedgerError, UncertainError
from gateway.profiles import Method
from gateway.rules.arguments import arguments
from gateway.rules.cashaddr import bare
from gateway.rules.invoices import MAX_MEMO
from gateway.rules.methods import Granted

KINDS = {
    "label": (LABEL, ""),
    "freeze": (FREEZE, FROZEN),
    "unfreeze": (FREEZE, NONE),
    "freeze_utxo": (FREEZE_UTXO, FROZEN),
    "unfreeze_utxo": (FREEZE_UTXO, NONE),
}
"""What each role marks, and with which value; a label has its own."""

DONE = {LABEL: b"null", FREEZE: b"true", FREEZE_UTXO: b"true"}
"""How the daemon says that it did it."""

_decode_text = msgspec.json.Decoder(str | None).decode


class Writes:
    """The writes of one wallet.

    Args:
        carry: brings a call to the primary.
        clock: seconds since 1970.
        on_marked: hears of each mark that a client wrote, and on which backend it is true already.
    """

    def __init__(
        self, pool: Pool, ledger: Ledger, carry: Carry, clock: Callable[[], float],
        on_marked: Callable[[str, Change], None] = lambda _backend, _change: None,
    ) -> None:  # fmt: skip
        """Begin with nothing written."""
        self.pool = pool
        self.ledger = ledger
        self.carry = carry
        self.clock = clock
        self.on_marked = on_marked

    async def handle(self, client: Client, granted: Granted, deadline: float, _key: str | None) -> Answer | Failure:
        """Carry a write to the primary and keep its value."""
        try:
            wanted = wanted_by(granted.method, granted.params)
        except ValueError as error:
            return self._failure(INVALID_PARAMS, str(error), is_safe=False)
        opened = await self._open(client, granted, wanted)
        if isinstance(opened, Failure):
            return opened
        intent, wish = opened
        carried = await self.carry(client.name, granted, deadline)
        return await self._close(intent, carried, wish)

    async def _open(self, client: Client, granted: Granted, wanted: Wish | None) -> tuple[int, Wish | None] | Failure:
        """Write down that the call is about to be made; return the number of its intent and what it asks for."""
        name, method = self.pool.name, granted.method.name
        lifts = wanted is not None and (wanted.kind, wanted.value) == KINDS["unfreeze_utxo"]
        lifted = marks.outpoint(wanted.key) if wanted is not None and lifts else ""

        def work(connection: Connection) -> tuple[int, Wish | None] | None:
            if lifted and marks.is_held(connection, name, lifted):
                return None
            wish = wanted and replace(wanted, before=marks.changed_at(connection, name, wanted.kind, wanted.key))
            note = wish.note() if wish is not None else ""
            at = self.clock()
            return intents.open_(connection, name, self.pool.epoch, client.name, method, at, note=note), wish

        try:
            opened = await self.ledger.run(work)
        except UncertainError as error:
            if wanted is None:
                # nobody brings it about who finds it open
                return self._failure(READ_ONLY, f"{error}; nothing was sent", next_step="send the same call again")
            return self._not_sent(error)
        except LedgerError as error:
            message = f"the ledger cannot be written ({error}); nothing was sent"
            return self._failure(READ_ONLY, message, next_step="send the same call again")
        if opened is None:
            message = (
                "the gateway holds this coin for a payment that is signed or under way, and it must not be spent "
                "by another one; it is free again when that payment is confirmed or given up"
            )
            return self._failure(METHOD_REFUSED, message, is_safe=False)
        return opened

    async def _close(self, intent: int, carried: Carried, wish: Wish | None) -> Answer | Failure:
        """Write down how it ended, and what may be on the daemon now."""
        result = carried.result

        def work(connection: Connection) -> tuple[bool, Change | None]:
            return self._write(connection, intent, carried, wish)

        try:
            counts, change = await self.ledger.run(work)
        except LedgerError as error:
            if isinstance(result, Failure):
                return self._left_open(result, carried, wish, error)
            return self._withheld(carried, f"the daemon answered, and the ledger could not take it ({error})")
        if change is not None:
            is_there = counts and isinstance(result, Answer)
            self.on_marked(carried.backend if is_there else "", change)
        if not counts and isinstance(result, Answer):
            return self._withheld(carried, "the daemon that answered is not the primary any more")
        return result

    def _left_open(self, result: Failure, carried: Carried, wish: Wish | None, error: LedgerError) -> Failure:
        """Return what is told of a call that failed and is still open in the ledger.

        Whoever starts next on this ledger takes an open wish for granted and brings it to every daemon: so nobody may
        be told that nothing comes of it.
        """
        if wish is None or result.kind.executed is not Executed.NO:
            return result
        return self._not_sent(error, carried.backend, carried.request)

    def _not_sent(self, error: LedgerError, backend: str = "", request: str = "") -> Failure:
        text = f"{OUTCOME_UNKNOWN.name}: it was not sent, and may be brought about later, for {error}"
        return Failure(
            OUTCOME_UNKNOWN, text, safe_to_repeat=True, wallet=self.pool.name, backend=backend,
            request=request, next_step="send the same call again; made twice it comes to the same",
        )  # fmt: skip

    def _write(
        self, connection: Connection, intent: int, carried: Carried, wish: Wish | None
    ) -> tuple[bool, Change | None]:
        """Do it in one transaction; return whether the answer counts, and the mark that it leaves."""
        name, result, at = self.pool.name, carried.result, self.clock()
        state = _state(result)
        note = ""
        if wish is not None and state == intents.UNKNOWN:
            # whoever was faster has settled what the last value is
            is_overtaken = marks.is_overtaken(connection, name, wish)
            state, note = (intents.RESOLVED, "") if is_overtaken else (state, wish.note())
        counts = intents.close(
            connection, intent, state, carried.epoch, at, carried.backend, carried.request, note
        )  # fmt: skip
        if wish is not None and counts and isinstance(result, Answer):
            intents.resolve_marks(connection, name, wish)
        if wish is None or not _may_be_done(result, wish):
            return counts, None
        if isinstance(result, Failure) or not counts:
            return counts, marks.keep(connection, name, wish, at)
        return counts, marks.put(connection, name, wish.kind, wish.key, wish.value, CLIENT, at)

    def _withheld(self, carried: Carried, message: str) -> Failure:
        text = f"{RESULT_WITHHELD.name}: {message}"
        return Failure(
            RESULT_WITHHELD, text, safe_to_repeat=True, wallet=self.pool.name, backend=carried.backend,
            request=carried.request, next_step="send the same call again; made twice it comes to the same",
        )  # fmt: skip

    def _failure(self, kind: Kind, message: str, *, is_safe: bool = True, next_step: str = "") -> Failure:
        text = f"{kind.name}: {message}"
        return Failure(kind, text, safe_to_repeat=is_safe, wallet=self.pool.name, next_step=next_step)


def wanted_by(method: Method, params: bytes) -> Wish | None:
    """Return the mark that a call asks for; None for a write that leaves none.

    Raises:
        ValueError: with the arguments as they are no daemon would do it.
    """
    if method.role not in KINDS:
        return None
    given = arguments(method, params)
    kind, value = KINDS[method.role]
    key = _text(method, given, 0)
    if not key or len(key) > MOST_KEY:
        raise ValueError(f"{method.params[0]} of {method.name} must have 1 to {MOST_KEY} characters")
    if kind == LABEL:
        value = _text(method, given, 1) or NONE
        if len(value) > MAX_MEMO:
            cap = f"at most {MAX_MEMO:,} characters, this one has {len(value):,}"
            raise ValueError(f"{method.params[1]} of {method.name} must have {cap}")
        return Wish(kind, key, value)
    return Wish(kind, bare(key) if kind == FREEZE else key, value)


def _text(method: Method, given: dict[str, bytes], place: int) -> str | None:
    """Return an argument that must be text, or null."""
    name = method.params[place]
    if name not in given:
        raise ValueError(f"{name} of {method.name} is missing; it takes {', '.join(method.params)}")
    try:
        text = _decode_text(given[name])
    except msgspec.MsgspecError:
        raise ValueError(f"{name} of {method.name} must be text") from None
    if text is not None and "\0" in text:
        raise ValueError(f"{name} of {method.name} holds a NUL character; leave it out")
    return text


def _state(result: Answer | Failure) -> str:
    if isinstance(result, Answer):
        return intents.ANSWERED
    return intents.NOT_EXECUTED if result.kind.executed is Executed.NO else intents.UNKNOWN


def _may_be_done(result: Answer | Failure, wish: Wish) -> bool:
    """Whether the daemon says that it did it, or nobody knows."""
    if isinstance(result, Failure):
        return result.kind.executed is Executed.UNKNOWN
    return result.result is not None and result.result.strip() == DONE[wish.kind]

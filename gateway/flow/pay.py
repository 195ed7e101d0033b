"""Payments: one signature at a time, at most one transaction for a key, no coin for two of them.

Rule: a call is written down before its first byte; what was signed is written down, counted and held before anybody
hears of it, in the transaction that also asks whether the signer's epoch is still the wallet's.  To sign changes
nothing on a daemon, so whatever was signed and not written down never was.

    key            ->  new, or left behind        else the stored bytes, or an error that says which
    turn           ->  one signature at a time
    signer         ->  has seen what was spent    waits, else no_backend
    sign           ->  an error frees the key
    value          ->  what the bytes take out
    write down     ->  epoch, others' coins, limits, key, hold, freeze
    freeze         ->  so that the next payment takes other coins
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
from sqlalchemy import Connection

from gateway.base.config import Client
from gateway.base.errors import (
    DEADLINE_BEFORE_SEND,
    INVALID_PARAMS,
    NO_BACKEND,
    READ_ONLY,
    RESULT_WITHHELD,
    Executed,
    Failure,
)
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.flow.bind import AGAIN, Binder, Claim, Held, Signing
from gateway.flow.carry import Carried, Carry
from gateway.flow.held_coins import HeldCoins
from gateway.flow.publish import Publisher
from gateway.ledger import broadcasts, epochs, intents, payments
from gateway.ledger.marks import Change
from gateway.ledger.store import Ledger, LedgerError
from gateway.rules.arguments import arguments
from gateway.rules.methods import Granted
from gateway.rules.payment import No, Stored, check_key, decide, hash_of, mac_of
from gateway.upstream.questions import NotAnsweredError, Questions

LOOK = 0.05
"""Seconds between two looks whether the signer has heard of what was spent."""

PATIENCE = 2.0
"""Seconds that one such look may take; another primary may be there by then."""

LEVEL = 0.5
"""Seconds that a signed payment may wait until the standbys see its change."""

TRIES = 3
"""Signatures for one call: the second after coins of others were frozen, one more where the primary changed."""


async def _is_level(_patience: float) -> bool:
    """Have no standby to wait for."""
    return True


class Payments:
    """Signatures and broadcasts of one wallet.

    Args:
        secret: what keys and parameters are hashed with.
        clock: seconds since 1970.
        may_sign: whether a backend has every freeze and sees every change address.
        on_marked: hears of each freeze that is written, and on which backend it is true already ("" for none).
        on_sent: hears that bytes go out.
        level: lets every daemon see the change of what was just signed, within so many seconds.
        unbound: why no key may be bound now, in words with the way out; "" when one may.
        coins: which are held, for as long as the ledger is away, and what this process has sent.
        is_shared: other gateways may get the wallet, so that nothing is signed without the ledger.
    """

    def __init__(
        self, pool: Pool, questions: Questions, ledger: Ledger, secret: bytes, carry: Carry,
        clock: Callable[[], float], loop: asyncio.AbstractEventLoop,
        may_sign: Callable[[Backend], bool] = lambda _backend: True,
        on_marked: Callable[[str, Change], None] = lambda _backend, _change: None,
        on_sent: Callable[[], None] = lambda: None,
        level: Callable[[float], Awaitable[bool]] = _is_level,
        unbound: Callable[[], str] = lambda: "",
        *, coins: HeldCoins, is_shared: bool = False,
    ) -> None:  # fmt: skip
        """Begin with nothing under way."""
        self.unbound = unbound
        self.pool = pool
        self.questions = questions
        self.ledger = ledger
        self.secret = secret
        self.carry = carry
        self.clock = clock
        self.loop = loop
        self.binder = Binder(pool, questions, ledger, clock, on_marked, coins, is_shared=is_shared)
        self.publisher = Publisher(pool, questions, ledger, carry, clock, loop, on_marked, on_sent, coins)
        self.may_sign = may_sign
        self.level = level
        self._turn = asyncio.Lock()
        self._live: Counter[tuple[str, str]] = Counter()
        """Keys that calls of this process work on."""
        self._seen: dict[str, tuple[float, set[str]]] = {}
        """Which spending transactions a daemon's history was seen to have, since its phase began."""

    def __repr__(self) -> str:
        """Status line."""
        return f"<Payments {self.pool.name} keys={len(self._live)}{' signing' if self._turn.locked() else ''}>"

    async def broadcast(self, client: Client, granted: Granted, deadline: float, key: str | None) -> Answer | Failure:
        """Answer a broadcast; the bytes are their own key."""
        return await self.publisher.handle(client, granted, deadline, key)

    async def pay(self, client: Client, granted: Granted, deadline: float, key: str | None) -> Answer | Failure:
        """Answer a call that signs, until the deadline (loop time)."""
        try:
            if key is not None:
                check_key(key)
            named = arguments(granted.method, granted.params)
        except ValueError as error:
            if key is not None:
                return self.binder.failure(INVALID_PARAMS, f"{error}", again=False)
            named = {}  # the daemon has words of its own for this
        if "password" in named and granted.params.lstrip().startswith(b"["):
            # by position the daemon does not take it
            members = b", ".join(b"%b: %b" % (msgspec.json.encode(name), raw) for name, raw in named.items())
            granted = granted.given(b"{%b}" % members)
        call = Signing(client, granted, deadline, named)
        if key is not None:
            return await self._with_key(call, key)
        failure = await self._write_intent(call)
        return failure or await self._in_turn(call)

    # -- keys ---------------------------------------------------------------------------------------------

    async def _with_key(self, call: Signing, key: str) -> Answer | Failure:
        """Sign, or answer what was signed before."""
        client, method = call.client.name, call.granted.method.name
        key_hash, mac = hash_of(self.secret, key), mac_of(self.secret, method, call.named)
        mine = (client, key_hash)
        is_live = self._live[mine] > 0
        self._live[mine] += 1

        def work(connection: Connection) -> Stored | No | tuple[int, int]:
            name, at = self.pool.name, self.clock()
            standing = epochs.current(connection, name)
            epoch = standing.epoch if standing else self.pool.epoch
            before = payments.find_key(connection, name, client, key_hash)
            verdict = decide(before, mac, epoch, is_live=is_live)
            if isinstance(verdict, Stored | No):
                return verdict
            payments.begin_key(connection, name, client, key_hash, key, mac, method, epoch, at, before)
            return intents.open_(connection, name, epoch, client, method, at, key_hash), epoch

        try:
            begun = await self.ledger.run(work)
            if isinstance(begun, Stored):
                return Answer(begun.result.encode(), None)
            if isinstance(begun, No):
                return self.binder.failure(begun.kind, begun.message, again=begun.kind.name == "key_in_progress")
            call.intent, epoch = begun
            call.claim = Claim(key_hash, epoch)
            return _safe(await self._in_turn(call))
        except LedgerError as error:
            return self.binder.failure(
                READ_ONLY, f"the ledger cannot be written ({error}), and a key needs it; not sent"
            )
        finally:
            self._live[mine] -= 1
            if not self._live[mine]:
                del self._live[mine]

    async def _write_intent(self, call: Signing) -> Failure | None:
        """Write down that a call without a key is about to be made; a gateway alone goes on without the ledger too."""
        client, method = call.client, call.granted.method.name

        def work(connection: Connection) -> int:
            standing = epochs.current(connection, self.pool.name)
            epoch = standing.epoch if standing else self.pool.epoch
            return intents.open_(connection, self.pool.name, epoch, client.name, method, self.clock())

        try:
            call.intent = await self.ledger.run(work)
        except LedgerError as error:
            if client.max_per_day is not None:
                return self.binder.failure(
                    READ_ONLY, f"max_per_day is counted in the ledger, and that is away ({error})"
                )
            if self.binder.is_shared:
                return self._read_only(error)
        return None

    def _read_only(self, error: LedgerError) -> Failure:
        why = "so that another gateway may have this wallet by now; nothing was sent"
        return self.binder.failure(READ_ONLY, f"the ledger is away ({error}), {why}")

    # -- one at a time ------------------------------------------------------------------------------------

    async def _in_turn(self, call: Signing) -> Answer | Failure:
        """Wait for the turn to sign, then sign."""
        try:
            async with asyncio.timeout_at(call.deadline):
                await self._turn.acquire()
        except TimeoutError:
            why = "other payments of this wallet were being signed until the deadline; nothing was sent"
            return await self.binder.end(call, self.binder.failure(DEADLINE_BEFORE_SEND, why))
        try:
            return await self._sign(call)
        finally:
            self._turn.release()

    async def _sign(self, call: Signing) -> Answer | Failure:
        """Sign with a fit signer; once more after coins of others were frozen there, or where the primary changed."""
        backend, request, coins = "", "", 0
        for left in reversed(range(TRIES)):
            fit = await self._wait_for_fit(call.deadline)
            if isinstance(fit, Failure):
                return await self.binder.end(call, self._after(fit, request))
            # asked here and not at the door: what a key was bound to before is always told
            if call.claim is not None and (why := self.unbound()):
                return await self.binder.end(call, self._after(self.binder.failure(READ_ONLY, why), request))
            carried = await self.carry(call.client.name, call.granted, call.deadline)
            if isinstance(carried.result, Failure):
                return await self.binder.end(call, self._after(carried.result, request), carried)
            backend, request = carried.backend, carried.request
            if fit not in ("", backend):
                continue  # promoted in between, and not looked at; nobody has heard of what it signed
            taken = await self.binder.take(call, carried)
            if isinstance(taken, Answer) and call.granted.method.role == "payment":
                # whoever pays in quick succession would outrun the daemons that do not see his change yet
                await self.level(LEVEL)
            if not isinstance(taken, Held):
                return taken
            coins = len(taken.coins)
            if call.granted.method.role == "signature" or backend not in self.pool.by_name:
                break  # it names its coins itself, and would name the same again
            if left:
                self.pool.emit(Event("payment.signed_again", self.pool.name, backend, {"coins": coins}))
                await self._freeze(backend, taken, call.deadline)
        why = "other daemons than those that may sign signed it"
        step = ""
        if coins:
            why = f"the signed bytes spend {coins} coins that another payment holds"
            step = f"broadcast or give up that payment first; then {AGAIN}"
        failure = self.binder.failure(RESULT_WITHHELD, f"{why}, so that nobody is told them", step=step)
        return await self.binder.end(call, failure, Carried(failure, self.pool.epoch, backend, request))

    async def _freeze(self, backend: str, held: Held, deadline: float) -> None:
        """Have a signer leave coins alone that others hold."""
        coins = self.binder.coins
        if not held.has_marks:
            if not coins.may_freeze:
                return
            # before it is done, for whoever is cancelled in it may have done it
            coins.froze(held.coins)
        await self.questions.freeze(self.pool.by_name[backend], held.coins, deadline)

    async def write_late(self) -> None:
        """Write down what could not be while the ledger was away.  Raises LedgerError."""
        await self.publisher.write_late()
        frozen = list(self.binder.coins.frozen)
        if frozen:
            for change in await self.ledger.run(lambda c: self._mark(c, frozen)):
                self.binder.on_marked("", change)
            self.binder.coins.frozen.difference_update(frozen)

    def _mark(self, connection: Connection, frozen: list[str]) -> list[Change]:
        """Mark what a daemon was told to freeze without a mark, and lift at once what nobody holds any more."""
        name, at = self.pool.name, self.clock()
        changes = payments.freeze(connection, name, frozen, at)
        held = set(payments.held(connection, name, frozen))
        return changes + payments.lift(connection, name, [one for one in frozen if one not in held], at)

    def _after(self, failure: Failure, request: str) -> Failure:
        """Return a failure of a later try: what an earlier one ran must not be called "not executed"."""
        if not request or failure.kind.executed is not Executed.NO:
            return failure
        return self.binder.failure(
            RESULT_WITHHELD, f"it was signed with coins of another payment; then {failure.message}"
        )

    async def _wait_for_fit(self, deadline: float) -> str | Failure:
        """Return the name of a signer that has seen what was spent, waiting for it; "" when anybody will do."""
        while True:
            try:
                wanted = set(await self.ledger.run(lambda c: broadcasts.required(c, self.pool.name)))
            except LedgerError as error:
                return self._read_only(error) if self.binder.is_shared else ""
            signer = self.pool.primary
            why = await self._why_unfit(signer, wanted, deadline)
            if not why:
                return signer.name if wanted else ""
            if self.loop.time() + LOOK >= deadline:
                return self.binder.failure(NO_BACKEND, f"no daemon may sign yet: {why}; nothing was sent")
            await asyncio.sleep(LOOK)

    async def _why_unfit(self, signer: Backend, wanted: set[str], deadline: float) -> str:
        """Say why a daemon may not sign now; "" when it may."""
        if not self.may_sign(signer):
            return f"{signer.name} lacks freezes or change addresses, and is being brought up to date"
        since, seen = self._seen.get(signer.name, (0.0, set()))
        if not wanted or (since == signer.since and wanted <= seen):
            return ""
        try:
            history = await self.questions.history(signer, min(deadline, self.loop.time() + PATIENCE))
        except NotAnsweredError as error:
            return str(error)
        self._seen[signer.name] = (signer.since, wanted & history.keys())
        missing = len(wanted - history.keys())
        return f"{signer.name} has not heard of {missing} payments that were broadcast" if missing else ""


def _safe(result: Answer | Failure) -> Answer | Failure:
    """Say of an unknown outcome that the key makes it safe to ask again: a signature that nobody was told never was."""
    if isinstance(result, Failure) and result.kind.executed is Executed.UNKNOWN:
        return replace(result, safe_to_repeat=True, next_step="send the same call with the same key again")
    return result

"""One call from policy to reply.  Read this first.

Rule: what a call may do to the world (its effect) decides everything, and it is decided before anything else.

    refused                    -> an error that says how to allow it
    what the ledger writes down -> the desk of the wallet, where it has one
    a notification with effect -> refused and logged, for nobody would hear how it ended
    a read, or the same bytes  -> joins the flight of identical calls, or begins one
    anything else              -> an errand of its own, to the primary alone, which no hang-up ends

Where gateways share wallets, all of this happens at the one that holds the wallet (`flow/forward.py`).
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from gateway.base.config import Client
from gateway.base.effects import Bound, Effect
from gateway.base.errors import (
    DEADLINE_BEFORE_SEND,
    METHOD_NOT_FOUND,
    NO_BACKEND,
    NOT_HOLDER,
    READ_ONLY,
    Failure,
)
from gateway.base.events import Emit, Event
from gateway.base.jsonrpc import Answer, Call, Reply, error_reply, failure_error, result_reply
from gateway.base.trace import place
from gateway.flow.desk import Desk
from gateway.flow.errand import Errand, Member, Passenger, Result
from gateway.flow.runner import Runner
from gateway.flow.seat import Hearer, Seat
from gateway.profiles import Method, Profile
from gateway.rules.methods import SHORT, Granted, Refused, judge, look

KEYLESS = (
    "read_only: this gateway keeps no ledger that could bind an Idempotency-Key; nothing was sent. Send the call "
    "without the header; it is never repeated once it was sent"
)

MOST_VERDICTS: Final = 256
"""Methods of clients whose verdicts are kept; then all are forgotten, for what a reload has taken away."""

PUBLISH: Final[Effect] = Effect.PUBLISH
SERVER: Final[Bound] = Bound.SERVER
"""At hand without a look into the class."""

NOT_BEGUN: Final = frozenset({DEADLINE_BEFORE_SEND, NO_BACKEND, NOT_HOLDER, READ_ONLY})
"""Errors with which nothing was sent; where the wallet has moved on meanwhile, the call goes after it."""


class Forwards(Protocol):
    """Sends calls of one wallet to the gateway that holds it, which may be this one."""

    async def call(self, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        """Answer one call by its deadline in loop time."""

    def profile(self) -> Profile:
        """Of the wallet, now."""


class CallWatcher(Protocol):
    """Who counts calls."""

    def call_ended(self, wallet: str, method: str, effect: str, outcome: str, seconds: float) -> None:
        """One client's call was answered."""

    def count(self, name: str, wallet: str) -> None:
        """Something countable happened."""


class Verdict:
    """What a client is granted of a method, and of which parameters that was last found.

    The profile and the client are held, so that no other can have their place in memory.
    """

    __slots__ = ("client", "granted", "params", "profile", "row")

    def __init__(self, profile: Profile, client: Client, granted: Granted, params: bytes) -> None:
        """Keep what was found."""
        self.profile = profile
        self.client = client
        self.row: Method = granted.method
        self.granted: Granted | None = granted
        self.params = params

    def keep(self, granted: Granted, params: bytes) -> None:
        """Keep the last one, unless it is large."""
        self.granted = granted if len(params) <= SHORT else None
        self.params = params if len(params) <= SHORT else b""


class ReadSeat(Seat):
    """The place of a client who reads: his call is counted, and he hears a reply."""

    __slots__ = ("_began", "_call", "_dispatcher", "_granted", "_wallet")

    def __init__(
        self, dispatcher: "Dispatcher", wallet: str, call: Call, granted: Granted, hearer: Hearer,
        began: float, deadline: float,
    ) -> None:  # fmt: skip
        """Begin without an errand."""
        super().__init__(dispatcher.loop, hearer, deadline)
        self._dispatcher = dispatcher
        self._wallet = wallet
        self._call = call
        self._granted = granted
        self._began = began

    def _tell(self, hearer: Hearer, result: Result, ended_at: float) -> None:
        """Count it, and tell whoever hears it."""
        self._dispatcher.count(self._wallet, self._call, self._granted, result, self._began, ended_at)
        hearer.hear(reply(self._call, result))


class Dispatcher:
    """All wallets' calls.

    Args:
        runners: by wallet name.
        status: what `gateway.status` answers for a wallet, a JSON-able value.
        desks: by wallet name, of those that have a ledger.
        forwarders: by wallet name, of those that are shared with other gateways.
    """

    def __init__(
        self,
        runners: Mapping[str, Runner],
        watcher: CallWatcher,
        emit: Emit,
        status: Callable[[str], object],
        loop: asyncio.AbstractEventLoop,
        desks: Mapping[str, Desk] = MappingProxyType({}),
        forwarders: Mapping[str, Forwards] = MappingProxyType({}),
    ) -> None:
        """Begin with the wallets there are."""
        self.desks = desks
        self.forwarders = forwarders
        self.is_held: Callable[[str], bool] = lambda _wallet: True
        """Whether a wallet that is shared is held here at this very moment; the cluster sets it."""
        self.runners = runners
        self.watcher = watcher
        self.emit = emit
        self.status = status
        self.loop = loop
        self._now: Callable[[], float] = loop.time
        self._verdicts: dict[tuple[int, int, str], Verdict] = {}
        self._latest: Verdict | None = None
        """The one that was asked for last; who polls one thing asks for it again."""

    def takes_key(self, wallet: str, method: str) -> bool:
        """Whether a method binds an Idempotency-Key: those that sign do."""
        runner, forwarder = self.runners.get(wallet), self.forwarders.get(wallet)
        profile = runner.profile if runner is not None else None if forwarder is None else forwarder.profile()
        row = None if profile is None else profile.methods.get(method)
        return row is not None and row.effect is Effect.SIGN

    async def call(self, wallet: str, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        """Answer one call by its deadline (loop time).

        A cancelled call ends a read that nobody else waits for, and nothing else.  `key` is the client's
        idempotency key.  Without a ledger nobody could keep it, and a promise that nobody keeps costs money, so
        a keyed call with effects is refused there before anything is sent.
        """
        forwarder = self.forwarders.get(wallet)
        if forwarder is not None:
            return await forwarder.call(client, call, deadline, key)
        reply = await self.here(wallet, client, call, deadline, key)
        assert reply is not None  # noqa: S101 - a wallet that is not shared is held here, as the door has seen
        return reply

    async def here(self, wallet: str, client: Client, call: Call, deadline: float, key: str | None) -> Reply | None:
        """Answer one call at this gateway; None, and nothing done, where the wallet is not held here."""
        began = self._now()
        runner = self.runners.get(wallet)
        if runner is None:
            return None
        if call.method.startswith("gateway."):
            return await self._own(wallet, client, call, deadline)
        verdict = judge(
            runner.profile, call.method, call.params,
            effects=client.effects, opened=client.methods, client=client.name, wallet=wallet,
        )  # fmt: skip
        if isinstance(verdict, Refused):
            self.watcher.call_ended(wallet, call.method, "", verdict.failure.kind.name, self._now() - began)
            return reply(call, verdict.failure)
        desk = self.desks.get(wallet)
        if desk is None and key is not None and verdict.effect.is_money:
            failure = Failure(READ_ONLY, KEYLESS, safe_to_repeat=True, wallet=wallet)
            self.watcher.call_ended(wallet, call.method, verdict.effect, READ_ONLY.name, self._now() - began)
            return reply(call, failure)
        if call.id is None and not verdict.effect.is_read:
            self.emit(
                Event(
                    "notification.refused",
                    wallet,
                    "",
                    {"method": call.method, "client": client.name, **place()},
                    level="warning",
                )
            )
            return Reply(b"")
        handler = None if desk is None else desk.handler(verdict)
        if desk is None or handler is None:
            result = await self._run(runner, client, verdict, deadline)
        else:
            result = await desk.answer(handler, client, verdict, deadline, key)
        if isinstance(result, Failure) and self._has_moved(wallet, runner, result):
            return None
        self.count(wallet, call, verdict, result, began)
        return reply(call, result)

    def _has_moved(self, wallet: str, runner: Runner, failure: Failure) -> bool:
        """Whether a call was given up before anything was done, because its wallet is held elsewhere now."""
        is_held = wallet not in self.forwarders or (self.runners.get(wallet) is runner and self.is_held(wallet))
        return not is_held and failure.kind in NOT_BEGUN and failure.safe_to_repeat

    def begin(self, wallet: str, client: Client, call: Call, deadline: float, hearer: Hearer) -> Seat | None:
        """Begin a read without a task; None, and nothing done, for any call that is more than that.

        A task that only waits for one future costs as much as all policies together.  The reply is handed to `hearer`,
        perhaps before this returns; the seat can be cancelled.
        """
        runner = None if wallet in self.forwarders else self.runners.get(wallet)
        if runner is None or call.method.startswith("gateway."):
            return None
        granted = self._granted(runner.profile, client, call, wallet)
        if granted is None or not granted.effect.is_read:
            return None
        desk = self.desks.get(wallet)
        if desk is not None and desk.handler(granted) is not None:
            return None
        now = self._now()
        seat = ReadSeat(self, wallet, call, granted, hearer, now, deadline)
        seat.board(runner, self._embark(runner, client, granted, seat, now))
        return seat

    def _granted(self, profile: Profile, client: Client, call: Call, wallet: str) -> Granted | None:
        """Return what a client is granted, None when nothing.

        What a client may call depends on nothing but his profile, himself and the method, and is judged once; his
        parameters are looked at again unless they are those of the last call.
        """
        params, place = call.params, (0, 0, "")
        known = self._latest
        if known is None or known.profile is not profile or known.client is not client or known.row.name != call.method:
            place = (id(profile), id(client), call.method)
            known = self._verdicts.get(place)
        if known is not None:
            self._latest = known
            if known.granted is not None and params == known.params:
                return known.granted
            granted = look(known.row, params, wallet)
        else:
            granted = judge(
                profile, call.method, params,
                effects=client.effects, opened=client.methods, client=client.name, wallet=wallet,
            )  # fmt: skip
        if not isinstance(granted, Granted):
            return None
        if known is None:
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            self._latest = known = self._verdicts[place] = Verdict(profile, client, granted, params)
        known.keep(granted, params)
        return granted

    def count(
        self, wallet: str, call: Call, granted: Granted, result: Result, began: float, ended_at: float = 0.0
    ) -> None:  # fmt: skip
        """Count a call that began then and ended now, or when that is known."""
        outcome = result.kind.name if isinstance(result, Failure) else "ok" if result.error is None else "daemon_error"
        self.watcher.call_ended(wallet, call.method, granted.effect, outcome, (ended_at or self._now()) - began)

    async def _run(self, runner: Runner, client: Client, granted: Granted, deadline: float) -> Result:
        """Join or begin the errand and wait for its end."""
        future: asyncio.Future[Result] = self.loop.create_future()
        member = Member(future, deadline)
        errand = self._embark(runner, client, granted, member, self._now())
        try:
            return await future
        except asyncio.CancelledError:
            # a caller that leaves before the end takes only its own seat away
            runner.leave(errand, member)
            raise

    def _embark(self, runner: Runner, client: Client, granted: Granted, member: Passenger, now: float) -> Errand:
        """Join an errand, or begin one."""
        effect, method, params, bound = granted.effect, granted.method, granted.params, granted.bound
        is_read = effect.is_read
        shares = is_read or effect is PUBLISH
        generation = runner.pool.generation if is_read else -1
        errand = runner.flights.find(method.name, params, generation) if shares else None
        if errand is not None:
            self.watcher.count("joined", runner.pool.name)
            errand.admit(member)
            return errand
        errand = Errand(
            runner.pool.name, client.name, method, effect, params, runner.bound(bound), now,
            asks_server=bound is SERVER,
        )  # fmt: skip
        errand.admit(member)
        if shares:
            runner.flights.add(errand, generation)
        runner.begin(errand)
        return errand

    async def _own(self, wallet: str, client: Client, call: Call, deadline: float) -> Reply:
        """Answer the gateway's own methods."""
        if call.method == "gateway.status":
            return reply(call, Answer(msgspec.json.encode(self.status(wallet)), None))
        desk = self.desks.get(wallet)
        if desk is not None and call.method in desk.own:
            try:
                async with asyncio.timeout_at(deadline):
                    return reply(call, await desk.own[call.method](client, call.params))
            except TimeoutError:
                message = "read_only: the ledger did not answer before the deadline; nothing was changed"
                return reply(call, Failure(READ_ONLY, message, safe_to_repeat=True, wallet=wallet))
        known = ", ".join(["gateway.status", *(desk.own if desk is not None else ())])
        message = f"{call.method} is not a method of this gateway; there are: {known}"
        return reply(call, Failure(METHOD_NOT_FOUND, message, safe_to_repeat=True, wallet=wallet))


def reply(call: Call, result: Result) -> Reply:
    """Put a result into the envelope of the caller: its own id, its own version; nothing for a notification."""
    if call.id is None:
        return Reply(b"")
    if isinstance(result, Failure):
        retry_after = result.retry_after if result.kind.retry_after else None
        return Reply(error_reply(call.id, call.v1, failure_error(result)), result.kind.status, retry_after)
    if result.error is not None:
        return Reply(error_reply(call.id, call.v1, result.error))
    assert result.result is not None  # noqa: S101 - an Answer has exactly one of the two
    return Reply(result_reply(call.id, call.v1, result.result))

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
from typing import Protocol, cast

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
from gateway.flow.errand import Errand, Member, Result
from gateway.flow.runner import Runner
from gateway.flow.seat import Seat
from gateway.profiles import Profile
from gateway.rules.methods import SHORT, Granted, Refused, judge

KEYLESS = (
    "read_only: this gateway keeps no ledger that could bind an Idempotency-Key; nothing was sent. Send the call "
    "without the header; it is never repeated once it was sent"
)

MOST_VERDICTS = 256
"""Calls whose verdicts are kept; then all are forgotten, for clients that never call the same twice."""

NOT_BEGUN = frozenset({DEADLINE_BEFORE_SEND, NO_BACKEND, NOT_HOLDER, READ_ONLY})
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
        self._verdicts: dict[tuple[int, int, str, bytes], tuple[Granted, Profile, Client]] = {}

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
        began = self.loop.time()
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
            self.watcher.call_ended(wallet, call.method, "", verdict.failure.kind.name, self.loop.time() - began)
            return reply(call, verdict.failure)
        desk = self.desks.get(wallet)
        if desk is None and key is not None and verdict.effect.is_money:
            failure = Failure(READ_ONLY, KEYLESS, safe_to_repeat=True, wallet=wallet)
            self.watcher.call_ended(wallet, call.method, verdict.effect, READ_ONLY.name, self.loop.time() - began)
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
        self._count(wallet, call, verdict, result, began)
        return reply(call, result)

    def _has_moved(self, wallet: str, runner: Runner, failure: Failure) -> bool:
        """Whether a call was given up before anything was done, because its wallet is held elsewhere now."""
        is_held = wallet not in self.forwarders or (self.runners.get(wallet) is runner and self.is_held(wallet))
        return not is_held and failure.kind in NOT_BEGUN and failure.safe_to_repeat

    def begin(
        self, wallet: str, client: Client, call: Call, deadline: float, hear: Callable[[Reply], None]
    ) -> Seat | None:
        """Begin a read without a task; None, and nothing done, for any call that is more than that.

        A task that only waits for one future costs as much as all policies together.  The reply is handed to `hear`,
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
        began = self.loop.time()

        def ended(result: Result) -> None:
            self._count(wallet, call, granted, result, began)
            hear(reply(call, result))

        seat = Seat(self.loop, ended)
        # an errand asks a future whether it is done and sets its result, and nothing else
        waiter = cast("asyncio.Future[Result]", seat)
        seat.board(runner, *self._embark(runner, client, granted, waiter, deadline))
        return seat

    def _granted(self, profile: Profile, client: Client, call: Call, wallet: str) -> Granted | None:
        """Return what a client is granted, None when nothing; the same call of the same client is judged once.

        A verdict depends on nothing but what is compared here; the profile and the client are held, so that no other
        can have their place in memory.
        """
        place = (id(profile), id(client), call.method, call.params)
        known = self._verdicts.get(place)
        if known is not None:
            return known[0]
        granted = judge(
            profile, call.method, call.params,
            effects=client.effects, opened=client.methods, client=client.name, wallet=wallet,
        )  # fmt: skip
        if not isinstance(granted, Granted):
            return None
        if len(call.params) <= SHORT:
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            self._verdicts[place] = granted, profile, client
        return granted

    def _count(self, wallet: str, call: Call, granted: Granted, result: Result, began: float) -> None:
        outcome = result.kind.name if isinstance(result, Failure) else "ok" if result.error is None else "daemon_error"
        self.watcher.call_ended(wallet, call.method, granted.effect, outcome, self.loop.time() - began)

    async def _run(self, runner: Runner, client: Client, granted: Granted, deadline: float) -> Result:
        """Join or begin the errand and wait for its end."""
        future: asyncio.Future[Result] = self.loop.create_future()
        errand, member = self._embark(runner, client, granted, future, deadline)
        try:
            return await future
        except asyncio.CancelledError:
            # a caller that leaves before the end takes only its own seat away
            runner.leave(errand, member)
            raise

    def _embark(
        self, runner: Runner, client: Client, granted: Granted, future: "asyncio.Future[Result]", deadline: float
    ) -> tuple[Errand, Member]:
        """Join an errand, or begin one."""
        effect, method = granted.effect, granted.method
        shares = effect.is_read or effect is Effect.PUBLISH
        generation = runner.pool.generation if effect.is_read else -1
        errand = runner.flights.find(method.name, granted.params, generation) if shares else None
        if errand is not None:
            self.watcher.count("joined", runner.pool.name)
            return errand, errand.join(future, deadline)
        errand = Errand(
            runner.pool.name, client.name, method, effect, granted.params,
            runner.bound(granted.bound), self.loop.time(), asks_server=granted.bound is Bound.SERVER,
        )  # fmt: skip
        member = errand.join(future, deadline)
        if shares:
            runner.flights.add(errand, generation)
        runner.begin(errand)
        return errand, member

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

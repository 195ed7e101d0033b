"""Calls of clients whose wallet another gateway holds: sent there, and answered as it answers.

Rule: a call is run here as soon as this gateway holds its wallet, and sent where it is held until then; it is sent
again only where it surely did not arrive or where twice is as good as once.  Nobody who hangs up ends a call that may
change something.

    held here                     answered here
    held by another               sent there; its answer is the answer
      it does not hold it         nothing was run: wait for the news, try again
      surely not sent             the same
      sent, a read                again, at the new holder where there is one
      sent, anything else         outcome_unknown
    held by nobody, known to us   wait for a holder until the deadline, then no_backend
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.base.config import Client
from gateway.base.effects import Effect
from gateway.base.errors import DEADLINE_BEFORE_SEND, NO_BACKEND, NOT_HOLDER, OUTCOME_UNKNOWN, Failure
from gateway.base.events import Emit, Event
from gateway.base.jsonrpc import Call, Reply, error_reply, failure_error
from gateway.base.trace import CURRENT, HEADER
from gateway.flow.identity import Holder, Identity
from gateway.flow.reach import Reach
from gateway.profiles import Profile
from gateway.rules import forward as rules
from gateway.rules.forward import Lost, Passage
from gateway.rules.methods import Refused, judge
from gateway.rules.retry import GiveUp, Sent, is_harmless_twice, is_repeatable
from gateway.upstream.relay import Arrived, Broken, Relay, Sending

GRACE = 0.5
"""Seconds past the deadline for a call that was sent: the holder knows best how it ended, and says so by then."""

PATIENCE = 0.1
"""Seconds that a holder of before is given for a read that it has; one that hands over on purpose answers in them."""

GLANCE = 0.25
"""Seconds after which a call that waits for a holder looks by itself whether there is one."""

Here = Callable[[Client, Call, float, str | None], Awaitable[Reply | None]]
"""Answers a call at this gateway: client, call, deadline in loop time, key; None, and nothing done, when the wallet is
not held here."""


@dataclass(slots=True)
class ForwardCounters:
    """What became of forwarded calls, of all wallets; plain integers, read by the metrics.

    Outcomes: answered; here (this gateway became the holder); not_reached (deadline, nothing sent); no_holder (the
    same, and nobody holds it); unknown (outcome_unknown); failed (given up, nothing was run); left (the client hung up,
    reads alone).  `repeated` counts the tries beyond a call's first, by the reason of the one before.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By wallet and outcome."""
    repeated: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By wallet and reason."""

    def of(self, wallet: str) -> dict[str, object]:
        """Return what became of the calls of one wallet since this gateway was started."""
        outcomes = {outcome: count for (name, outcome), count in self.outcomes.items() if name == wallet}
        repeats = sum(count for (name, _), count in self.repeated.items() if name == wallet)
        return {"calls": sum(outcomes.values()), "outcomes": outcomes, "repeats": repeats}


@dataclass(slots=True)
class _Errand:
    """One call on its way to wherever its wallet is held."""

    client: Client
    call: Call
    effect: Effect
    deadline: float
    key: str | None
    body: bytes
    body_hash: str
    tried: list[Lost] = field(default_factory=list)


class Forwarder:
    """The calls of one wallet.

    Args:
        wallet: its name.
        identity, relay: shared by all wallets.
        here: answers what is held here.
        holder: who has the lease, None when nobody is known to; may be this gateway.
        profile: of the wallet, now.
        look_now: called when the holder may be another one than was last seen.
    """

    def __init__(
        self, wallet: str, identity: Identity, relay: Relay, here: Here, holder: Callable[[], Holder | None],
        profile: Callable[[], Profile], loop: asyncio.AbstractEventLoop, counters: ForwardCounters, emit: Emit,
        look_now: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Begin with nothing under way."""
        self.wallet = wallet
        self.identity = identity
        self.relay = relay
        self.here = here
        self.holder = holder
        self.profile = profile
        self.loop = loop
        self.counters = counters
        self.emit = emit
        self.look_now = look_now
        self.reach = Reach(wallet, identity, relay, holder, loop, emit)
        self.under_way: set[asyncio.Task[Reply]] = set()
        self._news: asyncio.Future[None] = loop.create_future()

    def __repr__(self) -> str:
        """Status line."""
        holder = self.holder()
        where = "nobody" if holder is None else f"{holder.name} term={holder.term}"
        return f"<Forwarder {self.wallet} to {where} under_way={len(self.under_way)}>"

    def holder_changed(self) -> None:
        """Wake who waits: another gateway, or this one, has the lease, or nobody has."""
        news, self._news = self._news, self.loop.create_future()
        if not news.done():
            news.set_result(None)

    async def call(self, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        """Answer one call by its deadline (loop time), `GRACE` later at most where the holder has it.

        A cancelled read is over, here and at the holder.  What may change something goes on without its caller.
        """
        reply = await self.here(client, call, deadline, key)
        if reply is not None:
            return reply
        effect = effect_of(self.profile(), self.wallet, client, call)
        if isinstance(effect, Failure):
            return _failed(call, effect)
        body = body_of(call)
        errand = _Errand(client, call, effect, deadline, key, body, rules.digest(body))
        if effect.is_read:
            try:
                return await self._carry(errand)
            except asyncio.CancelledError:
                self._count("left")
                raise
        task = self.loop.create_task(self._carry(errand))
        self.under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def end(self, patience: float) -> None:
        """Give calls under way that may change something so many seconds, then end them."""
        begun = set(self.under_way)
        if begun:
            await asyncio.wait(begun, timeout=patience)
            for late in begun:
                late.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[Reply]") -> None:
        self.under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # its caller may have gone, and then nobody else would hear of it
            self.emit(Event("forward.failed", self.wallet, "", {"error": repr(task.exception())[:200]}, level="error"))

    async def _carry(self, errand: _Errand) -> Reply:
        """Try until there is an answer, no sense in a further try, or no time."""
        tried, reason, holder = errand.tried, "", None
        while True:
            news, holder = self._news, self.holder()
            pause = GLANCE
            if holder is not None and holder.is_elsewhere:
                ended = await self._ask(holder, errand)
                if isinstance(ended, Reply):
                    self._count("answered")
                    return ended
                tried.append(ended)
                self.look_now()
                reason = f"{holder.name}: {ended.reason}"
                follows = rules.follows(errand.effect, tried)
                if isinstance(follows, GiveUp):
                    return self._given_up(errand, follows, holder)
                pause = follows
            await self._pause(news, min(pause, errand.deadline - self.loop.time()))
            if self.loop.time() >= errand.deadline:
                return self._late(errand, self.holder(), reason)
            reply = await self.here(errand.client, errand.call, errand.deadline, errand.key)
            if reply is not None:
                self._count("here")
                return reply

    async def _pause(self, news: "asyncio.Future[None]", seconds: float) -> None:
        """Wait for news of the holder, and no longer than asked; somebody may have forgotten to tell them."""
        if seconds > 0 and not news.done():
            await asyncio.wait({news}, timeout=seconds)

    async def _ask(self, holder: Holder, errand: _Errand) -> Reply | Lost:
        """Send a call to a holder once."""
        left = errand.deadline - self.loop.time()
        if left < 0.001:  # the least that a head can say
            return Lost(Sent.NO, rules.SILENT, holder.term)
        if errand.tried:
            self.counters.repeated[self.wallet, errand.tried[-1].reason] += 1
        passage = self.identity.passage(
            holder, self.wallet, errand.client.name, left, errand.key, errand.body_hash, errand.effect
        )  # fmt: skip
        sent_at = self.loop.time()
        sending = Sending(careful=not is_repeatable(errand.effect))
        head = rules.headers(self.identity.secret, passage)
        trace = CURRENT.get()
        if trace is not None:
            # not signed: it says nothing that anybody acts upon
            head[HEADER] = trace.header(trace.hop())
        url = f"{holder.address}/wallets/{self.wallet}"
        task = self.loop.create_task(self.relay.send(url, head, errand.body, sending))
        try:
            reason = await self._watch(task, sending, holder, errand)
        finally:
            if not task.done():
                task.cancel()
        if reason:
            # it ends at once; only then it is known for certain what was sent
            await asyncio.wait({task})
        if task.cancelled():
            if reason == rules.SILENT:
                self.reach.missed(holder, sent_at)
            return Lost(Sent.UNKNOWN if sending.sent else Sent.NO, reason, holder.term)
        return self._taken(task.result(), passage, holder, sent_at)

    async def _watch(
        self, task: "asyncio.Task[Arrived | Broken]", sending: Sending, holder: Holder, errand: _Errand
    ) -> str:  # fmt: skip
        """Wait for an answer while there is a point in that; return "", or the reason to wait no longer."""
        may_leave = is_repeatable(errand.effect)
        until = errand.deadline
        while True:
            either: set[asyncio.Future[Any]] = {task, self._news}
            await asyncio.wait(either, timeout=until - self.loop.time(), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return ""
            now = self.loop.time()
            if now >= until:
                if until < errand.deadline and (may_leave or not sending.sent):
                    return rules.MOVED
                if until > errand.deadline or (until == errand.deadline and not sending.sent):
                    return rules.SILENT
                until = errand.deadline if until < errand.deadline else errand.deadline + GRACE
            elif self._is_gone(holder) and (may_leave or not sending.sent):
                until = min(until, now + PATIENCE)

    def _is_gone(self, holder: Holder) -> bool:
        """Whether another gateway, or this one, has the lease now; nobody may mean that the news is late."""
        now = self.holder()
        return now is not None and (now.name, now.term) != (holder.name, holder.term)

    def _taken(self, ended: Arrived | Broken, passage: Passage, holder: Holder, sent_at: float) -> Reply | Lost:
        """Return the reply in an answer that is the holder's, or what is known without one."""
        if isinstance(ended, Broken):
            self.reach.missed(holder, sent_at)
            if ended.reason == rules.REFUSED:
                fields: dict[str, object] = {
                    "gateway": holder.name, "address": holder.address, "detail": ended.detail,
                    "way_out": "compare cluster.secret and the clocks of both gateways",
                }  # fmt: skip
                self.emit(Event("forward.refused", self.wallet, "", fields, level="error"))
            return Lost(ended.sent, ended.reason, holder.term)
        told = rules.read_answer(self.identity.secret, passage, ended.told, ended.body)
        if told is None:
            # somebody else's word, or that for another call
            self.reach.missed(holder, sent_at)
            return Lost(Sent.UNKNOWN, rules.BROKEN, holder.term)
        status, retry_after = told
        if status == NOT_HOLDER.status:
            # it hands over, or has not begun, or the lease means another one: the next greeting finds out
            return Lost(Sent.NO, rules.NOT_HELD, holder.term)
        self.reach.heard(holder)
        return Reply(ended.body, status, retry_after)

    # -- errors ---------------------------------------------------------------------------------------------

    def _given_up(self, errand: _Errand, given_up: GiveUp, holder: Holder) -> Reply:
        if given_up.unknown:
            return self._unknown(errand, f"{holder.name}: {given_up.reason}")
        self._count("failed")
        message = (
            f"no_backend: the gateway {holder.name}, which holds the wallet, cannot be asked ({given_up.reason}); "
            "nothing was sent to a daemon. Its log says more"
        )
        return _failed(errand.call, Failure(NO_BACKEND, message, safe_to_repeat=True, wallet=self.wallet))

    def _late(self, errand: _Errand, holder: Holder | None, reason: str) -> Reply:
        """Answer a call whose time is over."""
        if any(one.sent is Sent.UNKNOWN for one in errand.tried):
            return self._unknown(errand, reason)
        if holder is None:
            self._count("no_holder")
            message = "no_backend: no gateway held the wallet before the deadline; nothing was sent"
            return _failed(errand.call, Failure(NO_BACKEND, message, safe_to_repeat=True, wallet=self.wallet))
        self._count("not_reached")
        why = f" ({reason})" if reason else ""
        message = f"deadline_before_send: the gateway {holder.name}, which holds the wallet, was not reached{why}; "
        failure = Failure(DEADLINE_BEFORE_SEND, message + "nothing was sent", safe_to_repeat=True, wallet=self.wallet)
        return _failed(errand.call, failure)

    def _unknown(self, errand: _Errand, reason: str) -> Reply:
        self._count("unknown")
        effect, keyed = errand.effect, errand.key is not None
        failure = Failure(
            OUTCOME_UNKNOWN,
            f"outcome_unknown: the call was sent to the gateway that held the wallet, and no answer came ({reason})",
            safe_to_repeat=is_harmless_twice(effect) or (keyed and effect is Effect.SIGN),
            wallet=self.wallet,
            next_step=rules.next_step(effect, keyed=keyed),
        )
        return _failed(errand.call, failure)

    def _count(self, outcome: str) -> None:
        self.counters.outcomes[self.wallet, outcome] += 1


def effect_of(profile: Profile, wallet: str, client: Client, call: Call) -> Effect | Failure:
    """Return what a call may do, or the error for one that this client may not make."""
    if call.method.startswith("gateway."):
        return Effect.READ
    verdict = judge(
        profile, call.method, call.params,
        effects=client.effects, opened=client.methods, client=client.name, wallet=wallet,
    )  # fmt: skip
    if isinstance(verdict, Refused):
        return verdict.failure
    # a notification that would change something is refused and logged by whoever holds the wallet
    return verdict.effect if call.id is not None else Effect.READ


def body_of(call: Call) -> bytes:
    """Return a call as it is sent on: its own id, parameters and version, byte for byte."""
    parts = [b'{"method":', msgspec.json.encode(call.method)]
    if call.params:
        parts += b',"params":', call.params
    if call.id is not None:
        parts += b',"id":', call.id
    parts.append(b"}" if call.v1 else b',"jsonrpc":"2.0"}')
    return b"".join(parts)


def _failed(call: Call, failure: Failure) -> Reply:
    """Put an error of ours into the caller's envelope; nothing for a notification."""
    if call.id is None:
        return Reply(b"")
    retry_after = failure.retry_after if failure.kind.retry_after else None
    return Reply(error_reply(call.id, call.v1, failure_error(failure)), failure.kind.status, retry_after)

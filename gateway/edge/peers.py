"""Calls that other gateways send on: let in by their signature, run here or not at all.

Rule: such a call is never sent on once more, and it is run for the term of the lease that it was signed for and no
other.  What is wrong with one is told to this gateway's own log; who knocked learns only that he is not let in.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from multidict import CIMultiDictProxy

from gateway.base.config import Client, Settings
from gateway.base.effects import Effect
from gateway.base.errors import INVALID_REQUEST, METHOD_REFUSED, NO_BACKEND, NOT_HOLDER, Failure
from gateway.base.events import Emit, Event
from gateway.base.jsonrpc import Call, Malformed, Reply, error_reply, failure_error, parse
from gateway.edge.answer import Answer
from gateway.edge.auth import Authenticator
from gateway.rules import forward as rules
from gateway.rules.forward import Passage

MORE = 1024
"""Bytes by which the body may be larger than a client's: it is written anew on its way."""

QUIET = 10.0
"""Seconds between two lines in the log about calls that were refused for one reason."""

WAYS_OUT = {
    "no_gateway": "whoever sent it is no gateway, or one of another version",
    "signature": "give all gateways the same cluster.secret",
    "other_gateway": "give each gateway its own cluster.name and cluster.address",
    "age": f"set the clocks of both gateways right; they may differ by {rules.BORNE:g} s",
    "replay": "somebody repeats what gateways send each other; look who can listen there",
    "body": "somebody changes what gateways send each other, or a proxy between them does",
    "client": "give all gateways the same clients, and reload those that have not read them yet",
    "profile": "give all gateways the same profile of each wallet, and reload those that have not read it yet",
}
"""Why a call is not let in, and what to do about it."""

Run = Callable[[str, Client, Call, float, str | None], Awaitable[Reply | None]]
"""Answers a call here: wallet, client, call, deadline in loop time, key; None, and nothing done, where the wallet is
not held here."""


Why = Callable[[str], Sequence[str]]
"""Says why no daemon of a wallet held here takes calls, nothing where one does."""

Judge = Callable[[str, Client, Call], Effect | Failure]
"""Says what a call may do here, or the error for one that its client may not make: wallet, client, call."""


@dataclass(slots=True)
class PeerCounters:
    """What other gateways sent; plain integers, read by the metrics."""

    taken: int = 0
    not_holder: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason, a key of WAYS_OUT."""


class Peers:
    """The other gateways, as the door sees them.

    Args:
        name, secret: of `cluster`.
        term: number of this gateway's lease of a wallet, 0 without one.
        run: answers here.
        effect: what a call may do, by the profile that it would be run by here.
        clients: by name, as there are now.
        not_ready: why no daemon of a wallet held here takes calls.
        now: the clock, seconds.
    """

    def __init__(
        self, name: str, secret: bytes, term: Callable[[str], int], run: Run, effect: Judge,
        clients: Callable[[], Mapping[str, Client]], emit: Emit, now: Callable[[], float], counters: PeerCounters,
        not_ready: Why = lambda _wallet: (),
    ) -> None:  # fmt: skip
        """Begin with no call taken."""
        self.name = name
        self.secret = secret
        self.term = term
        self.run = run
        self.effect = effect
        self.clients = clients
        self.emit = emit
        self.now = now
        self.counters = counters
        self.not_ready = not_ready
        self._loop = asyncio.get_running_loop()
        self._replays = rules.Replays()
        self._logged: dict[str, float] = {}

    def __repr__(self) -> str:
        """Status line; no secret."""
        return f"<Peers of {self.name} taken={self.counters.taken} refused={self.counters.refused.total()}>"

    def admit(self, headers: CIMultiDictProxy[str], path: str, method: str) -> Passage | None:
        """Return what a head says, None when it is not let in; its body is not read before."""
        found = rules.read(headers.get, path) if method == "POST" else None
        if found is None:
            self._refuse("no_gateway", "")
            return None
        passage, mac = found
        reason = rules.refusal(self.secret, passage, mac, me=self.name, now=self.now())
        if reason:
            # before its signature is right, not even its name is worth a line
            self._refuse(reason, "" if reason == "signature" else passage.sender)
            return None
        if not self._replays.take(passage.session, passage.count):
            self._refuse("replay", passage.sender)
            return None
        return passage

    async def answer(self, passage: Passage, body: bytes, max_depth: int, extra: bytes) -> Answer | None:
        """Answer a call that was let in; None when its body is not what was signed.

        Args:
            extra: header lines that the door adds to each answer.
        """
        if rules.digest(body) != passage.body:
            self._refuse("body", passage.sender)
            return None
        if not passage.client:
            # a greeting of the gateway itself: it is answered, and told whether calls would be
            is_held = self.term(passage.wallet) == passage.term
            reply = Reply(
                rules.greeted(self.not_ready(passage.wallet) if is_held else ()),
                200 if is_held else NOT_HOLDER.status,
            )
        else:
            self.counters.taken += 1
            parsed = parse(body, max_depth=max_depth, max_batch=1)
            reply = await self._reply(passage, parsed) if isinstance(parsed, Call) else _malformed(parsed)
        head = rules.answer_head(self.secret, passage, reply.status, reply.retry_after, reply.body)
        return Answer(reply.body, f"{rules.ANSWER}: {head}\r\n".encode() + extra)

    async def _reply(self, passage: Passage, call: Call) -> Reply:
        client = self.clients().get(passage.client)
        if client is None or passage.wallet not in client.wallets:
            self._refuse("client", passage.sender, client=passage.client, wallet=passage.wallet)
            message = (
                f"method_refused: the gateway {self.name} knows no client {passage.client} of {passage.wallet}; "
                "the operator gives all gateways the same clients"
            )
            return _failed(call, Failure(METHOD_REFUSED, message, safe_to_repeat=False, wallet=passage.wallet))
        reply = None
        if self.term(passage.wallet) == passage.term:
            mine = self.effect(passage.wallet, client, call)
            if isinstance(mine, Effect) and rules.is_bolder(passage.effect, mine):
                self._refuse("profile", passage.sender)
                message = (
                    f"no_backend: by the profile of the gateway {self.name} {call.method} is {mine}, and by that of "
                    f"{passage.sender} {passage.effect}; nothing was sent. The operator gives all gateways one profile"
                )
                return _failed(call, Failure(NO_BACKEND, message, safe_to_repeat=True, wallet=passage.wallet))
            deadline = self._loop.time() + min(float(passage.left), client.deadline)
            reply = await self.run(passage.wallet, client, call, deadline, passage.key)
        if reply is None:
            self.counters.not_holder += 1
            message = f"not_holder: the gateway {self.name} does not hold the wallet in that term; nothing was sent"
            failure = Failure(NOT_HOLDER, message, safe_to_repeat=True, wallet=passage.wallet)
            # said to a notification as well: it is the gateway that has to know
            return Reply(error_reply(call.id or b"null", call.v1, failure_error(failure)), NOT_HOLDER.status)
        return reply

    def _refuse(self, reason: str, sender: str, **more: object) -> None:
        self.counters.refused[reason] += 1
        now = self._loop.time()
        if now - self._logged.get(reason, -QUIET) >= QUIET:
            self._logged[reason] = now
            fields: dict[str, object] = {"reason": reason, "gateway": sender, "way_out": WAYS_OUT[reason]} | more
            self.emit(Event("peer.refused", "", "", fields, level="warning"))


def known_clients(settings: Settings) -> dict[str, Client]:
    """Return the clients by name, with the one that callers without credentials become, where they are let in."""
    nobody = Authenticator((), anonymous=settings.anonymous, wallets=tuple(settings.wallets)).who(None)
    known = {} if nobody is None else {nobody.client.name: nobody.client}
    return known | {client.name: client for client in settings.clients}


def _malformed(what: Malformed | list[Call | Malformed]) -> Reply:
    """Answer what no gateway of ours sends: a batch, or no call at all."""
    if isinstance(what, list):
        message = "invalid_request: gateways send each other single calls"
        what = Malformed(Failure(INVALID_REQUEST, message, safe_to_repeat=False), b"null", v1=False)
    return Reply(error_reply(what.id, what.v1, failure_error(what.failure)), what.failure.kind.status)


def _failed(call: Call, failure: Failure) -> Reply:
    return Reply(b"" if call.id is None else error_reply(call.id, call.v1, failure_error(failure)), failure.kind.status)

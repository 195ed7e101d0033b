"""One call on its way: who waits for it, where it may go, what was tried.

Rule: an errand ends once, with the daemon's answer or with an error of ours that its worst attempt decides;
members of a flight come and go without the errand noticing, until the last one leaves.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.base.effects import Effect
from gateway.base.errors import DEADLINE_BEFORE_SEND, NO_BACKEND, OUTCOME_UNKNOWN, Failure, Kind
from gateway.base.jsonrpc import Answer
from gateway.base.trace import CURRENT
from gateway.fleet.backend import Backend
from gateway.fleet.slots import Lane, Waiting
from gateway.profiles import Method
from gateway.rules.retry import Sent, Tried, is_harmless_twice

if TYPE_CHECKING:
    from gateway.flow.attempt import Attempt

Result = Answer | Failure
"""What an errand ends in."""

NEVER: Final = float("inf")

LANES: Final[dict[Effect, Lane]] = {
    Effect.READ: Lane.ANY,
    Effect.WALLET_READ: Lane.WALLET,
    Effect.LOCAL_READ: Lane.LOCAL,
    Effect.WRITE: Lane.MONEY,
    Effect.ALLOCATE: Lane.MONEY,
    Effect.SIGN: Lane.MONEY,
    Effect.PUBLISH: Lane.PUBLISH,
}
"""Where the calls of each effect may go."""

OWN: Final[Lane] = Lane.OWN
ANY: Final[Lane] = Lane.ANY
SLOW: Final[Lane] = Lane.SLOW
"""At hand without a look into the class."""


class Passenger:
    """One caller that waits for an errand; `deadline` is its own."""

    __slots__ = ("deadline",)

    deadline: float

    def done(self) -> bool:
        """Whether nobody waits here any more."""
        raise NotImplementedError

    def set_result(self, result: Result, /) -> None:
        """Hand the result on."""
        raise NotImplementedError


class Member(Passenger):
    """One who waits for a future."""

    __slots__ = ("future",)

    def __init__(self, future: "asyncio.Future[Result]", deadline: float) -> None:
        """Wait until `deadline` at the longest."""
        self.future = future
        self.deadline = deadline

    def done(self) -> bool:
        """Whether nobody waits here any more."""
        return self.future.done()

    def set_result(self, result: Result, /) -> None:
        """Hand the result on."""
        self.future.set_result(result)


class Errand(Waiting):
    """One call from its policy to its end.

    Args:
        method: the row of the profile; `effect` may differ from the row's where parameters changed it.
        params: raw JSON as the daemon gets it.
        bound: seconds that a call of its class may take.
        own: the one backend of a call of the gateway's own upkeep.
        asks_server: it may wait for the chain server, half a minute when that is silent.
    """

    __slots__ = (
        "anyway", "asks_server", "bound", "deadline", "effect", "ended_at", "epoch", "hedge_at", "is_done",
        "is_given_up", "is_read", "key", "last_backend", "left_out", "live", "members", "method", "overflow", "own",
        "params", "repeats", "request", "soonest", "trace", "tried", "wallet",
    )  # fmt: skip

    def __init__(
        self, wallet: str, client: str, method: Method, effect: Effect, params: bytes, bound: float, now: float,
        *, own: Backend | None = None, asks_server: bool = False,
    ) -> None:  # fmt: skip
        """Begin with nobody waiting."""
        self.wallet = wallet
        self.client = client
        self.method = method
        self.effect = effect
        self.is_read = effect.is_read
        self.params = params
        self.bound = bound
        self.arrived_at = now
        self.own = own
        self.lane: Lane = OWN if own is not None else LANES[effect]
        self.asks_server = asks_server
        if asks_server and self.lane is ANY:
            self.lane = SLOW
        self.deadline = 0.0
        """The longest of its members."""
        self.soonest = NEVER
        """The next member's."""
        self.members: list[Passenger] = []
        self.is_waiting = False
        self.is_done = False
        self.ended_at = 0.0
        """When the answer came that ends it; 0.0 without one."""
        self.overflow = False
        self.hedge_at = NEVER
        self.live: list[Attempt] = []
        self.tried: list[Tried] = []
        self.left_out: list[Backend] = []
        """Backends that must not see it again."""
        self.last_backend = ""
        self.repeats = 0
        """Answers withheld because they held an address that was given out before."""
        self.request = ""
        """The id of its last attempt, as the daemon was given it and the log names it."""
        self.anyway = False
        """An upkeep call that goes to its backend although that is out of service, as long as it answers."""
        self.is_given_up = False
        """An upkeep call whose reason is gone: what of it is under way is heard, and nothing of it is sent any more."""
        self.epoch = 0
        """The wallet's epoch when its last attempt was sent."""
        self.key: object = None
        """Its place among the flights."""
        self.trace = CURRENT.get() if own is None else None
        """Of the call that began it; upkeep belongs to none, also where a call is the occasion for it."""

    def __repr__(self) -> str:
        """Status line."""
        state = "done" if self.is_done else "waiting" if self.is_waiting else "in flight"
        attempts = len(self.tried) + len(self.live)
        return f"<Errand {self.method.name} {state} members={len(self.members)} attempts={attempts}>"

    @property
    def place(self) -> dict[str, object]:
        """Return what a line of the log says about its trace."""
        return {} if self.trace is None else {"trace": self.trace.id}

    def join(self, future: "asyncio.Future[Result]", deadline: float) -> Member:
        """Let one more caller wait for a future."""
        member = Member(future, deadline)
        self.admit(member)
        return member

    def admit(self, member: Passenger) -> None:
        """Let one more caller wait; the errand lasts as long as the most patient one."""
        self.members.append(member)
        self.deadline = max(self.deadline, member.deadline)
        self.soonest = min(self.soonest, member.deadline)

    def leave(self, member: Passenger) -> bool:
        """Let a caller go; return True when it was the last."""
        if member in self.members:
            self.members.remove(member)
            self._measure()
        return not self.members

    def expire(self, now: float, why: str) -> None:
        """Answer the members whose deadline has come while others go on waiting; `why` says how the backends are."""
        late = [member for member in self.members if member.deadline <= now]
        for member in late:
            self.members.remove(member)
            if not member.done():
                member.set_result(self._failure_of_leaver(why))
        if late:
            self._measure()

    def _failure_of_leaver(self, why: str) -> Failure:
        """Return the error for a member whose flight goes on without it: it may still be sent, for the others."""
        failure = self.failure_now(why)
        if failure.kind is OUTCOME_UNKNOWN or self.effect.is_read:
            return failure
        return self.failure(OUTCOME_UNKNOWN, "the same call goes on for another caller")

    def end(self, result: Result) -> None:
        """Answer everybody who still waits."""
        self.is_done = True
        members, self.members = self.members, []
        for member in members:
            if not member.done():
                member.set_result(result)

    def _measure(self) -> None:
        # one that everybody left ends at its deadline all the same: it must not be sent long after
        self.soonest = min((member.deadline for member in self.members), default=self.deadline)
        self.deadline = max((member.deadline for member in self.members), default=self.deadline)

    # -- the error its worst attempt decides ----------------------------------------------------------------

    @property
    def may_have_run(self) -> bool:
        """Whether any attempt put a byte on a wire whose end we do not know."""
        return any(attempt.exchange.sent for attempt in self.live) or any(
            attempt.sent is Sent.UNKNOWN for attempt in self.tried
        )

    def failure_now(self, why: str) -> Failure:
        """Return the error for a caller whose deadline came; `why` says how the backends are, "" when well."""
        if self.may_have_run:
            return self.failure(OUTCOME_UNKNOWN, "the daemon has not answered before the deadline")
        return self.failure(
            DEADLINE_BEFORE_SEND, f"no backend was free before the deadline{_in_brackets(why)}; nothing was sent"
        )

    def failure_hopeless(self, why: str) -> Failure:
        """Return the error for a call that no backend can take before its deadline; `why` as above."""
        if self.may_have_run:
            return self.failure(
                OUTCOME_UNKNOWN, f"the daemon broke off ({self.tried[-1].reason}) and no other is there"
            )
        return self.failure(
            NO_BACKEND, f"no backend can take this call and none is expected back{_in_brackets(why)}; nothing was sent"
        )

    def failure(self, kind: Kind, message: str) -> Failure:
        """Build an error of ours about this call."""
        safe = kind is not OUTCOME_UNKNOWN or is_harmless_twice(self.effect)
        return Failure(
            kind=kind,
            message=f"{kind.name}: {message}",
            safe_to_repeat=safe,
            wallet=self.wallet,
            backend=self.last_backend,
            request=self.request if kind is OUTCOME_UNKNOWN else "",
            next_step=_next_step(self.effect, safe=safe),
        )


def _in_brackets(why: str) -> str:
    return f" ({why})" if why else ""


def _next_step(effect: Effect, *, safe: bool) -> str:
    if safe:
        return "send the same call again"
    if effect is Effect.ALLOCATE:
        return "look at listaddresses or listrequests before asking again; an address may have been given out"
    if effect is Effect.SIGN:
        return "nothing was broadcast; ask for a new signature only if none of yours is in use"
    return "read the state back before sending it again"

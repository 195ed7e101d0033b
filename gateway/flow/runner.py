"""Runs the errands of one wallet: queue, slots, hedges, repeats, deadlines.

Rule: everything happens in callbacks on one loop, no call costs a task or a timer of its own, and one coarse
sweep, ticking only while there are errands, looks after deadlines, hedges and calls that waited long enough.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final, Protocol

from gateway.base.config import Settings
from gateway.base.effects import Bound, Effect
from gateway.base.errors import NO_BACKEND, OUTCOME_UNKNOWN, OVERLOADED, RESULT_WITHHELD, Failure
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.fleet.averages import Quantile
from gateway.fleet.backend import Backend
from gateway.fleet.budget import Budget
from gateway.fleet.pool import Pool
from gateway.fleet.slots import Lane, SlotQueue
from gateway.flow.attempt import NOT_LISTENING, UNSETTLED, Attempt, classify
from gateway.flow.coalesce import Flights
from gateway.flow.errand import Errand, Passenger, Result
from gateway.profiles import Method, Profile
from gateway.rules.hedge import delay, is_hedgeable
from gateway.rules.retry import QUERY_OF_DEATH, GiveUp, Sent, Tried, decide
from gateway.upstream.wire import Fate, Outcome, Target, Wire

SWEEP = 0.005
"""Seconds between two looks at the living errands."""

LANES_IN_ORDER: Final = tuple(Lane)

OWN: Final[Lane] = Lane.OWN
LOCAL: Final[Lane] = Lane.LOCAL
MONEY: Final[Lane] = Lane.MONEY
PUBLISH: Final[Lane] = Lane.PUBLISH
ANSWERED: Final[Fate] = Fate.ANSWERED
UNKNOWN: Final[Fate] = Fate.UNKNOWN
"""At hand without a look into the class."""

WRITES: Final = frozenset({Effect.WRITE, Effect.ALLOCATE, Effect.PUBLISH})
"""Effects after which a later read must not be answered from before."""

BLAMELESS: Final = frozenset({"aborted", "local", "not_held", "oversized"})
"""Ends that say nothing against the backend: we gave up, may send nothing any more, or the call asked for too much."""

MOST_REPEATS = 2
"""How often an allocation is asked for anew because its address was no new one."""

DOUBTS_EVERY: Final = 0.1
"""Seconds; a daemon's error answer has it probed, no more often than this, whatever clients ask for."""

ANYWAY_AGAIN = 0.02
"""Seconds until a backend out of service is looked at again for a free slot."""

HOPEFUL: Final = 0.75
"""Share of its time within which a call must be expected to end, or it is refused at once: the estimate leaves out what
lies between two calls, and where it is a tenth too short, all that wait reach their wallet just when it is too late."""

UPKEEP = "ec-gateway"
"""The client name of the gateway's own calls."""

MAX_METHODS_MEASURED: Final = 200
"""Methods of a profile are fewer; the bound is for the paranoid."""


class Watcher(Protocol):
    """Who wants to know about attempts: metrics and the debug log."""

    def attempt_ended(self, attempt: Attempt, outcome: Outcome, result: Answer | Tried, now: float) -> None:
        """One attempt ended."""

    def count(self, name: str, wallet: str) -> None:
        """Something countable happened: hedge, retry, joined, overloaded."""


class Runner:
    """The moving part of one wallet.

    Args:
        pool: live state of its backends.
        targets: where each backend listens.
        chance: numbers in [0, 1) for selection.
        probe_now: called when a backend with a due probe has a free slot; True when the probe took it.
    """

    def __init__(
        self, pool: Pool, profile: Profile, wire: Wire, targets: dict[str, Target], settings: Settings,
        watcher: Watcher, chance: Callable[[], float], loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Begin with nothing to do."""
        self.pool = pool
        self.profile = profile
        self.wire = wire
        self.targets = targets
        self.watcher = watcher
        self.chance = chance
        self.loop = loop
        self._now: Callable[[], float] = loop.time
        self.queue: SlotQueue[Errand] = SlotQueue(settings.queue.max_waiting)
        self.flights = Flights()
        retry = settings.retry
        self.budget = Budget(retry.ratio, retry.floor, retry.burst, loop.time())
        self.errands: set[Errand] = set()
        self.attempts: set[Attempt] = set()
        """Every attempt on the wire, also those nobody waits for any more."""
        self.is_closing = False
        """Set on the way out: nothing is begun any more."""
        self.service = Quantile(0.5, size=50)
        """What a call usually takes.  A median: one call that waited for a silent chain server must not make
        the queue refuse those behind it for minutes."""
        self.probe_now: Callable[[Backend], bool] = lambda _backend: False
        self._usual: dict[str, Quantile] = {}
        self._on_end: Callable[[Attempt, Outcome], None] = self._ended
        self._take(settings)
        self._ids = itertools.count(1)
        self._sweep_handle: asyncio.TimerHandle | None = None
        self._pump_handle: asyncio.Handle | None = None
        pool.on_change = self.wake

    def __repr__(self) -> str:
        """Status line."""
        return f"<Runner {self.pool.name} errands={len(self.errands)} attempts={len(self.attempts)} {self.queue!r}>"

    def _take(self, settings: Settings) -> None:
        """Have the numbers at hand that each call asks for."""
        self.settings = settings
        timeouts, hedge = settings.timeouts, settings.hedge
        self._bounds: dict[Bound, float] = {
            Bound.FAST: timeouts.fast, Bound.HEAVY: timeouts.heavy, Bound.SIGN: timeouts.sign,
            Bound.SERVER: timeouts.server,
        }  # fmt: skip
        self._whole: float = timeouts.server
        """Seconds that an attempt may take at all."""
        self._hedge_floor: float = hedge.floor
        self._hedge_factor: float = hedge.factor

    def update(self, settings: Settings) -> None:
        """Take new settings; what has begun keeps its bounds."""
        self._take(settings)
        self.queue.max_waiting = settings.queue.max_waiting
        retry = settings.retry
        self.budget.ratio, self.budget.floor, self.budget.burst = retry.ratio, retry.floor, retry.burst
        for usual in self._usual.values():
            usual.quantile = settings.hedge.quantile

    def bound(self, bound: Bound) -> float:
        """Return the seconds that a class of calls may take."""
        return self._bounds[bound]

    # -- errands come and go --------------------------------------------------------------------------------

    def begin(self, errand: Errand) -> None:
        """Set an errand on its way; it must have at least one member."""
        self.errands.add(errand)
        if self.is_closing:
            self._finish(errand, errand.failure(NO_BACKEND, "the gateway is stopping; nothing was sent"))
            return
        if errand.own is not None and errand.own.name not in self.targets:
            # whoever looks after it may hold it from before a reload
            self._finish(errand, errand.failure(NO_BACKEND, f"{errand.own.name} is no backend any more"))
            return
        self.budget.earn()
        if self._sweep_handle is None:
            self._sweep_handle = self.loop.call_later(SWEEP, self._sweep)
        # one that goes anyway would wait for ever behind calls that wait until it has helped
        if (self.queue.waiting and not errand.anyway) or not self._try_now(errand, errand.arrived_at):
            self._wait(errand)

    def leave(self, errand: Errand, member: Passenger) -> None:
        """Let a caller go that hung up; the last one ends a read, and never anything else."""
        if errand.leave(member) and errand.effect.is_read and not errand.is_done:
            self._finish(errand, errand.failure_now(self._why(errand)))

    def is_money_elsewhere(self, primary: Backend) -> bool:
        """Whether somebody still waits for a money call that another backend than `primary` has."""
        return any(
            one.errand.effect.is_money
            and one.errand.own is None
            and not one.errand.is_done
            and one.backend is not primary
            for one in self.attempts
        )

    async def call_on(self, backend: Backend, method: Method, params: bytes, deadline: float) -> Result:
        """Make a call of the gateway's own upkeep on one backend, through its slot."""
        errand = Errand(
            self.pool.name,
            UPKEEP,
            method,
            method.effect,
            params,
            self._upkeep_bound(method),
            self._now(),
            own=backend,
        )
        return await self._until_over(errand, deadline)

    async def _until_over(self, errand: Errand, deadline: float) -> Result:
        """Begin an upkeep call and wait for its end.

        Who gives it up while it waits for its slot takes it out: it must not be sent when its reason is long gone.
        """
        future: asyncio.Future[Result] = self.loop.create_future()
        errand.join(future, deadline)
        self.begin(errand)
        try:
            return await future
        except asyncio.CancelledError:
            errand.is_given_up = True
            if not errand.live and not errand.is_done:
                self._finish(errand, errand.failure(NO_BACKEND, "it was given up; nothing was sent"))
            raise

    def _upkeep_bound(self, method: Method) -> float:
        """Return the seconds that an upkeep call may take.

        A frozen daemon must be found out as soon while the gateway reads its lists as while it serves: those are
        small, and nobody waits for them.
        """
        return self.bound(Bound.FAST if method.bound is Bound.HEAVY else method.bound)

    async def call_anyway(self, backend: Backend, method: Method, params: bytes, deadline: float) -> Result:
        """Make an upkeep call on a backend that may be out of service, as long as it answers its probes.

        That is how a wallet is loaded which a daemon has lost.  It waits for the slot, and for nothing else.
        """
        while not backend.may_serve and self._now() < deadline:
            if not backend.has_free_slot or backend.is_suspect:
                await asyncio.sleep(ANYWAY_AGAIN)
                continue
            errand = Errand(
                self.pool.name, UPKEEP, method, method.effect, params, self._upkeep_bound(method),
                self._now(), own=backend,
            )  # fmt: skip
            errand.anyway = True
            result = await self._until_over(errand, deadline)
            if isinstance(result, Answer) or errand.may_have_run or not errand.tried:
                return result
            await asyncio.sleep(ANYWAY_AGAIN)
        return await self.call_on(backend, method, params, deadline)

    def _wait(self, errand: Errand) -> None:
        """Let an errand wait for a slot, unless waiting is pointless."""
        now = self._now()
        if not self.pool.has_hope(errand.lane, errand.left_out, errand.own):
            self._finish(errand, errand.failure_hopeless(self._why(errand)))
            return
        first = bool(errand.tried)
        if self._would_be_late(errand, now) or not self.queue.push(errand, first=first):
            self.watcher.count("overloaded", self.pool.name)
            kind = OUTCOME_UNKNOWN if errand.may_have_run else OVERLOADED
            self._finish(errand, errand.failure(kind, "too many calls wait; ask again a little later"))
            return
        if errand.own is not None:
            self.wake()
        else:
            # others wait, perhaps for a backend that this call does not need: the free slots are looked at anyway
            backend = self.pool.choose(errand.lane, errand.left_out, now, self.chance, overflow=errand.overflow)
            if backend is not None:
                self.offer(backend)

    def _why(self, errand: Errand) -> str:
        """Return in words why no backend took a call, for the person who reads the error; "" when all are well."""
        return self.pool.what_ails(errand.lane, errand.own)

    def _would_be_late(self, errand: Errand, now: float) -> bool:
        """Whether the calls that wait already would take longer than this one can wait."""
        serving = self.pool.candidates(errand.lane) if errand.own is None else []
        if not serving or errand.lane is MONEY or errand.lane is PUBLISH:
            return False
        slots = self.pool.slots if errand.lane is not LOCAL else serving[0].slots
        # its own turn takes as long as the others', and has to end in time as well
        return (self.queue.reads / slots + 1) * (self.service.value() or 0.0) > HOPEFUL * (errand.deadline - now)

    def _finish(self, errand: Errand, result: Result) -> None:
        """End an errand; attempts still on the wire go on without it until their slots are settled."""
        if errand.is_waiting:
            self.queue.remove(errand)
        self.flights.drop(errand)
        self.errands.discard(errand)
        errand.end(result)
        if errand.is_read:
            return
        if isinstance(result, Failure) and result.kind is OUTCOME_UNKNOWN:
            self._tell_unknown(errand, result)
        if errand.effect in WRITES and errand.own is None and errand.last_backend:
            # an address that nobody was told needs no standby to know it: an unknown outcome must not
            # take the standbys out of service in the very moment in which the primary is silent
            told = result.result if isinstance(result, Answer) else None
            if told is not None and errand.effect is Effect.ALLOCATE:
                self.pool.on_told(told)
            self.pool.wrote(changes_addresses=told is not None and errand.effect is not Effect.PUBLISH)

    def _has_lost_its_wallet(self, errand: Errand, backend: Backend, error: bytes) -> bool:
        """Whether a daemon says that it has no wallet any more, and another one can be asked to read."""
        if not errand.effect.is_read or errand.own is not None or not self.profile.unloaded:
            return False
        if self.profile.unloaded not in error:
            return False
        return any(one is not backend and one not in errand.left_out for one in self.pool.candidates(errand.lane))

    def _is_repeated(self, errand: Errand, answer: Answer) -> bool:
        """Whether a client that wants a new address would get one that was given out before."""
        return (
            errand.method.name == self.profile.allocate
            and errand.own is None
            and answer.result is not None
            and self.pool.is_repeated(answer.result)
        )

    def _ask_anew(self, errand: Errand, backend: Backend) -> None:
        """Withhold an address that is no new one, let the mirror bring the primary past it, and ask once more."""
        errand.repeats += 1
        fields: dict[str, object] = {
            "client": errand.client, "method": errand.method.name, "request": errand.request, **errand.place,
        }  # fmt: skip
        self.pool.emit(Event("address.repeated", self.pool.name, backend.name, fields, "error"))
        self.pool.doubt_primary()
        if errand.repeats > MOST_REPEATS:
            message = "the daemon answered with an address that was given out before; it was withheld"
            self._finish(errand, errand.failure(RESULT_WITHHELD, message))
        else:
            self._wait(errand)

    def _tell_unknown(self, errand: Errand, failure: Failure) -> None:
        """Leave a line for whoever must look whether it happened."""
        fields: dict[str, object] = {
            "client": errand.client,
            "method": errand.method.name,
            "request": errand.request,
            "reason": failure.message,
            **errand.place,
        }
        if errand.own is not None:
            # what the gateway began by itself it begins again, and nobody waits for it
            self.pool.emit(Event("upkeep.outcome_unknown", self.pool.name, errand.last_backend, fields))
            return
        self.pool.emit(Event("call.outcome_unknown", self.pool.name, errand.last_backend, fields, "warning"))

    def _tell_late(self, errand: Errand, attempt: Attempt, result: Answer | Tried) -> None:
        """Say that a call whose client was told "unknown" was answered after all."""
        if errand.effect.is_read or not isinstance(result, Answer):
            return
        fields: dict[str, object] = {
            "client": errand.client,
            "method": errand.method.name,
            "request": attempt.our_id,
            "answer": "error" if result.result is None else "result",
            **errand.place,
        }
        level = "warning" if errand.own is None else "info"
        self.pool.emit(Event("call.answered_late", self.pool.name, attempt.backend.name, fields, level))

    # -- attempts -------------------------------------------------------------------------------------------

    def _try_now(self, errand: Errand, now: float, *, is_hedge: bool = False) -> bool:
        """Send an errand to a backend with a free slot, if there is one."""
        if errand.own is not None:
            backend: Backend | None = errand.own
            if not ((errand.own.may_serve or errand.anyway) and errand.own.has_free_slot):
                return False
        else:
            left_out = errand.left_out
            if is_hedge:
                left_out = left_out + [attempt.backend for attempt in errand.live]
            backend = self.pool.choose(errand.lane, left_out, now, self.chance, overflow=errand.overflow or is_hedge)
        return backend is not None and self._send(errand, backend, now, is_hedge=is_hedge)

    def _send(self, errand: Errand, backend: Backend, now: float, *, is_hedge: bool = False) -> bool:
        """Take permit and slot and hand the call to the wire."""
        target = self.targets[backend.name]
        permit = backend.breaker.acquire() or (backend.breaker.pass_by() if errand.anyway else None)
        if permit is None:
            self.pool.refresh()
            return False
        occupant = backend.occupy(now, errand.bound, is_money=errand.effect.is_money)
        attempt = Attempt(
            errand, backend, permit, occupant, f"g{next(self._ids)}", self._on_end, now, is_hedge=is_hedge
        )
        errand.live.append(attempt)
        errand.last_backend, errand.request, errand.epoch = backend.name, attempt.our_id, self.pool.epoch
        errand.hedge_at = now + self._hedge_delay(errand)
        if errand.own is None and not errand.is_read:
            self.pool.generation += 1
        self.attempts.add(attempt)
        attempt.send(self.wire, target, self._whole, tells_trace=self.profile.traceparent)
        return True

    def _hedge_delay(self, errand: Errand) -> float:
        usual = self._usual.get(errand.method.name)
        due = delay(usual.value() if usual is not None else None, self._hedge_floor, self._hedge_factor)
        # after a slow spell the usual time may be longer than the class allows; no frozen daemon is waited for so long
        return min(due, errand.bound)

    def _ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """Record how an attempt ended, then go on with its errand and with its slot."""
        now = outcome.ended_at
        errand, backend = attempt.errand, attempt.backend
        result = classify(outcome, attempt.our_id)
        if outcome.fate is ANSWERED and not isinstance(result, Answer):
            attempt.exchange.is_sound = False
        self.attempts.discard(attempt)
        errand.live.remove(attempt)
        self._free_slot(attempt, outcome)
        self._record(attempt, outcome, result, now)
        self.watcher.attempt_ended(attempt, outcome, result, now)
        if errand.is_done:
            self._tell_late(errand, attempt, result)
        elif not isinstance(result, Answer):
            self._went_wrong(errand, backend, result, outcome)
        elif self._is_repeated(errand, result):
            self._ask_anew(errand, backend)
        elif result.error is not None and self._has_lost_its_wallet(errand, backend, result.error):
            self._went_wrong(errand, backend, Tried(Sent.NO, "unloaded"), outcome)
        else:
            errand.last_backend = backend.name
            errand.ended_at = now
            self._finish(errand, result)
        if (self.queue.waiting or backend.probe_is_due) and backend.has_free_slot:
            self.offer(backend)

    def _free_slot(self, attempt: Attempt, outcome: Outcome) -> None:
        backend = attempt.backend
        if outcome.fate is UNKNOWN and outcome.reason in UNSETTLED:
            attempt.occupant.has_left = True
        else:
            backend.vacate(attempt.occupant)
        if backend.is_stalled:
            backend.is_stalled = False

    def _record(self, attempt: Attempt, outcome: Outcome, result: Answer | Tried, now: float) -> None:
        """Tell backend, circuit and pool what this attempt showed of the daemon."""
        backend, breaker = attempt.backend, attempt.backend.breaker
        if isinstance(result, Answer):
            seconds = now - attempt.started_at
            backend.note_success(now, seconds)
            if result.error is not None and now - backend.probed_at >= DOUBTS_EVERY:
                # its own error may be the first word of an unloaded wallet; a probe tells
                self.pool.on_doubt(backend)
            self.service.sample(seconds, now)
            usual = self._usual.get(attempt.errand.method.name)
            if usual is None and len(self._usual) < MAX_METHODS_MEASURED:
                usual = self._usual[attempt.errand.method.name] = Quantile(self.settings.hedge.quantile)
            if usual is not None:
                usual.sample(seconds, now)
            breaker.success(attempt.permit)
            if attempt.permit.is_trial:
                self.pool.emit(Event("circuit.closed", self.pool.name, backend.name))
                self.pool.refresh()
            return
        if outcome.reason in BLAMELESS or (attempt.errand.is_done and result.sent is Sent.NO):
            breaker.ignore(attempt.permit)
            return
        if outcome.reused and outcome.reason in QUERY_OF_DEATH:
            # a daemon may close a kept connection just as a read comes; one that is gone says so to the next, which
            # goes over a connection of its own
            breaker.ignore(attempt.permit)
            if now - backend.probed_at >= DOUBTS_EVERY:
                self.pool.on_doubt(backend)
            return
        backend.note_fault()
        if breaker.fault(attempt.permit, now):
            self.pool.emit(
                Event("circuit.opened", self.pool.name, backend.name, {"reason": result.reason}, level="warning")
            )
        if result.sent is Sent.NO and result.reason in NOT_LISTENING:
            self.pool.refused(backend, now, result.reason)
        else:
            self.pool.suspect(backend, now, result.reason)

    def _went_wrong(self, errand: Errand, backend: Backend, tried: Tried, outcome: Outcome) -> None:
        """Decide what follows an attempt without an answer."""
        errand.tried.append(tried)
        if (tried.sent is Sent.UNKNOWN and not outcome.reused) or outcome.fate is ANSWERED:
            # an answer that is none, such as 401, would be the same a second time
            errand.left_out.append(backend)
        if errand.live:
            return
        is_over = self._now() >= errand.deadline or errand.is_given_up
        if is_over or (errand.anyway and not errand.may_have_run):
            # no circuit bounds the attempts of upkeep: it looks at its daemon again before the next one
            self._finish(errand, errand.failure_now(self._why(errand)))
            return
        match decide(errand.effect, errand.tried, self.settings.retry.max_attempts):
            case GiveUp(reason=reason):
                self._finish(errand, errand.failure(OUTCOME_UNKNOWN, f"the daemon broke off ({reason})"))
            case again:
                if again.costs and not self.budget.spend(self._now()):
                    message = f"the daemon broke off ({tried.reason}) and the retry budget is spent"
                    self._finish(errand, errand.failure(OUTCOME_UNKNOWN, message))
                    return
                self.watcher.count("retries", self.pool.name)
                errand.overflow = True
                if errand.lane in (Lane.SLOW, Lane.PUBLISH) and self.pool.has_no_slow_left(errand.left_out):
                    errand.lane = Lane.ANY
                if not self._try_now(errand, self._now()):
                    self._wait(errand)

    # -- slots come free ------------------------------------------------------------------------------------

    def offer(self, backend: Backend) -> None:
        """Give a free slot to the probe that is due there, else to the calls that wait, by their order."""
        if backend.probe_is_due and self.probe_now(backend):
            return

        def may(errand: Errand) -> bool:
            if errand.lane is OWN:
                return errand.own is backend
            return (not errand.left_out or backend not in errand.left_out) and self.pool.may_take(
                backend, errand.lane, overflow=errand.overflow
            )

        while self.queue.waiting and backend.has_free_slot:
            if not backend.takes_calls:
                return
            errand = self.queue.next(LANES_IN_ORDER, may)
            if errand is None:
                return
            if not self._send(errand, backend, self._now()):
                self.queue.push(errand, first=True)
                return

    def wake(self) -> None:
        """Look at all waiting calls again, soon: something changed in the pool."""
        if self._pump_handle is None and self.queue.waiting:
            self._pump_handle = self.loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_handle = None
        for backend in self.pool.backends:
            if not self.queue.waiting:
                return
            if backend.has_free_slot:
                self.offer(backend)
        for errand in [one for one in self.queue if not self.pool.has_hope(one.lane, one.left_out, one.own)]:
            self._finish(errand, errand.failure_hopeless(self._why(errand)))

    # -- the sweep ------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Look after deadlines, hedges and wallet reads that waited long enough for the primary."""
        self._sweep_handle = None
        now = self._now()
        for errand in list(self.errands):
            try:
                self._look_after(errand, now)
            except Exception as error:  # noqa: BLE001 - what is wrong with one call must not cost the others their deadlines
                self.loop.call_exception_handler({"message": f"the sweep over {errand!r} failed", "exception": error})
        if self.errands:
            self._sweep_handle = self.loop.call_later(SWEEP, self._sweep)

    def _look_after(self, errand: Errand, now: float) -> None:
        """Do what has become due for one errand."""
        if errand.soonest <= now:
            self._expire(errand, now)
        if errand.is_done:
            return
        if errand.is_waiting:
            if errand.lane is Lane.WALLET and not errand.overflow and now - errand.arrived_at >= self._patience():
                errand.overflow = True
                self.wake()
        elif now >= errand.hedge_at:
            self._hedge(errand, now)

    def _patience(self) -> float:
        """How long a wallet read waits for a busy primary before another aligned backend may answer it."""
        return self._hedge_floor

    def _expire(self, errand: Errand, now: float) -> None:
        """Answer members whose time is up; an attempt that has not sent yet never will."""
        if errand.deadline <= now:
            for attempt in list(errand.live):
                if not attempt.exchange.sent:
                    attempt.exchange.abort()
            failure = errand.failure_now(self._why(errand))
            for attempt in errand.live:
                if attempt.exchange.sent:
                    self.pool.suspect(attempt.backend, now, "deadline")
            self._finish(errand, failure)
        else:
            errand.expire(now, self._why(errand))

    def _hedge(self, errand: Errand, now: float) -> None:
        """Mark the backends that take unusually long, and ask another one where that is allowed."""
        for attempt in errand.live:
            if not attempt.backend.is_stalled:
                attempt.backend.is_stalled = True
                self.wake()
        if not self.settings.hedge.enabled or not is_hedgeable(errand.effect) or errand.own is not None:
            return
        if errand.asks_server and errand.lane is Lane.WALLET:
            # it would take the standbys as well for as long as the server is silent
            return
        if len(errand.live) + len(errand.tried) >= self.settings.retry.max_attempts:
            return
        is_late = now - errand.live[0].started_at >= errand.bound
        if not is_late and (len(errand.live) > 1 or not self.budget.has_token(now)):
            # a third backend only for a call past its bound: one that is merely heavy must not hold the whole wallet
            return
        if self._try_now(errand, now, is_hedge=True):
            self.budget.spend(now)
            self.watcher.count("hedges", self.pool.name)

"""The backends of one wallet: who serves, who is primary, who is aligned, and every change of phase.

Rule: phases change here and nowhere else, each change is told as one event, and the lists that calls are
routed by are made anew at each change, so that routing a call costs the same with two backends and with a hundred.
"""

from collections.abc import Callable, Collection
from operator import methodcaller
from typing import Final

from gateway.base.events import Emit, Event
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.slots import Lane
from gateway.rules.health import Diagnosis, Kind, Limits, diagnose
from gateway.rules.lifecycle import Phase, Signal, move
from gateway.rules.outlier import is_panic, may_eject
from gateway.rules.selection import draw, pick, prefers_primary

REFUSALS = {
    "refused": "refuses connections",
    "gone": "its process has ended",
    "unreachable": "its host cannot be reached",
    "resolve": "its host name is not known",
    "tls": "the TLS handshake fails",
}
"""How a connection that could not be made is told to people."""

MOST_NAMED = 5
"""Backends that an error names."""

_OUT = (Phase.EJECTED, Phase.FAILED)
"""Out of service because of an illness."""

_CAN_HEAL = (Phase.STARTING, *_OUT)
"""Not in service yet, or not any more, and let in by a probe that is answered."""

_READY: Final[Phase] = Phase.READY

FEW: Final = 8
"""Candidates that are looked at after one pair drawn at random was not free."""

_ANY: Final[Lane] = Lane.ANY
_MONEY: Final[Lane] = Lane.MONEY
_LOCAL: Final[Lane] = Lane.LOCAL
_WALLET: Final[Lane] = Lane.WALLET
_OWN: Final[Lane] = Lane.OWN
"""At hand without a look into the class, which costs as much as all of the rest."""

TRIES: Final = 4
"""Pairs drawn at random, where candidates are more than few, before all of them are looked at for a free slot."""


class Pool:
    """Live state of a wallet.

    Args:
        name: of the wallet.
        backends: at least one; the order of the configuration.
        primary: name of the one that allocates and signs.
        start_grace, expect_return, slow_start: seconds, from the configuration.
        lag_blocks: how far behind the highest a backend may be without a word.
        mirror: False when somebody else keeps the standbys aligned; then all count as aligned.
        emit: where events go.
        on_change: called after each change that may let waiting calls go or fail.
    """

    def __init__(  # noqa: PLR0915 - one line a fact
        self,
        name: str,
        backends: list[Backend],
        *,
        primary: str,
        limits: Limits,
        start_grace: float,
        expect_return: float,
        slow_start: float,
        lag_blocks: int,
        mirror: bool,
        emit: Emit,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with every backend STARTING."""
        self.name = name
        self.backends = backends
        self.by_name = {backend.name: backend for backend in backends}
        self.primary = self.by_name[primary]
        self.limits = limits
        self.start_grace = start_grace
        self.expect_return = expect_return
        self.slow_start = slow_start
        self.lag_blocks = lag_blocks
        self.mirror = mirror
        self.emit = emit
        self.on_change = on_change
        self.epoch = 0
        """Of the primary, as the ledger counts it; 0 without one."""
        self.generation = 0
        """Moved by everything that changes what a read may see; flights of an older one are not joined."""
        self.written = 0
        """Moved by writes and allocations; a standby takes wallet reads once it has been brought this far."""
        self.is_primary_checked = not mirror
        """Whether the primary was seen to list every address that is known to be given out.  A primary that has just
        come into service may have forgotten some; no money call goes there before it was looked at."""
        self.doubts = 0
        """How often the primary was doubted: what was seen of it before the last time is not so any more."""
        self.is_panicking = False
        self.best_score = 1.0
        self.on_compare: Callable[[], None] = lambda: None
        """Called when standbys must be compared: after a write, and when one comes into service; the mirror listens."""
        self.on_told: Callable[[bytes], None] = lambda _result: None
        """Called with the raw result of each allocation that a client is told; the mirror remembers it."""
        self.is_repeated: Callable[[bytes], bool] = lambda _result: False
        """Asks the mirror whether a new address is none."""
        self.may_read: Callable[[Backend], bool] = lambda _backend: True
        """Asks the reconciler whether a daemon has every mark and agrees about the money."""
        self.is_held: Callable[[Backend], bool] = lambda _backend: False
        """Asks the reconciler whether a daemon's wallet is closed, loaded or exchanged right now."""
        self.times_held: Callable[[Backend], int] = lambda _backend: 0
        """Asks the reconciler how often that began so far; what was seen before it is not so any more."""
        self.on_lost: Callable[[Backend], None] = lambda _backend: None
        """Called when a daemon may have lost what it had not saved; the reconciler listens."""
        self.on_doubt: Callable[[Backend], None] = lambda _backend: None
        """Called when only a probe can tell how a backend is; the prober listens."""
        self.on_phase: Callable[[], None] = lambda: None
        """Called after each change of a phase; the supervisor listens."""
        self.serving: list[Backend] = []
        self.slow: list[Backend] = []
        """Those of them that take what asks the chain server: such reads, and broadcasts.  When that falls silent
        each such call holds its daemon for half a minute; so the primary, or else one other, is kept free of them."""
        self.slots = 0
        """Slots of all backends that serve."""
        self.aligned: list[Backend] = []
        for backend in backends:
            backend.slow_start = slow_start
        self.refresh()

    def __repr__(self) -> str:
        """Status line."""
        panic = " PANIC" if self.is_panicking else ""
        return f"<Pool {self.name} serving={len(self.serving)}/{len(self.backends)} primary={self.primary.name}{panic}>"

    def update(
        self, backends: list[Backend], *, primary: str, limits: Limits, start_grace: float, expect_return: float,
        slow_start: float, lag_blocks: int, mirror: bool,
    ) -> None:  # fmt: skip
        """Take new settings; backends that are left out are drained and finish what they have."""
        for gone in set(self.backends) - set(backends):
            gone.is_drained = True
            gone.takes_calls = gone.takes_wallet_reads = False
        self.backends = backends
        self.by_name = {backend.name: backend for backend in backends}
        if self.primary is not self.by_name[primary]:
            self.primary = self.by_name[primary]
            self.is_primary_checked = False
            self.written += 1
            for backend in backends:
                backend.aligned_to = None
        self.limits = limits
        self.start_grace, self.expect_return = start_grace, expect_return
        self.slow_start, self.lag_blocks, self.mirror = slow_start, lag_blocks, mirror
        self.is_primary_checked |= not mirror
        for backend in backends:
            backend.slow_start = slow_start
        self.refresh()
        self.on_compare()
        self.on_change()

    def set_primary(self, backend: Backend, epoch: int) -> None:
        """Let another backend allocate and sign, by an epoch that the ledger has; what stays aligned stays so."""
        before, was_aligned = self.primary, self.is_aligned(backend)
        # one that came back and was not looked at since may have forgotten addresses
        was_whole = before.phase.is_serving and not before.is_stranger and self.is_primary_checked
        self.primary, self.epoch = backend, epoch
        if before is not backend:
            before.aligned_to = self.written if was_whole else None
            self.is_primary_checked = was_aligned or not self.mirror
        self.refresh()
        self.on_compare()
        self.on_change()

    # -- writes and alignment -----------------------------------------------------------------------------

    def wrote(self, *, changes_addresses: bool) -> None:
        """Count a call that changes what later reads must see."""
        self.generation += 1
        if changes_addresses:
            self.written += 1
            self.refresh()
            self.on_compare()

    def is_aligned(self, backend: Backend) -> bool:
        """Whether a backend is known to list every address that the primary listed after the last write."""
        if not self.mirror:
            return True
        if backend.is_stranger:
            return False
        if backend is not self.primary:
            return backend.aligned_to == self.written
        # with a ledger it is known what was given out, and a primary that has just come back may list less
        return self.is_primary_checked or not self.epoch

    def mark_stranger(self, backend: Backend, *, is_stranger: bool) -> None:
        """Hear from the mirror whether a backend lists other addresses than are known.

        It gets nothing that concerns a wallet, and nothing else while another one serves.
        """
        if backend.is_stranger is not is_stranger:
            backend.is_stranger = is_stranger
            if is_stranger and backend is self.primary:
                self.is_primary_checked = not self.mirror
            self.refresh()
            self.on_change()

    def doubt_primary(self) -> None:
        """Let money wait until the mirror has looked at the primary again: it may have forgotten addresses."""
        self.doubts += 1
        self.is_primary_checked = not self.mirror
        if self.epoch:
            self.refresh()
        if self.mirror:
            self.on_compare()

    def mark_primary_checked(self, primary: Backend) -> None:
        """Hear from the mirror that the primary lists every address that is known to be given out."""
        if primary is self.primary and primary.phase.is_serving and not self.is_primary_checked:
            self.is_primary_checked = True
            if self.epoch:
                self.refresh()
            self.on_change()

    def mark_aligned(self, backend: Backend, written: int) -> None:
        """Hear from the mirror that a standby holds every address as of the write count `written`."""
        if backend.aligned_to == written:
            return
        was = self.is_aligned(backend)
        first = backend.aligned_to is None
        backend.aligned_to = written
        if first:
            self.emit(Event("backend.aligned", self.name, backend.name, {"written": written}))
        self.refresh()
        if self.is_aligned(backend) and not was:
            self.on_change()

    def lose_alignment(self, backend: Backend, reason: str) -> None:
        """Forget that a standby was aligned: it may have been restarted, and lost what it had not saved."""
        self.on_lost(backend)
        if backend.aligned_to is None:
            return
        backend.aligned_to = None
        self.emit(Event("backend.unaligned", self.name, backend.name, {"reason": reason}))
        self.refresh()

    # -- routing ------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Make the lists anew that calls are routed by."""
        serving = [backend for backend in self.backends if backend.may_serve]
        in_service = sum(backend.phase.is_serving for backend in self.backends)
        self.is_panicking = is_panic(in_service, len(self.backends))
        if self.is_panicking and not serving:
            serving = [backend for backend in self.backends if self._is_least_bad(backend)]
        serving = [backend for backend in serving if not backend.is_stranger] or serving
        self.serving = serving
        kept_free = self.primary if self.primary in serving else next(iter(serving), None)
        self.slow = [backend for backend in serving if backend is not kept_free] or serving
        for backend in self.backends:
            backend.takes_calls = backend.takes_wallet_reads = False
        for backend in serving:
            backend.takes_calls = True
            backend.takes_wallet_reads = self.is_aligned(backend) and self.may_read(backend)
        self.aligned = [backend for backend in serving if backend.takes_wallet_reads]
        self.slots = sum(backend.slots for backend in serving)
        self.best_score = max((backend.score for backend in serving), default=1.0)

    def _is_least_bad(self, backend: Backend) -> bool:
        """Whether reads may fail open to it: it answers and has its wallet, though it is behind."""
        return (
            backend.phase is Phase.EJECTED
            and backend.diagnosis.kind is Kind.ADRIFT
            and backend.level >= backend.top - 1
            and not backend.is_suspect
            and not backend.is_drained
        )

    def candidates(self, lane: Lane) -> list[Backend]:
        """Return the backends that calls of a lane may go to now, whether their slots are free or not."""
        if lane is _ANY:
            return self.serving
        if lane is _WALLET:
            return self.aligned
        if lane is _MONEY:
            return [self.primary] if self.primary.may_serve and self.is_primary_checked else []
        if lane is _LOCAL:
            return [self.primary] if self.primary.takes_calls and not self.primary.is_stranger else []
        return self.slow

    def keeps_wallet_reads(self) -> bool:
        """Whether wallet reads belong to the primary now."""
        primary = self.primary
        return primary.takes_wallet_reads and prefers_primary(
            is_settled_in=primary.phase is _READY,
            is_stalled=primary.is_stalled or primary.probe_is_late,
            score=primary.score,
            best_score=self.best_score,
        )

    def choose(
        self,
        lane: Lane,
        tried: Collection[Backend],
        now: float,
        chance: Callable[[], float],
        *,
        overflow: bool,
    ) -> Backend | None:
        """Return a backend with a free slot for a call, None when it has to wait.

        Args:
            lane: where the call may go; not OWN.
            tried: backends that this call must not see again.
            overflow: a wallet read waited long enough for the primary and may go to another aligned backend.
        """
        if lane is _WALLET and not overflow and self.primary not in tried and self.keeps_wallet_reads():
            return self.primary if self.primary.has_free_slot else None
        candidates = self.candidates(lane)
        count = len(candidates)
        if count > 1 and not tried:
            for _ in range(TRIES if count > FEW else 1):
                one, other = draw(candidates, chance)
                if one.has_free_slot and other.has_free_slot:
                    # any two free ones are drawn as often as any other two, however many are not free
                    return one if one.price(now) <= other.price(now) else other
        free = [backend for backend in candidates if backend.has_free_slot and not (tried and backend in tried)]
        return pick(free, methodcaller("price", now), chance) if free else None

    def has_no_slow_left(self, tried: Collection[Backend]) -> bool:
        """Whether a call that asks the chain server has no backend left but the one that is kept free."""
        return all(backend in tried for backend in self.slow)

    def may_take(self, backend: Backend, lane: Lane, *, overflow: bool) -> bool:
        """Whether a backend whose slot came free may take a waiting call of this lane."""
        if lane is _ANY:
            return backend.takes_calls
        match lane:
            case Lane.MONEY:
                return backend is self.primary and backend.may_serve and self.is_primary_checked
            case Lane.LOCAL:
                return backend is self.primary and backend.takes_calls and not backend.is_stranger
            case Lane.WALLET:
                if backend is self.primary:
                    return backend.takes_wallet_reads
                return backend.takes_wallet_reads and (overflow or not self.keeps_wallet_reads())
            case Lane.SLOW | Lane.PUBLISH:
                return backend.takes_calls and backend in self.slow
            case _:
                return backend.takes_calls

    def has_hope(self, lane: Lane, tried: Collection[Backend], own: Backend | None = None) -> bool:
        """Whether any backend that may take the call serves or may come back by itself.

        `own` is the one backend of an OWN call.  A breaker that is open, a missed deadline and a drain pass;
        a refusing or lastingly silent daemon does not (`may_return` of its diagnosis).
        """
        for one in self._of_lane(lane, own):
            if (one.diagnosis.may_return or one.is_expected) and one not in tried:
                return True
        return False

    def what_ails(self, lane: Lane, own: Backend | None = None) -> str:
        """Say of the backends that calls of a lane could go to what is the matter with each; "" when nothing is."""
        found = [f"{backend.name}: {ailment}" for backend in self._of_lane(lane, own) if (ailment := backend.ailment)]
        if lane is Lane.MONEY and not found and not self.is_primary_checked:
            found = [f"{self.primary.name}: its list of addresses was not seen since it came into service"]
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        return "; ".join(found[:MOST_NAMED]) + more

    def _of_lane(self, lane: Lane, own: Backend | None) -> list[Backend]:
        if lane is _OWN:
            return [] if own is None else [own]
        if lane is _MONEY or lane is _LOCAL:
            return [self.primary]
        return self.backends

    # -- health -------------------------------------------------------------------------------------------

    def review(self, backend: Backend, now: float) -> Diagnosis:
        """Diagnose a backend and carry out what follows for its phase."""
        found = diagnose(backend.facts(), self.limits, now)
        if found.kind is Kind.WEDGED and backend.silent_since is None:
            backend.silent_since = now
            if backend.was_ready:
                self._excuse(backend, now + self.expect_return)
        before, backend.diagnosis = backend.diagnosis, found
        changed = before.may_return != found.may_return
        if found.kind is not before.kind and found.kind is not Kind.OK and not backend.phase.is_in_care:
            self.emit(
                Event(
                    "backend.diagnosed",
                    self.name,
                    backend.name,
                    {"kind": found.kind.value, "reason": found.reason},
                )
            )
        if backend.phase.is_in_care:
            # looks well until it is gone and sick until it is back; who put it there takes it out again
            pass
        elif found.kind is Kind.OK:
            changed |= self._heal(backend, now)
        elif found.is_sick and backend.phase not in _OUT:
            changed |= self._sicken(backend, found, now)
        elif found.kind is Kind.ADRIFT and self._must_serve(backend):
            changed |= self._enter(backend, Signal.HEALED, now, f"{found.reason}, but nobody better serves")
        elif found.kind is Kind.STARTING and backend.phase not in (Phase.STARTING, Phase.FAILED):
            changed |= self._enter(backend, Signal.RETURNED, now, found.reason)
        if changed or before.kind is not found.kind:
            self.refresh()
            self.on_change()
        return found

    def _heal(self, backend: Backend, now: float) -> bool:
        if backend.phase is Phase.WARMING and now - backend.since >= self.slow_start:
            return self._enter(backend, Signal.WARMED, now, "slow start is over")
        if backend.phase in _CAN_HEAL and self._is_proved_well(backend):
            self._note_well(backend)
            return self._enter(backend, Signal.HEALED, now, "semantic probe answered")
        return False

    def _note_well(self, backend: Backend) -> None:
        backend.was_ready = True
        backend.score = 1.0
        backend.grace_until = 0.0

    def _excuse(self, backend: Backend, until: float) -> None:
        """Call a backend starting until then; an excuse that a restart has given lasts as long as that one said."""
        backend.grace_until = max(until, backend.grace_until if backend.phase.is_in_care else 0.0)

    def _must_serve(self, backend: Backend) -> bool:
        """Whether an adrift backend must serve because nobody better does.

        When all drift together the cause is elsewhere, and it would be chance which of them was ejected last.
        """
        return (
            not backend.phase.is_serving
            and not backend.is_suspect
            and not may_eject(Kind.ADRIFT, self._better(backend), has_wallet=backend.level >= Level.LOADED)
        )

    def _better(self, backend: Backend) -> int:
        """Return how many other backends take calls and are not adrift themselves."""
        return sum(
            other.may_serve and other.diagnosis.kind is not Kind.ADRIFT
            for other in self.backends
            if other is not backend
        )

    def _is_proved_well(self, backend: Backend) -> bool:
        return backend.level >= backend.top and not backend.is_suspect

    def _sicken(self, backend: Backend, found: Diagnosis, now: float) -> bool:
        has_wallet = backend.level >= Level.LOADED
        if not may_eject(found.kind, self._better(backend), has_wallet=has_wallet) and backend.phase.is_serving:
            return False
        backend.latency.reset()
        backend.is_stalled = False
        self.lose_alignment(backend, found.reason)
        return self._enter(backend, Signal.SICKENED, now, found.reason)

    def _enter(self, backend: Backend, signal: Signal, now: float, reason: str) -> bool:
        phase = move(backend.phase, signal)
        if phase is backend.phase:
            return False
        before, backend.phase = backend.phase, phase
        lasted, backend.since = now - backend.since, now
        fields: dict[str, object] = {
            "reason": reason,
            "kind": backend.diagnosis.kind.value,
            "before": before.value,
            "lasted": round(lasted, 3),
            "score": round(backend.score, 2),
        }
        if backend is self.primary:
            fields["primary"] = True
        is_loss = phase is Phase.EJECTED or (before.is_serving and not phase.is_serving)
        level = "error" if phase is Phase.FAILED else "warning" if is_loss else "info"
        if phase.is_serving and not before.is_serving:
            if backend is self.primary:
                self.doubt_primary()
            self.on_compare()
        self.emit(Event(f"backend.{phase.value.lower()}", self.name, backend.name, fields, level))
        self.on_phase()
        if phase is Phase.READY and before is Phase.WARMING and self.slow_start <= 0:
            return True
        if phase is Phase.WARMING and self.slow_start <= 0:
            self._enter(backend, Signal.WARMED, now, "no slow start")
        return True

    def _compare_heights(self, now: float) -> None:
        """Note which backends are further behind the highest healthy one than is allowed."""
        heights = [b.height for b in self.backends if b.height is not None and b.level >= b.top]
        highest = max(heights, default=0)
        for backend in self.backends:
            if backend.height is None or backend.height >= highest - self.lag_blocks:
                backend.behind_since = None
            elif backend.behind_since is None:
                backend.behind_since = now

    # -- restarts -----------------------------------------------------------------------------------------

    def order_out(self, backend: Backend, now: float, reason: str) -> None:
        """Let a backend that still answers finish what it has and give it no more: it is to be restarted."""
        if self._enter(backend, Signal.ORDERED_OUT, now, reason):
            self._changed()

    def spare(self, backend: Backend, now: float, reason: str) -> None:
        """Call a restart off before anything was stopped; the next diagnosis says how the backend goes on."""
        backend.step = ""
        if self._enter(backend, Signal.SPARED, now, reason):
            self.review(backend, now)
            self._changed()

    def begin_restart(self, backend: Backend, now: float, reason: str, expected: float) -> None:
        """Hand a backend over to its restart, which `restarted` or `miscarried` ends; it is excused until then.

        Args:
            expected: seconds within which it should be back.
        """
        backend.grace_until = now + expected
        if self._enter(backend, Signal.BEGUN, now, reason):
            self.lose_alignment(backend, "its process is restarted")
            if backend is self.primary:
                self.doubt_primary()
            self.review(backend, now)
            self._changed()

    def renewed(self, backend: Backend, now: float) -> None:
        """Note that the process is gone that everything known of this backend was known of."""
        backend.renew()
        self.review(backend, now)
        self._changed()
        self.on_doubt(backend)

    def restarted(self, backend: Backend, now: float, reason: str) -> None:
        """Let a backend whose restart went well into slow start, as far as probes have proved it."""
        backend.step = ""
        self._note_well(backend)
        if self._enter(backend, Signal.RESTARTED, now, reason):
            self.review(backend, now)
            self._changed()

    def miscarried(self, backend: Backend, now: float, reason: str) -> None:
        """Take a backend whose restart did not go well out of it; probes tell whether it is well all the same."""
        backend.step = ""
        backend.grace_until = 0.0
        if self._enter(backend, Signal.MISCARRIED, now, reason):
            self.review(backend, now)
            self._changed()

    def give_up(self, backend: Backend, now: float, reason: str) -> None:
        """Leave a backend alone that was restarted too often; it serves again as soon as a probe finds it well."""
        if self._enter(backend, Signal.GIVEN_UP, now, reason):
            self._changed()

    def expect(self, backend: Backend, *, back: bool) -> None:
        """Say whether a call may wait for a backend although nobody is there now."""
        if backend.is_expected != back:
            backend.is_expected = back
            self.on_change()

    def drain(self, backend: Backend, *, drained: bool) -> None:
        """Keep calls from a backend, or let them go there again, because an operator wants it."""
        if backend.is_drained != drained:
            backend.is_drained = drained
            self.emit(Event("backend.drained" if drained else "backend.undrained", self.name, backend.name))
            if not drained:
                self.on_compare()
            self._changed()

    def _changed(self) -> None:
        self.refresh()
        self.on_change()

    # -- what attempts and probes report ------------------------------------------------------------------

    def refused(self, backend: Backend, now: float, reason: str) -> None:
        """Note that no connection could be made; a plain refusal proves that nothing of ours runs there any more.

        So does a death that the launcher has heard of (`gone`).
        """
        if reason in ("refused", "gone"):
            backend.settle_all()
        self.lose_alignment(backend, reason)
        if backend is self.primary:
            self.doubt_primary()
        backend.is_suspect, backend.suspected_of = True, reason
        backend.level = Level.NOTHING
        backend.refused_reason = REFUSALS.get(reason, reason)
        backend.is_out_of_reach = reason not in ("refused", "gone")
        if backend.refused_since is None:
            backend.refused_since = now
            if backend.was_ready:
                self._excuse(backend, now + self.expect_return)
        self.review(backend, now)
        self.refresh()

    def suspect(self, backend: Backend, now: float, reason: str) -> None:
        """Send nothing more there until a probe answers, and forget its latency."""
        backend.latency.reset()
        if backend.is_suspect:
            return
        backend.is_suspect, backend.suspected_of = True, reason
        if backend is self.primary:
            self.doubt_primary()
        self.emit(Event("backend.suspected", self.name, backend.name, {"reason": reason}))
        self.review(backend, now)
        self.refresh()
        self.on_doubt(backend)
        self.on_change()

    def probe_answered(self, backend: Backend, now: float, dialled_at: float) -> None:
        """Take in an answered probe; its findings are already on the backend (`level`, `height`)."""
        was_gone = backend.refused_since is not None
        backend.probed_at = now
        backend.settle(dialled_at)
        backend.refused_since = backend.silent_since = backend.unanswered_since = None
        backend.probe_is_late = False
        if was_gone and backend.was_ready and backend.level < backend.top:
            # a new process answers: it may load and sync as long as any fresh one
            self._excuse(backend, now + self.start_grace)
        backend.is_suspect = False
        self._compare_heights(now)
        if backend.level >= backend.top:
            backend.breaker.probe_answered(now)
            # without this one that the calls pass by would keep its low score for ever
            backend.recover()
        self.review(backend, now)
        self.refresh()
        self.on_change()

"""The circuit of one backend: pybreaker keeps state and counts; permits, trials and time are ours.

Rule: a permit is taken before a call and its outcome recorded after; an outcome of an earlier generation
changes nothing, so a straggler can neither open nor close the circuit.

pybreaker alone would not do: its half-open state admits everybody, its cancelled calls count as failures,
its clock is the wall clock and it cannot span an await.  Here it is fed by synchronous `call()` after the
fact, its own time-out is out of reach, and the way from open to half-open is ours: after `open_for`
seconds, and only when a semantic probe has answered.
"""

from contextlib import suppress
from dataclasses import dataclass

import pybreaker

_NEVER = 10**9
"""Seconds; pybreaker's own reset time-out, which must not run out."""

_NO_GENERATION = -1
"""That of no circuit."""


class Fault(Exception):  # noqa: N818 - pybreaker is told a fault by an exception, it is never raised to anybody
    """A backend's fault, as pybreaker wants to see it."""


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one call, of one generation of the circuit."""

    generation: int
    is_trial: bool


class Breaker:
    """One backend's circuit: closed, open or half-open.

    Args:
        failures: faults in a row that open it.
        open_for: seconds that it stays open the first time; doubled each time a trial fails.
        open_for_max: the longest it stays open.
        trials: calls at once while it is half-open.
    """

    __slots__ = (
        "_circuit", "_doubt", "_free_permit", "_open_for", "_open_until", "_trials_out",
        "generation", "open_for", "open_for_max", "trials",
    )  # fmt: skip

    def __init__(self, failures: int, open_for: float, open_for_max: float, trials: int) -> None:
        """Start closed."""
        self._circuit = pybreaker.CircuitBreaker(fail_max=failures, reset_timeout=_NEVER, throw_new_error_on_trip=False)
        self.open_for = open_for
        self.open_for_max = open_for_max
        self.trials = trials
        self.generation = 0
        self._open_for = open_for
        self._open_until = 0.0
        self._trials_out = 0
        self._doubt = False
        self._free_permit = Permit(0, is_trial=False)

    def __repr__(self) -> str:
        """Status line."""
        return f"<Breaker {self.state} failures={self._circuit.fail_counter} generation={self.generation}>"

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return str(self._circuit.current_state)

    @property
    def is_closed(self) -> bool:
        """Whether calls pass freely."""
        return self._circuit.current_state == pybreaker.STATE_CLOSED

    @property
    def failures(self) -> int:
        """Faults in a row."""
        return int(self._circuit.fail_counter)

    def would_admit(self) -> bool:
        """Whether `acquire` would give a permit; changes nothing."""
        state = self._circuit.current_state
        if state == pybreaker.STATE_CLOSED:
            return True
        return bool(state == pybreaker.STATE_HALF_OPEN) and self._trials_out < self.trials

    def acquire(self) -> Permit | None:
        """Take a permit, None when the circuit does not let a call pass."""
        if not self._doubt:
            return self._free_permit
        if not self.would_admit():
            return None
        if self.is_closed:
            return self._free_permit
        self._trials_out += 1
        return Permit(self.generation, is_trial=True)

    def pass_by(self) -> Permit:
        """Return a permit for upkeep: it passes an open circuit, and what comes of it neither closes nor opens it.

        An open circuit waits for a healthy probe, and a daemon that has lost its wallet has none before
        the wallet is loaded: without a way past the circuit the one would wait for the other for ever.
        """
        return Permit(_NO_GENERATION, is_trial=False)

    def success(self, permit: Permit) -> None:
        """Record a complete answer.  While nothing ever went wrong this costs one comparison."""
        if not self._doubt or not self._is_current(permit):
            return
        self._circuit.call(_nothing)
        if permit.is_trial:
            self._trials_out -= 1
        if self.is_closed:
            if permit.is_trial:
                self._next_generation()
                self._open_for = self.open_for
            self._doubt = False

    def fault(self, permit: Permit, now: float) -> bool:
        """Record a backend's fault; return True when this opened the circuit."""
        if not self._is_current(permit):
            return False
        self._doubt = True
        with suppress(Fault):
            self._circuit.call(_fail)
        if self.is_closed:
            return False
        if permit.is_trial:
            self._open_for = min(self._open_for * 2, self.open_for_max)
        self._open_until = now + self._open_for
        self._next_generation()
        return True

    def ignore(self, permit: Permit) -> None:
        """Give the permit back without judging: the caller left, or the other half of a hedge won."""
        if permit.is_trial and self._is_current(permit):
            self._trials_out -= 1

    def probe_answered(self, now: float) -> bool:
        """Hear that a semantic probe found it healthy; return True when that made it half-open."""
        if self._circuit.current_state != pybreaker.STATE_OPEN or now < self._open_until:
            return False
        self._circuit.half_open()
        self._next_generation()
        return True

    def returns_in(self, now: float) -> float:
        """Return the seconds until a probe may make it half-open; 0.0 when it is not open."""
        if self._circuit.current_state != pybreaker.STATE_OPEN:
            return 0.0
        return max(0.0, self._open_until - now)

    def reset(self) -> None:
        """Close it: the process behind it is a new one."""
        self._circuit.close()
        self._open_for = self.open_for
        self._doubt = False
        self._next_generation()

    def _is_current(self, permit: Permit) -> bool:
        return permit.generation == self.generation

    def _next_generation(self) -> None:
        self.generation += 1
        self._trials_out = 0
        self._free_permit = Permit(self.generation, is_trial=False)


def _nothing() -> None:
    """Succeed."""


def _fail() -> None:
    """Fail as a backend failed."""
    raise Fault

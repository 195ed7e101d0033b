"""What a scenario is: who works, what fails when, and what has to come of it.

Rule: data only; nothing here looks at a clock or a process.  Times are seconds since the clients began.
"""

from dataclasses import dataclass

STAYS = float("inf")
"""How long a fault lasts that only the gateway ends, by a restart; before another door, until the clients stop."""


@dataclass(frozen=True, slots=True)
class At:
    """One fault of a time line.

    Args:
        at: when it begins.
        fault: its name in `faults.FAULTS`.
        target: which wallet, or 0.
        lasts: seconds until it is healed, or STAYS.
        value: its measure, where it has one.
    """

    at: float
    fault: str
    target: int = 0
    lasts: float = 2.0
    value: float = 0.0

    @property
    def stays(self) -> bool:
        """Whether only the gateway ends it."""
        return self.lasts == STAYS


@dataclass(frozen=True, slots=True)
class Promise:
    """What a figure of the run may be at most before our gateway.

    Args:
        figure: its name in the result.
        most: the limit.
        is_strict: a miss is a violation; else it is only shown, for it is a time and depends on the machine.
    """

    figure: str
    most: float
    is_strict: bool = False


NO_ERROR = Promise("read_errors", 0, is_strict=True)
QUICK = Promise("slowest_read_ms", 50)
UNFELT = Promise("felt_for_s", 0.05)
ONE_AWAY = (NO_ERROR, QUICK, UNFELT)
"""What holds while one of three wallets is away."""

NONE_FAILS = Promise("failed_allocations", 0, is_strict=True)
ADDRESSES = (NONE_FAILS, Promise("slowest_allocation_ms", 3000, is_strict=True))
"""What holds of addresses in each scenario that does not say why it cannot: the ledger has them, whichever wallet is
away, and what has to wait for another primary waits no longer than the design allows."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a figure of a run before our gateway comes to at least, or its faults had no effect.

    Args:
        figure: its name in the result.
        least: far less than the fault has to cost, so that it says whether and not how much.
    """

    figure: str
    least: float = 1.0


SOME_FAIL = (Effect("read_errors"),)
NO_ADDRESS = (Effect("failed_allocations"),)


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that the gateway has to log after the first fault, or the fault had no effect.

    Args:
        event: its name, as "backend.ejected".
        backend: whose, "" for anybody's.
    """

    event: str
    backend: str = ""

    @property
    def words(self) -> str:
        """As a report says it."""
        return f"{self.event} of {self.backend}" if self.backend else self.event


def signs(event: str, *wallets: int) -> tuple[Sign, ...]:
    """Return an event of some wallets, which are counted as the targets of faults are."""
    return tuple(Sign(event, f"ec-{n + 1}") for n in wallets)


def out(*wallets: int) -> tuple[Sign, ...]:
    """Return that some wallets went out of service."""
    return signs("backend.ejected", *wallets)


def restarted(*wallets: int) -> tuple[Sign, ...]:
    """Return that some wallets were restarted."""
    return signs("backend.restarting", *wallets)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run.

    Args:
        name: as in `make chaos SCENARIO=...`.
        words: a sentence for whoever reads the report.
        line: what fails when.
        workload: its name in `workloads.WORKLOADS`.
        seconds: how long the clients work.
        peers: whether it is made before other doors as well.  Not where a fault is of our gateway alone; and not where
            it could be done, but asks what no balancer claims to do (heights, balances, old files, its own ordered
            restart, a takeover) or what another scenario shows: half a minute a door of the budget.
        is_smoke: whether `make test` makes it.
        promises: of figures, beside `ADDRESSES`.  Invariants are judged in any case.
        addresses_may_wait: why `ADDRESSES` is not promised; "" where it is.
        expects: signs without which the run shows nothing.
        effects: what its faults have to cost, where they cannot be felt by nobody.
        is_drawn: from a seed: then a fault may fall into the restart that another one led to, and is left out.
    """

    name: str
    words: str
    line: tuple[At, ...]
    workload: str = "shop"
    seconds: float = 12.0
    peers: bool = True
    is_smoke: bool = False
    promises: tuple[Promise, ...] = ()
    addresses_may_wait: str = ""
    expects: tuple[Sign, ...] = ()
    effects: tuple[Effect, ...] = ()
    is_drawn: bool = False

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of its faults, each once."""
        return tuple(dict.fromkeys(one.fault for one in self.line))

"""What the rules of restarts are asked with and what they answer: backends, a wallet's view, acts, causes, verdicts.

Rule: everything here is a fact or a word for one; what follows from them is in `rules/restart.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.base.levels import Level
from gateway.rules.health import Kind
from gateway.rules.lifecycle import Phase
from gateway.rules.records import Record


class Act(StrEnum):
    """What is done."""

    RESTART = "restart"
    """End what is there, and start it."""
    START = "start"
    """Start it where it may be running, and end nothing."""
    RELOAD = "reload"
    """Close and load the wallet."""
    LOAD = "load"
    """Load the wallet of a daemon that has none."""

    @property
    def is_by_launcher(self) -> bool:
        """Whether its launcher does it."""
        return self in (Act.RESTART, Act.START)


class Cause(StrEnum):
    """Why."""

    DEAD = "dead"
    WEDGED = "wedged"
    LOST = "lost"
    ADRIFT = "adrift"
    UNLOADED = "unloaded"
    ORDER = "order"
    CRON = "cron"
    AGE = "age"
    MEMORY = "memory"

    @property
    def is_urgent(self) -> bool:
        """Whether the daemon serves nobody, so that nothing is lost by ending it."""
        return self in (Cause.DEAD, Cause.WEDGED)

    @property
    def is_preventive(self) -> bool:
        """Whether nothing is wrong yet."""
        return self in (Cause.CRON, Cause.AGE, Cause.MEMORY)


@dataclass(frozen=True, slots=True)
class Patient:
    """One backend as far as restarts ask; times are loop time, None is "not".

    Args:
        is_well: in service and nothing found.
        is_whole: lists every address that was given out.
        can_restart: there is a launcher.
        is_gone: its launcher says that no process is there.
        is_starting: its launcher says that somebody starts it right now.
        is_refused: connections are refused, which proves that nothing of ours runs there.
        is_away: no connection can be made, for whatever reason: nobody answers for it there.
        is_unreached: its host refuses nothing and answers nothing, so that the way there may be what is gone.
        is_blind: its launcher cannot say how its process is.
        start_ends: its launcher's order to start ends what runs, because it has no other than to restart.
        tried: what its launcher did in vain since it could be reached last; RESTART once that was among it.
        was_heard: it has answered since the gateway's start, which proves that no call from before runs there.
        met_at: when the gateway began with it as it is now; a reload may have made it anew.
        is_denied: it refuses the gateway's password; a restart would not change that.
        ill_since: since when the finding (`kind`) is what it is; where it cannot be reached and its launcher is blind,
            since when nobody could.
        shared_at: when another one had last what it has; 0.0 for never.
        busy_until: when the last call there has had all the time of its class.
        reloaded_at: when its wallet was reloaded, in this illness or one that it had a short while before.
        can_reload: its family's wallets are closed and loaded by plain calls.
        load_at: when loading its wallet may be tried again.
        is_in_hands: somebody else works on its wallet (reload, reinit).
        order: why an operator wants it restarted; "" for no order.
        is_due: a time of `preventive.cron` has come and it has not been restarted since.
        age: seconds since its process began; memory_share: of its limit.
        no_help_at: when it was seen that a restart for its memory does not help; None once it took less.
    """

    name: str
    kind: Kind
    phase: Phase
    level: Level
    is_well: bool
    is_whole: bool
    record: Record
    can_restart: bool = True
    is_gone: bool = False
    is_starting: bool = False
    is_refused: bool = False
    is_away: bool = False
    is_unreached: bool = False
    is_blind: bool = False
    start_ends: bool = False
    tried: Act | None = None
    was_heard: bool = True
    met_at: float = 0.0
    is_denied: bool = False
    ill_since: float = 0.0
    shared_at: float = 0.0
    busy_until: float | None = None
    reloaded_at: float | None = None
    can_reload: bool = False
    load_at: float = 0.0
    is_held: bool = False
    is_drained: bool = False
    is_in_hands: bool = False
    order: str = ""
    is_due: bool = False
    age: float | None = None
    memory_share: float | None = None
    no_help_at: float | None = None

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the way to it is gone, which says little of the daemon, and not its port, which says all."""
        return self.is_away and not self.is_refused


@dataclass(frozen=True, slots=True)
class Prevention:
    """When healthy daemons are restarted, besides cron; None is never."""

    max_age: float | None = None
    memory_share: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A wallet.

    Args:
        under_way: those whose process is down, or whose wallet is not loaded yet, by our hand.
        settling: those that were restarted and wait for their chain and the mirror, and those whose wallet is being
            loaded; they keep only restarts waiting that have time.
        started_at: when the gateway began to care for the wallet.
        may_be_cut_off: another gateway has not tried yet whether it reaches daemons that this one does not.
    """

    patients: Sequence[Patient]
    started_at: float
    under_way: frozenset[str] = frozenset()
    settling: frozenset[str] = frozenset()
    prevention: Prevention = field(default=Prevention())
    may_be_cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done about one backend now.

    Args:
        act: None is nothing.
        cause: what would be done something about; None when nothing is the matter.
        reason: why it is done, or why it is not, for a person; "" when nothing is the matter.
        at: when that may change by time alone; None when not.
        gives_up: it is beyond the cap with this.
        would: what is done as soon as those are ready that go first.
    """

    name: str
    act: Act | None = None
    cause: Cause | None = None
    reason: str = ""
    at: float | None = None
    gives_up: bool = False
    would: Act | None = None

"""The faults of a run: a list that follows from its seed alone.

Rule: nothing here looks at a clock or a process; times are seconds since the clients began.  One target has one fault
at a time, so that the end of each is the end of what it did.

With restarts, faults of the gateway's own cure are among them: nobody but the gateway ends what `stays`.  With several
gateways, faults of each of them are, of the ways between them, and of the database that they share.
"""

import random
from dataclasses import dataclass, replace

DAEMONS = 3

LONGEST = 4.0
"""Seconds; a fault that lasts longer says so itself."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: what it is done to, how often compared with others, how long it lasts."""

    lane: str
    """`daemon`, `gateway`, `database` or `operator`; each daemon and each gateway is a lane of its own."""
    weight: int
    shortest: float
    longest: float
    values: tuple[float, ...] = (0.0,)
    among: int = 0
    """How often where there are several gateways; 0: as often as with one."""


KINDS = {
    "freeze": Kind("daemon", 6, 0.3, LONGEST),
    "kill": Kind("daemon", 5, 0.1, 2.5),
    "wipe": Kind("daemon", 3, 0.1, 2.0, (0.0, 0.0, 0.1)),
    "wedge": Kind("daemon", 3, 0.5, LONGEST),
    "slow": Kind("daemon", 2, 0.5, 3.0, (0.05, 0.2, 0.6)),
    "behind": Kind("daemon", 2, 1.0, LONGEST, (1, 2, 3)),
    "wrong_balance": Kind("daemon", 2, 1.0, LONGEST),
    "lose_chain": Kind("daemon", 1, 0.5, 3.0),
    "silent_chain": Kind("daemon", 1, 0.5, 3.0),
    "promote": Kind("operator", 4, 0.0, 0.0),
    "gateway_kill": Kind("gateway", 3, 0.0, 0.8, among=5),
    "disk_full": Kind("gateway", 2, 0.3, 1.5),
    "restart": Kind("operator", 0, 0.0, 0.0),
    # what there is with several gateways alone
    "gateway_freeze": Kind("gateway", 0, 0.3, 7.0, among=6),
    "gateway_stop": Kind("gateway", 0, 0.0, 2.0, among=2),
    "handover": Kind("operator", 0, 0.0, 0.0, among=4),
    "cut_database": Kind("gateway", 0, 0.3, 7.0, among=3),
    "cut_wallets": Kind("gateway", 0, 0.3, 5.0, among=2),
    "cut_gateways": Kind("gateway", 0, 0.3, 5.0, among=2),
    "cut_off": Kind("gateway", 0, 0.3, 7.0, among=4),
    "database_stop": Kind("database", 0, 0.0, 2.5, among=1),
    "database_kill": Kind("database", 0, 0.0, 2.5, among=1),
    "database_freeze": Kind("database", 0, 0.3, 5.0, among=2),
}

ALONE = frozenset({"disk_full", "restart"})
"""Kinds that there are with one gateway alone: its file on its disk, and the processes that it starts."""

CUTS = frozenset({"cut_database", "cut_wallets", "cut_gateways", "cut_off"})
"""Faults of ways: between one gateway and the database, the wallets, the other gateways, or all and its clients."""

ORDERS = 4
"""How often a restart is ordered, compared with the other faults, where there is somebody to carry it out."""

STAYS = {"kill": 1.0, "wipe": 1.0, "freeze": 0.5, "wedge": 0.6}
"""How many of these are left for the gateway to end, where it restarts daemons."""

HEALS = 5.0
"""Seconds that are kept free for that; what takes longer leaves the next fault of that daemon out."""

SWITCHES = frozenset({"slow", "behind", "wrong_balance", "lose_chain", "silent_chain"})
"""Faults that a daemon has a switch for."""

OUT_OF_REACH = frozenset({"freeze", "kill", "wipe", "wedge"})
"""Faults after which a daemon answers nobody."""

SLOW_TO_LEARN = 3.0
"""Seconds for which a daemon that came back with an old file may take its time for each call."""

QUIET_START = 1.0
"""Seconds without a fault, so that there is something to lose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    at: float
    kind: str
    target: int
    """The daemon or the gateway; for `promote` the daemon that shall be primary; for the rest 0."""
    lasts: float
    value: float = 0.0
    stays: bool = False
    """Until the gateway restarts the daemon, or lets it go on."""

    @property
    def lane(self) -> str:
        """What can have only one fault at a time."""
        lane = KINDS[self.kind].lane
        return f"{lane} {self.target}" if lane in {"daemon", "gateway"} else lane


def plan(
    seed: int, seconds: float, *, restarts: bool = False, gateways: int = 1, without: frozenset[str] = frozenset()
) -> list[Fault]:
    """Return the faults of a run in the order of their beginnings.

    Args:
        restarts: the gateway restarts daemons.
        without: kinds that cannot be had here; what else happens stays the same.
    """
    chance = random.Random(f"faults {seed}")
    names = list(KINDS)
    weights = [_weight(name, restarts=restarts, gateways=gateways) for name in names]
    free_from: dict[str, float] = {}
    faults: list[Fault] = []
    at = QUIET_START
    # One hard hour in four: a fault each half second; else one in each second or two.
    pause = chance.choice((0.5, 0.9, 1.2, 1.6))
    while True:
        at += chance.expovariate(1 / pause)
        name = chance.choices(names, weights)[0]
        kind = KINDS[name]
        lasts = round(chance.uniform(kind.shortest, kind.longest), 2)
        # in one of six the outage outlasts everything, so that the others have to do
        if kind.lane == "daemon" and chance.random() < 1 / 6:
            lasts = round(chance.uniform(LONGEST, max(LONGEST, seconds - at)), 2)
        # the first is primary until it fails, and there is most to lose there
        target = {"daemon": chance.choice((0, 0, 1, 2)), "operator": chance.randrange(DAEMONS)}.get(kind.lane, 0)
        if kind.lane == "gateway" and gateways > 1:
            target = chance.randrange(gateways)
        fault = Fault(round(at, 2), name, target, lasts, chance.choice(kind.values))
        if restarts and (name == "restart" or chance.random() < STAYS.get(name, 0.0)):
            fault = replace(fault, lasts=HEALS, stays=True)
        if at > seconds - 0.5:
            return faults
        if fault.at >= free_from.get(fault.lane, 0.0) and name not in without:
            faults.append(fault)
            slow = SLOW_TO_LEARN if name == "wipe" and fault.value else 0.0
            free_from[fault.lane] = fault.at + fault.lasts + 0.3 + slow


def _weight(name: str, *, restarts: bool, gateways: int) -> int:
    kind = KINDS[name]
    if gateways > 1:
        return 0 if name in ALONE else kind.among or kind.weight
    return ORDERS if restarts and name == "restart" else kind.weight

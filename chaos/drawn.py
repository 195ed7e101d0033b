"""Scenarios that follow from a seed: many faults in a short time, in combinations that nobody thought of.

Rule: drawn from the seed and this table alone, and only from faults that need nothing of the machine, so that a seed
gives the same line wherever it is repeated.  One target of one lane has one fault at a time.
"""

import random
from dataclasses import dataclass

from chaos.faults import FAULTS
from chaos.line import OF_WALLETS
from chaos.script import STAYS, At, Scenario
from tests.checker.plan import DAEMONS

NAME = "random"

SECONDS = 20.0
QUIET_START = 1.5
LAST = 2.0
"""Seconds before the end in which nothing begins."""

HEALS = 7.0
"""Seconds that are kept free for what the gateway ends."""


RETURNS = {"wallet": 1.5, "gateway": 4.0}
"""Seconds in which a process is there again when its fault is over."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How often a fault is drawn compared with others, how long it lasts, and its measures.

    stays: the share of them that only the gateway ends.
    """

    weight: int
    shortest: float
    longest: float
    values: tuple[float, ...] = (0.0,)
    stays: float = 0.0


DRAWS = {
    "freeze": Draw(6, 0.3, 5.0, stays=0.4),
    "wedge": Draw(4, 0.5, 5.0, stays=0.6),
    "kill": Draw(5, 0.1, 2.0, stays=1.0),
    "sigterm": Draw(1, 0.1, 2.0),
    "rpc_stop": Draw(2, 0.1, 2.0),
    "rollback": Draw(3, 0.1, 2.0, (0.0, 0.0, 0.1)),
    "unload": Draw(1, 0.5, 2.0),
    "slow": Draw(2, 0.5, 4.0, (0.05, 0.2, 0.6)),
    "silent_chain": Draw(1, 0.5, 4.0),
    "lose_chain": Draw(1, 0.5, 4.0),
    "height_stuck": Draw(1, 1.0, 4.0, (1.0, 2.0)),
    "wrong_balance": Draw(1, 1.0, 4.0),
    "wrong_seed": Draw(1, 1.0, 4.0),
    "half_sent": Draw(2, 0.5, 5.0, stays=0.5),
    "full_queue": Draw(1, 0.5, 4.0, stays=0.5),
    "hang_up": Draw(1, 1.0, 5.0, (30.0,)),
    "slow_reader": Draw(1, 1.0, 5.0, (20.0,)),
    "flood": Draw(1, 1.0, 4.0, (64.0,)),
    "gateway_kill": Draw(2, 0.0, 0.8),
    "gateway_restart": Draw(1, 0.0, 0.5),
    "gateway_freeze": Draw(2, 0.3, 4.0),
}


def scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    chance = random.Random(f"chaos {seed}")
    pause = chance.choice((0.8, 1.4, 2.0))
    workload = chance.choice(("shop", "money", "mixed"))
    free_from: dict[str, float] = {}
    line: list[At] = []
    at = QUIET_START
    while True:
        at = round(at + chance.expovariate(1 / pause), 2)
        name = chance.choices(list(DRAWS), [draw.weight for draw in DRAWS.values()])[0]
        draw = DRAWS[name]
        # the first is primary until it fails, and there is most to lose there
        target = chance.choice((0, 0, *range(1, DAEMONS))) if FAULTS[name].lane in OF_WALLETS else 0
        lasts = STAYS if chance.random() < draw.stays else round(chance.uniform(draw.shortest, draw.longest), 2)
        value = chance.choice(draw.values)
        if at > SECONDS - LAST:
            break
        lane = f"{FAULTS[name].lane} {target}"
        if at < free_from.get(lane, 0.0):
            continue
        free_from[lane] = at + (HEALS if lasts == STAYS else lasts + RETURNS.get(FAULTS[name].lane, 0.0))
        line.append(At(at, name, target, lasts, value))
    words = f"Drawn from seed {seed}: {', '.join(one.fault for one in line) or 'nothing'}."
    return Scenario(
        NAME, words, tuple(line), workload, SECONDS, peers=False, is_drawn=True,
        addresses_may_wait="the gateway itself is among the targets",
    )  # fmt: skip

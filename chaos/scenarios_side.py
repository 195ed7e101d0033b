"""The scenarios by which doors are compared: one of three wallets goes away for ten seconds, at two paces.

Rule: the same clients, the same fault at the same moment, before each door; where nobody but our gateway restarts a
wallet, the fault ends after its ten seconds all the same, as an operator would see to it.
"""

from chaos.script import ONE_AWAY, At, Promise, Scenario, out

ONCE = Promise("duplicates", 0, is_strict=True)

AIMED = 0.05
"""Seconds from a fault to the read that has to meet it, where reads are seldom."""


def _steady(name: str, words: str, fault: str) -> Scenario:
    return Scenario(
        name,
        f"{words} for ten seconds, while 40 reads and 3 addresses a second are asked for.",
        (At(5.0, fault, 0, 10.0),),
        workload="counter",
        seconds=20.0,
        promises=(*ONE_AWAY, ONCE),
        expects=out(0),
    )


def _seldom(name: str, words: str, fault: str) -> Scenario:
    # at the pace of the incident, and 50 ms before a read: nobody but this read can have noticed anything
    return Scenario(
        name,
        f"{words} for 25 seconds, while 6 reads and 6 addresses a minute are asked for.",
        (At(30.0 - AIMED, fault, 0, 25.0),),
        workload="trickle",
        seconds=60.0,
        promises=(*ONE_AWAY, ONCE),
        expects=out(0),
    )


SIDE_BY_SIDE: tuple[Scenario, ...] = (
    _steady("side_frozen", "The wallet that gives addresses stands still", "freeze"),
    _steady("side_wedged", "A foreign connection that says nothing wedges the wallet that gives addresses", "wedge"),
    _steady("side_killed", "The wallet that gives addresses is dead", "kill"),
    _seldom("side_frozen_seldom", "The wallet that gives addresses stands still", "freeze"),
    _seldom("side_wedged_seldom", "A foreign connection wedges the wallet that gives addresses", "wedge"),
    _seldom("side_killed_seldom", "The wallet that gives addresses is dead", "kill"),
)

"""Every scenario by its name: what befalls wallets, doors and chains, one for each fault at least, and combinations.

Rule: a scenario is data; what is drawn from a seed is drawn by `drawn.py`.
"""

from chaos.scenarios_outside import OUTSIDE
from chaos.scenarios_side import SIDE_BY_SIDE
from chaos.script import (
    NO_ERROR,
    NONE_FAILS,
    ONE_AWAY,
    SOME_FAIL,
    STAYS,
    At,
    Effect,
    Promise,
    Scenario,
    out,
    restarted,
    signs,
)  # fmt: skip

AGAIN = Promise("restored_after_s", 7.0)
"""Seconds from a fault that needs a restart until every wallet serves: five, and the daemon's own start."""

WALLETS = (
    Scenario(
        "incident",
        "The day behind all this: a silent connection takes the wallet's daemon away from everybody, its port stays "
        "open, and a service asks six times a minute.",
        (At(12.0, "wedge", 0, STAYS),),
        workload="trickle",
        seconds=60.0,
        promises=ONE_AWAY,
        expects=restarted(0),
    ),
    Scenario(
        "freeze",
        "The primary stands still for six seconds.",
        (At(3.0, "freeze", 0, 6.0),),
        promises=ONE_AWAY,
        expects=out(0),
    ),
    Scenario(
        "freeze_readers",
        "The same at 40 reads a second, and nobody but the gateway ends it.",
        (At(3.0, "freeze", 0, STAYS),),
        workload="readers",
        promises=(*ONE_AWAY, AGAIN),
        expects=restarted(0),
    ),
    Scenario(
        "wedge_readers",
        "A foreign connection that says nothing wedges one of three at 40 reads a second, until its daemon is ended.",
        (At(3.0, "wedge", 0, STAYS),),
        workload="readers",
        promises=(*ONE_AWAY, AGAIN),
        expects=restarted(0),
    ),
    Scenario(
        "kill_readers",
        "One of three is killed at 40 reads a second.",
        (At(3.0, "kill", 0, STAYS),),
        workload="readers",
        promises=(*ONE_AWAY, AGAIN),
        expects=restarted(0),
    ),
    Scenario(
        "kill",
        "The primary is killed while addresses are handed out and payments are signed; what it had not saved is lost.",
        (At(3.0, "kill", 0, STAYS),),
        workload="money",
        promises=(NO_ERROR,),
        expects=restarted(0),
    ),
    Scenario(
        "sigterm",
        "A standby, then the primary are told to end.",
        (At(2.0, "sigterm", 1, 1.0), At(7.0, "sigterm", 0, 1.0)),
        promises=ONE_AWAY,
        expects=restarted(0, 1),
    ),
    Scenario(
        "rpc_stop",
        "Somebody stops the primary by its own RPC.",
        (At(3.0, "rpc_stop", 0, 2.0),),
        promises=ONE_AWAY,
        expects=restarted(0),
    ),
    Scenario(
        "rollback",
        "A standby comes back as it was before anybody came, and is slow to learn; then the primary stands still.",
        (At(2.0, "rollback", 1, 3.0, 0.1), At(4.0, "freeze", 0, 4.0)),
        workload="money",
        promises=(NO_ERROR,),
        expects=(*restarted(1), *signs("backend.unaligned", 1), *out(0)),
    ),
    Scenario(
        "rollback_all",
        "All three come back from an old copy, one after the other: what was handed out since is in the ledger alone.",
        (At(2.0, "rollback", 1, 1.0), At(5.0, "rollback", 2, 1.0), At(8.0, "rollback", 0, 1.0)),
        seconds=16.0,
        peers=False,
        promises=(NO_ERROR,),
        expects=restarted(0, 1, 2),
    ),
    Scenario(
        "silent_chain",
        "The primary's server says nothing, and whoever asks for it wedges the daemon.",
        (At(3.0, "silent_chain", 0, 8.0),),
        seconds=14.0,
        promises=(NO_ERROR,),
        expects=out(0),
    ),
    Scenario(
        "lose_chain",
        "The primary has lost the chain.",
        (At(3.0, "lose_chain", 0, 6.0),),
        promises=(NO_ERROR,),
        expects=out(0),
    ),
    Scenario(
        "height_stuck",
        "The primary stands at its height while blocks are found, for longer than it may lag behind the others.",
        (At(2.0, "height_stuck", 0, 22.0, 1.0),),
        workload="money",
        seconds=28.0,
        peers=False,
        promises=(NO_ERROR,),
        expects=out(0),
    ),
    Scenario(
        "unload",
        "A standby's and then the primary's wallet is closed behind its back.",
        (At(2.0, "unload", 2, 2.0), At(6.0, "unload", 0, 2.0)),
        promises=(NO_ERROR,),
        expects=out(0, 2),
    ),
    Scenario(
        "wrong_seed",
        "A standby comes back with another wallet in its place; later it is the right one again.",
        (At(2.0, "wrong_seed", 1, 5.0),),
        workload="money",
        peers=False,
        promises=(NO_ERROR,),
        expects=signs("backend.diverged", 1),
    ),
    Scenario(
        "wrong_seed_primary",
        "The primary itself comes back with another wallet in its place.",
        (At(2.0, "wrong_seed", 0, 5.0),),
        workload="money",
        peers=False,
        promises=(NO_ERROR,),
        expects=signs("backend.diverged", 0),
    ),
    Scenario(
        "wrong_balance",
        "The primary misses a receipt and claims to be in step; nobody pays, for a payment begins the count anew.",
        # ten seconds until balances are compared, ten of grace, and readings that a receipt has overtaken
        (At(3.0, "wrong_balance", 0, 40.0),),
        workload="counter",
        seconds=46.0,
        peers=False,
        promises=(NO_ERROR,),
        expects=signs("backend.reloaded", 0),
    ),
    Scenario(
        "slow", "Each call of the primary takes 0.4 s longer.", (At(3.0, "slow", 0, 6.0, 0.4),), promises=(NO_ERROR,)
    ),
)

GATEWAYS = (
    Scenario(
        "gateway_kill",
        "The door itself is killed and started again, twice.",
        (At(3.0, "gateway_kill", 0, 0.3), At(9.0, "gateway_kill", 0, 0.3)),
        workload="money",
        seconds=18.0,
        addresses_may_wait="the gateway itself is away",
        effects=SOME_FAIL,
    ),
    Scenario(
        "gateway_restart",
        "The door is stopped in order and started again.",
        (At(4.0, "gateway_restart", 0, 0.2),),
        workload="money",
        seconds=14.0,
        peers=False,
        addresses_may_wait="the gateway itself is away",
        effects=SOME_FAIL,
    ),
    Scenario(
        "gateway_freeze",
        "The door stands still for four seconds, and goes on with what it had begun.",
        (At(4.0, "gateway_freeze", 0, 4.0),),
        workload="money",
        seconds=14.0,
        addresses_may_wait="the gateway itself is away",
        effects=(Effect("slowest_read_ms", 1000),),
    ),
)

TOGETHER = (
    Scenario(
        "smoke",
        "What `make test` makes: the primary stands still for a second, then a standby is killed.",
        (At(1.0, "freeze", 0, 1.0), At(2.5, "kill", 1, STAYS)),
        seconds=5.0,
        peers=False,
        is_smoke=True,
        promises=(NO_ERROR,),
        expects=restarted(1),
    ),
    Scenario(
        "two_away",
        "The primary is killed while a standby stands still: one of three has to do.",
        (At(3.0, "freeze", 1, 6.0), At(4.0, "kill", 0, STAYS)),
        promises=(NO_ERROR,),
        expects=(*out(1), *restarted(0)),
    ),
    Scenario(
        "all_away",
        "All three stand still at once: nobody can answer reads, and addresses go on.",
        (At(3.0, "freeze", 0, 3.0), At(3.0, "freeze", 1, 3.0), At(3.0, "freeze", 2, 3.0)),
        seconds=14.0,
        expects=out(0, 1, 2),
        effects=(Effect("slowest_read_ms", 1000),),
    ),
    Scenario(
        "rolling_kills",
        "One after the other is killed, each as soon as the last may be back.",
        (At(2.0, "kill", 0, STAYS), At(7.0, "kill", 1, STAYS), At(12.0, "kill", 2, STAYS)),
        workload="money",
        seconds=18.0,
        promises=(NO_ERROR,),
        expects=restarted(0, 1, 2),
    ),
    Scenario(
        "kill_at_takeover",
        "The primary stands still, and the gateway is killed while it makes another one primary.",
        # a silent primary is given up 1.5 s on, and another one is primary ten milliseconds later: which side of that
        # the kill falls on is chance, so that no sign of it can be expected
        (At(3.0, "freeze", 0, 8.0), At(4.5, "gateway_kill", 0, 0.2)),
        workload="money",
        seconds=18.0,
        peers=False,
        addresses_may_wait="the gateway itself is away",
        effects=SOME_FAIL,
    ),
    Scenario(
        "stale_standby_promoted",
        "A standby comes back with an old file just before the primary is killed.",
        (At(3.0, "rollback", 1, 0.5), At(3.4, "kill", 0, STAYS)),
        workload="money",
        seconds=14.0,
        peers=False,
        promises=(NO_ERROR,),
        expects=restarted(0, 1),
    ),
    Scenario(
        "mixed_day",
        "The checker's clients, who label, hang up and take invoices back, through a freeze, a kill and a lost chain.",
        (At(2.0, "freeze", 0, 3.0), At(8.0, "kill", 1, STAYS), At(13.0, "lose_chain", 2, 3.0)),
        workload="mixed",
        seconds=20.0,
        peers=False,
        # the frozen one may have a long call of ours and count as busy, and the freeze is over before that is doubted
        expects=restarted(1),
        promises=(NONE_FAILS,),
        addresses_may_wait="the primary waits for its lost chain for three seconds, and ten clients empty the pool",
    ),
)


def _named(*groups: tuple[Scenario, ...]) -> dict[str, Scenario]:
    found = [one for group in groups for one in group]
    names = [one.name for one in found]
    if len(set(names)) != len(names):
        raise ValueError(f"two scenarios have one name: {sorted(names)}")
    return {one.name: one for one in found}


SCENARIOS: dict[str, Scenario] = _named(WALLETS, GATEWAYS, TOGETHER, SIDE_BY_SIDE, OUTSIDE)
"""In the order in which `make chaos` makes them."""

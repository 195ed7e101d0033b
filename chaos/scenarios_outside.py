"""Scenarios of what befalls the ways, the disk, the clock, names, the database and clients.

Rule: as in `scenarios`.
"""

from chaos.script import (
    NO_ADDRESS,
    NO_ERROR,
    ONE_AWAY,
    SOME_FAIL,
    STAYS,
    At,
    Effect,
    Scenario,
    out,
    restarted,
)  # fmt: skip


def _everywhere(kind: str, to_wallet: float = 0.0, from_wallet: float = 0.0, door: float = 0.0) -> tuple[At, ...]:
    """Return a toxic in each way, one after the other: the primary's, then the clients'."""
    return (
        At(2.0, f"{kind}_to_wallet", 0, 2.5, to_wallet),
        At(6.0, f"{kind}_from_wallet", 0, 2.5, from_wallet),
        At(10.0, f"{kind}_to_door", 0, 1.5, door),
        At(12.5, f"{kind}_from_door", 0, 1.5, door),
    )


WAYS = (
    Scenario(
        "latency",
        "What goes to the primary, and what comes from it, takes 0.4 s; then what goes to the door and comes from it.",
        _everywhere("latency", 0.4, 0.4, 0.2),
        seconds=16.0,
        promises=(NO_ERROR,),
        effects=(Effect("slowest_read_ms", 200),),
    ),
    Scenario(
        "bandwidth",
        "One kB a second fits through the way to the primary and back, then through the one to the door.",
        _everywhere("bandwidth", 1, 1, 20),
        seconds=16.0,
        addresses_may_wait="the way between clients and gateway is among those that fail",
        effects=(Effect("slowest_read_ms", 100),),
    ),
    Scenario(
        "slow_close",
        "That somebody has closed a connection is heard a second later, on both sides.",
        _everywhere("slow_close", 1.0, 1.0, 1.0),
        seconds=16.0,
        promises=(NO_ERROR,),
    ),
    Scenario(
        "timeout",
        "The way to the primary swallows everything and tells nobody, then the way back, then the clients' ways.",
        _everywhere("timeout"),
        seconds=18.0,
        addresses_may_wait="the way between clients and gateway is among those that fail",
        effects=SOME_FAIL,
    ),
    Scenario(
        "reset_peer",
        "Connections to the primary are reset before and after it has done what it was asked; then the clients'.",
        _everywhere("reset_peer", 0.0, 0.05, 0.05),
        workload="money",
        seconds=16.0,
        addresses_may_wait="the way between clients and gateway is among those that fail",
        effects=SOME_FAIL,
    ),
    Scenario(
        "slicer",
        "Every message comes byte by byte, on both sides.",
        _everywhere("slicer", 4, 4, 16),
        seconds=16.0,
        promises=(NO_ERROR,),
        effects=(Effect("slowest_read_ms", 100),),
    ),
    Scenario(
        "shut_way",
        "Nobody listens where the primary was, for three seconds; its daemon is well.",
        (At(3.0, "shut_way", 0, 3.0),),
        workload="money",
        promises=ONE_AWAY,
        expects=out(0),
    ),
    Scenario(
        "limit_data",
        "Connections end in the middle of a request or an answer, on both sides.",
        _everywhere("limit_data", 100, 40, 60),
        workload="money",
        seconds=16.0,
        addresses_may_wait="the way between clients and gateway is among those that fail",
        effects=SOME_FAIL,
    ),
)

CONNECTIONS = (
    Scenario(
        "half_sent",
        "Foreign connections hold half a request at the primary's daemon, until somebody ends it.",
        (At(3.0, "half_sent", 0, STAYS),),
        promises=ONE_AWAY,
        expects=restarted(0),
    ),
    Scenario(
        "full_queue",
        "Foreign connections fill the queue of the primary's daemon: whoever connects then hears nothing at all.",
        (At(3.0, "full_queue", 0, STAYS),),
        promises=ONE_AWAY,
        expects=restarted(0),
    ),
    Scenario(
        "all_half_sent",
        "The same at all three daemons at once: all have to be restarted.",
        (At(3.0, "half_sent", 0, STAYS), At(3.0, "half_sent", 1, STAYS), At(3.0, "half_sent", 2, STAYS)),
        seconds=18.0,
        expects=restarted(0, 1, 2),
    ),
)

CLIENTS = (
    Scenario(
        "bad_clients",
        "Twenty clients ask for much and hardly read; then thirty reset their connections in the middle, again and "
        "again; then two hundred send a request's head byte by byte, and never its end.",
        (At(2.0, "slow_reader", 0, 4.0, 20), At(8.0, "hang_up", 0, 4.0, 30), At(14.0, "dribble", 0, 4.0, 200)),
        seconds=20.0,
        promises=(NO_ERROR,),
    ),
    Scenario(
        "flood",
        "Sixty-four clients ask as fast as they are answered.",
        (At(2.0, "flood", 0, 6.0, 64),),
        promises=(NO_ERROR,),
    ),
)

HOUR = 3600.0

MACHINE = (
    Scenario(
        "disk_full",
        "The disk under the ledger is full for two seconds, and again for four.",
        (At(3.0, "disk_full", 0, 2.0), At(9.0, "disk_full", 0, 4.0)),
        workload="money",
        seconds=18.0,
        peers=False,
        addresses_may_wait="the ledger cannot write, and no address is given that is not in it",
        effects=NO_ADDRESS,
    ),
    Scenario(
        "gateway_clock",
        "The gateway's clock jumps an hour ahead and back again, then a day back and ahead again.",
        (At(2.0, "gateway_clock", 0, 5.0, HOUR), At(10.0, "gateway_clock", 0, 5.0, -24 * HOUR)),
        seconds=20.0,
        peers=False,
    ),
    Scenario(
        "wallet_clock",
        "The primary's clock jumps an hour ahead, then a standby's an hour back.",
        (At(2.0, "wallet_clock", 0, 5.0, HOUR), At(10.0, "wallet_clock", 1, 5.0, -HOUR)),
        seconds=18.0,
        peers=False,
    ),
    Scenario(
        "kill_with_a_wrong_clock",
        "The primary is killed, and then the gateway, while the gateway's clock is an hour behind.",
        (At(3.0, "gateway_clock", 0, 10.0, -HOUR), At(5.0, "kill", 0, STAYS), At(9.0, "gateway_kill", 0, 0.3)),
        seconds=20.0,
        peers=False,
        addresses_may_wait="the gateway itself is away",
        effects=SOME_FAIL,
    ),
)

DATABASE = (
    Scenario(
        "database",
        "The ledger's server is stopped, dies, stands still and is restarted; while it is away no address is given.",
        (
            At(3.0, "database_stop", 0, 2.0),
            At(9.0, "database_kill", 0, 1.0),
            At(15.0, "database_freeze", 0, 3.0),
            At(22.0, "database_restart", 0, 0.5),
        ),
        seconds=27.0,
        peers=False,
        promises=(NO_ERROR,),
        addresses_may_wait="the ledger is away, and no address is given that is not in it",
        effects=NO_ADDRESS,
    ),
)

NAMES = (
    Scenario(
        "names",
        "The primary moves and its name says so; the name is gone; nobody can tell any name, so what was known counts.",
        (
            At(2.0, "name_moves", 0, 3.0),
            At(8.0, "name_gone", 0, 3.0),
            At(14.0, "name_fails", 0, 3.0),
            At(14.0, "name_fails", 1, 3.0),
            At(14.0, "name_fails", 2, 3.0),
        ),
        seconds=20.0,
        peers=False,
        promises=(NO_ERROR,),
    ),
    Scenario(
        "name_hangs",
        "The name server says nothing of the primary's name.",
        (At(3.0, "name_hangs", 0, 8.0),),
        seconds=16.0,
        peers=False,
        promises=(NO_ERROR,),
    ),
    Scenario(
        "all_names_hang",
        "The name server says nothing at all; every wallet is well, and where it was.",
        (At(3.0, "name_hangs", 0, 8.0), At(3.0, "name_hangs", 1, 8.0), At(3.0, "name_hangs", 2, 8.0)),
        seconds=18.0,
        peers=False,
        promises=(NO_ERROR,),
    ),
)

PARTITIONS = (
    Scenario(
        "cut_wallet",
        "Nothing comes through between the gateway and the primary for five seconds; the kernel drops it silently.",
        (At(3.0, "cut_wallet", 0, 5.0),),
        workload="money",
        seconds=14.0,
        peers=False,
        promises=(NO_ERROR,),
        expects=out(0),
    ),
    Scenario(
        "cut_all_wallets",
        "The gateway is cut off from every wallet for three seconds.",
        (At(3.0, "cut_wallet", 0, 3.0), At(3.0, "cut_wallet", 1, 3.0), At(3.0, "cut_wallet", 2, 3.0)),
        seconds=14.0,
        peers=False,
        expects=out(0, 1, 2),
    ),
    Scenario(
        "cut_clients",
        "Nothing comes through between the gateway and its clients for four seconds, in the middle of payments.",
        (At(3.0, "cut_clients", 0, 4.0),),
        workload="money",
        seconds=16.0,
        peers=False,
        addresses_may_wait="the way between clients and gateway is among those that fail",
        effects=(Effect("slowest_read_ms", 1000),),
    ),
)

CONTAINERS = (
    Scenario(
        "container_pause",
        "The primary's container is paused, for the gateway to find out and end; then a standby's, which goes on.",
        (At(3.0, "container_pause", 0, STAYS), At(12.0, "container_pause", 1, 3.0)),
        workload="money",
        seconds=20.0,
        peers=False,
        promises=ONE_AWAY,
        expects=restarted(0),
    ),
    Scenario(
        "container_oom",
        "The primary grows past the limit of its container, and the kernel ends it.",
        (At(3.0, "container_oom", 0, 3.0),),
        workload="money",
        seconds=14.0,
        peers=False,
        promises=(NO_ERROR,),
        expects=restarted(0),
    ),
)

OUTSIDE: tuple[Scenario, ...] = (*WAYS, *CONNECTIONS, *CLIENTS, *MACHINE, *DATABASE, *NAMES, *PARTITIONS, *CONTAINERS)

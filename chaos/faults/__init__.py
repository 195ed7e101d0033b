"""Every fault that can be done to a run, by its name.

Rule: a fault is one file with one class, and one line here; the core knows no special case.  `inject` returns when the
fault is there, `heal` when it has been taken back; `heal` is called in any case, may be called twice, and does nothing
where nothing was done.

A fault may also have

    async def prepare(self, stage)    before the door starts, once for each scenario that names it: put a proxy in the
                                      way (`stage.launch.urls[i]`), mount a small disk, start a database
    async def tidy(self, stage)       at the end of the run, also when it was cut off; may be called twice
    def missing(self) -> str          why it cannot be done on this machine though its `needs` are there; "" if it can
"""

from typing import TYPE_CHECKING, Protocol

from chaos.faults import bandwidth, latency, limit_data, reset_peer, slicer, slow_close, timeout
from chaos.faults.container_oom import ContainerOom
from chaos.faults.container_pause import ContainerPause
from chaos.faults.cut_clients import CutClients
from chaos.faults.cut_wallet import CutWallet
from chaos.faults.database_freeze import DatabaseFreeze
from chaos.faults.database_kill import DatabaseKill
from chaos.faults.database_restart import DatabaseRestart
from chaos.faults.database_stop import DatabaseStop
from chaos.faults.disk_full import DiskFull
from chaos.faults.dribble import Dribble
from chaos.faults.flood import Flood
from chaos.faults.freeze import Freeze
from chaos.faults.full_queue import FullQueue
from chaos.faults.gateway_clock import GatewayClock
from chaos.faults.gateway_freeze import GatewayFreeze
from chaos.faults.gateway_kill import GatewayKill
from chaos.faults.gateway_restart import GatewayRestart
from chaos.faults.half_sent import HalfSent
from chaos.faults.hang_up import HangUp
from chaos.faults.height_stuck import HeightStuck
from chaos.faults.kill import Kill
from chaos.faults.lose_chain import LoseChain
from chaos.faults.name_fails import NameFails
from chaos.faults.name_gone import NameGone
from chaos.faults.name_hangs import NameHangs
from chaos.faults.name_moves import NameMoves
from chaos.faults.rollback import Rollback
from chaos.faults.rpc_stop import RpcStop
from chaos.faults.shut_way import ShutWay
from chaos.faults.sigterm import Sigterm
from chaos.faults.silent_chain import SilentChain
from chaos.faults.slow_reader import SlowReader
from chaos.faults.slow_wallet import Slow
from chaos.faults.unload import Unload
from chaos.faults.wallet_clock import WalletClock
from chaos.faults.wedge import Wedge
from chaos.faults.wrong_balance import WrongBalance
from chaos.faults.wrong_seed import WrongSeed

if TYPE_CHECKING:
    from chaos.stage import Stage

LANES = ("wallet", "gateway", "chain", "database", "client", "way", "disk", "clock", "names")
"""What faults are done to; one target of one lane has one fault at a time in random scenarios."""


class Fault(Protocol):
    """One kind of fault."""

    name: str
    """As a scenario names it."""
    lane: str
    """What it is done to: one of `LANES`."""
    needs: frozenset[str]
    """What must be there, of "toxiproxy", "faketime", "docker", "netns", "postgres"; see `chaos.needs`."""

    async def inject(self, stage: "Stage", target: int, value: float) -> None:
        """Do it to a target (a wallet's number where the lane is wallet or way, else mostly 0)."""

    async def heal(self, stage: "Stage", target: int) -> None:
        """Take it back."""


ALL: tuple[Fault, ...] = (
    *bandwidth.EVERYWHERE,
    ContainerOom(),
    ContainerPause(),
    CutClients(),
    CutWallet(),
    DatabaseFreeze(),
    DatabaseKill(),
    DatabaseRestart(),
    DatabaseStop(),
    DiskFull(),
    Dribble(),
    Flood(),
    Freeze(),
    FullQueue(),
    GatewayClock(),
    GatewayFreeze(),
    GatewayKill(),
    GatewayRestart(),
    HalfSent(),
    HangUp(),
    HeightStuck(),
    Kill(),
    *latency.EVERYWHERE,
    *limit_data.EVERYWHERE,
    LoseChain(),
    *reset_peer.EVERYWHERE,
    NameFails(),
    NameGone(),
    NameHangs(),
    NameMoves(),
    Rollback(),
    RpcStop(),
    ShutWay(),
    Sigterm(),
    SilentChain(),
    *slicer.EVERYWHERE,
    SlowReader(),
    Slow(),
    *slow_close.EVERYWHERE,
    *timeout.EVERYWHERE,
    Unload(),
    WalletClock(),
    Wedge(),
    WrongBalance(),
    WrongSeed(),
)

FAULTS: dict[str, Fault] = {one.name: one for one in ALL}

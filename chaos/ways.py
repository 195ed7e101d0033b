"""Faults of a way: a toxic in what goes to or comes from a wallet, or to or from the door.

Rule: a proxy stands in the way from the start, and does nothing until a fault begins; a kind of toxic is a file in
`faults`, and the four ways that it can befall are the same for all.  Before its wallet listens for the first time, a
wallet's proxy does not listen either: a gateway that is just starting would take it for a daemon of somebody else's.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.toxics import Toxic, Toxics, server

if TYPE_CHECKING:
    from chaos.stage import Stage


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of one way."""

    name: str
    lane: str
    stream: str


TO_WALLET = Way("to_wallet", "way", "upstream")
FROM_WALLET = Way("from_wallet", "way", "downstream")
TO_DOOR = Way("to_door", "client", "upstream")
FROM_DOOR = Way("from_door", "client", "downstream")

WAYS = (TO_WALLET, FROM_WALLET, TO_DOOR, FROM_DOOR)


class Poisoned:
    """A kind of toxic in one way; a wallet's where it is a wallet's way, the clients' of all else."""

    kind = ""
    """Toxiproxy's name of it."""
    needs = frozenset({"toxiproxy"})
    silences = False
    """Whether clients may be left without an answer when it befalls their way."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.name = f"{self.kind}_{way.name}"
        self.lane = way.lane
        self.counts_as: str | None = "slow" if way.lane == "way" else "gateway_freeze" if self.silences else None

    def attributes(self, value: float) -> dict[str, int]:
        """Return what Toxiproxy is told for a measure; 0 is the usual one."""
        raise NotImplementedError

    async def prepare(self, stage: "Stage") -> None:
        """Put proxies in the way, if they are not there: to all wallets, or to the door."""
        await put_before_wallets(stage) if self.lane == "way" else await put_before_door(stage)

    async def inject(self, stage: "Stage", target: int, value: float) -> None:
        """Add the toxic."""
        await self._toxics(stage).add(self._proxy(target), self._toxic(value))

    async def heal(self, stage: "Stage", target: int) -> None:
        """Take it away."""
        if "toxiproxy" in stage.keep:
            await self._toxics(stage).remove(self._proxy(target), self._toxic(0.0))

    async def tidy(self, stage: "Stage") -> None:
        """Wait for no wallet any more."""
        await wait_no_more(stage)

    def _toxics(self, stage: "Stage") -> Toxics:
        toxics: Toxics = stage.keep["toxiproxy"]
        return toxics

    def _proxy(self, target: int) -> str:
        return f"wallet-{target}" if self.lane == "way" else "door"

    def _toxic(self, value: float) -> Toxic:
        return Toxic(self.kind, self.way.stream, self.attributes(value))


LOOK = 0.05
BEFORE_WALLETS, BEFORE_DOOR = "ways to wallets", "way to the door"


async def put_before_wallets(stage: "Stage") -> None:
    """Let the door find every wallet behind a proxy; nothing happens when it does."""
    if BEFORE_WALLETS in stage.keep:
        return
    toxics = await server(stage)
    stage.keep[BEFORE_WALLETS] = waiting = []
    for n, wallet in enumerate(stage.wallets):
        port = await toxics.proxy(f"wallet-{n}", f"127.0.0.1:{wallet.port}", is_open=False)
        stage.launch.urls[n] = f"http://127.0.0.1:{port}"
        waiting.append(asyncio.create_task(_open_when_it_listens(toxics, n, wallet.port)))


async def put_before_door(stage: "Stage") -> None:
    """Let the clients find the door behind a proxy; nothing happens when they do."""
    if BEFORE_DOOR not in stage.keep:
        toxics = await server(stage)
        stage.approach = ("127.0.0.1", await toxics.proxy("door", f"127.0.0.1:{stage.door_port}"))
        stage.keep[BEFORE_DOOR] = True


async def wait_no_more(stage: "Stage") -> None:
    """End what `put_before_wallets` has begun."""
    waiting = stage.keep.pop(BEFORE_WALLETS, ())
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def _open_when_it_listens(toxics: Toxics, wallet: int, port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.transport.abort()
            break
        await asyncio.sleep(LOOK)
    await toxics.open(f"wallet-{wallet}")

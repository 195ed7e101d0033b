"""Foreign connections fill the queue in which a wallet's daemon lets callers wait: nobody gets as far as to connect.

Rule: the first one keeps the daemon busy by saying nothing, the others wait behind it; it is full when the kernel takes
no more, and whoever comes then hears nothing at all.
"""

import asyncio
import socket
from typing import TYPE_CHECKING

from chaos.wallets import NobodyThereError

if TYPE_CHECKING:
    from chaos.stage import Stage

MOST = 512
"""Connections; a queue in which more have room is none that this fault can fill."""

TAKES = 0.3
"""Seconds in which the kernel takes a connection for which there is room."""

TURNED_AWAY = 3
"""How many in a row have to wait until the queue counts as full: the daemon may take one from it meanwhile."""


class FullQueue:
    """As many as it takes."""

    name = "full_queue"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "wedge"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Connect until nobody is let in.  Raises NobodyThereError, RuntimeError."""
        loop = asyncio.get_running_loop()
        held: list[socket.socket] = stage.keep.setdefault(f"{self.name} {target}", [])
        turned_away = 0
        while turned_away < TURNED_AWAY and len(held) < MOST:
            line = socket.socket()
            line.settimeout(0.0)
            held.append(line)
            try:
                async with asyncio.timeout(TAKES):
                    await loop.sock_connect(line, ("127.0.0.1", stage.wallets[target].port))
                turned_away = 0
            except TimeoutError:
                turned_away += 1
            except OSError:
                raise NobodyThereError from None
        if turned_away < TURNED_AWAY:
            # nothing was done to the wallet, and a run that says so would hold for nothing
            raise RuntimeError(f"the queue of wallet {target} is not full after {MOST} connections")

    async def heal(self, stage: "Stage", target: int) -> None:
        """Hang up."""
        for line in stage.keep.pop(f"{self.name} {target}", []):
            line.close()

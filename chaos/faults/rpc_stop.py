"""Somebody tells a wallet's daemon to stop by its own RPC: it saves its wallet and ends, and nobody had ordered it.

Rule: as for a kill; whoever tells it is past every door.
"""

import contextlib
from typing import TYPE_CHECKING

from gateway.sandbox.fleet import RpcError

if TYPE_CHECKING:
    from chaos.stage import Stage

GONE = 5.0
"""Seconds in which it has ended."""


class RpcStop:
    """The method `stop`."""

    name = "rpc_stop"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "kill"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Tell it to stop, and see that it does."""
        wallet = stage.wallets[target]
        life = wallet.life
        wallet.mark()
        # one that answers with its own end has heard it as well
        with contextlib.suppress(OSError, RpcError):
            await wallet.call("stop")
        await wallet.until(lambda: not wallet.is_alive or wallet.life != life, GONE)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Start it again, unless that is the gateway's."""
        await stage.wallets[target].bring_back()

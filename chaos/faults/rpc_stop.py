"""Somebody tells a wallet's daemon to stop by its own RPC: it saves its wallet and ends, and nobody had ordered it.

Rule: as for a kill; whoever tells it is past every door.
"""

import contextlib
from typing import TYPE_CHECKING

from chaos.faults.ending import Ending
from gateway.sandbox.fleet import RpcError

if TYPE_CHECKING:
    from chaos.wallets import Wallet


class RpcStop(Ending):
    """The method `stop`."""

    name = "rpc_stop"

    async def tell(self, wallet: "Wallet") -> None:
        """Call it; a daemon that answers with its own end has heard it as well."""
        with contextlib.suppress(OSError, RpcError):
            await wallet.call("stop")

"""A wallet grows until the kernel ends it at the limit of its container.

Rule: it is the wallet's own memory that grows, by the sandbox's switch, and the kernel that ends it; the gateway starts
it again.
"""

import asyncio
import time
from typing import TYPE_CHECKING

from chaos.containers import Contained
from chaos.wallets import NobodyThereError
from gateway.sandbox.fleet import RpcError

if TYPE_CHECKING:
    from chaos.stage import Stage

GROWS = 48
"""MiB with each call."""

PATIENCE = 10.0


class ContainerOom(Contained):
    """More memory than there is."""

    name = "container_oom"
    counts_as = "kill"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Let it grow, and return when it is gone.  Raises NobodyThereError, TimeoutError."""
        wallet = stage.wallets[target]
        if not wallet.is_alive:
            raise NobodyThereError
        pid = wallet.pid
        wallet.mark()
        await wallet.switch("leak", GROWS)
        end = time.monotonic() + PATIENCE
        while wallet.is_alive and wallet.pid == pid:
            if time.monotonic() > end:
                raise TimeoutError(f"wallet {target} grows, and nobody ends it")
            try:
                await wallet.call("version", patience=1.0)
            except (OSError, RpcError):
                await asyncio.sleep(0.05)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Take the switch back where it lives on; the gateway starts it."""
        await stage.wallets[target].heal()

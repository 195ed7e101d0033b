"""A wallet's daemon stands still (SIGSTOP): its port still takes connections, and nobody is answered.

Rule: the process that was stopped is the one that is let go on; a daemon that the gateway has replaced meanwhile is
left alone.  While it stands still, what it holds of ours is counted in the kernel's list.
"""

import asyncio
from typing import TYPE_CHECKING

from tests.checker.connections import watch

if TYPE_CHECKING:
    from chaos.stage import Stage


class Freeze:
    """SIGSTOP, then SIGCONT."""

    name = "freeze"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "freeze"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Stop the daemon."""
        wallet = stage.wallets[target]
        await wallet.freeze()
        if stage.is_gateway:
            watcher = watch(target, wallet.port, stage.diary, stage.door_ends)
            stage.keep[f"{self.name} {target}"] = asyncio.create_task(watcher)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Let it go on, if it is still there."""
        watcher = stage.keep.pop(f"{self.name} {target}", None)
        if watcher is not None:
            watcher.cancel()
        await stage.wallets[target].thaw()

    def is_over(self, stage: "Stage", target: int) -> bool:
        """Whether the gateway has let it go on, or ended it."""
        return not stage.wallets[target].is_stopped

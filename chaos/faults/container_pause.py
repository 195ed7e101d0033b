"""A wallet's container is paused: its port takes connections, and nobody is answered.

Rule: the container that was paused goes on, unless the gateway has started it anew meanwhile.
"""

from typing import TYPE_CHECKING

from chaos.containers import Contained, is_paused

if TYPE_CHECKING:
    from chaos.stage import Stage


class ContainerPause(Contained):
    """`docker pause`, then `docker unpause`."""

    name = "container_pause"
    counts_as = "freeze"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Pause it."""
        await self.order(stage, target, "pause")

    async def heal(self, stage: "Stage", target: int) -> None:
        """Let it go on, if it is still paused."""
        if is_paused(stage.wallets[target].pid):
            await self.order(stage, target, "unpause")

    def is_over(self, stage: "Stage", target: int) -> bool:
        """Whether the gateway has let it go on, or ended it."""
        return not is_paused(stage.wallets[target].pid)

"""The door is killed (SIGKILL), our gateway or another one; after a while it is started again with the same file.

Rule: the wallets go on; whoever was in the middle of a call is told by a broken connection.
"""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage


class GatewayKill:
    """SIGKILL, and a start."""

    name = "gateway_kill"
    lane = "gateway"
    needs: frozenset[str] = frozenset()
    counts_as = "gateway_kill"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - there is but one
        """End it."""
        stage.door_ends.append(time.monotonic())
        await stage.by_hand(stage.front.kill)

    async def heal(self, stage: "Stage", target: int) -> None:  # noqa: ARG002 - the same
        """Start it again."""
        if not stage.front.is_alive:
            await stage.by_hand(stage.front.start)

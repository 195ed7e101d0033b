"""The door is told to stop (SIGTERM) and is started again, as at an upgrade.

Rule: what it had taken it finishes within its time; who comes in between is refused, and nobody is left without an
answer.
"""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage

STOPS = 45.0
"""Seconds in which it has to be gone; its own limit for calls is shorter."""


class GatewayRestart:
    """SIGTERM, and a start."""

    name = "gateway_restart"
    lane = "gateway"
    needs: frozenset[str] = frozenset()
    counts_as = "gateway_kill"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - there is but one
        """Tell it to stop, and see that it does."""
        stage.door_ends.append(time.monotonic())
        await stage.by_hand(stage.front.end, STOPS)

    async def heal(self, stage: "Stage", target: int) -> None:  # noqa: ARG002 - the same
        """Start it again."""
        if not stage.front.is_alive:
            await stage.by_hand(stage.front.start)

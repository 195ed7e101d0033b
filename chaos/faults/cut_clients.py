"""Nothing comes through between the gateway and its clients, and nobody is told.

Rule: gateway and wallets are well, and reach each other.
"""

from typing import TYPE_CHECKING

from chaos.apart import Apart

if TYPE_CHECKING:
    from chaos.stage import Stage


class CutClients(Apart):
    """It has no measure."""

    name = "cut_clients"
    lane = "client"
    counts_as = "gateway_freeze"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has neither
        """Cut it."""
        await self.cut(stage, stage.door_port)

    async def heal(self, stage: "Stage", target: int) -> None:  # noqa: ARG002 - there is one door
        """Mend it."""
        await self.mend(stage, stage.door_port)

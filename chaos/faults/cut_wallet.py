"""Nothing comes through between the gateway and a wallet, and nobody is told.

Rule: the daemon is well, and everybody else reaches it.
"""

from typing import TYPE_CHECKING

from chaos.apart import Apart

if TYPE_CHECKING:
    from chaos.stage import Stage


class CutWallet(Apart):
    """It has no measure."""

    name = "cut_wallet"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Cut it."""
        await self.cut(stage, stage.wallets[target].port)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Mend it."""
        await self.mend(stage, stage.wallets[target].port)

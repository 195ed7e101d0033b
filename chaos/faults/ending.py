"""What a fault does that ends a wallet's daemon from outside, by asking it.

Rule: the end that it asks for is a deed of ours; it is started again by the gateway where the gateway has started it,
else by the heal.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage
    from chaos.wallets import Wallet

GONE = 5.0
"""Seconds in which it has ended."""


class Ending:
    """One way to tell a daemon to end; a fault names it."""

    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "kill"

    async def tell(self, wallet: "Wallet") -> None:
        """Tell it to end."""
        raise NotImplementedError

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Tell it, and see that it ends."""
        wallet = stage.wallets[target]
        life = wallet.life
        wallet.mark()
        await self.tell(wallet)
        await wallet.until(lambda: not wallet.is_alive or wallet.life != life, GONE)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Start it again, unless that is the gateway's."""
        await stage.wallets[target].bring_back()

"""A wallet's daemon is told to end by SIGTERM, as a container is at its stop.

Rule: as for a kill; the daemon handles no signal, so that nothing is saved either.
"""

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage

GONE = 5.0
"""Seconds in which it has ended."""


class Sigterm:
    """SIGTERM."""

    name = "sigterm"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "kill"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Tell it to end, and see that it does."""
        wallet = stage.wallets[target]
        life = wallet.life
        wallet.mark()
        await wallet.signal(signal.SIGTERM)
        await wallet.until(lambda: not wallet.is_alive or wallet.life != life, GONE)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Start it again, unless that is the gateway's."""
        await stage.wallets[target].bring_back()

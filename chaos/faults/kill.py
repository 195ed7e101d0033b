"""A wallet's daemon is killed (SIGKILL): what it had not saved is lost.

Rule: it is started again by the gateway where the gateway has started it, else by the heal, as an operator's own
supervisor would.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage


class Kill:
    """SIGKILL."""

    name = "kill"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "kill"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """End it."""
        await stage.wallets[target].kill()

    async def heal(self, stage: "Stage", target: int) -> None:
        """Start it again, unless that is the gateway's."""
        await stage.wallets[target].bring_back()

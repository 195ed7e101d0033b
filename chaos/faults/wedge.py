"""A foreign connection that says nothing takes a wallet's daemon away from everybody: the incident.

Rule: it is held until it is let go, or until its daemon is ended; its port stays open all the time.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage


class Wedge:
    """One idle connection, made past every door."""

    name = "wedge"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "wedge"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Connect, and say nothing."""
        await stage.wallets[target].hold()

    async def heal(self, stage: "Stage", target: int) -> None:
        """Hang up."""
        await stage.wallets[target].let_go()

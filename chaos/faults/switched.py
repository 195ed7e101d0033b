"""What a fault does that the sandbox has a switch for.

Rule: one switch, thrown at the daemon's side door; a daemon that is started anew has none on.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage


class Switched:
    """One switch of one wallet; a fault names it."""

    lane = "wallet"
    needs: frozenset[str] = frozenset()
    switch: str
    """Its name at the side door."""
    has_value = False

    async def inject(self, stage: "Stage", target: int, value: float) -> None:
        """Throw it."""
        await stage.wallets[target].switch(self.switch, value if self.has_value else None)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Take it back."""
        await stage.wallets[target].heal()

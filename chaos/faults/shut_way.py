"""Nobody listens where the door looks for a wallet: its connections end, and whoever comes is refused.

Rule: the daemon itself is well, and does not know.
"""

from typing import TYPE_CHECKING

from chaos.toxics import Toxics
from chaos.ways import put_before_wallets, wait_no_more

if TYPE_CHECKING:
    from chaos.stage import Stage


class ShutWay:
    """It has no measure."""

    name = "shut_way"
    lane = "way"
    needs = frozenset({"toxiproxy"})

    async def prepare(self, stage: "Stage") -> None:
        """Put the proxies in the way."""
        await put_before_wallets(stage)

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Shut it."""
        toxics: Toxics = stage.keep["toxiproxy"]
        await toxics.shut(f"wallet-{target}")

    async def heal(self, stage: "Stage", target: int) -> None:
        """Open it."""
        if "toxiproxy" in stage.keep:
            toxics: Toxics = stage.keep["toxiproxy"]
            await toxics.open(f"wallet-{target}")

    async def tidy(self, stage: "Stage") -> None:
        """Wait for no wallet any more."""
        await wait_no_more(stage)

"""A daemon is up and has no wallet: somebody closed it, or a start did not load it.

Rule: the gateway loads it again, else the heal does.
"""

from typing import TYPE_CHECKING

from chaos.faults.switched import Switched

if TYPE_CHECKING:
    from chaos.stage import Stage


class Unload(Switched):
    """The sandbox's switch `unload`: gone, unsaved."""

    name = "unload"
    switch = "unload"
    counts_as = "wipe"

    async def heal(self, stage: "Stage", target: int) -> None:
        """Load it, where the gateway does not."""
        wallet = stage.wallets[target]
        if not wallet.is_launched:
            await wallet.load()

"""A wallet comes back as it was before anybody came: its file was restored from an old copy.

Rule: the old file is in place before anybody can start the daemon again; with a value, each of its calls then takes so
many seconds, so that it is slow to learn what it has missed.
"""

import contextlib
from typing import TYPE_CHECKING

from chaos.wallets import NobodyThereError

if TYPE_CHECKING:
    from chaos.stage import Stage

STARTED = 15.0


class Rollback:
    """SIGKILL and an old file."""

    name = "rollback"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "wipe"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:
        """Stop it, put the old file in its place, end it."""
        wallet = stage.wallets[target]
        await wallet.freeze()
        await wallet.replace_file(stage.old_file(target))
        life = wallet.life
        await wallet.kill()
        if not value:
            return
        await wallet.bring_back()
        await wallet.until(lambda: wallet.is_alive and wallet.life != life, STARTED)
        with contextlib.suppress(NobodyThereError):
            await wallet.switch("slow", value)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Start it again, unless that is the gateway's, and let it be as quick as before."""
        wallet = stage.wallets[target]
        await wallet.bring_back()
        await wallet.heal()

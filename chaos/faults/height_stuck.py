"""A wallet stands at its height while blocks are found: it answers everything, and it is the past.

Rule: it shows the chain as it was when the fault began, by the switch that shows an older one, moved with each block.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from chaos.wallets import NobodyThereError

if TYPE_CHECKING:
    from chaos.stage import Stage
    from chaos.wallets import Wallet

EVERY = 0.2
"""Seconds between two looks at the chain, and a new block each second."""


class HeightStuck:
    """The chain goes on without it; blocks are found for that."""

    name = "height_stuck"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "behind"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:
        """Stop its height.

        Args:
            value: blocks to be found each second, at least one.
        """
        wallet = stage.wallets[target]
        height = await self._height(stage)
        await wallet.switch("behind", 0)
        going = self._hold(stage, wallet, height, max(1.0, value))
        stage.keep[f"{self.name} {target}"] = asyncio.create_task(going)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Let it see what there is."""
        going = stage.keep.pop(f"{self.name} {target}", None)
        if going is not None:
            going.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await going
        await stage.wallets[target].heal()

    async def _hold(self, stage: "Stage", wallet: "Wallet", height: int, rate: float) -> None:
        life = wallet.life
        found = 0.0
        while wallet.life == life:
            await asyncio.sleep(EVERY)
            found += EVERY * rate
            if found >= 1.0:
                # first the switch, so that it never sees the block
                with contextlib.suppress(NobodyThereError):
                    await wallet.switch("behind", await self._height(stage) + 1 - height)
                await stage.mine()
                found -= 1.0
            with contextlib.suppress(NobodyThereError):
                await wallet.switch("behind", await self._height(stage) - height)

    async def _height(self, stage: "Stage") -> int:
        return int((await asyncio.to_thread(stage.fleet.chain, "height"))["height"])

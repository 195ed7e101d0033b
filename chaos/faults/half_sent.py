"""Foreign connections send half a request to a wallet's daemon and hold it there: it reads on and serves nobody.

Rule: they go past the door; whoever ends the daemon ends them.  It breaks off in the head: with a whole one the daemon
looks for the password first, answers that it is wrong, and is free again.
"""

import asyncio
from typing import TYPE_CHECKING

from chaos.wallets import NobodyThereError

if TYPE_CHECKING:
    from chaos.stage import Stage

HALF = b"POST / HTTP/1.1\r\nHost: wallet\r\nContent-Type: application/json\r\nContent-Le"


class HalfSent:
    """Three, by its usual measure; the value is how many."""

    name = "half_sent"
    lane = "wallet"
    needs: frozenset[str] = frozenset()
    counts_as = "wedge"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:
        """Connect, and send the half of it."""
        held = stage.keep.setdefault(f"{self.name} {target}", [])
        for _ in range(int(value) or 3):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", stage.wallets[target].port)
            except OSError:
                raise NobodyThereError from None
            writer.write(HALF)
            held.append(writer)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Hang up."""
        for writer in stage.keep.pop(f"{self.name} {target}", []):
            writer.transport.abort()

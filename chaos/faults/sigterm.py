"""A wallet's daemon is told to end by SIGTERM, as a container is at its stop.

Rule: as for a kill; the daemon handles no signal, so that nothing is saved either.
"""

import signal
from typing import TYPE_CHECKING

from chaos.faults.ending import Ending

if TYPE_CHECKING:
    from chaos.wallets import Wallet


class Sigterm(Ending):
    """SIGTERM."""

    name = "sigterm"

    async def tell(self, wallet: "Wallet") -> None:
        """Send the signal.  Raises NobodyThereError."""
        await wallet.signal(signal.SIGTERM)

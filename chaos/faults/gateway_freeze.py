"""The door stands still (SIGSTOP), as on a host that is out of memory or moved elsewhere; later it goes on.

Rule: it goes on with what it had begun, and a clock that has leapt; nothing may come of that but late answers.
"""

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.stage import Stage


class GatewayFreeze:
    """SIGSTOP, then SIGCONT."""

    name = "gateway_freeze"
    lane = "gateway"
    needs: frozenset[str] = frozenset()
    counts_as = "gateway_freeze"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - there is but one
        """Stop it."""
        stage.front.signal(signal.SIGSTOP)

    async def heal(self, stage: "Stage", target: int) -> None:  # noqa: ARG002 - the same
        """Let it go on."""
        stage.front.signal(signal.SIGCONT)

"""The gateway's wall clock jumps, forward or back, and nobody else's; by the fault's end it is right again.

Rule: its monotonic clock goes on as it was, as it does on a machine whose clock is set.
"""

import time
from typing import TYPE_CHECKING

from chaos.clocks import CLOCKED, HOUR, Clock, Jump, put_right, unseen

if TYPE_CHECKING:
    from chaos.script import At
    from chaos.stage import Stage


class GatewayClock:
    """The value is by how many seconds, an hour where it is 0."""

    name = "gateway_clock"
    lane = "clock"
    needs = frozenset({"faketime"})
    also_peers = False

    async def prepare(self, stage: "Stage") -> None:
        """Start it with a clock that can be set."""
        clock = Clock(stage.folder / "gateway.clock")
        stage.keep[self.name] = clock
        stage.keep[f"{self.name} jumps"] = []
        stage.launch.environment |= clock.environment()
        stage.launch.module = (CLOCKED, *stage.launch.module)

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - there is one
        """Set it."""
        ahead = value or HOUR
        stage.keep[f"{self.name} now"] = (time.time(), ahead)
        stage.keep[self.name].set(ahead)

    def hollow(self, stage: "Stage", at: "At", begin: float) -> str:
        """Say so where its log was not written by the wrong clock."""
        return unseen(stage.folder / "gateway.log", "timestamp", Jump(begin, time.time(), at.value or HOUR))

    async def heal(self, stage: "Stage", target: int) -> None:  # noqa: ARG002 - the same
        """Set it right."""
        begin, ahead = stage.keep.pop(f"{self.name} now", (0.0, 0.0))
        if ahead:
            stage.keep[self.name].set(0.0)
            stage.keep[f"{self.name} jumps"].append(Jump(begin, time.time(), ahead))

    async def tidy(self, stage: "Stage") -> None:
        """Put its log right; nothing else that it wrote is looked at."""
        put_right(stage.folder / "gateway.log", stage.keep.pop(f"{self.name} jumps", ()), "timestamp")

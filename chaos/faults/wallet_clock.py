"""A wallet's wall clock jumps, forward or back, and nobody else's; by the fault's end it is right again.

Rule: as for the gateway's.  Its journal, by which the judge knows what it did and when, is put right in the end.
"""

import time
from typing import TYPE_CHECKING

from chaos.clocks import CLOCKED, HOUR, Clock, Jump, put_right, unseen

if TYPE_CHECKING:
    from chaos.script import At
    from chaos.stage import Stage


class WalletClock:
    """The value is by how many seconds, an hour where it is 0."""

    name = "wallet_clock"
    lane = "clock"
    needs = frozenset({"faketime"})
    also_peers = False

    async def prepare(self, stage: "Stage") -> None:
        """Let the gateway start them with clocks that can be set."""
        for n, launcher in enumerate(stage.launchers):
            clock = Clock(stage.folder / f"wallet-{n}.clock")
            stage.keep[f"{self.name} {n}"] = clock
            launcher["env"] |= clock.environment()
            module = launcher["command"].index("-m") + 1
            launcher["command"].insert(module, CLOCKED)
        stage.keep[f"{self.name} jumps"] = {}

    async def inject(self, stage: "Stage", target: int, value: float) -> None:
        """Set it."""
        ahead = value or HOUR
        stage.keep[f"{self.name} {target} now"] = (time.time(), ahead)
        stage.keep[f"{self.name} {target}"].set(ahead)

    def hollow(self, stage: "Stage", at: "At", begin: float) -> str:
        """Say so where its journal was not written by the wrong clock."""
        return unseen(stage.fleet.journal_path(at.target), "time", Jump(begin, time.time(), at.value or HOUR))

    async def heal(self, stage: "Stage", target: int) -> None:
        """Set it right."""
        begin, ahead = stage.keep.pop(f"{self.name} {target} now", (0.0, 0.0))
        if ahead:
            stage.keep[f"{self.name} {target}"].set(0.0)
            stage.keep[f"{self.name} jumps"].setdefault(target, []).append(Jump(begin, time.time(), ahead))

    async def tidy(self, stage: "Stage") -> None:
        """Put their journals right."""
        for n, jumps in stage.keep.pop(f"{self.name} jumps", {}).items():
            put_right(stage.fleet.journal_path(n), jumps, "time")

"""Faults by clients: a crowd in a process of its own behaves badly at the door.

Rule: it comes in by the name of a client of the configuration, so that the door may tell it from the others.
"""

import sys
from typing import TYPE_CHECKING

from chaos.crowd import MET
from chaos.programs import Program

if TYPE_CHECKING:
    from chaos.script import At
    from chaos.stage import Stage

CLIENT = "web"
"""Whose name they have; nobody else in the workloads of readers and shops has it."""


class Crowded:
    """A crowd of one manner."""

    manner = ""
    """Its name in `crowd.MANNERS`."""
    usual = 20
    """How many they are, where nothing is said."""
    name = ""
    lane = "client"
    needs: frozenset[str] = frozenset()
    counts_as: str | None = None

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - there is one door
        """Let them come; the value is how many."""
        host, port = stage.door(0)
        words = [self.manner, host, str(port), stage.login(CLIENT), str(int(value) or self.usual)]
        program = Program(self.name, [sys.executable, "-m", "chaos.crowd", *words], stage.folder)
        stage.keep[self.name] = await stage.begin(program)

    def hollow(self, stage: "Stage", at: "At", begin: float) -> str:  # noqa: ARG002 - the same
        """Say so where the door never had one of them."""
        program: Program = stage.keep[self.name]
        return "" if MET.encode() in program.log.read_bytes() else "the door never had one of them"

    async def heal(self, stage: "Stage", target: int) -> None:  # noqa: ARG002 - the same
        """Let them go."""
        program: Program | None = stage.keep.pop(self.name, None)
        if program is not None:
            await stage.by_hand(program.kill)

"""A wallet moves to another address, and its name says so; at the end it moves back.

Rule: at the old address nobody listens from then on.
"""

from typing import TYPE_CHECKING

from chaos.named import HERE, KEEP, THERE, Named, move

if TYPE_CHECKING:
    from chaos.stage import Stage


class NameMoves(Named):
    """It has no measure."""

    name = "name_moves"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Move it."""
        await move(stage, target, THERE)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Move it back."""
        if KEEP in stage.keep:
            await move(stage, target, HERE)

"""The name server says nothing of a wallet's name.

Rule: the wallet is well, and where it was; whoever asks waits for as long as the system waits.
"""

from typing import TYPE_CHECKING

from chaos.named import KEEP, Named, name_of, names_of

if TYPE_CHECKING:
    from chaos.stage import Stage


class NameHangs(Named):
    """It has no measure."""

    name = "name_hangs"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Say nothing."""
        names_of(stage).silent.add(name_of(target))

    async def heal(self, stage: "Stage", target: int) -> None:
        """Say where it is."""
        if KEEP in stage.keep:
            names_of(stage).silent.discard(name_of(target))

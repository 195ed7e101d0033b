"""The name server says that there is no such name as a wallet's (NXDOMAIN).

Rule: the wallet is well, and where it was.
"""

from typing import TYPE_CHECKING

from chaos.named import HERE, KEEP, Named, name_of, names_of

if TYPE_CHECKING:
    from chaos.stage import Stage


class NameGone(Named):
    """It has no measure."""

    name = "name_gone"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Say so."""
        names_of(stage).addresses.pop(name_of(target), None)

    async def heal(self, stage: "Stage", target: int) -> None:
        """Say where it is."""
        if KEEP in stage.keep:
            names_of(stage).addresses.setdefault(name_of(target), [HERE])

"""The name server says of a wallet's name that nobody can tell (SERVFAIL).

Rule: the wallet is well, and where it was.
"""

from typing import TYPE_CHECKING

from chaos.named import KEEP, Named, name_of, names_of

if TYPE_CHECKING:
    from chaos.stage import Stage


class NameFails(Named):
    """It has no measure."""

    name = "name_fails"

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - it has no measure
        """Say so."""
        names_of(stage).failing.add(name_of(target))

    async def heal(self, stage: "Stage", target: int) -> None:
        """Say where it is."""
        if KEEP in stage.keep:
            names_of(stage).failing.discard(name_of(target))

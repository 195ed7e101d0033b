"""The end of a connection is heard late.

Rule: what was sent has come by then; only the end is held back.
"""

from chaos.ways import WAYS, Poisoned


class SlowClose(Poisoned):
    """Toxiproxy's slow_close."""

    name = kind = "slow_close"

    def attributes(self, value: float) -> dict[str, int]:
        """The value is in seconds, one where it is 0."""
        return {"delay": int(1000 * (value or 1.0))}


EVERYWHERE = tuple(SlowClose(way) for way in WAYS)

"""A connection ends after some bytes, in the middle of a message.

Rule: what came before is whole.
"""

from chaos.ways import WAYS, Poisoned


class LimitData(Poisoned):
    """Toxiproxy's limit_data."""

    name = kind = "limit_data"
    silences = True

    def attributes(self, value: float) -> dict[str, int]:
        """The value is in bytes, 40 where it is 0."""
        return {"bytes": int(value or 40)}


EVERYWHERE = tuple(LimitData(way) for way in WAYS)

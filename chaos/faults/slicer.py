"""What is sent in one piece comes in many.

Rule: nothing is lost and nothing is out of order.
"""

from chaos.ways import WAYS, Poisoned


class Slicer(Poisoned):
    """Toxiproxy's slicer."""

    name = kind = "slicer"

    def attributes(self, value: float) -> dict[str, int]:
        """The value is in bytes of a piece, 8 where it is 0; a millisecond lies between two."""
        return {"average_size": int(value or 8), "size_variation": int(value or 8) // 2, "delay": 1000}


EVERYWHERE = tuple(Slicer(way) for way in WAYS)

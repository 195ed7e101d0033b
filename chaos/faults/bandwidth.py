"""A way lets little through in a second.

Rule: nothing is lost.
"""

from chaos.ways import WAYS, Poisoned


class Bandwidth(Poisoned):
    """Toxiproxy's bandwidth."""

    name = kind = "bandwidth"

    def attributes(self, value: float) -> dict[str, int]:
        """The value is in kB a second, 1 where it is 0."""
        return {"rate": int(value or 1)}


EVERYWHERE = tuple(Bandwidth(way) for way in WAYS)

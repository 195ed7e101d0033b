"""All that comes over a way comes later.

Rule: nothing is lost and nothing is out of order.
"""

from chaos.ways import WAYS, Poisoned


class Latency(Poisoned):
    """Toxiproxy's latency."""

    name = kind = "latency"

    def attributes(self, value: float) -> dict[str, int]:
        """The value is in seconds, half a second where it is 0; a tenth of it more or less."""
        return {"latency": int(1000 * (value or 0.5)), "jitter": int(100 * (value or 0.5))}


EVERYWHERE = tuple(Latency(way) for way in WAYS)

"""Nothing comes through, and nobody is told.

Rule: what is sent meanwhile is lost; connections end when it is over.
"""

from chaos.ways import WAYS, Poisoned


class Timeout(Poisoned):
    """Toxiproxy's timeout."""

    name = kind = "timeout"
    silences = True

    def attributes(self, value: float) -> dict[str, int]:
        """The value is in seconds after which connections are closed; never, as long as it lasts, where it is 0."""
        return {"timeout": int(1000 * value)}


EVERYWHERE = tuple(Timeout(way) for way in WAYS)

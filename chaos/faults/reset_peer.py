"""Connections are reset.

Rule: nothing comes through before that.
"""

from chaos.ways import WAYS, Poisoned


class ResetPeer(Poisoned):
    """Toxiproxy's reset_peer."""

    name = kind = "reset_peer"
    silences = True

    def attributes(self, value: float) -> dict[str, int]:
        """The value is in seconds from the first byte, at once where it is 0."""
        return {"timeout": int(1000 * value)}


EVERYWHERE = tuple(ResetPeer(way) for way in WAYS)

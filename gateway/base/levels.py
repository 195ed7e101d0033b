"""The levels of "up": each proves more than the one below, and a TCP connection proves the least."""

from enum import IntEnum


class Level(IntEnum):
    """How far up a wallet daemon is known to be."""

    NOTHING = 0
    """Nobody was heard there."""
    ACCEPTS = 1
    """Something takes connections."""
    ANSWERS = 2
    """It answers in JSON-RPC."""
    LOADED = 3
    """A wallet is loaded."""
    SYNCED = 4
    """The wallet stands at the height of a chain server that is really connected."""

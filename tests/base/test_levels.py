"""The levels of up, in their order."""

from gateway.base.levels import Level


def test_each_level_proves_more_than_the_one_before() -> None:
    """A TCP connection proves the least."""
    assert sorted(Level) == [Level.NOTHING, Level.ACCEPTS, Level.ANSWERS, Level.LOADED, Level.SYNCED]

"""A name that is equal to itself alone.

It has a room of its own because a compiled one (scripts/compile.py) cannot hold a class that derives from str.
"""


class OwnName(str):
    """A name that is equal to itself alone, so that an object with a name written twice keeps both."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__

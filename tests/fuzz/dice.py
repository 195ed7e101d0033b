"""Choices out of a string of bytes that Hypothesis draws in one go.

Rule: a byte that is zero, and one that is no longer there, is the simplest choice; so what Hypothesis shrinks to is the
simplest case that fails.  A strategy for each choice would cost a hundred times as much as the case itself.
"""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Dice:
    """A string of bytes that is used up choice by choice."""

    def __init__(self, data: bytes) -> None:
        """Begin at its first byte."""
        self.data = data
        self._at = 0

    def __repr__(self) -> str:
        """Print what makes it again."""
        return f"Dice({self.data!r})"

    def roll(self, sides: int) -> int:
        """Return 0 to sides - 1."""
        value = 0
        for _ in range(1 if sides <= 256 else 2 if sides <= 1 << 16 else 4):
            value = value << 8 | (self.data[self._at] if self._at < len(self.data) else 0)
            self._at += 1
        return value % sides

    def often(self, of: int = 4) -> bool:
        """Return True but once in `of`; True is the simple one."""
        return self.roll(of) < of - 1

    def seldom(self, of: int = 4) -> bool:
        """Return True once in `of`; False is the simple one."""
        return self.roll(of) == of - 1

    def pick(self, some: Sequence[T]) -> T:
        """Return one of them; the first is the simple one."""
        return some[self.roll(len(some))]

    def few(self, most: int) -> int:
        """Return a count up to `most`, rather a small one."""
        return min(self.roll(most + 1), self.roll(most + 1))

    def shuffled(self, some: Sequence[T]) -> list[T]:
        """Return them in another order; in theirs where it is simple."""
        rest, found = list(some), []
        while rest:
            found.append(rest.pop(self.roll(len(rest))))
        return found

    def bytes(self, most: int) -> bytes:
        """Return some bytes."""
        return bytes(self.roll(256) for _ in range(self.few(most)))


def dice(least: int = 80, most: int = 240) -> st.SearchStrategy[Dice]:
    """Return dice of so many bytes."""
    return st.binary(min_size=least, max_size=most).map(Dice)

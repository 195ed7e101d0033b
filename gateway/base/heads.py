"""Heads of HTTP messages that were seen before.

Rule: the same bytes, read by a parser that stands between two messages, mean the same.  A payment service sends the
same head with each call of one length, and a daemon answers with the same; reading it anew, header by header, costs
more than all our policies together.  Only a real parser says what a head means; what it said is kept.
"""

from typing import Final, Generic, TypeVar

T = TypeVar("T")

END: Final = b"\r\n\r\n"

MOST: Final = 256
"""Heads that are kept; then all are forgotten, for peers that never send the same twice."""

LONGEST: Final = 2048
"""Bytes of a head that is kept."""


class KnownHeads(Generic[T]):
    """What heads meant whose body followed in the same piece."""

    __slots__ = ("_known", "_last_head", "_last_meaning", "_last_size")

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[bytes, tuple[T, int]] = {}
        self._last_head = b""
        self._last_size = -1
        """Bytes of the whole message that had this head, the last one that was known."""
        self._last_meaning: T | None = None

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._known)

    def split(self, data: bytes) -> tuple[T, bytes] | None:
        """Return what a head means and its body, when the head is known and the body is here, whole and alone."""
        meaning = self._last_meaning
        if meaning is not None and len(data) == self._last_size and data.startswith(self._last_head):
            # a head ends where the first empty line does, so this one is the same; nothing is looked up
            return meaning, data[len(self._last_head) :]
        cut = data.find(END) + len(END)
        head = data[:cut]
        known = self._known.get(head)
        if known is None or len(data) - cut != known[1]:
            return None
        self._last_head, self._last_size, self._last_meaning = head, len(data), known[0]
        return known[0], data[cut:]

    def learn(self, data: bytes, meaning: T, length: int, *, keep: bool = True) -> bool:
        """Hear what a parser that stood between two messages made of bytes that came in one piece.

        Args:
            data: what came.
            meaning: of the head.
            length: bytes of the body, all of which came, as the head told it.
            keep: the same head may come again.

        Returns:
            Whether it was that message and nothing else, so that the parser stands between two messages again.
        """
        cut = data.find(END) + len(END)
        if len(data) - cut != length:
            return False
        if keep and cut <= LONGEST:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[data[:cut]] = meaning, length
        return True

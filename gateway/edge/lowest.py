"""The lowest descriptors of the process, for the socket that clients connect to.

When a process is killed, the kernel closes what it had open in ascending order.  A client whose connection breaks
connects anew within a millisecond.  If the door is still open then, because its number is higher, the new connection
is taken in by a gateway that is dead, and broken as well: the one repetition that HTTP libraries make is wasted, and no
front can help any more.  With the door closed first it is refused, nothing was sent, and the front takes the next
gateway.
"""

import os

DOOR = 2
"""Sockets of the door: one for each address that its host has."""

_kept: list[int] = []


def keep() -> None:
    """Take the lowest descriptors that are free; before the process opens anything that lasts.

    Called once more, it takes those that have come free meanwhile, as that of the program's own file.
    """
    while True:
        new = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        is_lowest = len(_kept) == DOOR and new > max(_kept)
        _kept.append(new)
        if len(_kept) > DOOR:
            highest = max(_kept)
            _kept.remove(highest)
            os.close(highest)
        if is_lowest:
            return


def free() -> None:
    """Let go of them: the next sockets that are made get their numbers."""
    while _kept:
        os.close(_kept.pop())

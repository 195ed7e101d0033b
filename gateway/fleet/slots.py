"""The one queue of a wallet: calls that wait for a slot, fair between clients, money before reads.

Rule: calls wait here and never inside a daemon; the queue is bounded, and a call that waits can always be
taken out again because not a byte of it was sent.

The lanes say where a call may go.  Within a lane each client has its own line and the lanes' lines are
served in turn, so that one client's thousand calls do not stand before another's one.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import islice
from typing import Final, Generic, TypeVar


class Lane(IntEnum):
    """Where a waiting call may go; a smaller number passes the larger ones."""

    OWN = 0
    """One named backend alone: the gateway's own upkeep."""
    MONEY = 1
    """The primary alone: allocate, write, sign."""
    PUBLISH = 2
    """Any backend but the one that is kept free; before all reads."""
    LOCAL = 3
    """The primary alone, reads of its own file."""
    WALLET = 4
    """The primary first, other aligned backends when it is busy or sick."""
    ANY = 5
    """Any backend."""
    SLOW = 6
    """Reads that ask the chain server and may take half a minute: any backend but the one that is kept free."""

    is_read: bool
    """Whether it is served in order of arrival with the other reads."""


for _lane in Lane:
    # worked out once: each call that waits asks several times
    _lane.is_read = _lane >= Lane.LOCAL

OWN: Final[Lane] = Lane.OWN
"""At hand without a look into the class."""

LEFT_TO_OTHERS: Final = 0.75
"""The share of the queue beyond which a client that holds most of it gets no more, where there are several."""

LOOK_AHEAD: Final = 16
"""Calls of one client that are looked at for one slot.  Those that may go where others may not (tried before,
waited long) stand at the head of their line, so that looking at all of a long line would find nothing more."""


class Waiting:
    """What the queue must know of a call; a base of it, and no protocol, so that it is compiled to mere offsets."""

    __slots__ = ("arrived_at", "client", "is_waiting", "lane")

    client: str
    lane: Lane
    arrived_at: float
    is_waiting: bool
    """Set and cleared by the queue and by whoever takes a call out."""


W = TypeVar("W", bound=Waiting)


class FairLine(Generic[W]):
    """The calls of one lane: a line per client, served in turn."""

    __slots__ = ("clients",)

    def __init__(self) -> None:
        """Begin empty."""
        self.clients: OrderedDict[str, deque[W]] = OrderedDict()

    def push(self, call: W, *, first: bool) -> None:
        """Put a call at the end of its client's line, or at its head."""
        line = self.clients.get(call.client)
        if line is None:
            line = self.clients[call.client] = deque()
        if first:
            line.appendleft(call)
        else:
            line.append(call)

    def head(self, may: Callable[[W], bool]) -> W | None:
        """Return the call whose turn it is among those that `may` go; leave it in line."""
        found: W | None = None
        emptied: list[str] | None = None
        for client, line in self.clients.items():
            while line and not line[0].is_waiting:
                line.popleft()
            if not line:
                emptied = [client] if emptied is None else [*emptied, client]
                continue
            # nearly always it is the first one's turn
            found = line[0] if may(line[0]) else self._behind(line, may)
            if found is not None:
                break
        for client in emptied or ():
            del self.clients[client]
        return found

    def _behind(self, line: deque[W], may: Callable[[W], bool]) -> W | None:
        """Return the first call behind the head of a line that may go."""
        for call in islice(line, 1, LOOK_AHEAD):
            if call.is_waiting and may(call):
                return call
        return None

    def take(self, call: W) -> None:
        """Take out a call and send its client to the end of the turn."""
        clients = self.clients
        line = clients[call.client]
        if line[0] is call:
            line.popleft()
        else:
            line.remove(call)
        if not line:
            del clients[call.client]
        elif len(clients) > 1:
            clients.move_to_end(call.client)

    def __iter__(self) -> Iterator[W]:
        """All calls that still wait."""
        for line in self.clients.values():
            yield from (call for call in line if call.is_waiting)


class SlotQueue(Generic[W]):
    """The waiting calls of one wallet.

    Args:
        max_waiting: the bound, for reads and for all others apart: money that waits for a sick primary must not
            keep out the reads that the standbys could answer.  `push` refuses beyond it.
    """

    def __init__(self, max_waiting: int) -> None:
        """Begin empty."""
        self.max_waiting = max_waiting
        self.waiting = 0
        self.reads = 0
        """How many of them are reads."""
        self._lanes: list[FairLine[W]] = [FairLine() for _ in Lane]
        """By the number of the lane."""
        self._own: dict[str, int] = {}
        """Waiting calls of each client that ever waited; clients are as many as the configuration names."""
        self._served: dict[str, int] = {}
        """When each client was served last, in turns, so that the lanes together are fair between clients."""
        self._turns = 0

    def __repr__(self) -> str:
        """Status line."""
        return f"<SlotQueue waiting={self.waiting}/{self.max_waiting}>"

    def push(self, call: W, *, first: bool = False) -> bool:
        """Let a call wait; False when the queue is full.  A call that was already let in once goes `first`."""
        lane = call.lane
        is_read = lane.is_read
        if lane is not OWN:
            alike = self.reads if is_read else self.waiting - self.reads
            if not first and (alike >= self.max_waiting or self._is_greedy(call, alike)):
                return False
            self._own[call.client] = self._own.get(call.client, 0) + 1
        call.is_waiting = True
        self.waiting += 1
        if is_read:
            self.reads += 1
        self._lanes[lane].push(call, first=first)
        return True

    def _is_greedy(self, call: W, alike: int) -> bool:
        """Whether a client that holds most of a nearly full queue wants the rest of it, which is left to others."""
        if len(self._own) < 2:
            return False
        return alike >= self.max_waiting * LEFT_TO_OTHERS and self._own.get(call.client, 0) * 2 >= self.waiting

    def _turn(self, call: W) -> tuple[int, float]:
        return self._served.get(call.client, 0), call.arrived_at

    def remove(self, call: W) -> None:
        """Take out a call that waits no more; it leaves its line when its turn comes."""
        if call.is_waiting:
            call.is_waiting = False
            self.waiting -= 1
            lane = call.lane
            if lane is not OWN:
                self._own[call.client] -= 1
            if lane.is_read:
                self.reads -= 1

    def next(self, lanes: tuple[Lane, ...], may: Callable[[W], bool]) -> W | None:
        """Take out the call that a free slot goes to: upkeep and money first, then reads, by turns of the clients.

        Args:
            lanes: the lanes that the backend with the free slot serves, in their order.
            may: whether that backend may take this very call.
        """
        best: W | None = None
        for lane in lanes:
            line = self._lanes[lane]
            call = line.head(may) if line.clients else None
            if call is None:
                continue
            if not lane.is_read:
                best = call
                break
            if best is None or self._turn(call) < self._turn(best):
                best = call
        if best is None:
            return None
        self._turns += 1
        self._served[best.client] = self._turns
        self._lanes[best.lane].take(best)
        self.remove(best)
        return best

    def __iter__(self) -> Iterator[W]:
        """All waiting calls, lane by lane."""
        for line in self._lanes:
            yield from line

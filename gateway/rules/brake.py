"""Makes guessing slow: each wrong password or token of an address is answered later than the one before.

Rule: only answers to wrong ones wait, so that nobody is locked out by what others try.  What is remembered is bounded:
of the addresses, those that failed last; of all of them together, one number that no new address begins anew.
"""

import ipaddress
from collections import OrderedDict


class Brake:
    """One count of failures that is forgotten again; times are seconds."""

    __slots__ = ("_at", "_failures", "free")

    FREE = 3
    """Wrong ones that are answered at once: somebody took the wrong file."""
    FIRST = 0.5
    LONGEST = 5.0
    FORGETS = 60.0
    """Seconds after which one of them is forgotten."""
    MOST = 20.0
    """More of them above the free ones would change nothing but how long they are remembered."""

    def __init__(self, free: int = FREE) -> None:
        """Have seen none; `free` wrong ones are answered at once."""
        self.free = free
        self._failures = 0.0
        self._at = 0.0

    def failures(self, now: float) -> float:
        """Return how many are remembered at `now`."""
        return max(0.0, self._failures - (now - self._at) / self.FORGETS)

    def failed(self, now: float) -> float:
        """Take a failure at `now` and return after how long it is to be answered."""
        self._failures, self._at = min(self.failures(now) + 1.0, self.free + self.MOST), now
        over = self._failures - self.free
        return 0.0 if over <= 0 else min(self.LONGEST, self.FIRST * 2.0 ** (over - 1))


class Brakes:
    """A brake for each address, and one for all of them: who has many addresses is slowed down as well."""

    MOST = 1024
    """Addresses that are remembered."""
    FREE = 30
    """Wrong ones of all addresses together that slow nobody down."""

    def __init__(self) -> None:
        """Have seen nobody."""
        self._all = Brake(self.FREE)
        self._by_address: OrderedDict[str, Brake] = OrderedDict()

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._by_address)

    def failures(self, address: str, now: float) -> float:
        """Return how many failures of an address are remembered at `now`."""
        brake = self._by_address.get(address)
        return 0.0 if brake is None else brake.failures(now)

    def failed(self, address: str, now: float) -> float:
        """Take a failure of an address at `now` and return after how many seconds it is to be answered."""
        brake = self._by_address.setdefault(address, Brake())
        self._by_address.move_to_end(address)
        if len(self._by_address) > self.MOST:
            self._by_address.popitem(last=False)
        return max(brake.failed(now), self._all.failed(now))


def neighbourhood(address: str) -> str:
    """Return what counts as one address: of IPv6 the network of 64 bits that one person has all to himself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((found, 64), strict=False).network_address)
    return str(found)

"""New addresses for the pool, derived on every daemon alike, without laying whole lists beside each other.

Rule: an address counts only when every daemon in service answered with it at the same place, and one list shows that
no place was left out before it.  Whatever is otherwise (a daemon forgot, somebody else derives, another seed) is not
judged here: the mirror compares everything then, and nothing of this was written down.

A daemon derives the n-th address of its seed, whoever asks; so one that answers with the n-th lists all before it.  No
call tells the n, which is why one list is read at the end: of a standby where there is one, for the primary has
customers.  Only its length and its end are looked at, so that what a refill costs does not grow with every address
that was ever given out, but for the daemon's writing of that one list.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from gateway.fleet.backend import Backend
from gateway.rules.cashaddr import bare

AT_ONCE = 50
"""Addresses of one refill: as many as a daemon derives in a moment."""

Derive = Callable[[Backend], Awaitable[str]]
"""Makes a daemon derive its next address and returns it (bare).  Raises NotNow."""

ListAsWritten = Callable[[Backend], Awaitable[list[str]]]
"""Returns every receiving address of a daemon in its own order, as it writes them.  Raises NotNow."""


class AstrayError(Exception):
    """A daemon answered otherwise than expected: everything has to be compared."""


async def on_primary(
    primary: Backend, count: int, known: Collection[str], derive: Derive, on_derived: Callable[[str], None]
) -> list[str]:
    """Make the primary derive so many addresses and return them, in their order.

    Args:
        known: every address that is known; a daemon that answers with one of them has forgotten it.
        on_derived: hears of each at once, so that it is known for ours should this be broken off.

    Raises:
        AstrayError: it answered with an address that is known.
        NotNow: it did not answer, or is no longer primary.
    """
    fresh: list[str] = []
    for _ in range(count):
        address = await derive(primary)
        if address in known or address in fresh:
            raise AstrayError(f"{primary.name} derives addresses that are known")
        on_derived(address)
        fresh.append(address)
    return fresh


async def on_standby(standby: Backend, fresh: list[str], derive: Derive, alike: set[Backend]) -> None:
    """Make a standby derive the same addresses, and put it among those that did.  Raises NotNow."""
    for expected in fresh:
        if await derive(standby) != expected:
            return
    alike.add(standby)


async def has_no_gap(witness: Backend, known: list[str], fresh: list[str], list_as_written: ListAsWritten) -> bool:
    """Return whether a daemon lists exactly what is known, and new addresses right behind it.  Raises NotNow."""
    listed = await list_as_written(witness)
    # of a seed the beginning cannot differ where the end does not
    end = list(map(bare, listed[-len(fresh) - 1 :]))
    return len(listed) == len(known) + len(fresh) and end == [*known[-1:], *fresh]


async def derive_alike(
    primary: Backend, standbys: list[Backend], fresh: list[str], derive: Derive,
    under: Callable[[Backend, Coroutine[Any, Any, None]], "asyncio.Task[None]"], patience: float,
) -> None:  # fmt: skip
    """Make all standbys derive what the primary derived.

    Args:
        under: begins something with a standby that nothing else may be done with meanwhile.
        patience: seconds; one that is slower goes on by itself.

    Raises:
        AstrayError: one of them answered otherwise, or not in time.
    """
    alike: set[Backend] = set()
    tasks = {under(one, on_standby(one, fresh, derive, alike)) for one in standbys}
    if tasks:
        await asyncio.wait(tasks, timeout=patience)
    if len(alike) < len(standbys):
        behind = ", ".join(one.name for one in standbys if one not in alike)
        raise AstrayError(f"{behind} did not derive what {primary.name} derived")

"""What a used wallet has beside its addresses, as its daemons tell it: invoices, labels, freezes.

Rule: every daemon in service is asked, for each has its own; where two say different things the primary's counts, and
what is left out is told.  What the gateway itself put on the daemons stays the gateway's.
"""

import ast
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection

from gateway.fleet.backend import Backend
from gateway.ledger import invoices, marks
from gateway.ledger.marks import CLIENT, FREEZE, FREEZE_UTXO, FROZEN, LABEL, LABELS, MOST_KEY, Change, Mark
from gateway.rules.cashaddr import bare
from gateway.rules.coins import read_unspent
from gateway.rules.invoices import Invoice, label_key, taken_over
from gateway.supervision.lists import NotNow
from gateway.supervision.looks import Looks


@dataclass(slots=True)
class Belongings:
    """Everything that is taken over with the addresses."""

    invoices: dict[str, Invoice] = field(default_factory=dict)
    """By address (bare)."""
    left_out: list[tuple[str, Invoice]] = field(default_factory=list)
    """Invoices of an address that has another one, with the backend that tells them."""
    marks: dict[tuple[str, str], str] = field(default_factory=dict)
    """Labels and freezes by kind and key; freezes first, because without them nobody may sign."""
    theirs: set[tuple[str, str]] = field(default_factory=set)
    """Those of them that the primary does not have."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the ledger took of it."""

    invoices: int
    labels: int
    freezes: int
    changes: Sequence[Change]
    """Of labels and freezes, in the order in which they were written."""


async def look(looks: Looks, backends: Sequence[Backend]) -> Belongings:
    """Ask daemons, the primary first.  Raises NotNow."""
    found = Belongings()
    labels: dict[tuple[str, str], str] = {}
    for place, backend in enumerate(backends):
        for invoice in map(taken_over, await looks.requests(backend)):
            if invoice is None:
                continue
            if found.invoices.setdefault(invoice.address, invoice) != invoice:
                found.left_out.append((backend.name, invoice))
        freezes = [*await _frozen_coins(looks, backend), *await _frozen(looks, backend)]
        for into, told in (
            (found.marks, dict.fromkeys(freezes, FROZEN)),
            (labels, dict(await _labels(looks, backend))),
        ):
            if place:
                found.theirs |= told.keys() - into.keys()
            into.update({key: value for key, value in told.items() if key not in into})
    found.marks.update(labels)
    return found


def take_over(connection: Connection, wallet: str, found: Belongings, at: float) -> Taken:
    """Write it all down as the clients'.

    What the ledger has of a key already stays, for it may be the gateway's own, or lifted since: only another label
    than the ledger's, and only on the primary, is news.
    """
    taken = invoices.take_over(connection, wallet, found.invoices.values())
    kept = {(one.kind, one.key): one for one in marks.every(connection, wallet)}
    changes = [
        change
        for (kind, key), value in found.marks.items()
        if _is_news(kept.get((kind, key)), value, is_theirs=(kind, key) in found.theirs)
        if (change := marks.put(connection, wallet, kind, key, value, CLIENT, at)) is not None
    ]
    labels = sum(one.mark.kind in LABELS for one in changes)
    return Taken(taken, labels, len(changes) - labels, changes)


def _is_news(kept: Mark | None, value: str, *, is_theirs: bool) -> bool:
    if kept is None:
        return True
    return kept.kind == LABEL and kept.value != value and not is_theirs


async def _frozen_coins(looks: Looks, backend: Backend) -> list[tuple[str, str]]:
    """Return the coins that a daemon does not spend."""
    method = looks.profile.methods.get("listunspent")
    if method is None:
        return []
    answer = await looks.ask(backend, method, b"[]")
    try:
        coins = read_unspent(answer)
    except ValueError as error:
        raise NotNow(f"{backend.name}: {error}") from None
    return [(FREEZE_UTXO, outpoint) for outpoint, coin in coins.items() if coin.is_frozen]


async def _frozen(looks: Looks, backend: Backend) -> list[tuple[str, str]]:
    """Return the addresses that a daemon does not spend from, change addresses too."""
    listing = looks.profile.methods[looks.profile.list_addresses]
    if "frozen" not in listing.params:
        return []
    answer = await looks.ask(backend, listing, b'{"frozen": true}')
    return [(FREEZE, bare(one)) for one in answer if isinstance(one, str)] if isinstance(answer, list) else []


async def _labels(looks: Looks, backend: Backend) -> Iterator[tuple[tuple[str, str], str]]:
    """Return the labels of a daemon's receiving addresses."""
    listing = looks.profile.methods[looks.profile.list_addresses]
    if not {"receiving", "labels"} <= set(listing.params):
        return iter(())
    answer = await looks.ask(backend, listing, b'{"receiving": true, "labels": true}')
    return _read_labels(answer)


def _read_labels(answer: object) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield key and label of each item that has one; the daemon writes labels as Python would."""
    for item in answer if isinstance(answer, list) else []:
        match item:
            case [str(address), *_, str(written)] if len(address) <= MOST_KEY:
                label: object = ""
                with suppress(ValueError, SyntaxError):
                    label = ast.literal_eval(written)
                if isinstance(label, str) and label:
                    # half of a surrogate pair, as a program leaves it that cuts an emoji in two, is no text to keep
                    text = label.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                    yield (LABEL, label_key(address)), text

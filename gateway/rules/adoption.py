"""Whether a wallet met for the first time was used before.

Rule: only a wallet that shows no sign of use is taken over without a word; any other may have given addresses to
people whom the ledger does not know, and waits for an operator.
"""

from collections.abc import Mapping

GAP_LIMIT = 20
"""Addresses that a daemon lists behind the last one that was paid to, without anybody asking it for one."""

MOST_FRESH = GAP_LIMIT
"""Receiving addresses that a wallet lists which nobody ever asked for one."""

NO_LABEL = frozenset({"", "''", '""'})
"""How the daemon writes that there is no label; it answers with Python's own quotes."""


def is_untouched(answer: object) -> bool:
    """Return whether a list of a daemon shows no use: it is empty, or holds addresses without labels.

    Args:
        answer: decoded; a list, or an object of lists (as Electrum's history is).
    """
    if isinstance(answer, Mapping):
        # without any list it says nothing: an error dressed as a result looks like that
        lists = [value for value in answer.values() if isinstance(value, list)]
        return bool(lists) and not any(lists)
    return isinstance(answer, list) and all(map(_has_no_label, answer))


def is_fresh(addresses: int, answers: list[object]) -> bool:
    """Return whether a wallet is fresh.

    Args:
        addresses: how many receiving ones it lists.
        answers: of the calls that the profile names for this.
    """
    return 0 < addresses <= MOST_FRESH and all(map(is_untouched, answers))


def _has_no_label(item: object) -> bool:
    return isinstance(item, list) and bool(item) and isinstance(item[-1], str) and item[-1] in NO_LABEL

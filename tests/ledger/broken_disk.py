"""A gateway whose disk breaks: one transaction is durable, the fsync of the next one fails, and the process ends.

Usage: python -m tests.ledger.broken_disk LEDGER LIBRARY, the library preloaded; tells how the second one ended.
"""

import ctypes
import os
import sys
from functools import partial

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import addresses
from gateway.ledger.opening import open_ledger
from gateway.ledger.store import LedgerError

AT = 1_800_000_000.0


def main(path: str, library: str) -> None:
    """Write twice."""
    ledger = open_ledger(Settings(path=path, may_be_lost=True), AT).ledger
    for place in range(2):
        ctypes.c_int.in_dll(ctypes.CDLL(library), "is_broken").value = place
        try:
            ledger.transact(partial(addresses.add, wallet="main", found=[f"qa{place}"], state="pool", epoch=1, at=AT))
        except LedgerError as error:
            os.write(1, type(error).__name__.encode())
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Writes into a ledger as fast as it can and says what was committed, until it is killed; for test_durability.

Each line of standard input begins one life: a child opens the ledger, says its pid, and writes rows of growing numbers
in transactions of several statements.  When it is dead, `dead` is said.
"""

import os
import sys
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import intents
from gateway.ledger.opening import open_ledger
from gateway.ledger.schema import addresses


def live(path: Path) -> None:
    """Open the ledger and write for ever."""
    ledger = open_ledger(Settings(path=str(path), may_be_lost=True), 1.0).ledger
    say(f"pid {os.getpid()}")
    number = ledger.transact(lambda connection: connection.scalar(select(func.count()).select_from(addresses)) or 0)
    while True:

        def work(connection: Connection, number: int = number) -> None:
            intent = intents.open_(connection, "main", 1, "shop", "createnewaddress", 1.0)
            row = insert(addresses).values(wallet="main", place=number, address=f"q{number}", state="handed", at=1.0)
            connection.execute(row.values(client="shop"))
            intents.close(connection, intent, intents.UNKNOWN, 0, 1.0, "ec-1", "1", note="x" * (number % 5000))

        ledger.transact(work)
        say(str(number))
        number += 1


def say(line: str) -> None:
    """Tell at once; a line this short is never cut in two."""
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            live(Path(sys.argv[1]))
        os.waitpid(child, 0)
        say("dead")

"""The ledger's server is restarted, as an update of its package does it.

Rule: it is there again when the fault begins to last; there is nothing to take back.
"""

from collections.abc import Callable

from chaos.databases import Databased
from tests.checker.database import Shared


class DatabaseRestart(Databased):
    """It has no measure."""

    name = "database_restart"
    counts_as = "database_stop"

    def lose(self, server: Shared) -> Callable[[], None]:
        """Stop it and start it."""

        def restart() -> None:
            server.stop()
            server.again()

        return restart

    def find(self, server: Shared) -> Callable[[], None]:
        """Start it where that failed."""
        return lambda: None if server.processes() else server.again()

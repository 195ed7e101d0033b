"""The ledger's server is stopped as an administrator does it, and started again at the end.

Rule: those who are connected are told.
"""

from collections.abc import Callable

from chaos.databases import Databased
from tests.checker.database import Shared


class DatabaseStop(Databased):
    """It has no measure."""

    name = "database_stop"
    counts_as = "database_stop"

    def lose(self, server: Shared) -> Callable[[], None]:
        """Stop it."""
        return server.stop

"""The ledger's server dies without a word, and is started again at the end.

Rule: all of its processes die at once.
"""

from collections.abc import Callable

from chaos.databases import Databased
from tests.checker.database import Shared


class DatabaseKill(Databased):
    """It has no measure."""

    name = "database_kill"
    counts_as = "database_kill"

    def lose(self, server: Shared) -> Callable[[], None]:
        """Kill it."""
        return server.kill

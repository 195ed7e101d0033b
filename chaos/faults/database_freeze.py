"""The ledger's server stands still, and goes on at the end.

Rule: connections to it stay, and nobody is answered.
"""

from collections.abc import Callable

from chaos.databases import Databased
from tests.checker.database import Shared


class DatabaseFreeze(Databased):
    """It has no measure."""

    name = "database_freeze"
    counts_as = "database_freeze"

    def lose(self, server: Shared) -> Callable[[], None]:
        """Stop all of it."""
        return server.freeze

    def find(self, server: Shared) -> Callable[[], None]:
        """Let it go on."""
        return server.thaw

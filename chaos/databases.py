"""A run whose ledger is in a real PostgreSQL of its own, and what befalls that.

Rule: it is the checker's server; it is started before the door and ended with the run, whatever was done to it.
"""

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tests.checker.database import Shared, shared
from tests.integration.postgres_server import PASSWORD

if TYPE_CHECKING:
    from chaos.stage import Stage

KEEP = "postgres"

DUMP = "ledger.sql"
"""What is in the database at the end of a run."""


class Databased:
    """A fault of the ledger's server."""

    name = ""
    lane = "database"
    needs = frozenset({"postgres"})
    also_peers = False

    async def prepare(self, stage: "Stage") -> None:
        """Start the server, and let the gateway keep its ledger there."""
        if KEEP in stage.keep:
            return
        around = ExitStack()
        server: Shared = await stage.by_hand(around.enter_context, shared(None))
        stage.keep[KEEP] = (server, around)
        stage.secrets.know("the database", PASSWORD)
        key = stage.folder / "ledger.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(32))

        def use(found: dict[str, Any]) -> None:
            if "ledger" in found:
                found["ledger"] = {"url": server.url("127.0.0.1"), "password": PASSWORD, "key_file": str(key)}

        stage.launch.settings.append(use)

    async def inject(self, stage: "Stage", target: int, value: float) -> None:  # noqa: ARG002 - there is one server
        """Do it."""
        stage.keep[self.name] = True
        await stage.by_hand(self.lose(self.server(stage)))

    async def heal(self, stage: "Stage", target: int) -> None:  # noqa: ARG002 - the same
        """Let it be there again."""
        if stage.keep.pop(self.name, False):
            await stage.by_hand(self.find(self.server(stage)))

    async def tidy(self, stage: "Stage") -> None:
        """Keep what is in it as evidence, and end it."""
        server, around = stage.keep.pop(KEEP, (None, None))
        if around is not None:
            await stage.by_hand(server.dump, stage.folder / DUMP)
            await stage.by_hand(around.close)

    def server(self, stage: "Stage") -> Shared:
        """Return the run's server."""
        server: Shared = stage.keep[KEEP][0]
        return server

    def lose(self, server: Shared) -> Callable[[], None]:
        """Return what is done to it."""
        raise NotImplementedError

    def find(self, server: Shared) -> Callable[[], None]:
        """Return how that is taken back."""
        return server.again

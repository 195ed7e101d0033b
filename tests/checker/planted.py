"""The gateway with one rule taken away: `python -m tests.checker.planted BUG run -c FILE`.

Rule: each bug is the least that takes its rule away, in the real function, in the gateway's own process.  A bug that
no run turns red would mean that the checker sees nothing; those in `HARMLESS` take away what another rule makes up for,
and a run with one must be green.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any


def no_unique_address() -> None:
    """An address that was handed out stays in the pool."""
    from sqlalchemy import Connection, select  # noqa: PLC0415 - only the planted gateway needs it

    from gateway.ledger import addresses  # noqa: PLC0415 - the same
    from gateway.ledger.schema import addresses as table  # noqa: PLC0415 - the same

    def take(connection: Connection, wallet: str, *_whom: Any, **_more: Any) -> str | None:
        waiting = select(table.c.address).where(table.c.wallet == wallet, table.c.state == addresses.POOL)
        found = connection.scalar(waiting.order_by(table.c.place).limit(1))
        return None if found is None else str(found)

    addresses.take = take


def no_epoch_check() -> None:
    """An answer of an older epoch is given all the same."""
    from gateway.ledger import epochs, intents  # noqa: PLC0415 - only the planted gateway needs it

    def always(*_args: Any, **_more: Any) -> bool:
        return True

    for room in (epochs, intents):
        setattr(room, "is_current", always)  # noqa: B010 - the rooms import it by name


def resend_on_unknown() -> None:
    """What may have been run is sent again."""
    from gateway.flow import runner  # noqa: PLC0415 - only the planted gateway needs it
    from gateway.rules import retry  # noqa: PLC0415 - the same

    def decide(*_args: Any, **_more: Any) -> retry.TryAgain:
        return retry.TryAgain(costs=False)

    setattr(runner, "decide", decide)  # noqa: B010 - the room imports it by name


def past_the_horizon() -> None:
    """Every daemon counts as knowing every address."""
    from gateway.fleet.pool import Pool  # noqa: PLC0415 - only the planted gateway needs it

    def is_aligned(_self: Pool, _backend: object) -> bool:
        return True

    Pool.is_aligned = is_aligned  # type: ignore[assignment]  # that is the bug


def restarts_the_busy() -> None:
    """A daemon that is ordered to restart is not left the time for its calls, and is killed."""
    from gateway.supervision.restarting import Restarting  # noqa: PLC0415 - only the planted gateway needs it

    async def leave(self: Restarting) -> None:
        self.pool.order_out(self.backend, self.loop.time(), self.reason)

    Restarting._leave = leave  # type: ignore[method-assign]  # that is the bug
    ends_unsaved()


def ends_unsaved() -> None:
    """A daemon that is restarted is killed, and never told to stop, which alone saves its wallet."""
    from gateway.supervision.asking import Asking  # noqa: PLC0415 - only the planted gateway needs it

    async def stop(*_args: Any) -> bool:
        return False

    Asking.stop = stop  # type: ignore[assignment,method-assign]  # that is the bug


def stale_holder_fenced() -> None:
    """A gateway that has had a wallet goes on to take itself for its holder; what it writes is still fenced."""
    from gateway.rules import lease  # noqa: PLC0415 - only the planted gateway needs it

    def does_count(*_args: Any) -> bool:
        return True

    setattr(lease, "does_count", does_count)  # noqa: B010 - the room asks it by its module


def stale_holder() -> None:
    """The same, and nothing is fenced."""
    from gateway.ledger.held import HeldLedger  # noqa: PLC0415 - only the planted gateway needs it

    def fenced(_self: HeldLedger, work: Any) -> Any:
        return work

    HeldLedger._fenced = fenced  # type: ignore[assignment,method-assign]  # that is the bug
    stale_holder_fenced()


def tells_passwords() -> None:
    """The log has the header by which a client comes in, as a careless line about a request would."""
    from gateway.edge.auth import Authenticator, Caller  # noqa: PLC0415 - only the planted gateway needs it

    find = Authenticator._find

    def told(self: Authenticator, header: str) -> Caller | None:
        print(f'{{"event": "request.seen", "authorization": "{header}"}}', flush=True)  # noqa: T201 - that is the bug
        return find(self, header)

    Authenticator._find = told  # type: ignore[method-assign]  # that is the bug


BUGS: dict[str, Callable[[], None]] = {
    "no-unique-address": no_unique_address,
    "no-epoch-check": no_epoch_check,
    "resend-on-unknown": resend_on_unknown,
    "past-the-horizon": past_the_horizon,
    "restarts-the-busy": restarts_the_busy,
    "ends-unsaved": ends_unsaved,
    "tells-passwords": tells_passwords,
    "stale-holder": stale_holder,
    "stale-holder-fenced": stale_holder_fenced,
}

HARMLESS = frozenset({"ends-unsaved", "stale-holder-fenced"})
"""An address that a daemon has lost is derived again by the mirror, before anybody asks for it; and what a gateway
that is no holder any more learns from its calls, it can neither write down nor tell."""


def launcher(bug: str) -> Sequence[str]:
    """Return how a gateway with a bug is started."""
    return ("tests.checker.planted", bug)


def main() -> None:
    """Plant the bug, then be the gateway."""
    bug = sys.argv.pop(1)
    BUGS[bug]()
    from gateway.cli import main as gateway  # noqa: PLC0415 - after the bug

    gateway()


if __name__ == "__main__":
    main()

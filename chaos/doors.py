"""What stands between the clients and the wallets: our gateway, or what people would use in its place.

Rule: a door is a process that is started, signalled and ended; a new one is a file and a line in `DOORS`.
"""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from chaos.gate import Gate
from chaos.peers import haproxy, nginx

if TYPE_CHECKING:
    from chaos.stage import Stage


class Door(Protocol):
    """One door."""

    name: str
    has_ledger: bool
    """Whether it promises that no address is given twice; one that does not is measured and not judged."""

    @property
    def pid(self) -> int:
        """Its process, the last one where it has ended."""

    @property
    def is_alive(self) -> bool:
        """Whether it runs, frozen or not."""

    def start(self) -> None:
        """Start it, again after its end, on `stage.door_port`, and wait until it serves.

        Raises RuntimeError, ProgramError: it does not.
        """

    def end(self, patience: float) -> bool:
        """Tell it to stop, and end it the hard way where it does not; return whether it stopped by itself."""

    def kill(self) -> None:
        """End it the hard way; may be called twice."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""

    def login(self, client: str) -> str:
        """Return the user name and the password by which a client comes in, `NAME:PASSWORD`."""


def gateway(stage: "Stage") -> Door:
    """Our own."""
    return Gate(stage)


DOORS: dict[str, Callable[["Stage"], Door]] = {"gateway": gateway, "haproxy": haproxy, "nginx": nginx}
"""How a door is made, once the wallets run and the faults are prepared."""

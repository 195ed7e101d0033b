"""What clients, the last look and the judge need of the processes of a run, whoever keeps them.

Rule: a wallet of several daemons and at least one door; `World` is one, and so is a stage of the chaos suite.
"""

from pathlib import Path
from typing import Protocol

from gateway.sandbox.fleet import Fleet
from tests.checker.gateway import Bounds
from tests.checker.history import Diary


class Site(Protocol):
    """The processes of a run."""

    @property
    def doors(self) -> int:
        """How many doors there are."""

    @property
    def silence(self) -> float:
        """Seconds past its deadline after which a client stops to wait for an answer."""

    @property
    def bounds(self) -> Bounds:
        """In which time clients are answered."""

    @property
    def folder(self) -> Path:
        """Where everything is written."""

    @property
    def diary(self) -> Diary:
        """What is done to the processes."""

    @property
    def fleet(self) -> Fleet:
        """The chain and the daemons."""

    def door(self, number: int) -> tuple[str, int]:
        """Return host and port of a door; port 0 while it is known to be away."""

    def login(self, client: str) -> str:
        """Return the user name and the password of a client, `NAME:PASSWORD`."""

    async def pay(self, address: str, sats: int) -> None:
        """Let a customer pay."""

    async def mine(self, blocks: int = 1) -> None:
        """Find blocks."""

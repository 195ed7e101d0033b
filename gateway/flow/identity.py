"""Who speaks to which gateway: this process as one that signs, and the holder of a lease as one that is spoken to."""

import secrets
from collections.abc import Callable
from typing import Protocol

from gateway.base.effects import Effect
from gateway.rules.forward import Passage


class Holder(Protocol):
    """Who has the lease of the wallet, as last seen."""

    @property
    def name(self) -> str:
        """Of the gateway."""

    @property
    def address(self) -> str:
        """Of its door, such as http://10.0.0.11:7777."""

    @property
    def term(self) -> int:
        """Of the lease."""

    @property
    def until(self) -> float:
        """End of the lease, by the clock of the database."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether it can be called: False for this gateway itself, and where a call would come back to it."""


class Identity:
    """Who signs: this process of this gateway.

    Args:
        name: of this gateway.
        secret: that the gateways share.
        now: its clock, in seconds.
    """

    def __init__(self, name: str, secret: bytes, now: Callable[[], float]) -> None:
        """Begin a session, whose calls are counted."""
        self.name = name
        self.secret = secret
        self.now = now
        self.session = secrets.token_hex(16)
        self.count = 0

    def passage(
        self, holder: Holder, wallet: str, client: str, left: float, key: str | None, body_hash: str, effect: Effect
    ) -> Passage:  # fmt: skip
        """Return what is to be signed about one more try; `left` is seconds."""
        self.count += 1
        return Passage(
            self.name, holder.name, holder.term, wallet, client, f"{left:.3f}", key, self.session, self.count,
            int(self.now() * 1000), body_hash, effect,
        )  # fmt: skip

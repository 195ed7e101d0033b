"""Moments that people ask for and no room keeps: since when a wallet is held here, and who is primary in whose place.

Rule: they are heard of and never asked for, so that a gateway that has just started knows none.  What is over is
forgotten, and nothing is told that the snapshot beside it does not bear out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.base.events import Event


@dataclass(frozen=True, slots=True)
class Promotion:
    """One backend was made primary in place of another; `at` in seconds since 1970."""

    backend: str
    before: str
    at: float


class Moments:
    """What was heard, of each wallet."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self._held: dict[str, float] = {}
        self._promoted: dict[str, Promotion] = {}

    def hear(self, event: Event, at: float) -> None:
        """Take note of an event; `at` in seconds since 1970."""
        wallet = event.wallet
        match event.name:
            case "lease.gained":
                self._held[wallet] = at
            case "lease.lost":
                self._held.pop(wallet, None)
                self._promoted.pop(wallet, None)
            case "primary.promoted":
                self._promoted[wallet] = Promotion(event.backend, str(event.fields.get("before") or ""), at)
            case "backend.ready" if (known := self._promoted.get(wallet)) and known.before == event.backend:
                # whoever fails again is a standby by then
                del self._promoted[wallet]

    def of(self, wallet: str, shown: Mapping[str, object]) -> dict[str, object]:
        """Return what is to be shown of a wallet beside, or in the place of, what a snapshot has of it."""
        found: dict[str, object] = {}
        lease = shown.get("lease")
        if isinstance(lease, Mapping):
            since = self._held.get(wallet) if lease.get("held") else None
            found["lease"] = found["holder"] = {**lease, "since": None if since is None else round(since, 1)}
        if "backends" in shown:
            one = self._promoted.get(wallet)
            is_so = one is not None and one.backend == shown.get("primary")
            found["promoted"] = (
                {"backend": one.backend, "before": one.before, "at": round(one.at, 1)} if one and is_so else None
            )
        return found

"""Brings labels and freezes to every daemon of a wallet, as the ledger has their last values.

Rule: what a daemon is known to have is one number, the time of the newest change up to which it has them all, and it
is forgotten with whatever the daemon may have lost.  Freezes come before labels, because without them the daemon must
not sign; within each, changes come in the order in which they were made.

A daemon saves labels and freezes only at its next save, so one that was killed has lost some, and nothing tells which:
it is given all of them again, which changes nothing where it has them.
"""

import asyncio
import math
from collections.abc import Mapping

import msgspec

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import marks
from gateway.ledger.marks import FREEZE, FREEZE_UTXO, FREEZES, LABEL, LABELS, Change, Mark
from gateway.ledger.store import Ledger
from gateway.profiles import Method
from gateway.supervision.upkeep import DeniedError, NoAnswerError, Upkeep

CHUNK = 50
"""Marks read at once, and given to a daemon in one go."""

MOST_RECENT = 200
"""Marks that are remembered, so that three daemons need not read from the ledger what was just written into it."""

MOST_GIVEN = 4096
"""Marks given to one daemon that are remembered: more than it can be given while a call of a client is written down."""

REST = 0.02
"""Seconds after each go that are left to others; upkeep passes every other call."""

GROUPS = (FREEZES, LABELS)

ROLES: Mapping[tuple[str, bool], str] = {
    (LABEL, True): "label",
    (LABEL, False): "label",
    (FREEZE, True): "freeze",
    (FREEZE, False): "unfreeze",
    (FREEZE_UTXO, True): "freeze_utxo",
    (FREEZE_UTXO, False): "unfreeze_utxo",
}
"""Which role of the profile gives a mark to a daemon, by its kind and by whether there is a value."""


class Marking:
    """The marks of one wallet on its daemons."""

    def __init__(self, pool: Pool, upkeep: Upkeep, ledger: Ledger) -> None:
        """Know nothing of any daemon."""
        self.pool = pool
        self.upkeep = upkeep
        self.ledger = ledger
        self.given = 0
        """Marks given to daemons so far."""
        self._newest = dict.fromkeys(GROUPS, 0.0)
        self._recent: dict[tuple[str, str], Mark] = {}
        """The newest marks by kind and key, oldest change first, without a gap since `_recent_since`."""
        self._recent_since = math.inf
        self._is_read = False
        self._has: dict[Backend, dict[tuple[str, ...], float]] = {}
        self._gave: dict[Backend, dict[tuple[str, str], str]] = {}
        """What each daemon was given last, by kind and key."""

    @property
    def newest(self) -> float:
        """When the newest mark changed that is known of."""
        return max(self._newest.values())

    async def read(self) -> None:
        """Look how far the ledger is.  Raises LedgerError."""
        name = self.pool.name
        found = await self.ledger.run(lambda c: [marks.newest(c, name, group) for group in GROUPS])
        for group, at in zip(GROUPS, found, strict=True):
            self._newest[group] = max(self._newest[group], at)
        self._is_read = True

    def marked(self, backend: Backend | None, change: Change) -> None:
        """Hear of a new mark, and of the backend on which it is true already."""
        group = next(one for one in GROUPS if change.mark.kind in one)
        has = self._has.get(backend, {}) if backend is not None else {}
        given = self._gave.get(backend, {}) if backend is not None else {}
        # an older value that came from here may have come behind the call that made this one
        is_overwritten = given.get((change.mark.kind, change.mark.key), change.mark.value) != change.mark.value
        # only one that had everything before it has everything now
        if has.get(group, -1.0) >= self._newest[group] and not is_overwritten:
            has[group] = max(has[group], change.mark.at)
        self._newest[group] = max(self._newest[group], change.mark.at)
        self._remember(change)

    def _remember(self, change: Change) -> None:
        """Keep a change at hand; after one that nobody told us of, what was kept is no whole story any more."""
        mark = change.mark
        if not self._recent or next(reversed(self._recent.values())).at != change.before:
            self._recent.clear()
            self._recent_since = change.before
        self._recent.pop((mark.kind, mark.key), None)
        self._recent[mark.kind, mark.key] = mark
        while len(self._recent) > MOST_RECENT:
            self._recent_since = self._recent.pop(next(iter(self._recent))).at

    def lost(self, backend: Backend) -> None:
        """Hear that a daemon may have lost what it had not saved."""
        self._has.pop(backend, None)
        self._gave.pop(backend, None)

    def has_freezes(self, backend: Backend) -> bool:
        """Whether a daemon has every freeze."""
        return self._has_group(backend, FREEZES)

    def has_all(self, backend: Backend) -> bool:
        """Whether a daemon has every mark."""
        return all(self._has_group(backend, group) for group in GROUPS)

    def _has_group(self, backend: Backend, group: tuple[str, ...]) -> bool:
        return self._is_read and self._has.get(backend, {}).get(group, -1.0) >= self._newest[group]

    async def bring_up(self, backend: Backend) -> None:
        """Give a daemon what it is not known to have.

        Raises:
            LedgerError: the ledger could not be read.
            NoAnswerError: the daemon did not answer; what it was given counts.
        """
        has = self._has.setdefault(backend, {})
        for group in GROUPS:
            while self._has.get(backend) is has and not self._has_group(backend, group):
                since = has.get(group, 0.0)
                found = await self._changed(group, since)
                for mark in found:
                    await self._give(backend, mark)
                    has[group] = mark.at
                if len(found) < CHUNK:
                    has.setdefault(group, since)
                    break
                await asyncio.sleep(REST)
        self._has = {one: known for one, known in self._has.items() if one in self.pool.backends}
        self._gave = {one: given for one, given in self._gave.items() if one in self.pool.backends}

    async def _changed(self, group: tuple[str, ...], since: float) -> list[Mark]:
        """Return the marks that changed after a time, oldest change first.  Raises LedgerError."""
        name = self.pool.name
        is_told = bool(self._recent) and next(reversed(self._recent.values())).at >= max(self._newest.values())
        if is_told and since >= self._recent_since:
            return [one for one in self._recent.values() if one.kind in group and one.at > since][:CHUNK]
        return await self.ledger.run(lambda c: marks.changed_since(c, name, group, since, CHUNK))

    async def _give(self, backend: Backend, mark: Mark) -> None:
        """Give one mark to a daemon; one that it does not take is told and left out.  Raises NoAnswerError."""
        method = self._method(ROLES[mark.kind, bool(mark.value)])
        if method is None:
            return
        params = [mark.key, mark.value] if mark.kind == LABEL else [mark.key]
        given, place = self._gave.setdefault(backend, {}), (mark.kind, mark.key)
        given.pop(place, None)
        given[place] = mark.value
        if len(given) > MOST_GIVEN:
            del given[next(iter(given))]
        try:
            result = await self.upkeep.ask(backend, method, msgspec.json.encode(params))
        except DeniedError:
            result = b"false"
        self.given += 1
        if result.strip() != b"false":
            return
        if not self._lists_all(backend):
            # it does not know the address yet, and has to be given the freeze once the mirror was there
            raise NoAnswerError(f"{backend.name} does not list every address yet")
        self._tell_not_taken(backend, mark)

    def _lists_all(self, backend: Backend) -> bool:
        """Whether the mirror has found every address there since it came into service."""
        pool = self.pool
        return pool.is_primary_checked if backend is pool.primary else backend.aligned_to is not None or not pool.mirror

    def _tell_not_taken(self, backend: Backend, mark: Mark) -> None:
        """Say that a mark is not on a daemon and will not be."""
        fields: dict[str, object] = {"kind": mark.kind}
        self.pool.emit(Event("mark.not_taken", self.pool.name, backend.name, fields, "warning"))

    def _method(self, role: str) -> Method | None:
        return next((row for row in self.upkeep.profile.methods.values() if row.role == role), None)

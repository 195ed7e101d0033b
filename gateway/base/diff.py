"""What changed between two settings, for the log of a reload.

Rule: a secret is never shown, only that it changed.
"""

from dataclasses import dataclass

from pydantic import BaseModel, SecretStr

from gateway.base.config import Settings

NEEDS_RESTART = (
    "listen.host", "listen.port", "listen.tls", "listen.keepalive_timeout", "admin.host", "admin.port", "admin.tls",
    "ledger", "cluster", "sandbox",
)  # fmt: skip
"""Keys that are read once, when the doors open."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is another one now; texts for people."""

    key: str
    old: str
    new: str


ABSENT = "(absent)"


def difference(old: Settings, new: Settings) -> list[Change]:
    """Return what changed, key by key, in the order of the keys."""
    before, after = _flat(old, ""), _flat(new, "")
    changes = []
    for key in sorted({*before, *after}):
        one, other = before.get(key, ABSENT), after.get(key, ABSENT)
        if one != other:
            secret = isinstance(one, SecretStr) or isinstance(other, SecretStr)
            changes.append(Change(key, "(secret)", "(changed)") if secret else Change(key, str(one), str(other)))
    return changes


def needs_restart(changes: list[Change]) -> list[str]:
    """Return the keys among the changes that take effect at the next start only."""
    return [change.key for change in changes if change.key.startswith(NEEDS_RESTART)]


def _flat(value: object, key: str) -> dict[str, object]:
    """Return every single value by its dotted key; entries of named lists by their names."""
    if isinstance(value, BaseModel):
        children = [(name, getattr(value, name)) for name in type(value).model_fields]
        # keys that a launcher or a sink alone knows; nobody here can say which of them hold a token
        children += [(name, SecretStr(str(extra))) for name, extra in (value.model_extra or {}).items()]
    elif isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, tuple) and value and all(hasattr(item, "name") for item in value):
        children = [(item.name, item) for item in value]
    elif isinstance(value, frozenset):
        return {key: sorted(map(str, value))}
    else:
        return {key: value}
    flat: dict[str, object] = {}
    for name, child in children:
        flat |= _flat(child, f"{key}.{name}" if key else str(name))
    return flat

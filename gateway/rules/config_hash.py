"""Whether two gateways have a wallet in the same configuration, told by short texts that the database can hold.

Rule: what decides where a call goes and whether it may be sent again is one hash (`config_hash`), by which a gateway
takes over sooner or later; words, passwords and order do not count there.  All that must be equal is told section by
section (`sections`), so that an operator hears what differs.

Who reads the database
    Whoever has a copy of it, or a backup, can try out a plain hash of a password as fast as he can count.  So sections
    are keyed by what lies beside the ledger and never in it, 32 random bytes: without them nothing can be tried, and
    who has them has the passwords as well.

Versions side by side
    Each section has its name, and only those are compared that both gateways told.  A version that knows more or
    fewer of them makes nobody complain.  Whoever changes what goes into one gives it another name.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

from gateway.base.config import Backend, Client, Settings
from gateway.profiles import Method

UNNAMED = "backends or profile"
"""What differs where one of both is of a version that told no sections."""

SETTLES = 4.0
"""Seconds that a difference lasts before it is told: files that were changed together are not read at one moment."""

AGAIN = 1800.0
"""Seconds after which a difference that is still there is told once more; what it leaves lasts an hour."""

_DIGITS = 16
"""Hexadecimal ones of a section: enough that no two differ by chance and are taken for the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, as it was seen so far; times are of the own clock.

    Args:
        instance: of the process that has it otherwise.
        names: of sections.
        since: when it was first seen.
        told_at: when it was told last; None while it was not.
    """

    instance: str
    names: tuple[str, ...]
    since: float
    told_at: float | None = None


def config_hash(backends: Iterable[tuple[str, str]], methods: Iterable[Method]) -> str:
    """Return what tells two configurations of a wallet apart: 64 hexadecimal digits.

    Args:
        backends: name and url of each; what a url says of user and password does not count, nor does the order.
        methods: of its profile; in what words one is refused does not count.
    """
    rows = [sorted((name, _bare(url)) for name, url in backends), sorted(map(_row, methods))]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def sections(
    key: bytes, wallet: str, settings: Settings, clients: Iterable[Client], methods: Iterable[Method]
) -> str:  # fmt: skip
    """Return what must be the same at every gateway that has a wallet: a name and a digest of each section.

    Args:
        key: that no reader of the database has.
        clients: all of them, also the one that callers without credentials become.
        methods: of the wallet's profile.
    """
    chosen, theirs = settings.wallets[wallet], [one for one in clients if wallet in one.wallets]
    limits = [row for row in map(_limits, theirs) if any(row[1:])]
    found: dict[str, object] = {
        "backends": [chosen.primary_name, sorted(map(_backend, chosen.backends))],
        "profile": sorted(map(_row, methods)),
        "clients": sorted(map(_client, theirs)),
        "limits": sorted(limits, key=lambda row: str(row[0])),
        "wallets": sorted(settings.wallets),
        "cluster.lease": None if settings.cluster is None else settings.cluster.lease,
    }
    return " ".join(f"{name}={_digest(key, name, value)}" for name, value in found.items())


def differences(mine: str, theirs: str) -> tuple[str, ...]:
    """Return the names of the sections that both told, and told otherwise."""
    other = _parts(theirs)
    return tuple(name for name, digest in _parts(mine).items() if other.get(name, digest) != digest)


def see(before: Difference | None, instance: str, names: tuple[str, ...], now: float) -> Difference | None:
    """Return what is known of a difference after a look; None where there is none."""
    if not names:
        return None
    if before is not None and (before.instance, before.names) == (instance, names):
        return before
    return Difference(instance, names, now)


def is_due(difference: Difference | None, now: float) -> bool:
    """Whether a difference is to be told now."""
    if difference is None:
        return False
    told_at = difference.told_at
    return now - difference.since >= SETTLES if told_at is None else now - told_at >= AGAIN


def told(difference: Difference, now: float) -> Difference:
    """Return a difference that was told."""
    return replace(difference, told_at=now)


def _row(method: Method) -> list[object]:
    """What of a method decides how it is answered, and whether it may be sent again."""
    return [
        method.name, method.effect, method.bound, method.params, method.amounts, sorted(method.forbidden),
        method.slow_if, method.by_name, method.role,
    ]  # fmt: skip


def _backend(one: Backend) -> list[str]:
    secrets = one.password.get_secret_value(), one.wallet_password.get_secret_value()
    return [one.name, _bare(one.url), one.username, *secrets]


def _client(one: Client) -> list[object]:
    """Who it is, and what it may do."""
    password = one.password.get_secret_value()
    return [one.name, one.username, password, sorted(one.effects), sorted(one.methods), one.errors]


def _limits(one: Client) -> list[object]:
    """How much of that, None for each bound that is the usual one: who has no other is no matter of limits."""
    rate = None if one.rate_limit is None else [one.rate_limit.per_second, one.rate_limit.burst]
    deadline = None if one.deadline == Client.model_fields["deadline"].default else one.deadline
    # 1 and 1.00 are the same bound
    coins = [None if bound is None else str(bound.normalize()) for bound in (one.max_per_call, one.max_per_day)]
    return [one.name, rate, deadline, *coins]


def _digest(key: bytes, name: str, value: object) -> str:
    text = f"configuration\n{name}\n{json.dumps(value)}"
    return hmac.digest(key, text.encode(), "sha256").hex()[:_DIGITS]


def _parts(told: str) -> dict[str, str]:
    return {name: digest for name, _, digest in (one.partition("=") for one in told.split())}


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

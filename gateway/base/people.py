"""Who may look and who may order at the operators' door: users with passwords, and scripts with tokens.

Rule: a password is never kept, only what argon2id makes of it.  Its memory and time are bounded here, because whoever
signs in has the gateway spend them.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from gateway.base.section import Name, Section

MOST_MEMORY = 262_144
"""KiB that one look at a password may take; 65,536 is what `ec-gateway hash-password` makes."""

MOST_ROUNDS = 16
MOST_LANES = 16

LEAST_MEMORY = 19_456
"""KiB below which a stolen hash is cheap to guess from."""

LEAST_TOKEN = 16
"""Characters of a token that nobody guesses have at least so many."""

MOST_USERS = 100

OWN_TOKEN = "token"  # noqa: S105 - what the holder of `admin.token` is called in the log
"""Name of whoever shows `admin.token`, which is nobody's in particular."""

_ENCODED = re.compile(r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")


class Role(StrEnum):
    """What a person may do."""

    VIEWER = "viewer"
    """Look."""

    OPERATOR = "operator"
    """Look, and give orders."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at the operators' door.

    Args:
        name: of a user or a token; "token" for `admin.token`, "open" for whoever reaches a door that asks nobody.
        role: what may be done.
        by: how this was found: "session", "token" or "open".
        csrf: what an order by a session must repeat; "" for the others.
        key: by which `Access.is_still` finds the session or the token again.
    """

    name: str
    role: Role
    by: str
    csrf: str = field(default="", repr=False)
    key: bytes = field(default=b"", repr=False)

    @property
    def may_order(self) -> bool:
        """Whether orders are taken from this person."""
        return self.role is Role.OPERATOR


class User(Section):
    """Somebody who signs in with a password."""

    name: Name
    role: Role = Role.VIEWER
    password_hash: SecretStr
    """What `ec-gateway hash-password` printed."""

    @field_validator("password_hash")
    @classmethod
    def _is_argon2id(cls, value: SecretStr) -> SecretStr:
        """Refuse what no password could be compared with, and what would take all of the machine to compare."""
        mistake = mistake_of_hash(value.get_secret_value())
        if mistake:
            raise ValueError(mistake)
        return value


class NamedToken(Section):
    """A script that shows a token."""

    name: Name
    role: Role = Role.VIEWER
    token: Annotated[SecretStr, Field(min_length=1)]


def mistake_of_hash(encoded: str) -> str:
    """Return what is wrong with a hash and what would be right, "" where nothing is; the hash is not told."""
    make = "write what `ec-gateway hash-password` prints"
    found = _ENCODED.fullmatch(encoded)
    if found is None:
        return f"is no hash of argon2id, which begins with $argon2id$v=19$; {make}"
    memory, rounds, lanes = (int(one) for one in found.groups()[:3])
    if any(len(part) % 4 == 1 for part in found.groups()[3:]) or len(found[4]) < 11 or len(found[5]) < 22:
        return f"is cut off: salt or hash are too short; {make}"
    if not (1 <= lanes <= MOST_LANES and 1 <= rounds <= MOST_ROUNDS and 8 * lanes <= memory <= MOST_MEMORY):
        limits = f"at most m={MOST_MEMORY}, t={MOST_ROUNDS}, p={MOST_LANES}"
        return f"takes m={memory}, t={rounds}, p={lanes} for each look at a password, and {limits} are taken; {make}"
    return ""


def memory_of(encoded: str) -> int:
    """Return the KiB that a hash without mistakes takes to compare with."""
    found = _ENCODED.fullmatch(encoded)
    assert found is not None  # noqa: S101 - seen to when the settings were read
    return int(found[1])

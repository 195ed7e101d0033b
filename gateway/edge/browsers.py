"""Browsers in which somebody has signed in before, known again by a cookie.

Rule: it opens nothing.  It only sets a browser apart from others at its address, so that who guesses there, behind the
same proxy perhaps, is not in its owner's way.  It is made with the hash of the owner's password, so that it outlasts
the gateway, and no password that was changed.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from gateway.base.people import User

KEPT = 180 * 86_400
"""Seconds that a browser keeps it."""

LONGEST = 100
"""Characters that are looked at at all; ours have 60."""


def mark(user: User) -> str:
    """Return what the cookie says in a browser in which somebody has just signed in."""
    nonce = secrets.token_urlsafe(12)
    return f"{nonce}.{_mac(user, nonce)}"


def known(users: Sequence[User], name: str, marks: Sequence[str]) -> str:
    """Return what stands for the browser instead of its address, "" where `name` never signed in there.

    Args:
        users: those there are.
        name: who wants to sign in.
        marks: what its cookie says; several, where another door of its machine set one as well.
    """
    user = next((one for one in users if one.name == name), None)
    if user is None:
        return ""
    for written in marks:
        nonce, _, mac = written.partition(".")
        if len(written) <= LONGEST and hmac.compare_digest(mac.encode("utf-8", "replace"), _mac(user, nonce).encode()):
            return f"browser {nonce}"
    return ""


def _mac(user: User, nonce: str) -> str:
    key = hashlib.sha256(user.password_hash.get_secret_value().encode()).digest()
    text = f"{user.name} {nonce}".encode("utf-8", "replace")
    return hashlib.blake2b(text, key=key, digest_size=24, person=b"ecgw browser").hexdigest()

"""Who has signed in: sessions in memory, found by what the browser's cookie says.

Rule: a session is as good as the password that it began with: when that changes, or the user goes, it ends.  It ends
after a time without requests, and after a longer one in any case.  Of each user so many are kept, the newest ones.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.base.config import Admin
from gateway.base.people import Person, User

EACH = 16
"""Sessions of one user at once: a phone, some browsers, and those that were left behind."""

LONGEST = 64
"""Characters of a secret that are looked at at all; ours have 43."""


@dataclass(slots=True)
class Session:
    """One browser that somebody signed in with; times are seconds of the loop."""

    user: str
    password_hash: str
    csrf: str
    began: float
    seen: float


class Sessions:
    """All of them.

    Args:
        users: who may have one.
        idle, life: seconds without a request, and seconds at all, after which one ends.
    """

    def __init__(self, users: Sequence[User] = (), *, idle: float = 3600.0, life: float = 43_200.0) -> None:
        """Begin with none."""
        self._users = {one.name: one for one in users}
        self.idle = idle
        self.life = life
        self._sessions: dict[bytes, Session] = {}
        """By the digest of their secrets, oldest first: who reads this memory cannot sign in with it."""

    def __len__(self) -> int:
        """Return how many there are; some of them may have ended."""
        return len(self._sessions)

    def __repr__(self) -> str:
        """Status line; no secret."""
        return f"<Sessions {len(self)} of {len(self._users)} users>"

    def update(self, admin: Admin) -> list[str]:
        """Take new settings; return whose sessions ended with them."""
        self._users = {one.name: one for one in admin.users}
        self.idle, self.life = admin.session_idle, admin.session_life
        gone = [key for key, one in self._sessions.items() if not self._has_password(one)]
        return sorted({self._sessions.pop(key).user for key in gone})

    def begin(self, user: User, now: float) -> str:
        """Begin a session and return its secret, which is for the cookie alone."""
        self._forget(now)
        own = [key for key, one in self._sessions.items() if one.user == user.name]
        for key in own[: max(0, len(own) - EACH + 1)]:
            del self._sessions[key]
        secret = secrets.token_urlsafe(32)
        encoded = user.password_hash.get_secret_value()
        self._sessions[_digest(secret)] = Session(user.name, encoded, secrets.token_urlsafe(32), now, now)
        return secret

    def find(self, secret: str, now: float, *, is_alive: bool = True) -> Person | None:
        """Return whose session a secret is of, None when it is none, or has ended; by default it is a sign of life."""
        if not 0 < len(secret) <= LONGEST:
            return None
        person = self.person(_digest(secret), now)
        if person is not None and is_alive:
            self._sessions[person.key].seen = now
        return person

    def person(self, key: bytes, now: float) -> Person | None:
        """Return whose session it is, by `Person.key`; it is no sign of life.  None when it has ended."""
        session = self._sessions.get(key)
        if session is None or self._has_ended(session, now) or not self._has_password(session):
            return None
        return Person(session.user, self._users[session.user].role, "session", session.csrf, key)

    def end(self, secret: str) -> bool:
        """End a session; return whether there was one."""
        return len(secret) <= LONGEST and self._sessions.pop(_digest(secret), None) is not None

    def _has_ended(self, session: Session, now: float) -> bool:
        return now - session.seen >= self.idle or now - session.began >= self.life

    def _has_password(self, session: Session) -> bool:
        """Return whether its user is still there, with the password that it began with."""
        user = self._users.get(session.user)
        return user is not None and user.password_hash.get_secret_value() == session.password_hash

    def _forget(self, now: float) -> None:
        """Throw out what has ended."""
        for key in [key for key, one in self._sessions.items() if self._has_ended(one, now)]:
            del self._sessions[key]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()

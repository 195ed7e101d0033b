"""Looks at passwords: one at a time, in a thread, because each takes 64 MiB and tenths of a second.

Rule: a name that nobody has costs what a known one costs, and a wrong password is answered late (`rules/brake`).  Who
has not failed lately comes before who has, so that a right password is looked at soon while others guess.  What waits
is bounded, for each address and for all of them.
"""

import asyncio
import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.base.people import User
from gateway.rules.brake import Brakes, neighbourhood

AT_ONCE = 3
"""Tries of one address at once, those among them whose answer is held back."""

WAITING = 16
"""Tries that wait for their turn, of all addresses."""

LONGEST = 256
"""Characters of a password that are looked at at all."""

AGAIN = 5
"""Seconds after which somebody who was sent away may have more luck."""

Verify = Callable[[str, str], bool]
"""Returns whether a hash (first) is that of a password; runs in a thread."""


class CrowdedError(Exception):
    """Too many try at once; nothing was looked at."""


@dataclass(order=True, slots=True)
class _Waiting:
    """Somebody whose turn comes: fewest failures first, then first come, first served."""

    failures: float
    number: int
    turn: "asyncio.Future[None]" = field(compare=False)


class Passwords:
    """Finds the user whose name and password somebody gave.

    Args:
        brakes: who failed lately.
        now, sleep: of the loop.
        verify: compares with a hash.
    """

    def __init__(
        self,
        brakes: Brakes,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        verify: Verify | None = None,
    ) -> None:
        """Begin with nobody trying."""
        self.brakes = brakes
        self.now = now
        self.sleep = sleep
        self.verify = verify or is_password
        self._key = os.urandom(16)
        self._is_busy = False
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._tries: Counter[str] = Counter()
        self._under_way: set[asyncio.Task[User | None]] = set()

    def __repr__(self) -> str:
        """Status line."""
        return f"<Passwords tries={self._tries.total()} waiting={len(self._waiting)}>"

    async def stop(self) -> None:
        """Give up what is under way; a thread that compares ends by itself."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def find(
        self,
        users: Sequence[User],
        name: str,
        password: str,
        address: str,
        wrong: Callable[[str], None] = lambda _name: None,
    ) -> User | None:
        """Return the user, None when there is no such name or it is not the password; that takes ever longer.

        Args:
            users: those there are.
            address: from where somebody tries.
            wrong: told of a wrong one, with the name if it is a user's and with "" if not, before it is answered.

        Raises:
            CrowdedError: too many try at once.
        """
        address = neighbourhood(address)
        if self._tries[address] >= AT_ONCE:
            raise CrowdedError
        self._tries[address] += 1
        task = asyncio.get_running_loop().create_task(self._try(tuple(users), name, password, address, wrong))
        self._under_way.add(task)
        task.add_done_callback(self._end)
        # on its own: a guesser who hangs up as soon as the answer is late has spent his try all the same
        return await asyncio.shield(task)

    async def _try(
        self, users: Sequence[User], name: str, password: str, address: str, wrong: Callable[[str], None]
    ) -> User | None:
        try:
            user = await self._look(users, name, password, address)
            if user is None:
                wrong(name if any(one.name == name for one in users) else "")
                await self.sleep(self.brakes.failed(address, self.now()))
            return user
        finally:
            self._tries[address] -= 1
            if not self._tries[address]:
                del self._tries[address]

    async def _look(self, users: Sequence[User], name: str, password: str, address: str) -> User | None:
        if not users:
            return None
        known = next((one for one in users if one.name == name), None)
        # somebody else's is as good for taking time, and always the same one: hashes may differ in what they take
        chosen = known or users[self._number_of(name) % len(users)]
        await self._take_turn(address)
        try:
            fits = len(password) <= LONGEST and await asyncio.to_thread(
                self.verify, chosen.password_hash.get_secret_value(), password
            )
        finally:
            self._give_turn()
        return known if fits else None

    async def _take_turn(self, address: str) -> None:
        """Wait until nobody else's password is looked at.  Raises CrowdedError."""
        if not self._is_busy:
            self._is_busy = True
            return
        self._number += 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        mine = _Waiting(self.brakes.failures(address, self.now()), self._number, turn)
        self._waiting.append(mine)
        if len(self._waiting) > WAITING:
            last = max(self._waiting)
            self._waiting.remove(last)
            last.turn.set_exception(CrowdedError())
        try:
            await turn
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
            elif not turn.cancelled() and turn.exception() is None:
                # it came in the same moment
                self._give_turn()
            raise

    def _give_turn(self) -> None:
        """Let the next one have his turn."""
        self._waiting = [one for one in self._waiting if not one.turn.done()]
        self._is_busy = bool(self._waiting)
        if self._waiting:
            following = min(self._waiting)
            self._waiting.remove(following)
            following.turn.set_result(None)

    def _end(self, task: "asyncio.Task[User | None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # whoever it was for may have hung up
            task.exception()

    def _number_of(self, name: str) -> int:
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest)


def is_password(encoded: str, password: str) -> bool:
    """Return whether a hash of argon2id is that of a password."""
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415 - few gateways have people who sign in
    from argon2.low_level import Type, verify_secret  # noqa: PLC0415 - the same

    try:
        return verify_secret(encoded.encode(), _spelled(password), Type.ID)
    except VerifyMismatchError:
        return False


def hash_of(password: str) -> str:
    """Return what argon2id makes of a password: for the configuration."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - the same
    from argon2.profiles import RFC_9106_LOW_MEMORY  # noqa: PLC0415 - the same

    return PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY).hash(_spelled(password))


def _spelled(password: str) -> bytes:
    """Return the bytes of a password; keyboards spell one letter differently, in Korean on a phone and on a Mac."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")

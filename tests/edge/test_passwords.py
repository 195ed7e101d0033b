"""Passwords: looked at one at a time, wrong ones answered ever later, and nobody kept out by those who guess."""

import asyncio
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.base.people import User, mistake_of_hash
from gateway.edge.passwords import AT_ONCE, LONGEST, WAITING, CrowdedError, Passwords, hash_of, is_password
from gateway.rules.brake import Brakes
from tests.virtual_time import run_virtual


def user(name: str) -> User:
    """Somebody whose password is his name, as the fake below has it."""
    encoded = f"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFz{name:a<4}"
    return User(name=name, password_hash=SecretStr(encoded))


KIM, LEE = user("kim"), user("lee")
USERS = (KIM, LEE)


@dataclass
class FakeVerify:
    """Compares in no time, or as soon as a test lets it; remembers by which hashes."""

    asked: list[str] = field(default_factory=list)
    let: threading.Event = field(default_factory=threading.Event)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        """Do not hold anybody up."""
        self.let.set()

    def __call__(self, encoded: str, password: str) -> bool:
        """Return whether the password is what the hash ends with."""
        self.asked.append(encoded[-4:].rstrip("a"))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.let.wait(10.0)
        self.at_once -= 1
        return encoded.endswith(f"{password:a<4}")


@dataclass
class World:
    """A room for passwords in which nobody really waits."""

    verify: FakeVerify = field(default_factory=FakeVerify)
    slept: list[float] = field(default_factory=list)
    brakes: Brakes = field(default_factory=Brakes)
    wrong: list[str] = field(default_factory=list)
    passwords: Passwords = field(init=False)
    is_held: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while those who are answered late are let go."""

    def __post_init__(self) -> None:
        """Open it."""
        self.passwords = Passwords(self.brakes, now=lambda: 100.0, sleep=self._sleep, verify=self.verify)
        self.is_held.set()

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.is_held.wait()

    async def find(self, name: str, password: str, address: str = "10.0.0.1") -> User | None:
        """Try one."""
        return await self.passwords.find(USERS, name, password, address, self.wrong.append)

    def start(self, name: str, password: str, address: str = "10.0.0.1") -> "asyncio.Task[User | None]":
        """Try one beside others."""
        return asyncio.get_running_loop().create_task(self.find(name, password, address))


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so, for a thread has to get round to it."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - threads set no event of ours
            await asyncio.sleep(0.001)


async def test_name_and_password_find_a_user() -> None:
    """And only together."""
    world = World()
    assert await world.find("kim", "kim") == KIM
    assert await world.find("kim", "lee") is None
    assert await world.find("lee", "kim") is None
    assert await world.find("kim", "") is None
    assert await world.find("", "kim") is None
    assert world.wrong == ["kim", "lee", "kim", ""]
    assert world.slept == [0.0, 0.0, 0.0, 0.5], "a right one is never answered late"


async def test_a_name_that_nobody_has_costs_what_a_known_one_costs() -> None:
    """A hash is compared with, of the same user each time; and the right password of that one opens nothing."""
    world = World()
    for _ in range(3):
        assert await world.find("nobody", "kim") is None
        assert await world.find("nobody", "lee") is None
    assert len(world.verify.asked) == 6
    assert len(set(world.verify.asked)) == 1, "else its time would tell it from a known name"
    assert set(world.wrong) == {""}
    for n in range(30):
        await world.find(f"nobody-{n}", "?", f"10.0.1.{n}")
    assert set(world.verify.asked) == {"kim", "lee"}


async def test_a_password_that_is_too_long_is_wrong_in_no_time() -> None:
    """It is hashed by nobody."""
    world = World()
    assert await world.find("kim", "k" * (LONGEST + 1)) is None
    assert world.verify.asked == []
    assert await world.passwords.find((), "kim", "kim", "10.0.0.1") is None


async def test_they_are_looked_at_one_at_a_time() -> None:
    """Each takes 64 MiB."""
    world = World()
    found = await asyncio.gather(*(world.find("kim", "kim", f"10.0.0.{n}") for n in range(WAITING + 1)))
    assert found == [KIM] * (WAITING + 1)
    assert world.verify.most_at_once == 1


async def test_who_has_not_failed_comes_first() -> None:
    """However many guess: a right password is looked at next."""
    world = World()
    for _ in range(5):
        world.brakes.failed("10.0.0.9", 100.0)
    world.verify.let.clear()
    first = world.start("kim", "kim", "10.0.0.1")
    await until(lambda: world.verify.asked)
    done: list[str] = []
    tries = []
    for address in ("10.0.0.9", "10.0.0.9", "10.0.0.2", "10.0.0.3"):
        one = world.start("lee", "lee", address)
        one.add_done_callback(lambda _, of=address: done.append(of))  # type: ignore[misc]  # asyncio passes one argument
        tries.append(one)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    world.verify.let.set()
    assert await asyncio.gather(first, *tries) == [KIM, LEE, LEE, LEE, LEE]
    assert done == ["10.0.0.2", "10.0.0.3", "10.0.0.9", "10.0.0.9"]


async def test_what_waits_is_bounded_and_who_failed_most_is_sent_away() -> None:
    """Not who came last."""
    world = World()
    for n in range(WAITING):
        for _ in range(1 + n % 3):
            world.brakes.failed(f"10.0.0.{n}", 100.0)
    world.verify.let.clear()
    first = world.start("kim", "kim", "10.0.1.1")
    await until(lambda: world.verify.asked)
    guesses = [world.start("kim", "?", f"10.0.0.{n}") for n in range(WAITING)]
    await asyncio.sleep(0.01)
    fresh = world.start("lee", "lee", "10.0.1.2")
    await until(lambda: any(one.done() for one in guesses))
    sent_away = [n for n, one in enumerate(guesses) if one.done()]
    assert len(sent_away) == 1
    assert sent_away[0] % 3 == 2
    with pytest.raises(CrowdedError):
        await guesses[sent_away[0]]
    dirty = world.start("lee", "?", "10.0.0.2")
    with pytest.raises(CrowdedError):
        await dirty
    world.verify.let.set()
    assert (await first, await fresh) == (KIM, LEE)
    await asyncio.gather(*guesses, return_exceptions=True)


async def test_of_one_address_few_try_at_once_and_hanging_up_does_not_help() -> None:
    """Those whose answer is held back count, also when nobody waits for it any more; other addresses are free."""
    world = World()
    world.is_held.clear()
    tries = [world.start("kim", "?") for _ in range(AT_ONCE)]
    await until(lambda: len(world.slept) == AT_ONCE)
    with pytest.raises(CrowdedError):
        await world.find("kim", "kim")
    for one in tries:
        one.cancel()
    await asyncio.gather(*tries, return_exceptions=True)
    with pytest.raises(CrowdedError):
        await world.find("kim", "kim")
    assert await world.find("kim", "kim", "10.0.0.2") == KIM
    world.is_held.set()
    await until(lambda: not world.passwords._tries)
    assert await world.find("kim", "kim") == KIM


async def test_who_hangs_up_while_it_is_compared_lets_nobody_else_in_before_its_end() -> None:
    """The thread goes on, and two at once would take twice the memory."""
    world = World()
    world.verify.let.clear()
    gone = world.start("kim", "kim", "10.0.0.1")
    await until(lambda: world.verify.asked)
    gone.cancel()
    second = world.start("lee", "lee", "10.0.0.2")
    await asyncio.sleep(0.01)
    assert len(world.verify.asked) == 1
    world.verify.let.set()
    assert await second == LEE
    assert world.verify.most_at_once == 1


async def test_what_fails_inside_keeps_nobody_from_his_turn(caplog: pytest.LogCaptureFixture) -> None:
    """The next one is looked at."""
    broken: list[Exception] = [MemoryError()]

    def verify(_encoded: str, _password: str) -> bool:
        if broken:
            raise broken.pop()
        return True

    passwords = Passwords(Brakes(), now=lambda: 100.0, verify=verify)
    with pytest.raises(MemoryError):
        await passwords.find(USERS, "kim", "kim", "10.0.0.1")
    assert await passwords.find(USERS, "kim", "kim", "10.0.0.1") == KIM
    assert repr(passwords) == "<Passwords tries=0 waiting=0>"
    assert not caplog.records


async def test_it_stops_in_the_middle() -> None:
    """Whoever waits is given up, in whatever order."""
    world = World()
    world.verify.let.clear()
    tries = [world.start("kim", "kim", f"10.0.0.{n}") for n in range(4)]
    await until(lambda: world.verify.asked)
    await world.passwords.stop()
    world.verify.let.set()
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert {type(one) for one in found} == {asyncio.CancelledError}
    assert world.passwords._waiting == []


def test_a_wrong_password_is_really_answered_late() -> None:
    """By seconds, after some that are free."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        passwords = Passwords(Brakes(), now=loop.time, verify=lambda *_: False)
        took = []
        for _ in range(8):
            began = loop.time()
            assert await passwords.find(USERS, "kim", "?", "10.0.0.1") is None
            took.append(loop.time() - began)
        return took

    assert run_virtual(_without_threads(main)) == pytest.approx([0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 5.0], abs=0.2)


async def _without_threads(main: Callable[[], Any]) -> Any:
    """Run what a thread would do at once: in virtual time nobody waits for threads."""

    async def at_once(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "to_thread", at_once)
        return await main()


def test_the_real_thing_makes_a_hash_and_knows_its_password() -> None:
    """However a keyboard spells it; twice the same password makes two hashes."""
    made = hash_of("한글 비밀번호")
    assert mistake_of_hash(made) == ""
    assert is_password(made, "한글 비밀번호")
    assert is_password(made, unicodedata.normalize("NFD", "한글 비밀번호")), "the same, taken apart as a Mac does"
    assert not is_password(made, "한글 비밀번호 ")
    assert not is_password(made, "")
    assert not is_password(made, "\udcff")

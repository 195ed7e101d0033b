"""Apprise: told at check when it is not there, off the loop, one message at a time, nothing of its URL in any text."""

import asyncio
import json
import threading

import pytest

from gateway.base.care import Sink as SinkSettings
from gateway.observe.sinks import Message, SinkError, build, check
from gateway.observe.sinks import apprise as room
from gateway.observe.sinks.apprise import Apprise, words
from tests.fakes_alerts import message as a_message
from tests.fakes_alerts import sink
from tests.observe.sinks.conftest import Receiver

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Apprise imports it."""


def test_a_missing_package_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an optional extra."""
    monkeypatch.setattr(room, "find_spec", lambda _name: None)
    remedy = "install it: pip install 'apprise>=1.9'"
    assert check(sink(kind="apprise", url=None, secret="json://here")) == [
        ("url", "is not a key that is known here", "take it out"),
        ("kind", "needs the package apprise, which is not installed", remedy),
    ]


def apprise_sink(url: str) -> SinkSettings:
    """Settings of an apprise sink, which has no key of its own."""
    made = sink(kind="apprise", secret=url)
    assert made.model_extra is not None
    made.model_extra.clear()
    return made


def test_a_url_that_apprise_does_not_know_is_told_without_it() -> None:
    """It may hold tokens."""
    found = check(apprise_sink("carrierpigeon://token"))
    assert [one[:2] for one in found] == [("secret", "is no URL that apprise knows")]
    assert "token" not in str(found)
    assert [one[:2] for one in check(apprise_sink(""))] == [("secret", "is missing")]
    assert check(apprise_sink("json://127.0.0.1:1/")) == []


async def test_on_a_running_loop_apprise_is_not_imported_by_check() -> None:
    """A reload would hold up calls while 15 MB are read; the first message finds a wrong URL."""
    settings = apprise_sink("carrierpigeon://token")
    assert check(settings) == []
    with pytest.raises(SinkError, match="is no URL that apprise knows") as caught:
        await build(settings).send(a_message())
    assert "token" not in str(caught.value)


async def test_the_real_apprise_delivers(receiver: Receiver, message: Message) -> None:
    """To its own plain JSON service, which is an HTTP receiver."""
    made = build(apprise_sink(receiver.url.replace("http:", "json:")))
    await made.send(message)
    await made.send(a_message(id="life-1-2", type="alert.closed", seconds=3723.0))
    await made.close()
    opened, closed = (json.loads(body) for _, body in receiver.received)
    assert opened["title"] == "[CRITICAL] main: no daemon serves"
    assert opened["type"] == "failure"
    assert closed["title"] == "[OVER] main: no daemon serves"
    assert closed["message"].startswith("It lasted 1 h 2 min.")
    assert closed["type"] == "success"


async def test_the_real_apprise_says_when_it_was_not_taken(receiver: Receiver, message: Message) -> None:
    """And is asked again."""
    receiver.answers = [500]
    made = build(apprise_sink(receiver.url.replace("http:", "json:")))
    with pytest.raises(SinkError, match="has not taken it") as caught:
        await made.send(message)
    assert "127.0.0.1" not in str(caught.value)
    await made.send(message)
    assert len(receiver.received) == 2


class Slow:
    """A service that answers when it is let go."""

    def __init__(self) -> None:
        """Begin holding."""
        self.go = threading.Event()
        self.sent: list[str] = []

    def notify(self, title: str, _body: str, _colour: str) -> str:
        """Wait, on whatever thread this is."""
        self.go.wait(30)
        self.sent.append(title)
        return ""


async def test_a_service_that_hangs_holds_up_nobody_and_gets_no_second_message(message: Message) -> None:
    """The loop goes on, a second try waits for the first thread, and another message is not begun beside it."""
    slow = Slow()
    made = Apprise(slow.notify)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await made.send(message)
    with pytest.raises(SinkError, match="still busy"):
        await made.send(a_message(id="life-2-1"))
    slow.go.set()
    await made.send(message)
    assert len(slow.sent) == 1
    await made.send(a_message(id="life-2-1"))
    assert len(slow.sent) == 2


async def test_a_service_that_hangs_for_ever_takes_no_other_message_with_it(
    message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread is left behind after minutes, and there are never many of them."""
    slow = Slow()
    made = Apprise(slow.notify)

    async def hangs(number: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await made.send(a_message(id=f"life-{number}", title=f"{number}"))

    await hangs(1)
    monkeypatch.setattr(room, "LOST_MOST", 1)
    with pytest.raises(SinkError, match="still busy"):
        await made.send(message)
    monkeypatch.setattr(room, "LOST_AFTER", 0.0)
    await hangs(2)
    with pytest.raises(SinkError, match="too many messages hang in it"):
        await made.send(message)

    async def come_back() -> None:
        slow.go.set()
        for thread in [one for one in threading.enumerate() if one.name == "alert-apprise"]:
            await asyncio.to_thread(thread.join, 10)

    await come_back()
    await made.send(message)
    assert sorted(slow.sent) == ["[CRITICAL] main: 1", "[CRITICAL] main: 2", "[CRITICAL] main: no daemon serves"]
    # those that came back count no more
    slow.go.clear()
    await hangs(3)
    await hangs(4)
    await come_back()


async def test_a_plugin_that_raises_is_a_message_not_taken(message: Message) -> None:
    """Whatever it says, its URL may be in it."""

    def broken(_title: str, _body: str, _colour: str) -> str:
        raise RuntimeError("cannot reach tgram://token")

    with pytest.raises(SinkError, match=r"apprise failed \(RuntimeError\)") as caught:
        await Apprise(broken).send(message)
    assert "token" not in str(caught.value)


def test_a_thread_that_comes_back_after_the_loop_harms_nobody() -> None:
    """The gateway has stopped meanwhile."""
    slow = Slow()

    async def begin() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await Apprise(slow.notify).send(a_message())

    asyncio.run(begin())
    slow.go.set()
    threads = [one for one in threading.enumerate() if one.name == "alert-apprise"]
    for thread in threads:
        thread.join(10)
    assert slow.sent == ["[CRITICAL] main: no daemon serves"]


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, "main answers nothing.\nWhat to do: docs/alerts.md, all_down"),
        ({"type": "alert.repeated", "seconds": 90_000.0}, "main answers nothing. It has lasted 1 d 1 h so far."),
        ({"type": "alert.told", "count": 3}, "main answers nothing. 3 times."),
        ({"type": "alert.test"}, "main answers nothing. This is a test; nothing has happened."),
        ({"type": "alert.closed", "seconds": 59.4}, "It lasted 59 s. It was: main answers nothing."),
        ({"type": "alert.closed", "seconds": 120.0}, "It lasted 2 min. It was: main answers nothing."),
    ],
)
def test_the_words_are_those_of_people(changes: dict[str, object], body: str) -> None:
    """Short enough for a phone."""
    assert words(a_message(text="main answers nothing", **changes))[1].startswith(body)


def test_the_place_is_named() -> None:
    """Wallet and backend, or the gateway itself."""
    assert words(a_message(backend="ec-1"))[0] == "[CRITICAL] main/ec-1: no daemon serves"
    assert words(a_message(wallet=""))[0] == "[CRITICAL] gateway: no daemon serves"

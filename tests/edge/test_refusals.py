"""What the operators' door does not serve leaves a line, however much of it there is."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.base.events import Event
from gateway.edge.admin_stream import Stream
from gateway.edge.refusals import LONGEST, QUIET, Refusals, cleaned
from tests.edge.admin_world import World
from tests.virtual_time import run_virtual


def request(path: str = "/") -> web.BaseRequest:
    """One that is refused."""
    return make_mocked_request("GET", path)


def test_a_stranger_who_asks_without_end_fills_no_log() -> None:
    """One line at once, then one each ten seconds with how many there were; and the last of them are told as well."""

    async def scene() -> None:
        events: list[Event] = []
        loop = asyncio.get_running_loop()
        refusals = Refusals(events.append, loop.time)
        for _ in range(800):
            refusals.tell(request(), "too many listen")
            await asyncio.sleep(0.02)
        refusals.tell(request("/x"), "foreign host", "evil.example")
        await asyncio.sleep(3 * QUIET)
        counts = [one.fields["count"] for one in events if one.fields["why"] == "too many listen"]
        assert (counts[0], len(counts), sum(counts)) == (1, 3, 800)  # type: ignore[arg-type]  # they are numbers
        (other,) = [one for one in events if one.fields["why"] == "foreign host"]
        assert (other.name, other.level, other.fields["count"]) == ("admin.refused", "warning", 1)
        assert (other.fields["peer"], other.fields["sent"]) == ("unknown", "evil.example")
        refusals.tell(request(), "too many listen")
        assert events[-1].fields["count"] == 1

    run_virtual(scene())


def test_a_line_that_was_told_meanwhile_is_not_told_again() -> None:
    """A timer may be late: who came after its time has told the rest already."""

    async def scene() -> None:
        events: list[Event] = []
        now = [100.0]
        refusals = Refusals(events.append, lambda: now[0])
        refusals.tell(request(), "foreign host")
        refusals.tell(request(), "foreign host")
        now[0] += QUIET
        refusals.tell(request(), "foreign host")
        await asyncio.sleep(QUIET + 1.0)
        assert [one.fields["count"] for one in events] == [1, 2]

    run_virtual(scene())


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("evil.example:80", "evil.example:80"), ("a\nb\x1b[2J", "a?b?[2J"), ("x" * 300, "x" * LONGEST),
        ("bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "bitcoincash:***"), ("<script>", "?script?"),
    ],
)  # fmt: skip
def test_of_what_was_sent_little_stands_in_the_log(sent: str, told: str) -> None:
    """No line end, no address, no end in sight."""
    assert cleaned(sent) == told


@pytest.mark.parametrize(
    ("verb", "path", "how", "why", "sent"),
    [
        ("GET", "/api/v1/status", {"Host": "evil.example"}, "foreign host", "evil.example"),
        ("GET", "/api/v1/status", {"Origin": "http://evil.example"}, "foreign origin", "http://evil.example"),
        ("GET", "/api/v1/stream", {"Sec_Fetch_Site": "cross-site"}, "foreign origin", "cross-site"),
        ("GET", "/api/v1/wallets/order%204711/x", {}, "no such path", "GET /api/v1/wallets"),
        ("GET", "/api/v1/status?x=hunter2", {}, "not understood", "GET /api/v1/status"),
        ("DELETE", "/api/v1/status", {}, "wrong method", "DELETE /api/v1/status"),
        ("POST", "/api/v1/wallets/main/backends/ec-1/hold", {"body": b" " * 5000}, "body too long", None),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_and_logged(
    world: World, verb: str, path: str, how: dict[str, str | bytes], why: str, sent: str | None
) -> None:  # fmt: skip
    """With from where it came, and nothing of what may be a secret."""
    how = dict(how)
    body = how.pop("body", None)
    assert isinstance(body, bytes | None)
    await world.ask(verb, path, body, **{name: str(value) for name, value in how.items()})
    (told,) = world.told("admin.refused")
    assert (told["why"], told["count"]) == (why, 1)
    assert str(told["peer"]).startswith("127.0.0.1:")
    assert sent in (None, told["sent"])


async def test_paths_that_nobody_has_are_logged_outside_the_api_as_well(world: World) -> None:
    """And methods that do nothing there; a page of the API's own refusals is told the same way."""
    for line in (b"GET /.env HTTP/1.1", b"POST /livez HTTP/1.1", b"PUT / HTTP/1.1"):
        await world.raw(line + b"\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert [one["why"] for one in world.told("admin.refused")] == ["no such path", "wrong method"]


async def test_who_is_one_too_many_at_the_stream_is_logged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """He gets 503."""
    monkeypatch.setattr(Stream, "is_full", True)
    assert (await world.ask("GET", "/api/v1/stream"))[0] == 503
    assert [one["why"] for one in world.told("admin.refused")] == ["too many listen"]

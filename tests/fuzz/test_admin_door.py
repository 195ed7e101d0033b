"""The operators' door under whatever comes: nothing is ordered without the token, and nothing is left behind."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import event, given

from tests.edge.admin_world import TOKEN
from tests.fuzz.dice import Dice, dice
from tests.fuzz.doors import AdminStage, Script, admin_door
from tests.fuzz.effort import cases, show
from tests.fuzz.jsontexts import harmed, odd_value, text
from tests.fuzz.reading import Message, read_answers, read_requests
from tests.fuzz.requests import LINES, ODD_FIRST, ODD_LINES, chunked, pieces

ORDER = "/api/v1/wallets/main/backends/ec-1/restart"
PATHS = (
    ORDER, "/livez", "/readyz", "/metrics", "/api/v1/status", "/", "/api/v1/wallets/main/handover",
    "/api/v1/openapi.json", "/x", "/api/v1/incidents?limit=5", "/api/v1/incidents?limit=x&limit=y", "/api/v1/outcomes",
    "/sign-in", "/static/page.css", "/api/", "/api/v1/wallets/main/backends/ec-1/%72estart", "/api/v1/wallets/../main",
    "//", "/api/v1/rates?a", "/api/v1/audit", "/%00", "/words", "/orders/main/ec-1/restart",
    "/api/v1/wallets/nobody/backends/ec-1/drain", "/api/v1/status/..", "/?language=ko",
)  # fmt: skip
TOKENS = (
    f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}", "", f"Authorization: Bearer {TOKEN[:-1]}",
    "Authorization: Bearer ",
    f"Authorization: Basic {TOKEN}", f"Authorization: Bearer {TOKEN} ", f"authorization: bearer {TOKEN}",
    "Authorization: Bearer \u0665",
)  # fmt: skip
MORE = (
    "Content-Type: application/json", "Content-Type: application/json", "Content-Type: text/plain",
    "Origin: http://evil.test",
    "Content-Type: application/x-www-form-urlencoded", "Origin: null", "Sec-Fetch-Site: cross-site",
    "Cookie: session=a", "Last-Event-ID: 5",
    "Accept-Language: ko", "Accept: text/html", "If-None-Match: *", "Range: bytes=0-1", "Host: evil.test",
)  # fmt: skip


@pytest.fixture(scope="module")
def admin() -> Iterator[AdminStage]:
    """One door for all cases."""
    with admin_door() as opened:
        yield opened


def request(dice: Dice) -> bytes:
    """Return one request of an operator, or of somebody who would like to be one."""
    oddity = dice.roll(10)
    path = dice.pick(PATHS)
    verb = (
        "POST"
        if path == ORDER and dice.often()
        else dice.pick(("GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"))
    )
    first = dice.pick(ODD_FIRST).format(path=path) if oddity == 9 else f"{verb} {path} HTTP/1.{dice.pick('110')}"
    body = b""
    if verb in ("POST", "PUT") and dice.often(3):
        reason = odd_value(dice) if dice.seldom(4) else text(dice)
        body = dice.pick((f'{{"reason": {reason}}}', "", f'{{"executed": {reason}}}', "[]", "reason=a&b")).encode(
            errors="surrogatepass"
        )
    lines = ["Host: localhost", *[one for one in [dice.pick(TOKENS)] if one]]
    lines += [dice.pick(LINES) for _ in range(dice.few(2))] + [dice.pick(MORE) for _ in range(dice.few(3))]
    if dice.seldom(6):
        lines.append("Transfer-Encoding: chunked")
        body = chunked(dice, body, is_odd=oddity == 8)
    elif body or dice.roll(2):
        lines.append(f"Content-Length: {len(body)}")
    if oddity in (6, 7):
        lines += [dice.pick(ODD_LINES) for _ in range(1 + dice.few(1))]
    return ("\r\n".join([first, *dice.shuffled(lines)]) + "\r\n\r\n").encode("utf-8", errors="surrogateescape") + body


def may_order(message: Message) -> bool:
    """Whether a request shows the token and is to an order."""
    shown = message.all(b"authorization")
    return message.first[0] == b"POST" and len(shown) == 1 and shown[0].lower() == f"bearer {TOKEN}".lower().encode()


@cases("admin")
@given(dice(120, 400))
def check_requests(dice: Dice) -> None:
    """One client with one to three requests."""
    sent = [request(dice) for _ in range(1 + dice.few(2))]
    stream = b"".join(sent)
    ends = [sum(map(len, sent[: number + 1])) for number in range(len(sent))]
    if dice.seldom(6):
        stream = harmed(dice, stream)
    parts = pieces(dice, stream, ends)
    one = Script("", parts, [], dice.pick(("wait", "finish", "reset")), is_slow=dice.seldom(12))
    show(parts, one.end, one.is_slow)
    ADMIN.play(one)
    # aiohttp takes RTSP and ICE for HTTP; who shows the token with them is obeyed as with it
    read = read_requests(re.sub(rb" (?:RTSP|ICE)/1\.0\r\n", b" HTTP/1.0\r\n", stream))
    # aiohttp writes the version of the request into its answer, also where the answer is that nobody speaks it here
    got = re.sub(rb"HTTP/(0\.9|2\.0)( 505 )", rb"HTTP/1.1\2", one.got)
    answers = read_answers(got, [message.first[0] for message in read.messages])
    if one.end == "wait" and b"HEAD " not in stream:
        assert answers.end == "whole", (answers.end, answers.rest[:200])
    assert len(ADMIN.world.orders.heard) <= sum(may_order(message) for message in read.messages), "ordered by nobody"
    assert TOKEN.encode() not in one.got
    for answer in answers.messages:
        assert answer.status != 500
        assert answer.all(b"x-content-type-options") == [b"nosniff"]
        assert not answer.all(b"access-control-allow-origin")
    event(f"{read.end}, {[answer.status for answer in answers.messages]}")


ADMIN: AdminStage


@pytest.mark.long
def test_whatever_comes_to_the_operators_door_orders_nothing_by_itself(admin: AdminStage) -> None:
    """Each request is answered or refused, and only who shows the token is obeyed."""
    global ADMIN  # noqa: PLW0603 - what Hypothesis calls takes no fixtures that last longer than a case
    ADMIN = admin
    check_requests()

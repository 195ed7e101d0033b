"""The webhook: what it posts, how it is signed, and what it makes of each answer; a real receiver on loopback."""

import asyncio
import base64
import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from gateway.observe.sinks import Message, SinkError
from gateway.observe.sinks import webhook as room
from gateway.observe.sinks.webhook import ATTEMPTS, Patience, Webhook, check, key_of, signature
from tests.fakes_alerts import sink
from tests.observe.sinks.conftest import Receiver

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of some secret!").decode()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr(room, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(room, "LONGEST_PAUSE", 0.0)


async def send(url: str, message: Message, *, within: float = 30.0, **how: Any) -> None:
    """Send one message and let go.  Raises SinkError."""
    webhook = Webhook(url, SECRET, within, **how)
    try:
        await webhook.send(message)
    finally:
        await webhook.close()


# -- what is posted -------------------------------------------------------------------------------------------


async def test_a_receiver_s_own_library_verifies_it(receiver: Receiver, message: Message) -> None:
    """A library of the Standard Webhooks specification, which knows nothing of us."""
    await send(receiver.url, message)
    [(headers, body)] = receiver.received
    assert Verifier(SECRET).verify(body, headers)["type"] == "alert.opened"
    assert headers["webhook-id"] == message.id
    assert headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Verifier(SECRET).verify(body.replace(b"critical", b"info----"), headers)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Verifier(SECRET).verify(body, {**headers, "webhook-id": "another"})
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Verifier("whsec_" + base64.b64encode(b"another secret of the same size").decode()).verify(body, headers)


async def test_an_old_message_cannot_be_played_again(receiver: Receiver, message: Message) -> None:
    """The time of sending is under the signature, and a receiver refuses what is older than five minutes."""
    before = datetime.now(UTC) - timedelta(minutes=6)
    await send(receiver.url, message, clock=before.timestamp)
    [(headers, body)] = receiver.received
    with pytest.raises(WebhookVerificationError, match="too old"):
        Verifier(SECRET).verify(body, headers)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Verifier(SECRET).verify(body, {**headers, "webhook-timestamp": str(int(datetime.now(UTC).timestamp()))})


async def test_the_body_is_the_one_of_the_docs(receiver: Receiver, message: Message) -> None:
    """Every key, in words that a program can read."""
    await send(receiver.url, message)
    assert json.loads(receiver.received[0][1]) == {
        "id": "life-1-1",
        "type": "alert.opened",
        "timestamp": "2025-11-28T04:00:00.500Z",
        "data": {
            "incident": "life-1",
            "alert": "all_down/main",
            "kind": "all_down",
            "severity": "critical",
            "gateway": "here",
            "wallet": "main",
            "backend": "",
            "title": "no daemon serves",
            "text": "main answers nothing (ec-1: silent)",
            "opened_at": "2025-11-28T03:59:58.500Z",
            "seconds": 2.0,
            "repeats": 0,
            "count": 1,
            "facts": {"serving": 0, "backends": 1},
        },
    }


def test_a_secret_that_is_no_base64_signs_as_it_stands() -> None:
    """For a receiver of one's own: HMAC-SHA256 over id, time and body, with the text that both know."""
    assert key_of("just a text") == b"just a text"
    assert key_of("whsec_QUJD") == key_of("whsec_QUJD==") == b"ABC"
    assert signature(b"ABC", "id", 1, b"{}") == Verifier("QUJD").sign(
        "id", datetime.fromtimestamp(1, UTC).replace(tzinfo=None), "{}"
    )


# -- answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_success_is_one(receiver: Receiver, message: Message, status: int) -> None:
    """And asked once."""
    receiver.answers = [status]
    await send(receiver.url, message)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_receiver_in_trouble_is_asked_again_with_the_same_id(
    receiver: Receiver, message: Message, status: int
) -> None:
    """So that it knows the second one."""
    receiver.answers = [status, status]
    await send(receiver.url, message)
    assert [headers["webhook-id"] for headers, _ in receiver.received] == [message.id] * 3
    assert all("webhook-signature" in headers for headers, _ in receiver.received)


async def test_it_gives_up_for_now_after_a_few_attempts(receiver: Receiver, message: Message) -> None:
    """The rest is the courier's."""
    receiver.answers = [503] * 10
    with pytest.raises(SinkError, match="HTTP 503") as caught:
        await send(receiver.url, message)
    assert not caught.value.is_refused
    assert len(receiver.received) == ATTEMPTS


@pytest.mark.parametrize(
    ("status", "is_refused", "words"),
    [
        (400, True, "its log may say why"),
        (413, True, "its log may say why"),
        (401, False, "the same secret, and the right time"),
        (403, False, "the same secret"),
        (404, False, "its log may say why"),
        (302, False, "write the final URL"),
    ],
)
async def test_a_receiver_that_says_no_is_not_asked_again_at_once(
    receiver: Receiver, message: Message, status: int, words: str, *, is_refused: bool
) -> None:
    """What can be mended at the receiver is tried again later, what is wrong with the message never."""
    receiver.answers = [status]
    with pytest.raises(SinkError, match=words) as caught:
        await send(receiver.url, message)
    assert caught.value.is_refused is is_refused
    assert len(receiver.received) == 1


async def test_redirects_are_not_followed(receiver: Receiver, message: Message) -> None:
    """They would turn the POST into a GET."""

    async def elsewhere(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently(receiver.url + "/elsewhere")

    receiver.answers = [elsewhere]
    with pytest.raises(SinkError, match="points elsewhere"):
        await send(receiver.url, message)
    assert len(receiver.received) == 1


async def test_large_errors_do_not_hold_the_next_attempt_up(receiver: Receiver, message: Message) -> None:
    """The connection of a rejected answer is closed, not read to its end."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        except ConnectionError:
            return response

    receiver.answers = [endless, endless]
    await send(receiver.url, message)
    assert len(receiver.received) == 3


async def test_an_answer_that_got_lost_is_no_delivery(receiver: Receiver, message: Message) -> None:
    """It is sent again with the same id; who has it already does nothing."""

    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    receiver.answers = [cut]
    await send(receiver.url, message)
    assert [headers["webhook-id"] for headers, _ in receiver.received] == [message.id] * 2


async def test_nobody_at_home_is_told_without_the_url(message: Message) -> None:
    """A URL may hold a token."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SinkError, match="cannot be reached") as caught:
        await send(f"http://127.0.0.1:{port}/token-of-the-hook", message)
    assert "token" not in str(caught.value)


async def test_a_receiver_that_does_not_answer_is_left_alone_in_time(receiver: Receiver, message: Message) -> None:
    """Two attempts fit into the time of one delivery."""

    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    receiver.answers = [never] * ATTEMPTS
    with pytest.raises(SinkError, match=r"has not answered within 0\.2 s"):
        await send(receiver.url, message, within=0.2)


async def test_a_host_that_nobody_knows_and_a_bad_certificate_are_told(message: Message) -> None:
    """Each in its own words."""
    dns = aiohttp.ClientConnectorDNSError(_key(), OSError("no"))
    assert room._why(dns) == "its name is not known"
    certificate = aiohttp.ClientConnectorCertificateError(_key(), Exception("no"))
    assert room._why(certificate) == "its certificate is not valid here"
    assert room._why(aiohttp.ServerDisconnectedError()) == "ServerDisconnectedError"
    assert room._why(aiohttp.ClientConnectorError(_key(), OSError())) == "OSError"
    del message


def _key() -> Any:
    """What aiohttp names a connection by."""

    class Key:
        host, port, ssl, is_ssl = "h", 1, None, True

    return Key()


def test_pauses_grow_and_obey_the_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a bound: the courier has more patience than one delivery."""
    monkeypatch.setattr(room, "FIRST_PAUSE", 0.25)
    monkeypatch.setattr(room, "LONGEST_PAUSE", 2.0)

    class Asks:
        def __init__(self, seconds: str) -> None:
            self.headers = {"Retry-After": seconds}

    patience = Patience()
    assert [patience.get_timeout(attempt) for attempt in (1, 2)] == [0.25, 0.5]
    asked: list[Any] = [Asks("1"), Asks("3600"), Asks("Fri, 28 Nov 2026 03:00:00 GMT")]
    assert [patience.get_timeout(1, one) for one in asked] == [1.0, 2.0, 0.25]


async def test_closing_what_was_never_used_is_nothing() -> None:
    """And twice is once."""
    webhook = Webhook("http://127.0.0.1:1/", SECRET, 1.0)
    await webhook.close()
    await webhook.close()


# -- settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"url": None}, "url", "is missing"),
        ({"url": 7}, "url", "is missing"),
        ({"url": "ftp://there/x"}, "url", "is not an http or https URL with a host"),
        ({"url": "https:///x"}, "url", "is not an http or https URL with a host"),
        ({"url": "https://there:99999/x"}, "url", "is not an http or https URL with a host"),
        ({"url": "https://user:pass@there/x"}, "url", "holds a user or password"),
        ({"secret": ""}, "secret", "is missing, and nobody could tell these messages from forged ones"),
        ({"secret": "short"}, "secret", "is shorter than 16 bytes"),
        ({"secret": "whsec_QUJD"}, "secret", "is shorter than 16 bytes"),
        ({"secret": "whsec_!!!!"}, "secret", "begins with whsec_ and is no base64"),
    ],
)
def test_each_mistake_is_told_with_its_key(changes: dict[str, Any], key: str, message: str) -> None:
    """And no secret in it."""
    found = check(sink(**changes))
    assert [one[:2] for one in found] == [(key, message)]
    assert "pass@" not in str(found)
    assert "short" not in str(found).replace("is shorter", "")


def test_good_settings_have_no_mistake() -> None:
    """In either form of secret."""
    assert check(sink()) == check(sink(secret=SECRET)) == []

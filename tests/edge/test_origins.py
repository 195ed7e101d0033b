"""From where a request comes: what is this door's own, and what a page of another site lets a browser send."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.edge.origins import (
    address_of,
    aim_of,
    is_followed_link,
    is_foreign,
    is_own_host,
    is_own_origin,
    peer_of,
)

LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def request(verb: str = "GET", **headers: str) -> web.BaseRequest:
    """A request with headers."""
    return make_mocked_request(verb, "/", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1:7780", True), ("127.0.0.1", True), ("[::1]:7780", True), ("10.2.3.4:80", True),
        ("localhost:7780", True), ("gateway", True), ("GATEWAY:7780", True), ("gw.shop.internal", True),
        ("ops.example.net:7780", True), ("Machine.example.net", True),
        ("evil.example", False), ("127.0.0.1.evil.example", False), ("localhost.evil.example", False),
        ("evil.example:7780", False), ("", False), (":7780", False), ("[::1", False),
        ("user@localhost", False), ("localhost/x", False), ("localhost?x", False), ("evil.example#localhost", False),
    ],
)  # fmt: skip
def test_only_names_that_nobody_else_can_own_are_ours(host: str, *, is_own: bool) -> None:
    """Else a page could let its own name point at this door."""
    assert is_own_host(host, {"ops.example.net", "machine.example.net"}) is is_own


@pytest.mark.parametrize(
    ("path", "aim"),
    [
        ("/api/v1/wallets/main/backends/ec-1/drain", ("main", "ec-1", "drain")),
        ("/api/v1/wallets/main/handover?x=1", ("main", "", "handover")),
        ("/api/v1/wallets/main/outcomes/key-of-a-client/resolve", ("main", "", "resolve")),
        ("/api/v1/sandbox/ec-1/freeze", ("", "ec-1", "switch freeze")),
        ("/orders/main/ec-1/hold", ("main", "ec-1", "hold")), ("/orders/main/handover", ("main", "", "handover")),
        ("/outcomes/main/call-1/resolve", ("main", "", "resolve")),
        ("/switches/main/ec-1/kill", ("main", "ec-1", "switch kill")),
        ("/api/v1/wallets/%0a/backends/qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a/drain", ("", "", "drain")),
        ("/orders/main/ec-1/%20", ("main", "ec-1", "")), ("/orders/main", ("", "", "")), ("/", ("", "", "")),
    ],
)  # fmt: skip
def test_a_path_says_what_it_orders(path: str, aim: tuple[str, str, str]) -> None:
    """Names only, and of no customer's address anything."""
    assert aim_of(make_mocked_request("POST", path)) == aim


def test_an_origin_is_ours_if_it_is_this_very_door() -> None:
    """With the same port, over either scheme."""
    assert is_own_origin("http://localhost:7780", "LocalHost:7780")
    assert is_own_origin("https://ops:7780", "ops:7780")
    assert not is_own_origin("http://localhost:7781", "localhost:7780")
    assert not is_own_origin("http://localhost:7780.evil.example", "localhost:7780")


def test_a_page_of_another_site_or_port_is_foreign() -> None:
    """By what the browser says of it; a tool says nothing."""
    assert not is_foreign(request(), "gw:7780")
    assert not is_foreign(request(Origin="http://gw:7780", Sec_Fetch_Site="same-origin"), "gw:7780")
    for headers in (
        {"Origin": "null"}, {"Origin": "http://gw:7781"}, {"Origin": ""}, {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "new-word"},
        {"Origin": "http://evil.example", "Sec_Fetch_Site": "same-origin"},
    ):  # fmt: skip
        assert is_foreign(request("POST", **headers), "gw:7780"), headers


@pytest.mark.parametrize(
    ("verb", "headers", "is_link"),
    [
        ("GET", {}, True), ("HEAD", {}, True), ("POST", {}, False),
        ("GET", {"Sec-Fetch-Dest": "iframe"}, False), ("GET", {"Sec-Fetch-Dest": "image"}, False),
        ("GET", {"Sec-Fetch-Mode": "cors"}, False), ("GET", {"Sec-Fetch-Site": "none"}, False),
        ("GET", {"Origin": "https://evil.example"}, False),
    ],
)  # fmt: skip
def test_a_link_that_somebody_followed_is_told_from_what_a_page_fetches(
    verb: str, headers: dict[str, str], *, is_link: bool
) -> None:
    """It opens a window of its own and asks for a page."""
    assert is_followed_link(make_mocked_request(verb, "/", headers={**LINK, **headers})) is is_link


def test_a_request_from_nowhere_is_told_as_such() -> None:
    """Its connection is gone."""
    gone = request()
    gone._protocol.transport = None
    assert (peer_of(gone), address_of(gone)) == ("unknown", "unknown")

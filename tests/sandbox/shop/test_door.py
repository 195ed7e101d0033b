"""The door of the shop, over HTTP."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from gateway.sandbox.shop.books import Books
from gateway.sandbox.shop.business import MOST_AT_ONCE, Business
from gateway.sandbox.shop.door import Door, why_not
from gateway.sandbox.shop.till import Result

Client = TestClient[web.Request, web.Application]


class Silent:
    """A gateway that has an address for everybody."""

    def __init__(self) -> None:
        self.given = 0

    async def ask(self, method: str, params: object = ()) -> Result:
        """Answer one call."""
        del method, params
        self.given += 1
        return Result({"address": f"bchreg:q{self.given}"}, 0.1)


class Shop:
    """A shop behind its door, and who visits it."""

    def __init__(self, client: Client, business: Business, paid: list[dict[str, object]]) -> None:
        self.client = client
        self.business = business
        self.paid = paid

    async def send(self, path: str, **fields: str) -> tuple[int, str]:
        """Send a form; return the status and where it leads."""
        answer = await self.client.post(path, data=fields, allow_redirects=False)
        return answer.status, answer.headers.get("Location", "")


@pytest.fixture
async def shop(aiohttp_client: AiohttpClient) -> Shop:
    """Open, with a status page at 7780."""
    paid: list[dict[str, object]] = []

    async def chain(order: dict[str, object]) -> None:
        paid.append(order)

    business = Business(Silent(), Books(), chain, lambda: 100.0)
    client = await aiohttp_client(Door(business, 7780).application())
    return Shop(client, business, paid)


async def test_plain_forms_buy_and_pay_without_any_script(shop: Shop) -> None:
    """Each leads back to the page, where the order stands with its address."""
    assert await shop.send("/buy", item="book") == (303, "/")
    text = await (await shop.client.get("/")).text()
    assert "bchreg:q1" in text
    assert await shop.send("/pay", order="1") == (303, "/")
    assert shop.paid == [{"cmd": "fund", "address": "bchreg:q1", "sats": 450_000}]
    figures = await (await shop.client.get("/figures")).json()
    assert (figures["orders"], figures["given"], figures["twice"], figures["sandbox"]) == (1, 1, 0, True)


async def test_the_automatic_customer_comes_and_goes_by_its_form(shop: Shop) -> None:
    """The page says which."""
    assert await shop.send("/customer", on="1") == (303, "/")
    assert shop.business.customer_left
    assert await shop.send("/customer", on="0") == (303, "/")
    assert shop.business.customer_left == 0


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/buy", {"item": "moon"}, 400),
        ("/buy", {}, 400),
        ("/pay", {"order": "7"}, 404),
        ("/pay", {"order": "-1"}, 404),
        ("/pay", {"order": "\u0661"}, 404),
        ("/pay", {"order": "9" * 5000}, 413),
        ("/nowhere", {}, 404),
        ("/live", {}, 405),
    ],
)
async def test_nonsense_is_refused_and_changes_nothing(
    shop: Shop, path: str, fields: dict[str, str], status: int
) -> None:
    """With the headers that every answer has."""
    answer = await shop.client.post(path, data=fields, allow_redirects=False)
    assert answer.status == status
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert shop.business.books.taken == 0


@pytest.mark.parametrize("path", ["/", "/live", "/figures", "/shop.css", "/shop.js"])
async def test_every_answer_shouts_that_it_is_the_sandbox_and_is_kept_from_other_sites(shop: Shop, path: str) -> None:
    """One policy for all; a form of the page is sent with an origin, which `no-referrer` would take away."""
    answer = await shop.client.get(path)
    assert answer.status == 200
    assert "SANDBOX" in answer.headers["X-Sandbox"]
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "same-origin"


async def test_the_chosen_language_is_kept_in_a_cookie(shop: Shop) -> None:
    """Chosen by a link, remembered afterwards."""
    assert 'lang="en">' in await (await shop.client.get("/")).text()
    chosen = await shop.client.get("/?lang=ko")
    assert '<html lang="ko">' in await chosen.text()
    assert '<html lang="ko">' in await (await shop.client.get("/?lang=xx")).text()


async def test_a_full_shop_says_so_with_503(shop: Shop) -> None:
    """And takes no order."""
    shop.business._waiting = MOST_AT_ONCE
    assert (await shop.send("/buy", item="book"))[0] == 503
    assert shop.business.books.taken == 0


async def test_the_status_page_is_linked_under_the_name_by_which_the_shop_was_called(shop: Shop) -> None:
    """So that a forwarded port leads to a forwarded port."""
    text = await (await shop.client.get("/", headers={"Host": "localhost:9"})).text()
    assert 'href="http://localhost:7780/"' in text
    text = await (await shop.client.get("/", headers={"Host": "[::1]:9"})).text()
    assert 'href="http://[::1]:7780/"' in text


async def test_a_name_that_anybody_could_own_is_not_answered(shop: Shop) -> None:
    """A page whose name is made to point at loopback is told apart by it."""
    answer = await shop.client.get("/figures", headers={"Host": "evil.example"})
    assert answer.status == 403
    assert "orders" not in await answer.text()


@pytest.mark.parametrize(
    ("method", "hosts", "origin", "site", "is_served"),
    [
        ("GET", ["127.0.0.1:7781"], None, None, True),
        ("GET", ["localhost:7781"], None, "cross-site", True),
        ("POST", ["localhost:7781"], "http://localhost:7781", "same-origin", True),
        ("POST", ["localhost:7781"], None, None, True),
        ("POST", ["localhost:7781"], "http://evil.example", None, False),
        ("POST", ["localhost:7781"], "null", None, False),
        ("POST", ["localhost:7781"], "http://localhost:80", None, False),
        ("POST", ["localhost:7781"], None, "cross-site", False),
        ("GET", ["a.example"], None, None, False),
        ("GET", ["127.0.0.1", "a.example"], None, None, False),
        ("GET", ["[::1"], None, None, False),
        ("GET", [], None, None, False),
    ],
)
def test_who_is_served(method: str, hosts: list[str], origin: str | None, site: str | None, *, is_served: bool) -> None:
    """Anybody on loopback may look; only its own page, or no page, may order."""
    assert (why_not(method, hosts, origin, site) == "") is is_served

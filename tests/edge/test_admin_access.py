"""Who may look and who may order, by the settings of the door and by what a request shows."""

import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from gateway.base.config import Admin, Tls
from gateway.base.events import Event
from gateway.base.people import NamedToken, Person, Role, User
from gateway.edge.admin_access import CSRF, LONGEST, Access, Refused

TOKEN, CRON, STATS = "token-of-operators", "token-of-cron", "token-of-stats"
ENCODED = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
KIM = User(name="kim", role=Role.OPERATOR, password_hash=SecretStr(ENCODED))
LEE = User(name="lee", password_hash=SecretStr(ENCODED))
TOKENS = (
    NamedToken(name="cron", role=Role.OPERATOR, token=SecretStr(CRON)),
    NamedToken(name="stats", token=SecretStr(STATS)),
)
BARE = Admin()
OLD = Admin(token=SecretStr(TOKEN))
FULL = Admin(users=(KIM, LEE), tokens=TOKENS, token=SecretStr(TOKEN))
SCRIPTS = Admin(tokens=TOKENS)
OPEN = Admin(open=True)


class World:
    """A door, on which nothing is really waited for."""

    def __init__(self, admin: Admin) -> None:
        """Open it."""
        self.now = 100.0
        self.slept: list[float] = []
        self.events: list[Event] = []
        self.access = Access(admin, emit=self.events.append, now=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def sign_in(self, user: User, **more: str) -> dict[str, str]:
        """Return the headers of a browser in which somebody has signed in."""
        return {"Cookie": f"a=b; {self.access.cookie}={self.access.sessions.begin(user, self.now)}; c=d", **more}

    def csrf(self, headers: dict[str, str]) -> str:
        """Return the token that its pages hold."""
        person = self.access.person(request(headers))
        assert person is not None
        return person.csrf

    async def look(self, headers: dict[str, str] | None = None) -> tuple[str, str, str] | tuple[int, str]:
        """Return who looks, or how he is refused."""
        return await self._told(self.access.see_viewer(request(headers or {})))

    async def order(self, headers: dict[str, str] | None = None) -> tuple[str, str, str] | tuple[int, str]:
        """Return who orders, or how he is refused."""
        return await self._told(self.access.see_operator(request(headers or {}, "POST")))

    async def _told(self, found: Any) -> tuple[str, str, str] | tuple[int, str]:
        try:
            person = await found
        except Refused as refused:
            how = refused.headers.get("WWW-Authenticate")
            return refused.status if how or refused.status != 401 else 0, refused.detail
        assert isinstance(person, Person)
        return person.name, str(person.role), person.by

    @property
    def told(self) -> list[dict[str, object]]:
        """Return what was told of refusals, without from where."""
        for secret in (TOKEN, CRON, STATS, ENCODED):
            assert secret not in repr(self.events)
        return [
            {key: value for key, value in one.fields.items() if key != "peer"}
            for one in self.events
            if one.name == "order.refused"
        ]


def request(headers: dict[str, str], verb: str = "GET") -> web.BaseRequest:
    """A request with headers."""
    return make_mocked_request(verb, "/", headers=headers)


def bearer(token: str) -> dict[str, str]:
    """The header of a script."""
    return {"Authorization": f"Bearer {token}"}


NOBODY = ("anybody", "viewer", "open")


@pytest.mark.parametrize(
    ("admin", "headers", "looks", "orders"),
    [
        (BARE, {}, NOBODY, 403), (BARE, bearer("x"), NOBODY, 403), (BARE, bearer(""), NOBODY, 403),
        (OLD, {}, NOBODY, 401), (OLD, bearer("x"), NOBODY, 401),
        (OLD, bearer(TOKEN), ("token", "operator", "token"), ("token", "operator", "token")),
        (OLD, {"Authorization": f"bearer   {TOKEN} "}, ("token", "operator", "token"), ("token", "operator", "token")),
        (OLD, {"Authorization": f"Basic {TOKEN}"}, NOBODY, 401),
        (OLD, {"Cookie": f"ecgw_session={TOKEN}"}, NOBODY, 401),
        (SCRIPTS, {}, 401, 401), (SCRIPTS, bearer(TOKEN), 401, 401), (SCRIPTS, bearer("x" * (LONGEST + 1)), 401, 401),
        (SCRIPTS, bearer(STATS), ("stats", "viewer", "token"), 403),
        (SCRIPTS, bearer(CRON), ("cron", "operator", "token"), ("cron", "operator", "token")),
        (FULL, {}, 401, 401), (FULL, bearer("x"), 401, 401), (FULL, bearer(STATS), ("stats", "viewer", "token"), 403),
        (FULL, {"Cookie": "ecgw_session="}, 401, 401), (FULL, {"Cookie": "ecgw_session=x; ;=;ecgw_session"}, 401, 401),
        (FULL, bearer(TOKEN), ("token", "operator", "token"), ("token", "operator", "token")),
        (OPEN, {}, ("open", "operator", "open"), ("open", "operator", "open")),
        (OPEN, {"Authorization": "Basic x"}, ("open", "operator", "open"), ("open", "operator", "open")),
    ],
)  # fmt: skip
async def test_who_is_asked_what(admin: Admin, headers: dict[str, str], looks: Any, orders: Any) -> None:
    """By the settings; what is refused says the way out."""
    world = World(admin)
    looked, ordered = await world.look(headers), await world.order(headers)
    assert looks in (looked, looked[0])
    assert orders in (ordered, ordered[0])
    for refused in (looked, ordered):
        assert len(refused) == 3 or any(part in refused[1] for part in ("admin.token", "role operator"))


async def test_a_session_looks_and_an_operators_orders_with_its_csrf_token() -> None:
    """A forged one, none, and one of another session are refused and told."""
    world = World(FULL)
    kim, other = world.sign_in(KIM), world.sign_in(KIM)
    assert await world.look(kim) == ("kim", "operator", "session")
    mine = world.csrf(kim)
    assert await world.order({**kim, CSRF: mine}) == ("kim", "operator", "session")
    assert world.told == []
    for forged in ("", "x", mine[:-1], mine + "a", world.csrf(other), "ü"):
        status, said = await world.order({**kim, CSRF: forged})  # type: ignore[misc]  # it is refused
        assert status == 403
        assert "load it again" in said
    assert world.told == [{"why": "wrong CSRF token", "who": "kim", "by": "session"}] * 6
    assert mine not in repr(world.events)


async def test_a_csrf_token_of_a_session_that_has_ended_is_worth_nothing() -> None:
    """Neither beside its own cookie nor beside that of the next session."""
    world = World(FULL)
    old = world.sign_in(KIM)
    stale = world.csrf(old)
    new = world.sign_in(KIM)
    world.access.sessions.end(world.access.secrets_of(request(old))[0])
    assert (await world.order({**old, CSRF: stale}))[0] == 401
    assert (await world.order({**new, CSRF: stale}))[0] == 403
    assert (await world.order({**new, CSRF: world.csrf(new)}))[0] == "kim"


async def test_a_viewer_orders_nothing() -> None:
    """Neither with a session nor with a token; the order is told."""
    world = World(FULL)
    lee = world.sign_in(LEE)
    assert await world.look(lee) == ("lee", "viewer", "session")
    status, said = await world.order({**lee, CSRF: world.csrf(lee)})  # type: ignore[misc]  # it is refused
    assert (status, said.split(";")[0]) == (403, "lee may look and gives no orders")
    assert (await world.order(bearer(STATS)))[0] == 403
    assert [one["who"] for one in world.told] == ["lee", "stats"]


async def test_a_token_counts_more_than_a_cookie_and_needs_no_csrf_token() -> None:
    """No browser sends one by itself; a wrong one is not made good by a cookie."""
    world = World(FULL)
    lee = world.sign_in(LEE)
    assert await world.order({**lee, **bearer(CRON)}) == ("cron", "operator", "token")
    kim = world.sign_in(KIM)
    assert (await world.order({**kim, CSRF: world.csrf(kim), **bearer("wrong")}))[0] == 401
    assert await world.order({**kim, CSRF: world.csrf(kim), "Authorization": "Basic x"}) == (
        "kim", "operator", "session",
    )  # fmt: skip


async def test_a_wrong_token_is_answered_ever_later_and_a_right_one_never() -> None:
    """For looks and orders together."""
    world = World(FULL)
    for _ in range(4):
        assert (await world.look(bearer("guess")))[0] == 401
        assert (await world.order(bearer("guess")))[0] == 401
    assert world.slept == [0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 5.0]
    assert world.told == [{"why": "wrong token"}] * 8
    assert "guess" not in repr(world.events)
    assert (await world.order(bearer(TOKEN)))[0] == "token"
    assert (await world.look({}))[0] == 401, "none at all is no guess"
    assert len(world.slept) == 8


async def test_a_reload_takes_and_gives_rights_at_once() -> None:
    """Tokens, people and who may look; what has ended is told."""
    world = World(FULL)
    kim = world.sign_in(KIM)
    lee = world.sign_in(LEE)
    csrf = world.csrf(kim)
    viewer = KIM.model_copy(update={"role": Role.VIEWER})
    world.access.update(Admin(users=(viewer,), tokens=TOKENS[1:], token=SecretStr(CRON)))
    assert (await world.look(bearer(TOKEN)))[0] == 401
    assert await world.order(bearer(CRON)) == ("token", "operator", "token")
    assert (await world.order({**kim, CSRF: csrf}))[0] == 403
    assert await world.look(kim) == ("kim", "viewer", "session")
    assert (await world.look(lee))[0] == 401
    assert [one.fields for one in world.events if one.name == "operator.signed_out"] == [
        {"who": "lee", "why": "the configuration changed"}
    ]
    world.access.update(BARE)
    assert await world.look({}) == NOBODY
    assert (await world.order(bearer(CRON)))[0] == 403


async def test_what_lasts_is_asked_whether_somebody_still_is_who_he_was() -> None:
    """For event streams; that keeps no session alive."""
    world = World(FULL)
    kim = world.sign_in(KIM)
    session = await world.access.see_viewer(request(kim))
    token = await world.access.see_viewer(request(bearer(STATS)))
    world.now += 3599.0
    assert world.access.is_still(session)
    assert world.access.is_still(token)
    world.now += 1.0
    assert not world.access.is_still(session)
    again = await world.access.see_viewer(request(world.sign_in(KIM)))
    world.access.update(Admin(users=(KIM.model_copy(update={"role": Role.VIEWER}),), tokens=TOKENS))
    assert not world.access.is_still(again), "a page that shows buttons is drawn anew"
    assert world.access.is_still(token)
    world.access.update(Admin(users=(KIM,), tokens=TOKENS[:1]))
    assert not world.access.is_still(token)
    for admin, other in ((BARE, FULL), (OPEN, BARE), (BARE, OPEN), (OPEN, SCRIPTS)):
        world = World(admin)
        nobody = await world.access.see_viewer(request({}))
        assert world.access.is_still(nobody)
        world.access.update(other)
        assert not world.access.is_still(nobody)


@pytest.mark.parametrize(
    ("verb", "headers", "is_alive"),
    [
        ("GET", {}, True), ("GET", {"Sec-Fetch-Mode": "navigate"}, True), ("POST", {"Sec-Fetch-Mode": "cors"}, True),
        ("GET", {"Sec-Fetch-Mode": "cors"}, False), ("GET", {"Sec-Fetch-Mode": "same-origin"}, False),
        ("HEAD", {"Sec-Fetch-Mode": "no-cors"}, False),
        # as over plain HTTP from another machine, where browsers do not say how they fetch
        ("GET", {"X-By-Itself": "1"}, False), ("GET", {"Accept": "text/event-stream"}, False),
        ("POST", {"X-By-Itself": "1"}, True),
    ],
)  # fmt: skip
def test_a_page_that_is_merely_open_keeps_no_session_alive(
    verb: str, headers: dict[str, str], *, is_alive: bool
) -> None:
    """It looks by itself; whoever goes to a page or orders is there."""
    world = World(FULL)
    kim = world.sign_in(KIM)
    world.now += 3000.0
    assert world.access.person(request({**kim, **headers}, verb)) is not None
    world.now += 3000.0
    assert (world.access.person(request(kim)) is not None) is is_alive


async def test_a_door_that_listens_everywhere_is_not_opened_by_a_reload() -> None:
    """That it is to listen on loopback counts from the next start, and so does its being open."""
    world = World(Admin(host="0.0.0.0"))
    world.access.update(OPEN)
    assert await world.look({}) == NOBODY
    assert (await world.order({}))[0] == 403
    assert world.access.warnings


def test_with_tls_the_cookie_is_one_that_no_other_door_of_the_machine_can_set() -> None:
    """And that stays until the next start, as TLS does."""
    tls = Tls(certificate="c", key="k")
    assert World(Admin(tls=tls)).access.cookie == "__Host-ecgw_session"
    world = World(FULL)
    world.access.update(Admin(tls=tls))
    assert world.access.cookie == "ecgw_session"


def test_of_several_cookies_the_one_that_is_ours_counts() -> None:
    """Another door of the same machine may have set one, for cookies know no ports."""
    world = World(FULL)
    mine = world.sign_in(KIM)["Cookie"]
    for cookie in (f"ecgw_session=theirs; {mine}", f"{mine}; ecgw_session=theirs", f"x_ecgw_session=a;{mine}"):
        found = world.access.person(request({"Cookie": cookie}))
        assert found is not None
        assert found.name == "kim"
    assert world.access.person(request({"Cookie": "a=b;" * 5000 + mine})) is None, "not all there is is looked through"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:7780"}, None), ({"Host": "gw.example.net"}, None), ({"Host": "GW.example.net:1"}, None),
        ({"Host": "ops.example.net"}, None), ({}, 421), ({"Host": "evil.example"}, 421),
        ({"Host": "gw", "Origin": "http://gw"}, None), ({"Host": "gw", "Origin": "http://evil.example"}, 403),
        ({"Host": "gw", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)  # fmt: skip
def test_where_a_request_may_come_from(headers: dict[str, str], status: int | None) -> None:
    """By the names that the settings give the door."""
    access = World(Admin(host="gw.example.net", names=("Ops.Example.net",))).access
    if status is None:
        access.see_where_from(request(headers))
        return
    with pytest.raises(Refused) as refused:
        access.see_where_from(request(headers))
    assert refused.value.status == status


async def test_a_refused_order_says_what_it_was() -> None:
    """Of which wallet and daemon, by its path; nothing is said of a path that orders nothing."""
    world = World(OLD)
    for path in ("/api/v1/wallets/main/backends/ec-2/restart", "/x"):
        with pytest.raises(Refused):
            await world.access.see_operator(make_mocked_request("POST", path, headers=bearer("x")))
    one, other = (event for event in world.events if event.name == "order.refused")
    assert (one.wallet, one.backend, one.fields["verb"]) == ("main", "ec-2", "restart")
    assert (other.wallet, other.backend, "verb" in other.fields) == ("", "", False)


async def test_a_link_on_a_foreign_page_leads_to_a_page_and_to_nothing_else() -> None:
    """And the machine's own name is one of the door's."""
    access = World(BARE).access
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Host": "gw"}
    access.see_where_from(request(link), is_page=True)
    access.see_where_from(request({"Host": socket.gethostname()}))
    for verb, is_page, host in (("GET", False, "gw"), ("POST", True, "gw"), ("GET", True, "evil.example")):
        with pytest.raises(Refused):
            access.see_where_from(request({**link, "Host": host}, verb), is_page=is_page)

"""Signing in and out at a door on loopback, and where one goes from there."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.base.config import Admin, Tls
from gateway.base.people import NamedToken, Role, User
from gateway.edge import forms
from gateway.edge.admin_access import CSRF
from gateway.edge.passwords import AT_ONCE, Passwords
from gateway.edge.sign_in import NOBODY, SignIn, own_path, sign_in_path
from tests.edge.admin_world import TOKEN, World

PASSWORD = "correct horse & battery=staple+é"
ENCODED = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
KIM = User(name="kim", role=Role.OPERATOR, password_hash=SecretStr(ENCODED))
LEE = User(name="lee", password_hash=SecretStr(ENCODED.replace("c2Fsd", "c2Fsc")))
ADMIN = Admin(port=0, users=(KIM, LEE), token=SecretStr(TOKEN))
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Said:
    """What the door answered."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    text: str

    @property
    def goal(self) -> str:
        """Where it sends the browser."""
        assert self.status == 303
        return self.headers["location"]

    @property
    def cookie(self) -> str:
        """The cookie of the session that it begins, as a browser sends it back."""
        return self.cookies[0].partition(";")[0]

    @property
    def mark(self) -> str:
        """The cookie by which it knows the browser again."""
        more = "HttpOnly; Max-Age=15552000; Path=/sign-in; SameSite=Strict"
        assert re.fullmatch(rf"ecgw_browser=\S+; {more}", self.cookies[1])
        return self.cookies[1].partition(";")[0]


class Door:
    """A door where people sign in; a password is right if it is PASSWORD."""

    def __init__(self, world: World) -> None:
        """Have nobody signed in."""
        self.world = world
        self.access = world.api.access
        self.late = asyncio.Event()
        """Set while wrong passwords are answered."""
        self.late.set()
        passwords = Passwords(
            self.access.brakes, now=self.access.now, sleep=self._sleep, verify=lambda _, given: given == PASSWORD
        )
        self.sign_in = world.door.sign_in = SignIn(self.access, passwords, emit=world.events.append)

    async def _sleep(self, _seconds: float) -> None:
        await self.late.wait()

    async def send(self, verb: str, path: str, body: bytes = b"", **headers: str) -> Said:
        """Send a request as it is, without a client that mends it."""
        sent = {"Host": f"127.0.0.1:{self.world.door.port}", "Connection": "close"}
        if verb == "POST":
            sent |= {"Content-Type": FORM, "Content-Length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{verb} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        answer = await self.world.raw("\r\n".join(lines).encode() + body)
        head, _, text = answer.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        pairs = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in rest)]
        assert PASSWORD not in answer.decode()
        return Said(
            int(first.split(" ")[1]),
            dict(pairs),
            [value for name, value in pairs if name == "set-cookie"],
            text.decode(),
        )

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Said:
        """Send a form."""
        return await self.send("POST", path, urlencode(fields).encode(), **headers)

    async def enter(self, name: str = "kim", password: str = PASSWORD, goal: str = "/", **headers: str) -> Said:
        """Sign in."""
        return await self.post("/sign-in", {"name": name, "password": password, "next": goal}, **headers)

    def csrf(self, cookie: str) -> str:
        """Return the token that the pages of a session hold."""
        person = self.access.sessions.find(cookie.partition("=")[2], self.access.now())
        assert person is not None
        return person.csrf

    async def status(self, cookie: str) -> int:
        """Look at the API with a session."""
        return (await self.world.ask("GET", "/api/v1/status", token=None, Cookie=cookie))[0]


async def opened(admin: Admin = ADMIN) -> Door:
    """Open a door."""
    world = World()
    await world.open(admin)
    return Door(world)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A door with an operator and a viewer."""
    one = await opened()
    yield one
    await one.world.door.stop()


# -- signing in ---------------------------------------------------------------------------------------------------


async def test_who_signs_in_gets_a_session_and_goes_where_he_was_going(door: Door) -> None:
    """With it the API is looked at, and orders are given that repeat its token; the log says by whom."""
    assert await door.status("") == 401
    page = await door.send("GET", "/sign-in?next=/orders/main")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'name="next" value="/orders/main"' in page.text
    said = await door.enter(goal="/orders/main")
    assert said.goal == "/orders/main"
    assert re.fullmatch(r"ecgw_session=[\w-]{43}; HttpOnly; Path=/; SameSite=Strict", said.cookies[0])
    assert await door.status(said.cookie) == 200
    assert (await door.world.order(token=None, Cookie=said.cookie))[0] == 403
    csrf = door.csrf(said.cookie)
    assert await door.world.order(token=None, Cookie=said.cookie, **{CSRF: csrf}) == (200, "restart ec-2 ")
    (given_,) = door.world.told("order.given")
    assert (given_["who"], given_["by"]) == ("kim", "session")
    (signed_in,) = door.world.told("operator.signed_in")
    assert (signed_in["who"], signed_in["role"]) == ("kim", "operator")
    assert str(signed_in["peer"]).startswith("127.0.0.1:")
    secret = said.cookie.partition("=")[2]
    assert secret not in repr(door.world.events)


async def test_a_wrong_name_and_a_wrong_password_are_told_alike(door: Door) -> None:
    """No cookie, no session, one line in the log, which shows a name that is one and nothing else that was typed."""
    pages = [await door.enter("kim", "wrong-one"), await door.enter("nobody-knows", PASSWORD), await door.enter("", "")]
    assert {one.status for one in pages} == {403}
    assert len({one.text for one in pages}) == 1
    assert 'role="alert"' in pages[0].text
    assert not any(one.cookies for one in pages)
    assert [one["who"] for one in door.world.told("operator.refused")] == ["kim", "(unknown)", "(unknown)"]
    assert "wrong-one" not in repr(door.world.events)
    assert "nobody-knows" not in repr(door.world.events)
    assert len(door.access.sessions) == 0


async def test_too_many_at_once_are_sent_away_and_told_once(door: Door) -> None:
    """With a time after which there is more luck to be had."""
    door.late.clear()
    tries = [asyncio.create_task(door.enter("kim", "wrong")) for _ in range(AT_ONCE)]
    async with asyncio.timeout(10):
        while len(door.world.told("operator.refused")) < AT_ONCE:  # noqa: ASYNC110 - three requests have no event
            await asyncio.sleep(0.001)
    for _ in range(2):
        said = await door.enter()
        assert (said.status, said.headers["retry-after"]) == (429, "5")
        assert "try again in some seconds" in said.text
    door.late.set()
    assert {one.status for one in await asyncio.gather(*tries)} == {403}
    assert [one["why"] for one in door.world.told("operator.refused")][AT_ONCE:] == ["too many try to sign in at once"]
    assert (await door.enter()).status == 303


async def test_who_has_signed_in_there_before_is_not_kept_out_by_who_guesses_at_the_same_address(door: Door) -> None:
    """All of them may come by one proxy; the browser is known, and by it nobody else and nothing more."""
    mark = (await door.enter()).mark
    door.late.clear()
    tries = [asyncio.create_task(door.enter("kim", "wrong")) for _ in range(AT_ONCE)]
    async with asyncio.timeout(10):
        while len(door.world.told("operator.refused")) < AT_ONCE:  # noqa: ASYNC110 - three requests have no event
            await asyncio.sleep(0.001)
    assert (await door.enter()).status == 429
    assert (await door.enter("lee", Cookie=mark)).status == 429
    assert (await door.enter(Cookie=mark[:-1] + "x")).status == 429
    again = await door.enter(Cookie=mark)
    assert again.status == 303
    assert len(again.cookies) == 1, "it is known already"
    door.late.set()
    await asyncio.gather(*tries)
    assert (await door.enter("kim", "wrong", Cookie=mark)).status == 403
    assert await door.status(mark) == 401


async def test_each_sign_in_makes_a_new_secret_and_ends_the_old_one(door: Door) -> None:
    """So that one which was planted or read before is worth nothing after."""
    first = (await door.enter()).cookie
    csrf = door.csrf(first)
    second = (await door.enter(Cookie=first)).cookie
    assert second != first
    assert (await door.status(first), await door.status(second)) == (401, 200)
    assert csrf != door.csrf(second)
    planted = "ecgw_session=planted-by-somebody"
    assert (await door.enter(Cookie=planted)).cookie != planted
    assert await door.status(planted) == 401


async def test_who_was_taken_away_meanwhile_gets_no_session() -> None:
    """A reload may come while the password is looked at."""
    door = await opened()

    def verify(_encoded: str, _given: str) -> bool:
        door.access.update(Admin(users=(LEE,)))
        return True

    door.sign_in.passwords.verify = verify
    assert (await door.enter()).status == 403
    assert len(door.access.sessions) == 0
    await door.world.door.stop()


async def test_with_tls_the_cookie_is_sent_over_tls_alone() -> None:
    """And no other door of that name can set it."""
    door = await opened()
    door.access._opened = ADMIN.model_copy(update={"tls": Tls(certificate="c", key="k")})
    door.access.update(ADMIN)
    said = await door.enter()
    assert re.fullmatch(r"__Host-ecgw_session=[\w-]{43}; HttpOnly; Path=/; SameSite=Strict; Secure", said.cookies[0])
    assert await door.status(said.cookie) == 200
    await door.world.door.stop()


async def test_who_has_signed_in_is_not_asked_again(door: Door) -> None:
    """And whose session has ended is told so."""
    cookie = (await door.enter()).cookie
    assert (await door.send("GET", "/sign-in?next=/x", Cookie=cookie)).goal == "/x"
    page = await door.send("GET", "/sign-in", Cookie="ecgw_session=of-yesterday")
    assert page.status == 200
    assert "has ended" in page.text
    assert (await door.send("HEAD", "/sign-in")).text == ""


async def test_where_nobody_has_to_sign_in_nobody_can() -> None:
    """He is sent on; and where only scripts have tokens it says what is missing."""
    for admin in (Admin(port=0), Admin(port=0, open=True)):
        door = await opened(admin)
        assert (await door.send("GET", "/sign-in?next=/x")).goal == "/x"
        assert (await door.enter()).status == 403
        await door.world.door.stop()
    door = await opened(Admin(port=0, tokens=(NamedToken(name="cron", token=SecretStr(TOKEN)),)))
    for said in (await door.send("GET", "/sign-in"), await door.enter()):
        assert said.status == 403
        assert NOBODY in said.text
    await door.world.door.stop()


# -- signing out --------------------------------------------------------------------------------------------------


async def test_who_signs_out_has_no_session_any_more(door: Door) -> None:
    """By a form that repeats its token; the browser forgets the cookie."""
    cookie = (await door.enter()).cookie
    other = (await door.enter()).cookie
    for forged in ("", "x", door.csrf(other)):
        assert (await door.post("/sign-out", {"csrf": forged}, Cookie=cookie)).status == 403
    assert await door.status(cookie) == 200
    said = await door.post("/sign-out", {"csrf": door.csrf(cookie)}, Cookie=cookie)
    assert said.goal == "/sign-in"
    assert said.cookies[0].startswith('ecgw_session=""; ')
    assert "Max-Age=0" in said.cookies[0]
    assert (await door.status(cookie), await door.status(other)) == (401, 200)
    assert [one["who"] for one in door.world.told("operator.signed_out")] == ["kim"]
    assert (await door.post("/sign-out", {}, Cookie=cookie)).goal == "/sign-in", "once more does no harm"
    assert len(door.world.told("operator.signed_out")) == 1


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403), ({"Host": "evil.example"}, 421),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 403),
        ({"Content_Type": "text/plain"}, 415), ({"Content_Type": "application/json"}, 415),
    ],
)  # fmt: skip
async def test_another_site_signs_nobody_in_or_out(door: Door, headers: dict[str, str], status: int) -> None:
    """Not even with the right password, as somebody else's; and a session goes on."""
    cookie = (await door.enter()).cookie
    assert (await door.enter(**headers)).status == status
    said = await door.post("/sign-out", {"csrf": door.csrf(cookie)}, Cookie=cookie, **headers)
    assert (said.status, said.cookies) == (status, [])
    assert await door.status(cookie) == 200
    assert len(door.access.sessions) == 1


async def test_a_page_of_this_door_signs_in(door: Door) -> None:
    """A browser says of itself where its page is from."""
    own = f"http://127.0.0.1:{door.world.door.port}"
    assert (await door.enter(Origin=own, Sec_Fetch_Site="same-origin")).status == 303


async def test_a_link_in_a_message_leads_to_the_page_although_the_cookie_is_kept_back(door: Door) -> None:
    """A browser sends it from a page of this door, which is what it is shown; no other site can do more."""
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    page = await door.send("GET", "/sign-in?next=/incidents%3Fwallet=main", b"", **link)
    assert page.status == 200
    assert 'content="0; url=/incidents?wallet=main"' in page.text
    assert "password" not in page.text
    framed = await door.send("GET", "/sign-in", b"", **{**link, "Sec_Fetch_Dest": "iframe"})
    assert framed.status == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"name=kim&password=%ff", 400), (b"name=kim&password", 400), (b"&&&", 400), (b"a=b&" * 30, 400),
        ("name=k\u00efm".encode(), 400), (b"name=" + b"k" * forms.MAX_BODY, 413), (b"", 403), (b"name=kim", 403),
    ],
)  # fmt: skip
async def test_what_is_no_form_of_this_page_is_refused(door: Door, body: bytes, status: int) -> None:
    """Bounded, and with the way out."""
    said = await door.send("POST", "/sign-in", body)
    assert (said.status, said.cookies) == (status, [])


async def test_a_form_that_does_not_come_or_does_not_end_is_given_up(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In time, and in bytes."""
    monkeypatch.setattr(forms, "BODY_TIMEOUT", 0.05)
    assert (await door.send("POST", "/sign-in", b"name=k", Content_Length="100")).status == 408
    endless = b"".join(b"800\r\n" + b"k" * 0x800 + b"\r\n" for _ in range(5))
    lines = f"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nConnection: close\r\n"
    answer = await door.world.raw(f"{lines}Transfer-Encoding: chunked\r\n\r\n".encode() + endless)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [("PUT", "/sign-in", "GET, HEAD, POST"), ("GET", "/sign-out", "POST"), ("DELETE", "/sign-out", "POST")],
)
async def test_other_verbs_are_told_the_right_ones(door: Door, verb: str, path: str, allowed: str) -> None:
    """A link signs nobody out."""
    said = await door.send(verb, path)
    assert (said.status, said.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/sign-in/", "/sign-inn", "//sign-in", "/sign-in/../sign-in", "/SIGN-IN"])
async def test_a_path_that_is_not_quite_one_of_them_is_neither(door: Door, path: str) -> None:
    """Path tricks lead nowhere."""
    said = await door.post(path, {"name": "kim", "password": PASSWORD})
    assert said.status in (404, 405)
    assert said.cookies == []


# -- where to go --------------------------------------------------------------------------------------------------

ELSEWHERE = [
    "", "x", "//evil.example", "///evil.example", "/\\evil.example", "\\/evil.example", "https://evil.example",
    "javascript:alert(1)", "/x//evil.example", "/\r\nSet-Cookie: a=b", "/x\tb", "/x y", "/<script>", '/"onclick="',
    "/é", "/%", "/sign-in", "/sign-in?next=/sign-in", "/sign-out", "/" + "a" * 300, "/;x", "/#x", "/@evil.example",
    "/.//evil.example",
]  # fmt: skip


@pytest.mark.parametrize("given_", [one for one in ELSEWHERE if one != "/%"])
async def test_from_here_one_goes_to_no_other_place(door: Door, given_: str) -> None:
    """Whatever the link said that led here: header injection, script, another site, round in circles."""
    assert own_path(given_) == "/"
    page = await door.send("GET", f"/sign-in?next={quote(given_, safe='')}")
    assert 'name="next" value="/"' in page.text
    said = await door.enter(goal=given_)
    assert said.goal == "/"
    assert len(said.cookies) == 2


@given(st.text(alphabet="/\\.:@?#%a-z\r\n \t;=&é0", max_size=12))
def test_a_path_that_is_taken_begins_here_and_is_taken_again(written: str) -> None:
    """One slash and no second, nothing that a browser mends."""
    path = own_path(written)
    assert re.fullmatch(r"/([^/\\].*)?", path)
    assert "//" not in path
    assert path.isascii()
    assert path.isprintable()
    assert own_path(path) == path


def test_a_page_that_wants_a_person_names_itself() -> None:
    """So that he comes back to it."""
    assert sign_in_path("/") == "/sign-in"
    assert sign_in_path("/incidents?wallet=main&n=1") == "/sign-in?next=/incidents%3Fwallet%3Dmain%26n%3D1"
    assert sign_in_path("//evil.example") == "/sign-in"

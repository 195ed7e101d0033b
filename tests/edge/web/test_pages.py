"""The pages, as a browser without a script gets them."""

import asyncio
import gzip
import html
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.base.errors import OrderError
from gateway.edge.admin_access import Refused
from gateway.edge.web import asking, pages, shared
from gateway.edge.web.drawing import Drawing
from gateway.edge.web.pages import TOLD
from gateway.edge.web.words import words
from gateway.observe.past import NO_LEDGER, UNREAD
from tests.edge.web.world import (
    AT,
    AUDIT,
    HOSTILE,
    INCIDENTS,
    OUTCOMES,
    PageWorld,
    alert,
    backend,
    sick,
    snapshot,
    wallet,
)

RESTART = "/orders/main/ec-1/restart"


@pytest.fixture
async def world() -> AsyncIterator[PageWorld]:
    """A door with something to see; nobody has signed in."""
    one = PageWorld()
    await one.open()
    one.show(sick(), incidents=INCIDENTS, outcomes=OUTCOMES, audit=AUDIT)
    yield one
    await one.door.stop()


async def test_a_page_is_whole_and_may_do_nothing_but_what_is_ours(world: PageWorld) -> None:
    """The most important sentence stands in the HTML; the policy lets nothing run that stands in it."""
    world.enter("otto")
    status, text, answer = await world.get()
    assert status == 200
    assert '<h1 id="sentence">ec-1 does not answer</h1>' in text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=|javascript:", text)
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', text)
    assert addresses
    assert all(one.startswith(("/", "#", "?")) for one in addresses)
    for part in ("ec-3 was made primary", "payto", "while I look", "489 MiB", "27 of 30", "out of service"):
        assert part in text


async def test_nobody_sees_anything_who_has_not_signed_in(world: PageWorld) -> None:
    """He is led to the page to sign in, and from there to where he wanted to go."""
    for path in ("/", RESTART):
        status, text, answer = await world.get(path)
        assert (status, text) == (303, "")
    assert answer.headers["Location"] == "/sign-in?next=/orders/main/ec-1/restart"
    status, text, _ = await world.get(answer.headers["Location"], Accept_Language="ko")
    assert status == 200
    assert '<html lang="ko"' in text
    assert 'name="next" value="/orders/main/ec-1/restart"' in text
    status, text, _ = await world.post(
        "/sign-in", {"name": HOSTILE, "password": "x", "next": "//evil"}, Origin=world.url
    )
    assert status == 403
    assert "do not belong together" in text
    assert HOSTILE not in text


async def test_a_viewer_sees_no_button_and_is_refused(world: PageWorld) -> None:
    """Neither is the form shown, nor is it taken."""
    world.enter("otto")
    _, text, _ = await world.get()
    assert "data-order" not in text
    for status, text, _ in (await world.get(RESTART), await world.post(RESTART, {"csrf": ""}, Origin=world.url)):
        assert status == 403
        assert "Only an operator" in text
    assert world.api.heard == []


async def test_an_order_asks_first_and_is_told(world: PageWorld) -> None:
    """The form says what will happen and how things stand; the answer is told once, on the page."""
    world.enter("anna")
    status, text, _ = await world.get(RESTART)
    assert status == 200
    assert "Restart ec-1?" in text
    assert "Now: out of service, does not answer" in text
    csrf = await world.csrf(RESTART)
    assert len(csrf) > 20
    status, _, answer = await world.post(RESTART, {"csrf": csrf, "reason": " new disk "}, Origin=world.url)
    assert status == 303
    assert world.api.heard == [("anna", "main", "ec-1", "restart", "new disk")]
    _, text, _ = await world.get(answer.headers["Location"])
    assert "Done: main hears restart" in text
    assert re.search(r'<div id="answer" role="status"><p><time datetime="[^"]+" data-at="\d+">\d\d:\d\d', text)
    assert '<a id="told-close" class="button" href="/">Close</a>' in text
    _, text, _ = await world.get("/?told=guessed")
    assert "Done:" not in text


@pytest.mark.parametrize("csrf", ["", "x", "é", HOSTILE])
async def test_a_forged_form_orders_nothing_and_is_told_in_the_log(world: PageWorld, csrf: str) -> None:
    """Whoever sends it is shown the form again, with a token of his own."""
    world.enter("anna")
    status, text, _ = await world.post(RESTART, {"csrf": csrf}, Origin=world.url)
    assert status == 403
    assert "Nothing was done" in text
    assert HOSTILE not in text
    assert world.api.heard == []
    (told,) = [event for event in world.events if event.name == "order.refused"]
    assert told.fields["why"] == "wrong CSRF token"
    assert told.fields["who"] == "anna"


async def test_a_form_of_another_site_is_refused(world: PageWorld) -> None:
    """By its origin, whatever it says; a link from there leads to the page all the same."""
    world.enter("anna")
    csrf = await world.csrf(RESTART)
    status, _, _ = await world.post(RESTART, {"csrf": csrf}, Origin="https://evil.example")
    assert status == 403
    assert world.api.heard == []
    how = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert (await world.get("/", **how))[0] == 200
    assert (await world.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors"))[0] == 403


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        (RESTART, {"reason": "x" * 201}, "at most 200 characters"),
        (RESTART, {"reason": "two\nlines"}, "at most 200 characters"),
        ("/outcomes/main/call-17/resolve", {}, "Say whether it was done"),
        ("/outcomes/main/call-17/resolve", {"executed": "maybe"}, "Say whether it was done"),
    ],
)
async def test_a_form_that_is_filled_in_wrongly_is_shown_again(
    world: PageWorld, path: str, fields: dict[str, str], said: str
) -> None:
    """With what would be right; nothing is ordered."""
    world.enter("anna")
    status, text, _ = await world.post(path, {"csrf": await world.csrf(path), **fields}, Origin=world.url)
    assert status == 400
    assert said in text
    assert world.api.heard == []


@pytest.mark.parametrize(
    "path",
    [
        "/orders/main/nobody/restart", "/orders/nowhere/ec-1/restart", "/orders/main/ec-1/dance", "/orders/main/ec-1",
        "/orders/main/ec-1/restart/now", "/orders/nowhere/handover", "/outcomes/main/call-99/resolve",
        "/outcomes/other/call-17/resolve", "/switches/main/ec-1/freeze", "/orders/", "/orders/main/..%2fec-1/restart",
        "/orders/%ff/%00/restart",
    ],
)  # fmt: skip
async def test_what_is_not_there_has_no_form(world: PageWorld, path: str) -> None:
    """A page says so, and nothing of the path stands in it."""
    world.enter("anna")
    status, text, _ = await world.get(path)
    assert status == 404
    assert "any more" in text


async def test_every_order_reaches_the_gateway(world: PageWorld) -> None:
    """Each by its own form, with the name of who gave it."""
    world.enter("anna")
    switches = [{"wallet": "main", "backend": "ec-2", "switches": [{"name": "freeze", "is_on": True}]}]
    world.show({**sick(), "switches": switches})

    async def give(path: str, **fields: str) -> object:
        _, text, _ = await world.get(path)
        found = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', text)}
        found = {name: value for name, value in found.items() if name != "executed"}
        assert (await world.post(path, {**found, **fields}, Origin=world.url))[0] == 303
        return world.api.heard.pop()

    for verb in ("restart", "drain", "undrain", "hold", "release", "promote"):
        assert await give(f"/orders/main/ec-2/{verb}") == ("anna", "main", "ec-2", verb, "")
    assert await give("/orders/main/handover", reason="upgrade") == ("anna", "main", "", "handover", "upgrade")
    outcome = "/outcomes/main/call-17/resolve"
    assert await give(outcome, executed="1", reason="paid") == ("anna", "main", "call-17", True, "paid")
    assert await give("/switches/main/ec-2/freeze") == ("anna", "ec-2", "freeze", False), "what is on is turned off"


@pytest.mark.parametrize(
    ("error", "status"), [(OrderError("it is held; release it first"), 409), (Refused(503, "on its way out"), 503)]
)
async def test_what_the_gateway_will_not_do_is_said_beside_the_form(
    world: PageWorld, error: Exception, status: int
) -> None:
    """With the way out, and with the reason that was typed."""
    world.enter("anna")
    world.api.refuses = error
    fields = {"csrf": await world.csrf(RESTART), "reason": "my disk"}
    found, text, _ = await world.post(RESTART, fields, Origin=world.url)
    assert found == status
    assert f"was not carried out: {error}" in text
    assert 'value="my disk"' in text


async def test_the_form_warns_of_the_primary_and_of_the_last_one(world: PageWorld) -> None:
    """Who drains the last daemon that serves should know."""
    world.enter("anna")
    world.show(snapshot(wallet(backend("ec-1", primary=True), backend("ec-2", phase="EJECTED", kind="dead"))))
    _, text, _ = await world.get("/orders/main/ec-1/drain")
    assert "is the primary" in text
    assert "No other daemon serves" in text
    _, text, _ = await world.get("/orders/main/ec-2/drain")
    assert "is the primary" not in text
    assert "No other daemon serves" not in text


async def test_with_several_wallets_a_form_and_its_answer_say_whose_daemon_it_is(world: PageWorld) -> None:
    """Nobody restarts the ec-1 of another wallet; a switch of the sandbox says it as well."""
    world.enter("anna")
    switches = [{"wallet": "shop", "backend": "ec-1", "switches": [{"name": "freeze", "is_on": False}]}]
    world.show(snapshot(wallet(), wallet(backend("ec-1", primary=True), wallet="shop"), switches=switches))
    path = "/orders/shop/ec-1/restart"
    _, text, _ = await world.get(path)
    assert "Restart shop / ec-1?" in text
    assert "shop / ec-1 is the primary" in text
    _, _, answer = await world.post(path, {"csrf": await world.csrf(path)}, Origin=world.url)
    assert world.api.heard == [("anna", "shop", "ec-1", "restart", "")]
    _, text, _ = await world.get(answer.headers["Location"])
    assert "Done: shop / ec-1: shop hears restart" in text
    assert 'aria-label="Orders for shop / ec-1"' in text
    assert "shop / ec-1: Freeze" in (await world.get("/switches/shop/ec-1/freeze"))[1]


@pytest.mark.parametrize(
    ("lang", "on", "off"),
    [
        ("en", "Done: ec-1 was frozen (SIGSTOP)", "Done: ec-1 was let go on (SIGCONT)"),
        ("ko", "완료: ec-1: 정지시켰습니다(SIGSTOP)", "완료: ec-1: 정지를 풀었습니다(SIGCONT)"),
    ],
)
async def test_what_a_switch_did_is_told_as_past(world: PageWorld, lang: str, on: str, off: str) -> None:
    """The answer stands there when all is well again; of one whose state does not pass it is the gateway's own."""
    world.enter("anna")
    world.cookies["ecgw_lang"] = lang
    for name, is_on, said in (("freeze", False, on), ("freeze", True, off), ("kill", False, "ec-1 hears kill")):
        world.show(snapshot(switches=[
            {"wallet": "main", "backend": "ec-1", "switches": [{"name": name, "is_on": is_on}]}
        ]))  # fmt: skip
        path = f"/switches/main/ec-1/{name}"
        fields = {"csrf": await world.csrf(path), "on": "0" if is_on else "1"}
        _, _, answer = await world.post(path, fields, Origin=world.url)
        _, text, _ = await world.get(answer.headers["Location"])
        assert said in text


@pytest.mark.parametrize("lang", ["en", "ko"])
async def test_steps_that_follow_within_seconds_have_seconds(world: PageWorld, lang: str) -> None:
    """Those of an incident; all else is said to the minute, and a takeover lasted for no time."""
    world.enter("otto")
    world.cookies["ecgw_lang"] = lang
    taken = {"kind": "taken_over", "wallet": "main", "title": "gw-2 took the wallet main over from gw-1"}
    at = {"opened_at": AT - 60.0, "closed_at": AT - 60.0, "seconds": 0.0}
    world.show(sick(), incidents=[*INCIDENTS, {"id": "t-1", **taken, **at}])
    _, text, _ = await world.get()
    steps = re.findall(r'<ol class="done">(.*?)</ol>', text)[0]
    assert re.findall(r'data-at="(\d+)">([^<]+)<', steps) == [
        (f"{AT - 252:.0f}", "21:02:28 UTC"), (f"{AT - 251:.0f}", "21:02:29 UTC"),
    ]  # fmt: skip
    (moment,) = re.findall(r'id="i-t-1">\s*<h3>.*?</h3>\s*<p class="dim">(.*?)</p>', text)
    assert re.fullmatch(r"<time [^>]+>21:05 UTC</time>", moment)


@pytest.mark.parametrize(("lang", "said"), [("en", "since {} · 12 s"), ("ko", "{}부터 · 12초")])
async def test_the_holder_of_a_wallet_is_told_with_since_when(world: PageWorld, lang: str, said: str) -> None:
    """Where it is known."""
    world.enter("otto")
    world.cookies["ecgw_lang"] = lang
    lease = {"held": True, "holder": "gw-1", "term": 2, "since": AT - 12.0}
    for shown, is_known in ((lease, True), ({**lease, "since": None}, False)):
        world.show(snapshot(wallet(lease=shown, holder=shown)))
        _, text, _ = await world.get()
        (holder,) = re.findall(r'<p class="holder">(.*?)</p>', text)
        told = re.sub(r"<[^>]+>", "", holder)
        assert told.endswith(said.format("21:06 UTC")) is is_known


async def test_an_alert_that_is_over_says_since_when_and_until_when_it_is_watched(world: PageWorld) -> None:
    """In the first sentence and in the list; the title of the page is not that of an outage."""
    world.enter("otto")
    world.show(snapshot(alerts=[alert("all_down", severity="critical", quiet_since=AT - 60.0, closes_at=AT + 60.0)]))
    _, text, _ = await world.get()
    assert "<title>Look · gw-1</title>" in text
    assert '<h1 id="sentence">Over: main: no daemon serves</h1>' in text
    times = r"over since <time [^>]+>21:05 UTC</time>.* · watched until <time [^>]+>21:07 UTC</time>, and closed then"
    assert len(re.findall(times, text)) == 2, text
    world.show(snapshot({"wallet": "main", "lease": {"held": False, "holder": "gw-2"}, "not_ready": []}))
    _, text, _ = await world.get()
    assert "<title>Held elsewhere · gw-1</title>" in text
    assert "gw-2 serves main" in text


async def test_hostile_words_are_escaped_wherever_they_stand(world: PageWorld) -> None:
    """Of daemons, clients, operators and the configuration; what a page is asked for is not in it at all."""
    world.enter("anna")
    bad = backend(HOSTILE, reason=HOSTILE, kind="dead", care=HOSTILE, url=HOSTILE, launcher=HOSTILE, circuit=HOSTILE)
    world.show(
        snapshot(wallet(bad, wallet=HOSTILE, profile=HOSTILE), gateway=HOSTILE, warnings=[HOSTILE]),
        incidents=[{**INCIDENTS[0], "title": HOSTILE, "id": HOSTILE, "done": [{"text": HOSTILE}]}],
        outcomes=[{**OUTCOMES[0], "client": HOSTILE, "note": HOSTILE, "id": HOSTILE}],
        audit=[{**AUDIT[0], "who": HOSTILE, "reason": HOSTILE, "answer": HOSTILE}],
    )
    _, text, _ = await world.get()
    assert text.count(str(html.escape(HOSTILE).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"))) > 10
    for piece in ("<script>doc", "<img", "\"'>"):
        assert piece not in text
    _, text, _ = await world.get("/?lang=<script>&look=<img>&told=<img>")
    assert "<img" not in text


async def test_language_and_colours_are_chosen_by_links_and_kept(world: PageWorld) -> None:
    """In cookies that say nothing else; what is no choice of ours is none."""
    world.enter("otto")
    status, _, answer = await world.get("/?lang=ko&look=dark")
    assert (status, answer.headers["Location"]) == (303, "/")
    assert {name: one.value for name, one in answer.cookies.items()} == {"ecgw_lang": "ko", "ecgw_look": "dark"}
    world.cookies |= {"ecgw_lang": "ko", "ecgw_look": "dark"}
    _, text, _ = await world.get("/", Accept_Language="en")
    assert '<html lang="ko" data-look="dark">' in text
    assert "남은 조치" in text
    world.cookies |= {"ecgw_lang": "../../etc/passwd", "ecgw_look": '"><b>'}
    _, text, _ = await world.get("/", Accept_Language="en")
    assert '<html lang="en">' in text
    assert "<b>" not in text


async def test_a_history_that_cannot_be_read_takes_nothing_else_away(world: PageWorld) -> None:
    """The page says so where the history would be."""
    world.enter("otto")
    world.show(
        sick(), incidents=Refused(503, "the ledger is closed"), outcomes=Refused(503, "x"), audit=Refused(503, "x")
    )
    status, text, _ = await world.get()
    assert status == 200
    assert "The history cannot be read now." in text
    assert "there may be calls here whose outcome nobody knows" in text
    assert "The orders cannot be read now." in text
    assert text.count('<ul class="notes loud unread">') == 3
    for lie in ("Every call has a known outcome.", "Nothing has happened", "Nobody has given an order"):
        assert lie not in text


@pytest.mark.parametrize(("why", "is_said"), [(UNREAD, True), (NO_LEDGER, False)])
async def test_a_history_that_is_not_whole_is_not_shown_as_whole(world: PageWorld, why: str, *, is_said: bool) -> None:
    """What this start remembers is there; that there was nothing before is not said of a ledger that cannot be read."""
    world.enter("otto")
    world.api.incomplete = why
    world.show(sick(), incidents=[], audit=AUDIT)
    _, text, _ = await world.get()
    assert ("Older ones cannot be read now." in text) is is_said
    assert ("Nothing has happened since the history begins." in text) is not is_said
    assert "while I look" in text


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_a_list_that_is_cut_says_so_and_where_the_rest_is(world: PageWorld, language: str) -> None:
    """The page has the newest, and does not look as if there were no others."""
    world.enter("otto")
    said = words(language).text("list.more")
    world.cookies["ecgw_lang"] = language
    for has_more in (False, True):
        world.api.has_more = has_more
        world.show(sick(), incidents=INCIDENTS, audit=AUDIT)
        _, text, _ = await world.get()
        assert text.count(said) == (2 if has_more else 0)
    assert re.search(r'<a href="/api/v1/incidents\?since=0&amp;until=[0-9]+">GET /api/v1/incidents', text)
    assert 'href="/api/v1/audit?' in text


async def test_lists_that_do_not_come_take_nothing_else_away(world: PageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are shown as they were known last, with the moment, and are not asked for again meanwhile."""
    world.enter("otto")
    await world.get()
    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    asked, go, outcomes = 0, asyncio.Event(), world.api.outcomes

    async def stuck(wallet: str | None = None) -> list[dict[str, object]]:
        nonlocal asked
        asked += 1
        await go.wait()
        return await outcomes(wallet)

    world.api.outcomes = stuck  # type: ignore[method-assign,assignment]  # hangs
    for _ in range(3):
        world.show(sick())
        async with asyncio.timeout(10):
            status, text, _ = await world.get()
        assert status == 200
        assert "ec-1 does not answer" in text
        assert "payto" in text
        assert "there may be calls here whose outcome nobody knows. As it was at <time" in text
    assert asked == 1
    go.set()
    world.show(sick())
    _, text, _ = await world.get()
    assert "there may be calls here" not in text
    assert "ec-1 does not answer" in text


async def test_an_open_page_fetches_the_words_alone_and_nothing_of_a_reader_is_in_them(world: PageWorld) -> None:
    """The same bytes for all who may do the same; who may order has buttons, who has signed out is led to do so."""
    world.enter("anna")
    world.api.shown["gateway"] = "gw-1"
    status, text, answer = await world.get("/words")
    assert status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<title>Critical · gw-1</title>" in text
    assert '<h1 id="sentence">ec-1 does not answer</h1>' in text
    assert "data-order" in text
    for piece in ("csrf", "Signed in as", *world.cookies.values()):
        assert piece not in text
    _, page, _ = await world.get()
    main = text.partition('<div id="told" class="told"></div>')[2].partition("</main>")[0]
    assert len(main) > 1_000
    assert main in page, "what is patched into a page is what the page was"
    world.enter("otto")
    assert "data-order" not in (await world.get("/words"))[1]
    world.cookies.clear()
    status, _, answer = await world.get("/words")
    assert (status, answer.headers["Location"]) == (303, "/sign-in")
    assert (await world.ask("POST", "/words", None, Origin=world.url))[0] in (303, 405)


async def test_a_hundred_open_pages_cost_one_drawing_and_one_packing(world: PageWorld, monkeypatch: Any) -> None:
    """And one snapshot; so it is for whatever moment they want that has been."""
    world.enter("otto")
    made: list[str] = []
    for owner, name in ((world.api, "snapshot"), (pages, "pack"), (Drawing, "part")):
        real = getattr(owner, name)

        def counted(*args: Any, _name: str = name, _real: Any = real, **named: Any) -> Any:
            made.append(_name)
            return _real(*args, **named)

        monkeypatch.setattr(owner, name, counted)
    monkeypatch.setattr(shared, "FRESH", 60.0)
    for since in ("", "?since=0", "?since=nonsense", f"?since={time.time() - 3_000}"):
        await asyncio.gather(*(world.get(f"/words{since}", Accept_Encoding="gzip") for _ in range(10)))
    assert sorted(made) == ["pack", "part", "part", "snapshot"], "the words, and the words with their title"


async def test_who_has_to_sign_in_costs_no_snapshot(world: PageWorld) -> None:
    """Neither by a page nor by a form, in whatever number."""

    def snapshot() -> dict[str, object]:
        raise AssertionError

    world.api.snapshot = snapshot  # type: ignore[method-assign]  # must not be asked for
    for path in ("/", "/words", RESTART, "/?lang=ko"):
        assert (await world.get(path))[0] == 303
    assert (await world.get("/sign-in"))[0] == 200


async def test_answers_that_nobody_fetches_are_forgotten(world: PageWorld) -> None:
    """The oldest first."""
    world.enter("anna")
    assert world.door.pages is not None
    csrf = await world.csrf(RESTART)
    for _ in range(3):
        await world.post(RESTART, {"csrf": csrf}, Origin=world.url)
    world.door.pages._told.update({str(number): ("", 0.0) for number in range(TOLD)})
    await world.post(RESTART, {"csrf": csrf}, Origin=world.url)
    assert len(world.door.pages._told) == TOLD


async def test_pages_are_packed_for_who_can_unpack_and_head_and_others_work(world: PageWorld) -> None:
    """A page for a phone far away is small."""
    world.enter("otto")
    reader, writer = await asyncio.open_connection("127.0.0.1", world.door.port)
    cookie = world.cookies["ecgw_session"]
    head = f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: ecgw_session={cookie}\r\nAccept-Encoding: gzip\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode())
    found = await reader.read()
    writer.close()
    headers, _, body = found.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in headers
    assert len(body) < 10_000
    assert b"ec-1 does not answer" in gzip.decompress(body)
    assert (await world.ask("HEAD", "/", None))[0] == 200
    for path in ("/", RESTART, "/static/x/page.css"):
        assert (await world.ask("DELETE", path, None))[0] == 405
    assert (await world.get("/nothing"))[0] == 404


def test_a_gateway_without_readers_loads_no_template_engine() -> None:
    """It takes megabytes, and many gateways never draw a page."""
    code = "import sys, gateway.app; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

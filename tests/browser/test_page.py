"""The status page in a real browser: what is seen, heard and pressed there."""

import asyncio
import os
import re
import time
from typing import Any

import pytest
from argon2 import PasswordHasher
from playwright.async_api import Route

from tests.browser.conftest import PATIENCE, OpenReader
from tests.edge.web import world as shown
from tests.edge.web.world import HOSTILE, PageWorld
from tests.integration.gateway_process import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

WELL = "All well"
PASSWORD = "correct horse"


def make_sick(world: PageWorld) -> None:
    """Show one daemon that hangs, one that is restarted, and all that follows."""
    now = time.time()
    lists = {"incidents": shown.INCIDENTS, "outcomes": shown.OUTCOMES, "audit": shown.AUDIT}
    world.show(shown.moved(shown.sick(), now), **{name: shown.moved(one, now) for name, one in lists.items()})


async def test_somebody_signs_in_and_out_and_a_viewer_sees_no_button(world: PageWorld, reader: OpenReader) -> None:
    """A wrong password is said to be one; an operator has buttons, a viewer none; after signing out all is closed."""
    world.hashed = PasswordHasher(time_cost=1, memory_cost=19_456, parallelism=1).hash(PASSWORD)
    await world.open()
    one = await reader(width=390, height=844)
    page = one.page
    await one.look(world.url)
    assert page.url.endswith("/sign-in"), "nobody sees anything who has not signed in"
    assert await one.barriers() == []
    await page.fill("#name", "anna")
    await page.fill("#password", "wrong")
    await page.click("button")
    await one.sees("[role=alert]", "do not belong together")
    await one.picture("sign-in")
    # the answer to a wrong password is an error to the browser as well
    one.complaints.clear()
    await page.fill("#name", "anna")
    await page.fill("#password", PASSWORD)
    await page.press("#password", "Enter")
    await one.sees("h1", WELL)
    assert await page.locator("a[data-order]").count() > 0
    await page.click(".menu summary")
    await one.sees(".menu", "anna")
    assert await one.barriers() == [], "with the menu open"
    await page.click(".menu form button")
    await page.wait_for_url("**/sign-in")
    await page.fill("#name", "otto")
    await page.fill("#password", PASSWORD)
    await page.press("#password", "Enter")
    await one.sees("h1", WELL)
    await one.sees("#live", "Live")
    assert await page.locator("a[data-order]").count() == 0
    world.api.access.sessions.update(world.api.access.admin.model_copy(update={"users": ()}))
    for listener in list(world.api.stream.listeners):
        listener.close()
    await page.wait_for_url("**/sign-in?next=/")
    await one.sees("[role=alert]", "session has ended")
    one.complaints.clear()


async def test_a_freeze_appears_by_itself_and_heals(sandbox: str, reader: OpenReader) -> None:
    """A visitor freezes a wallet by a button; the page says so, tells what is done, and is well again, untouched."""
    one = await reader()
    page = one.page
    await one.look(sandbox)
    await one.sees("h1", WELL)
    await one.sees("#live", "Live")
    await one.sees(".sandbox-bar", "SANDBOX")
    await page.click('a[data-switch][href="/switches/main/ec-2/freeze"]')
    await one.sees("#told", "ec-2 was frozen")
    await one.sees("#b-main-ec-2 .condition", "does not answer")
    assert WELL not in str(await page.text_content("h1"))
    assert not (await page.title()).startswith(WELL)
    await one.picture("freeze")
    await one.sees("h1", WELL)
    await one.sees("#incidents li", "ec-2 is out of service")
    await page.wait_for_function("document.querySelector('.chart canvas') !== null")
    assert await one.barriers() == []
    await one.picture("healed")


async def test_an_operator_restarts_a_daemon_by_a_button_and_is_asked_before(sandbox: str, reader: OpenReader) -> None:
    """Escape and Cancel do nothing; the order stands in the audit trail with its reason; the keyboard is enough."""
    one = await reader()
    page = one.page
    await one.look(sandbox)
    await one.sees("#live", "Live")
    button = page.locator("#o-b-main-ec-3-restart")
    await button.focus()
    await page.keyboard.press("Enter")
    await one.sees("dialog", "Restart ec-3?")
    assert await one.barriers() == []
    await one.picture("restart", whole=False)
    await page.keyboard.press("Escape")
    await page.wait_for_function("!document.querySelector('dialog').open")
    assert await page.evaluate("document.activeElement.id") == "o-b-main-ec-3-restart", "one is where one was"
    assert await page.locator("#audit", has_text="new disk").count() == 0
    await page.keyboard.press("Enter")
    await page.fill("#reason", "new disk <b>")
    await page.keyboard.press("Enter")
    await one.sees("#told", "ec-3 is restarted now")
    await one.sees("#audit", "new disk <b>")
    await one.sees("#b-main-ec-3 .facts", "1 last hour")
    await one.sees("#b-main-ec-3 .state", "in service")


@pytest.mark.parametrize(("lang", "look"), [("en", "light"), ("ko", "dark")])
async def test_it_is_readable_on_a_phone_at_night(world: PageWorld, reader: OpenReader, lang: str, look: str) -> None:
    """Nothing is wider than 320 pixels, nothing keeps anybody out, and Korean is Korean from top to bottom."""
    await world.open(is_open=True)
    make_sick(world)
    one = await reader(width=320, height=700, locale={"en": "en-GB", "ko": "ko-KR"}[lang], device_scale_factor=2)
    await one.look(f"{world.url}/?look={look}")
    await one.sees("#live", {"en": "Live", "ko": "실시간"}[lang])
    assert await one.page.get_attribute("html", "lang") == lang
    assert await one.barriers() == []
    wide, window = await one.width()
    assert wide <= window == 320
    title = await one.page.text_content("h1")
    assert title == {"en": "ec-1 does not answer", "ko": "ec-1: 응답하지 않습니다"}[lang]
    steps = await one.page.locator("#incidents .done time").all_text_contents()
    assert all(re.search(r"\d\d:\d\d:\d\d", step) for step in steps), "they follow within seconds"
    assert len(set(steps[:2])) == 2
    await one.picture(f"phone-{lang}-{look}")
    await one.page.set_viewport_size({"width": 1280, "height": 900})
    await one.picture(f"wide-{lang}-{look}")


async def test_the_language_is_chosen_on_the_page(world: PageWorld, reader: OpenReader) -> None:
    """From then on it is the one that was chosen, and so are the colours."""
    await world.open(is_open=True)
    one = await reader(color_scheme="light")
    await one.look(world.url)
    await one.page.click(".menu summary")
    await one.page.click("text=한국어")
    await one.sees("h1", "모두 정상입니다")
    await one.page.click(".menu summary")
    await one.page.click("text=어둡게")
    # the page is made anew, and could not be loaded once more in the middle of that
    await one.page.locator("html[data-look=dark]").wait_for()
    await one.page.wait_for_load_state()
    await one.page.reload()
    await one.sees("h1", "모두 정상입니다")
    assert await one.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 23)"


IN_SIGHT = (
    "(one) => { const box = one.getBoundingClientRect();"
    " return box.height > 20 && box.top >= 0 && box.bottom <= innerHeight; }"
)


async def test_the_answer_to_an_order_is_in_sight_on_a_phone_until_it_is_closed(
    world: PageWorld, reader: OpenReader
) -> None:
    """However far down the page its button is; with its time; closed by its button or by Escape."""
    await world.open(is_open=True)
    make_sick(world)
    one = await reader(width=390, height=844)
    page = one.page
    await one.look(world.url)
    await one.sees("#live", "Live")
    for by_key in (False, True):
        await page.click("#o-b-main-ec-3-drain")
        await page.click("dialog form button")
        await one.sees("#answer", "Done: main hears drain")
        assert await page.evaluate("scrollY") > 844, "its button is far below the head of the page"
        assert await page.locator("#told").evaluate(IN_SIGHT)
        assert await page.locator("#answer time").count() == 1
        assert await one.barriers() == []
        await one.picture("told", whole=False)
        if by_key:
            await page.keyboard.press("Escape")
        else:
            await page.click("#told-close")
        await page.wait_for_function("document.getElementById('answer').textContent === ''")
        assert not await page.locator("#told-close").count()


async def test_without_a_script_it_is_all_there(world: PageWorld, reader: OpenReader) -> None:
    """The page says the same, loads itself anew, and an order has a page of its own that asks."""
    await world.open(is_open=True)
    make_sick(world)
    one = await reader(width=390, height=844, java_script_enabled=False)
    page = one.page
    await one.look(world.url)
    assert await page.locator("head meta[http-equiv=refresh]").count() == 1
    assert await page.text_content("h1") == "ec-1 does not answer"
    assert await page.locator("#b-main-ec-1 time", has_text="UTC").count() == 1
    assert not await page.locator(".charts").is_visible(), "an empty box says nothing"
    await one.picture("without-script")
    await page.click("#o-b-main-ec-1-restart")
    assert await page.text_content("h1") == "Restart ec-1?"
    await one.picture("without-script-restart")
    await page.fill("#reason", "disk")
    await page.click("form.order button")
    assert str(await page.text_content("#answer")).endswith(" Done: main hears restart")
    assert await page.locator("#told").evaluate(IN_SIGHT)
    await page.click("#told-close")
    assert await page.text_content("#answer") == ""
    assert world.api.heard == [("open", "main", "ec-1", "restart", "disk")]


async def test_hostile_words_are_shown_as_they_stand(world: PageWorld, reader: OpenReader) -> None:
    """Whatever configuration, daemons and clients say is text, in a card, a dialog, an answer and a title."""
    await world.open(is_open=True)
    bad = shown.backend(
        HOSTILE, kind="dead", phase="EJECTED", reason=HOSTILE, care=HOSTILE, ordered=HOSTILE, launcher_error=HOSTILE,
        failure={"step": HOSTILE, "reason": HOSTILE}, url=HOSTILE, circuit=HOSTILE, launcher=HOSTILE,
    )  # fmt: skip
    told = {"wallet": HOSTILE, "backend": HOSTILE, "title": HOSTILE, "text": HOSTILE, "severity": "critical"}
    world.show(
        shown.snapshot(
            shown.wallet(bad, wallet=HOSTILE, profile=HOSTILE, not_ready=[HOSTILE]),
            gateway=HOSTILE, alerts=[shown.alert(HOSTILE, **told)], warnings=[HOSTILE],
            switches=[{"wallet": HOSTILE, "backend": HOSTILE, "switches": [{"name": HOSTILE, "is_on": True}]}],
        ),
        incidents=[{**shown.INCIDENTS[0], **told, "done": [{"at": shown.AT, "text": HOSTILE}]}],
        outcomes=[{**shown.OUTCOMES[0], **told, "client": HOSTILE, "method": HOSTILE, "note": HOSTILE, "id": "call-1"}],
        audit=[{**shown.AUDIT[0], "who": HOSTILE, "reason": HOSTILE, "verb": HOSTILE, "answer": HOSTILE}],
    )  # fmt: skip
    one = await reader(width=320, height=700)
    page = one.page
    await one.look(world.url)
    await one.sees("#live", "Live")
    await page.locator("a[data-order]").first.click()
    await one.sees("dialog h1", "<script>")
    await page.click("dialog form button")
    await one.sees("#told", HOSTILE)
    assert "owned" not in (await page.title()).partition("<")[0]
    assert await page.evaluate("document.querySelectorAll('img, main script, dialog script').length") == 0
    wide, window = await one.width()
    assert wide <= window
    await one.picture("hostile")


async def test_it_says_since_when_it_is_stale_and_knows_everything_after_sleep(
    world: PageWorld, reader: OpenReader
) -> None:
    """A page whose gateway is gone says so; when it is back, the page shows how things are, not how they were."""
    await world.open(is_open=True)
    one = await reader()
    page = one.page
    await page.clock.install()
    await one.look(world.url)
    await one.sees("#live", "Live")
    port = world.door.port
    await world.door.stop()
    await page.clock.fast_forward(8000)
    await one.sees("#stale", "Stale since")
    assert await page.locator("body.is-stale").count() == 1
    await one.picture("stale", whole=False)
    await world.open(is_open=True, port=port)
    make_sick(world)
    await page.clock.fast_forward(3600_000)
    await one.sees("h1", "ec-1 does not answer")
    await page.locator("#stale").wait_for(state="hidden", timeout=PATIENCE)
    # that the gateway could not be reached is an error to the browser as well
    one.complaints = [said for said in one.complaints if "Failed to load resource" not in said]


async def test_words_that_could_not_be_fetched_are_asked_for_again(world: PageWorld, reader: OpenReader) -> None:
    """At the next snapshot of the stream, though no word changes in it: a page that says Live says what is so."""
    await world.open(is_open=True)
    one = await reader()
    page = one.page
    await one.look(world.url)
    await one.sees("#live", "Live")
    await page.wait_for_load_state("networkidle")
    asked = asyncio.Event()

    async def fail(route: Route) -> None:
        asked.set()
        await route.fulfill(status=503, body="later")

    await page.route("**/words*", fail, times=1)
    make_sick(world)
    await asyncio.wait_for(asked.wait(), PATIENCE / 1000)
    # calls under way are a figure to the page, and reason enough for a snapshot
    world.api.shown["wallets"]["main"]["in_flight"] += 1
    await one.sees("h1", "ec-1 does not answer")
    one.complaints = [said for said in one.complaints if "Failed to load resource" not in said]


async def test_who_takes_a_wallet_over_shows_its_daemons_at_once(world: PageWorld, reader: OpenReader) -> None:
    """The page that was open before has no figures of the wallet: they come with the words, and nothing fails."""
    await world.open(is_open=True)
    lease = {"held": False, "holder": "gw-1", "address": "http://gw-1:7777", "term": 1, "answered_ago": 0.2}
    world.show({**shown.snapshot(), "wallets": {"main": {"wallet": "main", "lease": lease, "not_ready": []}}})
    one = await reader()
    await one.look(world.url)
    await one.sees("#live", "Live")
    await one.sees("h1", "gw-1 serves main")
    world.show(shown.snapshot())
    await one.sees("h1", WELL)
    assert await one.page.locator("[data-backend]").count() == 3


HIDE = (
    "(is_hidden) => { Object.defineProperty(document, 'hidden', { value: is_hidden, configurable: true });"
    " document.dispatchEvent(new Event('visibilitychange')); }"
)


async def test_a_tab_that_nobody_sees_takes_no_connection_and_its_title_is_true(
    world: PageWorld, reader: OpenReader
) -> None:
    """A browser has six for all of its tabs; who comes back sees how things are."""
    await world.open(is_open=True)
    one = await reader()
    page = one.page
    await page.clock.install()
    await one.look(world.url)
    await one.sees("#live", "Live")
    assert len(world.api.stream.listeners) == 1
    await page.evaluate(HIDE, True)  # noqa: FBT003 - an argument of the script
    await page.clock.fast_forward(11_000)
    async with asyncio.timeout(PATIENCE / 1000):
        while world.api.stream.listeners:
            await page.wait_for_timeout(20)
    make_sick(world)
    await page.clock.fast_forward(61_000)
    await page.wait_for_function("() => document.title.startsWith('Critical')")
    assert not world.api.stream.listeners
    world.show(shown.snapshot())
    await page.evaluate(HIDE, False)  # noqa: FBT003 - an argument of the script
    await one.sees("h1", WELL)
    await one.sees("#live", "Live")
    assert len(world.api.stream.listeners) == 1


async def test_it_weighs_less_than_150_kb_without_a_cache(sandbox: str, reader: OpenReader) -> None:
    """All that a first visit brings over the line, in bytes, packed and unpacked; and nothing is from elsewhere."""
    one = await reader()
    sizes: dict[str, int] = {}
    urls: list[str] = []
    devtools = await one.context.new_cdp_session(one.page)
    await devtools.send("Network.enable")
    devtools.on("Network.responseReceived", lambda event: urls.append(event["response"]["url"]))
    devtools.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    await one.look(sandbox)
    await one.sees("#live", "Live")
    await one.page.wait_for_function("document.querySelector('.chart canvas') !== null")
    assert all(url.startswith(f"{sandbox}/") for url in urls)
    assert 10_000 < sum(sizes.values()) < 150_000
    print(f"page weight: {sum(sizes.values())} bytes in {len(sizes)} answers")  # noqa: T201 - a figure to keep


CALL = (
    "async ([at, name, calls]) => { const found = await import(at); return calls.map((one) => found[name](...one)); }"
)

FIGURES: list[tuple[str, str, list[Any]]] = [
    ("number", "number", [0, 7, 1234.4, 868_123, None, "7"]),
    ("decimal", "decimal", [0, 0.987, 1, None]),
    ("share", "share", [0.0, 0.431, 0.436, 1.0, None]),
    ("rate", "rate", [0, 0.04, 0.42, 9.96, 12.6, 1234.0, None]),
    ("milliseconds", "milliseconds", [0.41, 4.26, 9.94, 12.3, 999.4, 1210.0, None]),
    ("size", "size", [0, 221 << 20, 9 << 30, 24 << 30, None]),
    (
        "sparkline",
        "sparkline",
        [[1, 2, 3], [None, 4.5, None, 9.5, None, None, None, None, None, None, 2], [7], [], None],
    ),
]


async def test_the_script_writes_the_same_figures_as_the_gateway(world: PageWorld, reader: OpenReader) -> None:
    """Otherwise a figure would change its look when the page takes over."""
    from gateway.edge.web import figures  # noqa: PLC0415 - beside what it is compared with

    await world.open(is_open=True)
    one = await reader()
    await one.look(world.url)
    assert world.door.pages is not None
    module = world.door.pages.assets.href("figures.js")
    for python, script, values in FIGURES:
        found = await one.page.evaluate(CALL, [module, script, [[value] for value in values]])
        assert found == [getattr(figures, python)(value) for value in values], python
    units = ("s", "m", "h", "d", "under a second")
    spans = [-3, 0, 0.1, 0.98, 1, 59.9, 119, 120, 7_199, 7_200, 172_800, 1e6]
    found = await one.page.evaluate(CALL, [module, "duration", [[span, units] for span in spans]])
    assert found == [figures.duration(span, units) for span in spans]


@pytest.mark.skipif("ECGW_WRITE_DOCS" not in os.environ, reason="writes docs/status-page.png for README")
@pytest.mark.timeout(400)
async def test_the_picture_for_the_readme(sandbox: str, reader: OpenReader) -> None:
    """The sandbox's page while the shop sells and a wallet hangs, as README shows it."""
    one = await reader(width=1120, height=1130, color_scheme="light", timezone_id="UTC")
    page = one.page
    await one.look(sandbox)
    await one.sees("#live", "Live")
    shop = await page.get_attribute("#shop", "href")
    assert shop is not None
    assert (await one.context.request.post(f"{shop}customer", form={"on": "1"})).ok
    # so that the charts have something to show
    await page.wait_for_timeout(float(os.environ["ECGW_WRITE_DOCS"]) * 1000.0)
    await page.click('a[data-switch][href="/switches/main/ec-2/wedge"]')
    await one.sees("#b-main-ec-2 .condition", "does not answer")
    await page.evaluate("document.getElementById('told').replaceChildren(); scrollTo(0, 0)")
    await page.screenshot(path=ROOT / "docs" / "status-page.png")

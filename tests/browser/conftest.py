"""A browser, a gateway whose wallets are sandbox daemons, and a door whose page shows whatever a test wants.

Rule: one browser and one gateway for all of the tests here; each test gets a fresh profile and leaves the wallets
healed.  What a test saw is kept as pictures, for somebody to look at.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.edge.web.world import PageWorld
from tests.integration.gateway_process import ROOT, wait_until

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
PICTURES = Path(os.environ.get("ECGW_PICTURES", ROOT / "tests" / "browser" / "pictures"))
"""Where pictures are kept; never in the repository.  The browser's own driver makes the folder."""

AXE = files("axe_playwright_python").joinpath("axe.min.js")
PATIENCE = 20_000.0
"""Milliseconds after which what should be seen counts as never seen; no test measures with it."""


@dataclass
class Reader:
    """Somebody with a browser, and what it complained about."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    async def look(self, url: str) -> None:
        """Open a page."""
        await self.page.goto(url)

    async def picture(self, name: str, *, whole: bool = True) -> None:
        """Keep what is to be seen."""
        await self.page.screenshot(path=PICTURES / f"{name}.png", full_page=whole, scale="css")

    async def width(self) -> tuple[int, int]:
        """Return how wide the page is, and how wide the window."""
        found = await self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        return found[0], found[1]

    async def barriers(self) -> list[str]:
        """Return what axe finds: what keeps somebody out who sees, hears or moves otherwise."""
        # as a function of the debugger and not of the page, whose policy would rightly refuse it
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]

    async def sees(self, selector: str, text: str) -> None:
        """Wait until something is to be read somewhere."""
        await self.page.locator(selector, has_text=text).first.wait_for(timeout=PATIENCE)


OpenReader = Callable[..., Awaitable[Reader]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="module")
async def reader(browser: Browser) -> AsyncIterator[OpenReader]:
    """Opens a browser for somebody, in a language, on a screen, with or without scripts."""
    contexts: list[Reader] = []

    async def open_reader(width: int = 1280, height: int = 900, **how: Any) -> Reader:
        settings: dict[str, Any] = {"locale": "en-GB", "timezone_id": "Asia/Seoul", **how}
        context = await browser.new_context(viewport={"width": width, "height": height}, **settings)
        context.set_default_timeout(PATIENCE)
        one = Reader(await context.new_page(), context)
        one.page.on("pageerror", lambda error: one.complaints.append(f"script: {error}"))
        one.page.on("console", lambda said: one.complaints.extend([said.text] if said.type == "error" else []))
        contexts.append(one)
        return one

    yield open_reader
    for one in contexts:
        await one.context.close()
        assert one.complaints == []


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    """The address of the page of `ec-gateway sandbox`, whose wallets are all in service."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    command = [sys.executable, "-m", "gateway", "sandbox", "--port", "0", "--admin-port", "0", "--shop-port", "0"]
    shown: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        reading = Thread(target=shown.extend, args=(process.stdout,))
        reading.start()
        try:
            is_there = re.compile(r"status page +(http://127\.0\.0\.1:\d+)/")
            wait_until(lambda: is_there.search("".join(shown)) or process.poll() is not None, "it welcomes")
            wait_until(lambda: "".join(shown).count("backend.ready") >= 3, "all wallets serve")
            found = is_there.search("".join(shown))
            assert found is not None, "".join(shown)
            yield found[1]
        finally:
            process.terminate()
            reading.join()


@pytest_asyncio.fixture(loop_scope="module")
async def world() -> AsyncIterator[PageWorld]:
    """A door whose page shows what a test wants; closed so far."""
    one = PageWorld()
    yield one
    if hasattr(one, "door"):
        await one.door.stop()

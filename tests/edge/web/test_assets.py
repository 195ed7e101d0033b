"""The files that pages are made of."""

import re
from collections.abc import AsyncIterator

import pytest

from gateway.edge.web.assets import FOLDER, Assets, takes_gzip
from tests.edge.web.world import PageWorld


@pytest.fixture
async def world() -> AsyncIterator[PageWorld]:
    """A door."""
    one = PageWorld()
    await one.open()
    yield one
    await one.door.stop()


def assets_of(world: PageWorld) -> Assets:
    """Those of a door."""
    assert world.door.pages is not None
    return world.door.pages.assets


async def test_files_are_kept_for_ever_under_an_address_that_changes_with_them(world: PageWorld) -> None:
    """And who asks by the address of another version is led to this one's, which is not kept under the old one."""
    href = assets_of(world).href("page.css")
    status, text, answer = await world.get(href)
    assert status == 200
    assert text.startswith("/*")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    status, _, answer = await world.get("/static/0123456789abcdef/page.css")
    assert (status, answer.headers["Location"], answer.headers["Cache-Control"]) == (302, href, "no-store")


@pytest.mark.parametrize(
    "name", ["nothing.css", "../pages.py", "..%2f..%2fpages.py", "%2e%2e/pages.py", "", "page.css/", "/etc/passwd"]
)
async def test_there_is_nothing_but_these_files(world: PageWorld, name: str) -> None:
    """Whatever a path is made to look like: names are looked up, and never go to the disk."""
    folder = assets_of(world).href("page.css").rpartition("/")[0]
    assert (await world.get(f"{folder}/{name}"))[0] == 404


def test_who_can_unpack_says_so() -> None:
    """And who says that he cannot is believed."""

    class Request:
        headers: dict[str, str]

    def asks(accepted: str) -> bool:
        request = Request()
        request.headers = {"Accept-Encoding": accepted}
        return takes_gzip(request)  # type: ignore[arg-type]  # as much of a request as is looked at

    assert asks("br, GZIP;q=0.5")
    assert not asks("gzip; q=0")
    assert not asks("br")
    assert not asks("")


def test_the_files_name_no_place_outside_and_are_under_a_licence_that_is_here() -> None:
    """Nothing is fetched from elsewhere; what others wrote stands beside its licence."""
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        others = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"')]*", text))
        assert others <= {"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}, path.name
    assert "MIT License" in (FOLDER / "uplot.LICENSE.txt").read_text(encoding="utf-8")

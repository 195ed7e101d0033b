"""Draws pages from templates.

Rule: whatever comes from a configuration, a daemon or a client is escaped, because everything is: no template marks
anything as safe.  The engine is imported when the first page is asked for, for many gateways never draw one.
"""

import gzip
from typing import TYPE_CHECKING, Any

from gateway.edge.web import figures
from gateway.edge.web.assets import Assets
from gateway.edge.web.words import LANGUAGES, MARKED, Words

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

QUICK = 4
"""How hard pages are packed: a tenth larger than the hardest, in a third of the time."""


class Drawing:
    """The templates.

    Args:
        assets: the files that pages ask for.
    """

    def __init__(self, assets: Assets) -> None:
        """Import nothing yet."""
        self.assets = assets
        self._environment: Environment | None = None

    def warm(self) -> None:
        """Import the engine, read and compile everything: a fifth of a second, which no call should wait for."""
        self.assets.href("page.css")
        for name in self._engine.list_templates():
            self._engine.get_template(name)

    def part(self, template: str, words: Words, now: float, **named: Any) -> "Markup":
        """Return what a template makes, to be put into another one; `now` in seconds since 1970."""
        from markupsafe import Markup  # noqa: PLC0415 - comes with the engine

        found = self._engine.get_template(template).render(
            words=words,
            t=words.text,
            languages=LANGUAGES,
            iso=figures.iso,
            clock=lambda at: figures.clock(at, now),
            exact=lambda at: figures.clock(at, now, exact=True),
            age=lambda at: figures.duration(now - at, words.units),
            span=lambda seconds: figures.duration(seconds, words.units),
            asset=self.assets.href,
            **named,
        )
        return Markup(found)  # noqa: S704 - the template has escaped it

    def page(self, template: str, words: Words, now: float, **named: Any) -> bytes:
        """Return a whole page."""
        return str(self.part(template, words, now, **named)).encode()

    @property
    def _engine(self) -> "Environment":
        if self._environment is None:
            from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see above

            self._environment = Environment(
                loader=PackageLoader("gateway.edge.web"), autoescape=True, undefined=StrictUndefined,
                trim_blocks=True, lstrip_blocks=True, auto_reload=False, finalize=_finalize,
            )  # fmt: skip
        return self._environment


def _finalize(value: object) -> object:
    """Return what stands for a value in a page: what stayed English says so, for those who have it read to them."""
    if not isinstance(value, str) or MARKED.search(value) is None:
        return value
    from markupsafe import Markup, escape  # noqa: PLC0415 - comes with the engine

    # every second piece stood between two marks
    pieces = [
        Markup('<span lang="en">{}</span>').format(piece) if place % 2 else escape(piece)
        for place, piece in enumerate(MARKED.split(value))
    ]
    return Markup("").join(pieces)


def pack(page: bytes) -> bytes:
    """Return a page packed."""
    return gzip.compress(page, QUICK, mtime=0)

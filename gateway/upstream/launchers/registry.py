"""Which kinds of launchers there are, what is wrong with the settings of one, and how one is made.

Rule: a kind is a file and a line in KINDS; packages bring more by the entry point `ec_gateway.launchers`.  No kind is
loaded before somebody names it, and nothing in a kind's settings does any input or output; `look` alone looks at files.
"""

import asyncio
import difflib
import importlib
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.base import care
from gateway.base.findings import WORDS
from gateway.base.section import Section
from gateway.upstream.launchers import Launcher, LauncherError
from gateway.upstream.launchers.common import Common, Finding
from gateway.upstream.launchers.unusable import UnusableLauncher

KINDS = {
    "docker": "gateway.upstream.launchers.docker:DockerLauncher",
    "process": "gateway.upstream.launchers.process:ProcessLauncher",
    "supervisor": "gateway.upstream.launchers.supervisor:SupervisorLauncher",
    "command": "gateway.upstream.launchers.command:CommandLauncher",
}
"""Name to module and class; beside the class its module has `Own`, the model of the kind's keys."""

GROUP = "ec_gateway.launchers"

TARGETS: dict[str, tuple[str, ...]] = {
    "docker": ("host", "container"),
    "process": ("output",),
    "supervisor": ("url", "program"),
    "command": ("start", "stop", "kill", "restart", "env"),
}
"""The keys that say which daemon it is: two backends with the same ones would stop each other's."""


class Kind(Protocol):
    """How a launcher is made: by its class."""

    def __call__(self, own: Any, common: Common) -> Launcher:
        """Make one; does no input or output."""


def check(launcher: care.Launcher) -> list[Finding]:
    """Return what is wrong with the settings of a launcher, nothing when it can be made.

    The messages begin with a verb, as in "container is missing"; none of them shows a value.
    """
    if launcher.kind not in KINDS and launcher.kind not in _brought():
        known = sorted({*KINDS, *_brought()})
        close = difflib.get_close_matches(launcher.kind, known, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"take one of {', '.join(known)}"
        return [("kind", "is no kind of launcher that is known here", remedy)]
    try:
        _, own = _load(launcher.kind)
    except Exception as error:  # noqa: BLE001 - a package of somebody else's may raise anything when it is loaded
        message = f"cannot be loaded: {type(error).__name__}: {error}"
        return [("kind", message, f"install the package that brings {launcher.kind} anew, or take it out")]
    try:
        own.model_validate(launcher.own)
    except ValidationError as error:
        return [_finding(details, own) for details in error.errors(include_url=False, include_input=False)]
    return []


def clashes(named: Iterable[tuple[str, care.Launcher]]) -> Iterator[tuple[str, str, str]]:
    """Yield the launchers that are for a daemon which another one is for already: its name, what is wrong, what to do.

    Args:
        named: the name of each, and its settings; those in which `check` finds something are left out.
    """
    seen: dict[tuple[object, ...], str] = {}
    for name, launcher in named:
        if launcher.kind not in TARGETS or check(launcher):
            continue
        own = _load(launcher.kind)[1].model_validate(launcher.own)
        target = (launcher.kind, *(_plain(str(getattr(own, key))) for key in TARGETS[launcher.kind]))
        first = seen.setdefault(target, name)
        if first is not name:
            yield name, f"is for the same daemon as {first}", "give each backend a daemon of its own"


def _plain(text: str) -> str:
    """Return a path without its detours, and anything else as it is."""
    return os.path.normpath(text) if text.startswith("/") else text


def look(launcher: care.Launcher) -> list[Finding]:
    """Return what this machine lacks of what a launcher needs: programs, folders, sockets; reads no file's content.

    A kind has a function `look(own)` beside its class where there is something to look at.  What `check` finds is
    not told again.
    """
    if check(launcher):
        return []
    kind, own = _load(launcher.kind)
    find = getattr(importlib.import_module(kind.__module__), "look", None)
    return [] if find is None else list(find(own.model_validate(launcher.own)))


def make(launcher: care.Launcher, name: str, loop: asyncio.AbstractEventLoop) -> Launcher:
    """Make a launcher; it connects to nothing before its first order.

    One of a package's kind that cannot be made is one whose orders fail: that takes no wallet away.

    Args:
        launcher: its settings.
        name: of the backend, for messages.
        loop: what it runs on.

    Raises:
        LauncherError: `check` has something to say.
    """
    for key, message, remedy in check(launcher):
        raise LauncherError(f"launcher.{key} {message}; {remedy} (backend {name})", may_pass=False)
    kind, own = _load(launcher.kind)
    common = Common(name, launcher.password.get_secret_value(), launcher.timeout, loop)
    try:
        return kind(own.model_validate(launcher.own), common)
    except Exception as error:
        # a package of somebody else's may raise anything; ours may not
        if launcher.kind in KINDS:
            raise
        why = (
            f"launcher {launcher.kind} cannot be made ({type(error).__name__}: {error}); ask whoever wrote its package"
        )
        return UnusableLauncher(launcher.kind, f"{why} (backend {name})")


def _load(name: str) -> tuple[Kind, type[Section]]:
    # our own names are ours: no package changes what they mean
    path = KINDS[name] if name in KINDS else _brought()[name].value
    place, _, attribute = path.partition(":")
    module = importlib.import_module(place)
    return getattr(module, attribute), module.Own


def _brought() -> dict[str, EntryPoint]:
    return {one.name: one for one in entry_points(group=GROUP)}


def _finding(details: ErrorDetails, own: type[Section]) -> Finding:
    key = ".".join(str(part) for part in details["loc"]) or "kind"
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            known = sorted({*own.model_fields, *care.Launcher.model_fields})
            close = difflib.get_close_matches(key, known, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"take one of {', '.join(known)}"
            return key, "is not a key of this kind of launcher", remedy
        case "missing":
            return key, "is missing", f"add `{key}: ...`"
        case "value_error":
            message, _, remedy = str(context["error"]).partition("; ")
            return key, message, remedy
        case "string_pattern_mismatch" if key in ("host", "url"):
            return key, "is no address", "write unix:///PATH, http://HOST:PORT or https://HOST:PORT"
        case kind if kind in WORDS:
            wanted, remedy = WORDS[kind]
            return key, f"must be {wanted}", remedy
        case _:
            wanted = details["msg"].removeprefix("Input should ").removeprefix("Value should ")
            return key, f"must {wanted[:1].lower()}{wanted[1:]}", "see docs/launchers.md"

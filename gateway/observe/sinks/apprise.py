"""Apprise: Telegram, Slack, e-mail and a hundred others, by the package of that name, which is an optional extra.

Rule: apprise waits for the network in its own way, so each message is sent on a thread of its own and the loop goes on;
a thread that hangs is never joined.  One that has not come back for minutes is left behind, so that it takes no other
message with it, and there are never more than a few of them.  Its URL holds tokens and is shown to nobody.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from gateway.base.care import Sink as SinkSettings
from gateway.observe.sinks import Finding, Message, SinkError, unknown_keys

PACKAGE = "apprise"

INSTALL = "install it: pip install 'apprise>=1.9'"

COMPARE = "compare it with the page of that service in the documentation of apprise"

NOT_TAKEN = "the service has not taken it; look whether it can be reached from here, and at the tokens in its URL"

LOST_AFTER = 300.0
"""Seconds after which a thread that has not come back is left behind; apprise itself waits for seconds."""

LOST_MOST = 8
"""Threads that may be left behind; each is one more that may deliver its message late."""

COLOURS = {"critical": "failure", "warning": "warning", "info": "info"}
"""Severities, and what apprise calls them."""


def check(sink: SinkSettings) -> list[Finding]:
    """Say what is wrong with the settings of an apprise sink."""
    findings = unknown_keys(sink, ())
    url = sink.secret.get_secret_value()
    if not url:
        remedy = "write the URL of the service there, as apprise wants it, or the path of a file with it in secret_file"
        findings.append(("secret", "is missing", remedy))
    if find_spec(PACKAGE) is None:
        findings.append(("kind", "needs the package apprise, which is not installed", INSTALL))
    elif url and not _is_on_loop() and _services(url) is None:
        findings.append(("secret", "is no URL that apprise knows", COMPARE))
    return findings


def build(sink: SinkSettings) -> "Apprise":
    """Build an apprise sink."""
    url = sink.secret.get_secret_value()
    loaded: list[Any] = []

    def notify(title: str, body: str, colour: str) -> str:
        if not loaded:
            services = _services(url)
            if services is None:
                return f"secret is no URL that apprise knows; {COMPARE}"
            loaded.append(services)
        return "" if loaded[0].notify(title=title, body=body, notify_type=colour) else NOT_TAKEN

    return Apprise(notify)


def _services(url: str) -> Any:
    """Return what apprise makes of a URL, None when it makes nothing of it."""
    import apprise  # noqa: PLC0415 - an extra of 15 MB that only this sink needs

    # its warnings quote what it was configured with, and parts of that are secret
    logging.getLogger(PACKAGE).setLevel(logging.CRITICAL + 10)
    services = apprise.Apprise()
    return services if services.add(url) else None


def _is_on_loop() -> bool:
    """Whether this is asked by a running gateway, whose calls would wait while apprise is imported."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Apprise:
    """One service, or several, that apprise knows.

    Args:
        notify: sends a title and a text of a colour and returns why that failed, "" when it did not; it waits for
            the network.
    """

    def __init__(self, notify: Callable[[str, str, str], str]) -> None:
        """Begin with nothing under way."""
        self._notify = notify
        self._under_way: tuple[str, asyncio.Future[str]] | None = None
        self._begun_at = 0.0
        self._threads = 0
        """That have not come back."""

    async def send(self, message: Message) -> None:
        """Send a message; one that is still under way from the last try is waited for, not sent again.

        Raises SinkError.
        """
        self._leave_lost()
        if self._under_way is not None and self._under_way[0] != message.id and not self._under_way[1].done():
            raise SinkError("it is still busy with an earlier message; look whether its service can be reached")
        if self._under_way is None or self._under_way[0] != message.id:
            self._under_way = (message.id, self._begin(message))
        _, future = self._under_way
        # shielded: whoever waits may give up, and hear of the end at the next try
        trouble = await asyncio.shield(future)
        self._under_way = None
        if trouble:
            raise SinkError(trouble)

    def _leave_lost(self) -> None:
        """Leave a thread behind that hangs.  Raises SinkError where there are too many of them."""
        is_lost = asyncio.get_running_loop().time() - self._begun_at >= LOST_AFTER
        if self._under_way is None or self._under_way[1].done() or not is_lost:
            return
        if self._threads > LOST_MOST:
            raise SinkError("too many messages hang in it; see that its service can be reached, restart the gateway")
        self._under_way = None

    def _begin(self, message: Message) -> "asyncio.Future[str]":
        """Send on a thread that ends with the process, whatever it waits for."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        title, body, colour = words(message)
        self._begun_at = loop.time()
        self._threads += 1

        def end(trouble: str) -> None:
            self._threads -= 1
            if not future.done():
                future.set_result(trouble)

        def work() -> None:
            try:
                trouble = self._notify(title, body, colour)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything, with its URL in the text
                trouble = f"apprise failed ({type(error).__name__}); {COMPARE}"
            # the loop may have ended, and nobody waits any more
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end, trouble)

        threading.Thread(target=work, name="alert-apprise", daemon=True).start()
        return future

    async def close(self) -> None:
        """Nothing is kept open."""


def words(message: Message) -> tuple[str, str, str]:
    """Return title, text and colour of a message for people."""
    where = f"{message.wallet or 'gateway'}{f'/{message.backend}' if message.backend else ''}"
    lasted = _duration(message.seconds)
    match message.type:
        case "alert.closed":
            return f"[OVER] {where}: {message.title}", f"It lasted {lasted}. It was: {message.text}.", "success"
        case "alert.repeated":
            state = f"It has lasted {lasted} so far."
        case "alert.test":
            state = "This is a test; nothing has happened."
        case _:
            state = f"{message.count} times." if message.count > 1 else ""
    text = f"{message.text}. {state}\nWhat to do: docs/alerts.md, {message.kind}".replace(". \n", ".\n")
    title = f"[{message.severity.upper()}] {where}: {message.title}"
    return title, text, COLOURS.get(message.severity, "info")


def _duration(seconds: float) -> str:
    """Return a time as people say it."""
    whole = round(seconds)
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if whole >= size:
            rest = {"d": (3600, "h"), "h": (60, "min"), "min": (1, "s")}[name]
            more = whole % size // rest[0]
            return f"{whole // size} {name} {more} {rest[1]}" if more else f"{whole // size} {name}"
    return f"{whole} s"

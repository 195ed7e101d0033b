"""Structured log lines, to standard output or to a rotating file.

Rule: a log that cannot be written (a closed pipe, a full disk) is counted and harms nobody, and no line
holds a secret: what looks like one by its name is blotted out even if somebody let it through.
"""

import glob
import logging
import os
import re
import select
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from gateway.base.config import Log, LogFile
from gateway.base.events import Event

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

SECRET = re.compile(r"passw|secret|seed|privkey|private_?key|authorization|token|mnemonic|xprv|hmac", re.IGNORECASE)
"""Names of fields that are never shown."""

REOPEN_AFTER = 1.0
"""Seconds before a file that could not be written, or not be moved aside, is tried again."""

PIECE = 4096
"""Bytes that a pipe which says it is writable takes without letting the writer wait (PIPE_BUF of Linux)."""

LIBRARY_EVERY = 1.0
"""Seconds between two lines in which a library says the same; asyncio alone can say thousands in a second."""

LIBRARY_SAYINGS = 256
"""Different sayings that are remembered; some are made up anew for each line."""


class Sink:
    """Where lines go; writing never raises."""

    def __init__(self, file: LogFile | None) -> None:
        """Write to `file`, or to standard output."""
        self.file = file
        self.dropped = 0
        self._stream: BinaryIO | None = None
        self._size = 0
        self._retry_at = 0.0
        self._rotate_at = 0.0
        self._began = 0.0

    def write(self, line: str) -> None:
        """Write one line, or count it as dropped."""
        try:
            data = (line + "\n").encode(errors="backslashreplace")
            if self.file is None:
                self._write_stdout(data)
            else:
                self._write_file(self.file, data)
        except (OSError, ValueError):
            # ValueError is what a closed stream raises
            self.dropped += 1
            self.close()

    def _write_stdout(self, data: bytes) -> None:
        """Write to standard output unless that would have to wait: a reader that stands still must not stop calls.

        Raises:
            OSError: there is no standard output, or its reader does not read.
            ValueError: it was closed.
        """
        out = sys.stdout
        if out is None:
            raise OSError("this process was started without a standard output")
        try:
            descriptor = out.fileno()
        except OSError:
            # something that a program put in its place and that keeps all in memory
            out.write(data.decode())
            out.flush()
            return
        out.flush()
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        for begin in range(0, len(data), PIECE):
            ready = poll.poll(0)
            if not ready or not ready[0][1] & select.POLLOUT:
                raise BlockingIOError("nobody reads the standard output")
            os.write(descriptor, data[begin : begin + PIECE])

    def _write_file(self, file: LogFile, data: bytes) -> None:
        now = time.time()
        if self._stream is None:
            if time.monotonic() < self._retry_at:
                self.dropped += 1
                return
            self._open(file, now)
        elif self._is_full(file, len(data), now):
            self._rotate(file, now)
        assert self._stream is not None  # noqa: S101 - opened just above
        written = self._stream.write(data)
        self._size += written
        if written < len(data):
            raise OSError(f"{file.path} took only a part of a line")

    def _is_full(self, file: LogFile, more: int, now: float) -> bool:
        too_much = self._size + more > file.max_bytes or now - self._began > file.max_age
        return too_much and time.monotonic() >= self._rotate_at

    def _open(self, file: LogFile, now: float) -> None:
        self._retry_at = time.monotonic() + REOPEN_AFTER
        path = Path(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._began = now

    def _rotate(self, file: LogFile, now: float) -> None:
        """Begin a new file; where the old one cannot be moved aside, go on in it and try again a little later."""
        self.close()
        try:
            self._move_aside(Path(file.path), file, now)
        except OSError:
            self._rotate_at = time.monotonic() + REOPEN_AFTER
        self._open(file, now)

    def _move_aside(self, path: Path, file: LogFile, now: float) -> None:
        """Move the file aside, keep so many old ones, and none that is too old."""
        for number in range(file.keep - 1, 0, -1):
            old = Path(f"{path}.{number}")
            if old.exists():
                old.replace(f"{path}.{number + 1}")
        path.replace(f"{path}.1")
        for old in path.parent.glob(glob.escape(path.name) + ".*"):
            number_text = old.name.removeprefix(path.name + ".")
            if not number_text.isdigit():
                continue
            if int(number_text) > file.keep or now - old.stat().st_mtime > file.max_age:
                old.unlink()

    def close(self) -> None:
        """Let go of the file; the next line opens it again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.close()


class _Logger:
    """What structlog hands finished lines to."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def msg(self, line: str) -> None:
        """Write one line."""
        self._sink.write(line)

    debug = info = warning = error = critical = exception = log = msg


_state: dict[str, Any] = {"sink": Sink(None), "level": LEVELS["info"]}


def configure(log: Log, *, sandbox: bool) -> None:
    """Set level, shape and place of the log; may be called again at any time."""
    before: Sink = _state["sink"]
    sink = before
    if before.file != log.file:
        sink = Sink(log.file)
        sink.dropped = before.dropped
        before.close()
    _state["sink"], _state["level"] = sink, LEVELS[log.level]
    shape: Any
    if log.format == "json":
        shape = structlog.processors.JSONRenderer(default=str)
    else:
        plain = structlog.dev.plain_traceback
        shape = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, exception_formatter=plain)
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    if sandbox:
        processors.append(_shout)
    structlog.configure(
        processors=[*processors, shape],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[log.level]),
        logger_factory=lambda *_: _Logger(_state["sink"]),
        cache_logger_on_first_use=False,
    )
    # aiohttp and asyncio speak through the standard library; their warnings belong into the same place
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(max(LEVELS["warning"], LEVELS[log.level]))


class _Forward(logging.Handler):
    """Hands lines of the standard library's logging on; what is said again and again is counted."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str, object], _Said] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one foreign line as an event of its own, unless the same was said less than a second ago."""
        suppressed = self._suppressed(record)
        if suppressed is None:
            return
        try:
            fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        except Exception:  # noqa: BLE001 - a library's arguments do not fit its text
            fields = {"logger": record.name, "message": str(record.msg)}
        if suppressed:
            fields["suppressed"] = suppressed
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        # libraries may have levels of their own between the usual ones
        tell("error" if record.levelno >= LEVELS["error"] else "warning", "library.said", fields)

    def _suppressed(self, record: logging.LogRecord) -> int | None:
        """Return how many like this one were not written since the last that was; None: this is another of them."""
        # asyncio puts the details, which differ each time, on lines of their own
        saying, now = str(record.msg).partition("\n")[0], time.monotonic()
        key = (record.name, saying, record.exc_info[0] if record.exc_info else None)
        said = self._said.get(key)
        if said is not None and now - said.at < LIBRARY_EVERY:
            said.suppressed += 1
            return None
        if said is None and len(self._said) >= LIBRARY_SAYINGS:
            del self._said[min(self._said, key=lambda one: self._said[one].at)]
        self._said[key] = _Said(now)
        return said.suppressed if said is not None else 0


@dataclass(slots=True)
class _Said:
    """When a library said something for the last time that was written, and how often it was not."""

    at: float
    suppressed: int = 0


def redact(_logger: object, _name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blot out values whose names sound secret, at any depth."""
    for key, value in fields.items():
        fields[key] = _clean(key, value)
    return fields


def _clean(key: str, value: Any) -> Any:
    if SECRET.search(key):
        return "***"
    if isinstance(value, dict):
        return {inner: _clean(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", item) for item in value]
    return value


def _shout(_logger: object, _name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    fields["SANDBOX"] = "these coins are not real"
    return fields


def get_logger() -> Any:
    """Return the logger; it follows every later `configure`."""
    return structlog.get_logger()


def is_debug() -> bool:
    """Whether debug lines are written at all; cheap enough to ask for each attempt."""
    return bool(_state["level"] <= LEVELS["debug"])


def dropped_lines() -> int:
    """Return how many lines could not be written."""
    return int(_state["sink"].dropped)


def event_sink(event: Event) -> None:
    """Write one change of state as one line; a fault of the log is counted and never the caller's."""
    fields = dict(event.fields)
    if event.wallet:
        fields["wallet"] = event.wallet
    if event.backend:
        fields["backend"] = event.backend
    tell(event.level, event.name, fields)


def tell(level: str, name: str, fields: dict[str, Any]) -> None:
    """Write one line; whatever goes wrong in that is counted and never the caller's."""
    try:
        get_logger().log(LEVELS[level], name, **fields)
    except Exception:  # noqa: BLE001 - whatever a field does to its rendering, the thing has happened
        _state["sink"].dropped += 1

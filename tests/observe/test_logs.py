"""Log lines: their shapes, what they never hold, and that a log which cannot be written harms nobody."""

import io
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.config import Log, LogFile
from gateway.base.events import Event
from gateway.observe import logs
from tests.observe.conftest import Lines


def to_stdout(level: str = "info", shape: str = "json", *, sandbox: bool = False) -> None:
    """Log to standard output."""
    logs.configure(Log(level=level, format=shape), sandbox=sandbox)  # type: ignore[arg-type]  # tests pass what fits


def to_file(path: Path, **changes: object) -> None:
    """Log to a file."""
    logs.configure(Log(file=LogFile(path=str(path), **changes)), sandbox=False)  # type: ignore[arg-type]  # tests pass what fits


def say(name: str = "something.happened", /, **fields: object) -> None:
    """Write one line at info."""
    logs.event_sink(Event(name, fields=fields))


# -- shapes ---------------------------------------------------------------------------------------------------


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, level, time in UTC, wallet and backend where they apply, and the fields."""
    to_stdout()
    logs.event_sink(Event("backend.ejected", "main", "ec-1", {"score": 0.31, "reason": 'a "b"\nc'}, level="warning"))
    [line] = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    stamp = found.pop("timestamp")
    assert stamp.endswith("Z")
    assert found == {
        "event": "backend.ejected",
        "level": "warning",
        "wallet": "main",
        "backend": "ec-1",
        "score": 0.31,
        "reason": 'a "b"\nc',
    }


def test_the_console_shape_is_one_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """No colours, and a line break in a value is no line break in the log."""
    to_stdout(shape="console")
    logs.event_sink(Event("backend.ejected", "main", "ec-1", {"reason": "first\nevent=forged"}))
    [line] = capsys.readouterr().out.splitlines()
    assert "backend.ejected" in line
    assert "wallet=main" in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_lines_below_the_level_are_not_written(level: str, expected: int, capsys: pytest.CaptureFixture[str]) -> None:
    """And the question whether debug is wanted is answered without writing."""
    to_stdout(level)
    for each in logs.LEVELS:
        logs.event_sink(Event("x", level=each))
    assert len(capsys.readouterr().out.splitlines()) == expected
    assert logs.is_debug() is (level == "debug")


def test_the_sandbox_is_shouted_on_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    """So that nobody takes its coins for real ones; and no longer after it."""
    to_stdout(sandbox=True)
    say()
    to_stdout(sandbox=False)
    say()
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["SANDBOX"] == "these coins are not real"
    assert "SANDBOX" not in second


def test_loggers_in_hand_follow_a_later_configure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Level, shape and place may change at a reload."""
    to_stdout("warning")
    logger = logs.get_logger()
    logger.info("quiet")
    assert capsys.readouterr().out == ""
    to_stdout("info")
    logger.info("loud")
    assert json.loads(capsys.readouterr().out)["event"] == "loud"
    to_file(tmp_path / "a.log")
    logger.info("elsewhere")
    assert capsys.readouterr().out == ""
    assert "elsewhere" in (tmp_path / "a.log").read_text()


def test_the_file_before_is_closed_when_the_log_moves(tmp_path: Path) -> None:
    """No descriptor is left with each reload, and the count of dropped lines goes on."""
    to_file(tmp_path / "a.log")
    say()
    before: logs.Sink = logs._state["sink"]
    before.dropped = 3
    assert before._stream is not None
    to_file(tmp_path / "b.log")
    assert before._stream is None
    assert logs.dropped_lines() == 3


# -- secrets --------------------------------------------------------------------------------------------------

SECRET_NAMES = (
    "password", "Password_File", "passwd", "seed", "privkey", "private_key", "privatekey", "authorization",
    "token", "api_token", "client_secret", "mnemonic", "xprv", "hmac_key",
)  # fmt: skip


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_what_sounds_secret_is_blotted_out(name: str, lines: Lines) -> None:
    """Whatever its value is."""
    say(**{name: "hunter2", "plain": 1})
    say(**{name: {"deep": ["hunter2"]}})
    assert "hunter2" not in json.dumps(lines())
    assert lines()[0][name] == "***"
    assert lines()[0]["plain"] == 1


nested = st.recursive(
    st.just({"password": "hunter2"}),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.tuples(inner, st.integers()),
        st.dictionaries(st.sampled_from(["a", "wallets", "0"]), inner, min_size=1),
    ),
    max_leaves=8,
)


@given(nested)
def test_a_secret_is_blotted_out_at_any_depth(value: object) -> None:
    """In objects in lists in objects, as settings are nested."""
    cleaned = logs.redact(None, "", {"fields": value})
    assert "hunter2" not in json.dumps(cleaned)
    assert "***" in json.dumps(cleaned)


def test_redaction_leaves_the_callers_own_objects_alone(lines: Lines) -> None:
    """A log line must not change what it reports."""
    settings = {"password": "hunter2", "list": [{"seed": "words"}]}
    say(settings=settings)
    assert settings == {"password": "hunter2", "list": [{"seed": "words"}]}
    assert lines()[0]["settings"] == {"password": "***", "list": [{"seed": "***"}]}


# -- foreign lines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["json", "console"])
def test_warnings_of_libraries_come_into_the_same_place(shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With their traceback; what is less than a warning is theirs alone."""
    to_stdout("debug", shape)
    logger = logging.getLogger("some.library")
    logger.debug("chatter")
    logger.info("chatter")
    try:
        float("100 % wrong")
    except ValueError:
        logger.exception("it %s", "broke")
    out = capsys.readouterr().out
    assert "chatter" not in out
    for part in ("library.said", "some.library", "it broke", "100 % wrong"):
        assert part in out
    assert logs.dropped_lines() == 0


def test_odd_lines_of_libraries_are_not_lost(lines: Lines) -> None:
    """A level of their own, and arguments that do not fit."""
    logger = logging.getLogger("some.library")
    logger.log(35, "between warning and error")
    logger.critical("critical")
    record = logging.LogRecord("some.library", logging.WARNING, "", 0, "%d %d", ("no number",), None)
    [handler] = [one for one in logging.getLogger().handlers if isinstance(one, logs._Forward)]
    handler.handle(record)
    found = [(line["level"], line["message"]) for line in lines()]
    assert found == [("warning", "between warning and error"), ("error", "critical"), ("warning", "%d %d")]


def test_a_line_at_error_level_keeps_warnings_of_libraries_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The level counts for everybody."""
    to_stdout("error")
    logging.getLogger("some.library").warning("chatter")
    logging.getLogger("some.library").error("broken")
    assert len(capsys.readouterr().out.splitlines()) == 1


# -- a log that cannot be written -----------------------------------------------------------------------------


class Unprintable:
    """A value that breaks its own rendering."""

    def __repr__(self) -> str:
        """Fail."""
        raise RuntimeError("no words")

    __str__ = __repr__


def test_a_value_that_cannot_be_shown_is_counted_and_nobodys_fault(lines: Lines) -> None:
    """The change of state has happened all the same."""
    say(value=Unprintable())
    say(event="a field that has the name of the line's own")
    assert logs.dropped_lines() == 2
    say()
    assert len(lines()) == 1


def test_text_that_is_no_text_is_written_escaped(tmp_path: Path) -> None:
    """Lone surrogates come from file names and hostile clients."""
    path = tmp_path / "a.log"
    logs.configure(Log(format="console", file=LogFile(path=str(path))), sandbox=False)
    say("odd\udcff.name", other="é")
    assert logs.dropped_lines() == 0
    assert "odd\\udcff.name" in path.read_text()


class Closed(io.StringIO):
    """A stream that fails as it is told."""

    def __init__(self, error: Exception) -> None:
        """Fail with this."""
        super().__init__()
        self.error = error

    def write(self, _text: str) -> int:
        """Fail."""
        raise self.error


@pytest.mark.parametrize(
    "stream",
    [None, Closed(BrokenPipeError()), Closed(ValueError("I/O operation on closed file")), Closed(OSError(28, "full"))],
    ids=["none at all", "broken pipe", "closed", "disk full"],
)
def test_a_standard_output_that_fails_is_counted(stream: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may be started without one."""
    to_stdout("debug")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        say()
        logs.get_logger().info("directly")
        logging.getLogger("some.library").warning("foreign")
    assert logs.dropped_lines() == 3


def test_a_standard_output_that_was_closed_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python's own object is after close()."""
    to_stdout()
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    os.close(reading)
    monkeypatch.setattr(sys, "stdout", stream)
    say()
    stream.close()
    say()
    assert logs.dropped_lines() == 2


def test_a_reader_of_standard_output_that_stands_still_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pipe fills up; lines are counted then, and written again when it reads again."""
    to_stdout()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        written = 0
        while not logs.dropped_lines():
            say(text="x" * 10_000)
            written += 1
            assert written < 10_000
        os.set_blocking(reader.fileno(), False)
        assert len(reader.read()) > 4096
        before = logs.dropped_lines()
        say("at.last")
        assert logs.dropped_lines() == before
        assert b"at.last" in reader.read()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="A FULL DISK IS NOT TESTED: there is no /dev/full")
def test_a_full_disk_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As standard output and as a file."""
    to_stdout()
    with Path("/dev/full").open("w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        say()
        say()
    assert logs.dropped_lines() == 2
    to_file(Path("/dev/full"))
    say()
    assert logs.dropped_lines() == 3


def test_a_file_that_cannot_be_opened_is_counted_and_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each line; and once it can be, lines are written."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    obstacle = tmp_path / "folder"
    obstacle.write_text("a file where a folder is wanted")
    path = obstacle / "gateway.log"
    to_file(path)
    opened = 0
    real = Path.open

    def watched(self: Path, *args: Any, **kwargs: Any) -> Any:
        nonlocal opened
        opened += 1
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", watched)
    for _ in range(3):
        say()
    assert logs.dropped_lines() == 3
    obstacle.unlink()
    say()
    assert logs.dropped_lines() == 4
    assert opened == 0
    clock[0] += logs.REOPEN_AFTER
    say("at.last")
    assert logs.dropped_lines() == 4
    assert "at.last" in path.read_text()


def test_a_stream_that_breaks_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full for a while."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    path = tmp_path / "a.log"
    to_file(path)
    say("first")
    stream = logs._state["sink"]._stream
    os.close(stream.fileno())
    with pytest.raises(OSError, match="Bad file"):
        stream.close()
    say("lost")
    clock[0] += logs.REOPEN_AFTER
    say("second")
    assert logs.dropped_lines() == 1
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["first", "second"]


# -- rotation -------------------------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    """The files there are."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_moved_aside_before_it_is_too_large_and_few_are_kept(tmp_path: Path) -> None:
    """No line is lost or cut in two, and none of the files is larger than its cap."""
    to_file(tmp_path / "a.log", max_bytes=1024, keep=3)
    for number in range(60):
        say(number=number, text="é" * 20)
    assert names(tmp_path) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert all(path.stat().st_size <= 1024 for path in tmp_path.iterdir())
    ordered = [tmp_path / name for name in ("a.log.3", "a.log.2", "a.log.1", "a.log")]
    numbers = [json.loads(line)["number"] for path in ordered for line in path.read_text().splitlines()]
    assert numbers == list(range(numbers[0], 60))
    assert logs.dropped_lines() == 0


def test_bytes_are_counted_and_not_letters(tmp_path: Path) -> None:
    """In the console shape a letter may be several bytes."""
    file = LogFile(path=str(tmp_path / "a.log"), max_bytes=1024, keep=2)
    logs.configure(Log(format="console", file=file), sandbox=False)
    for _ in range(20):
        say("x" + "€" * 100)
    assert all(path.stat().st_size <= 1024 for path in tmp_path.iterdir())


def test_a_file_goes_on_where_the_process_before_ended(tmp_path: Path) -> None:
    """What it holds already counts for its size."""
    path = tmp_path / "a.log"
    path.write_text("x" * 1000 + "\n")
    to_file(path, max_bytes=1024)
    say()
    assert names(tmp_path) == ["a.log"]
    say()
    assert names(tmp_path) == ["a.log", "a.log.1"]
    assert len(path.read_text().splitlines()) == 1


def test_a_file_is_moved_aside_when_it_is_too_old_and_too_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small it is; files of others are left alone."""
    now = time.time()
    path = tmp_path / "a.log"
    for name in ("a.log.1", "a.log.bak", "b.log.7"):
        (tmp_path / name).write_text("old")
        os.utime(tmp_path / name, (now - 500, now - 500))
    to_file(path, max_age=100.0)
    say("first")
    monkeypatch.setattr(time, "time", lambda: now + 50)
    say("second")
    assert "a.log.2" not in names(tmp_path)
    os.utime(path, (now + 50, now + 50))
    monkeypatch.setattr(time, "time", lambda: now + 120)
    say("third")
    assert names(tmp_path) == ["a.log", "a.log.1", "a.log.bak", "b.log.7"]
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["third"]


def test_a_file_that_cannot_be_moved_aside_goes_on_growing_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line too many is better than one too few; it is tried again, but not at each line."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    tried = 0

    def refuse(self: Path, target: object) -> Path:
        nonlocal tried
        tried += 1
        raise PermissionError(f"{self} to {target}")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        to_file(tmp_path / "a.log", max_bytes=1024)
        for _ in range(50):
            say()
    assert logs.dropped_lines() == 0
    assert tried == 1
    assert len((tmp_path / "a.log").read_text().splitlines()) == 50
    clock[0] += logs.REOPEN_AFTER
    say()
    assert names(tmp_path) == ["a.log", "a.log.1"]


def test_a_file_that_somebody_took_away_loses_nothing_at_rotation(tmp_path: Path) -> None:
    """As other programs that rotate logs do."""
    path = tmp_path / "a.log"
    to_file(path, max_bytes=1024)
    say()
    path.rename(tmp_path / "taken")
    for _ in range(40):
        say()
    assert logs.dropped_lines() == 0
    written = sum(len(one.read_text().splitlines()) for one in tmp_path.iterdir())
    assert written == 41

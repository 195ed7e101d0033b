"""The log is one for the whole process; each test finds it as it begins, and leaves it so."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.base.config import Log, LogFile
from gateway.observe import logs


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """Begin with a log to standard output that has dropped nothing, and put everything back."""
    root = logging.getLogger()
    handlers, level, state = list(root.handlers), root.level, dict(logs._state)
    logs._state.update({"sink": logs.Sink(None), "level": logs.LEVELS["info"]})
    yield
    logs._state["sink"].close()
    logs._state.clear()
    logs._state.update(state)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    """Log to a file as JSON, at debug; returns what reads it."""
    path = tmp_path / "gateway.log"
    logs.configure(Log(level="debug", format="json", file=LogFile(path=str(path))), sandbox=False)

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    return read

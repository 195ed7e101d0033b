"""`ec-gateway alert-test`: one line for each sink, an exit code, and no secret."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.base.care import Sink as SinkSettings
from gateway.cli import main
from gateway.observe import sinks
from gateway.observe.sinks import SinkError
from tests.fakes_alerts import FakeSink


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeSink]:
    """Fake sinks by name."""
    fakes: dict[str, FakeSink] = {}

    def build(settings: SinkSettings) -> FakeSink:
        return fakes.setdefault(settings.name, FakeSink())

    monkeypatch.setattr(sinks, "build", build)
    return fakes


def run(folder: Path, *words: str, names: tuple[str, ...] = ("pager", "chat"), **changes: Any) -> Result:
    """Run the command with sinks of these names."""
    config = folder / "gateway.yaml"
    hooks = [
        {
            "name": name,
            "kind": "webhook",
            "url": "https://there/token",
            "secret": "letters of the secret",
            "timeout": 0.1,
        }
        for name in names
    ]
    settings = {
        "anonymous": True,
        "wallets": {"main": {"backends": [{"name": "ec-1", "url": "http://127.0.0.1:1"}]}},
        "alerts": {"sinks": [{**hook, **changes} for hook in hooks]},
    }
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return CliRunner().invoke(main, ["alert-test", "-c", str(config), *words])


def test_each_sink_gets_a_test_message(tmp_path: Path, made: dict[str, FakeSink]) -> None:
    """Which says that it is one."""
    done = run(tmp_path)
    assert (done.exit_code, done.stdout) == (0, "pager (webhook): delivered\nchat (webhook): delivered\n")
    assert [one.types for one in made.values()] == [["test"]] * 2
    assert all(one.is_closed for one in made.values())


def test_one_sink_can_be_named(tmp_path: Path, made: dict[str, FakeSink]) -> None:
    """The others are left alone; a name that is none is a mistake of the command line."""
    assert run(tmp_path, "--sink", "chat").stdout == "chat (webhook): delivered\n"
    assert list(made) == ["chat"]
    done = run(tmp_path, "--sink", "chta")
    assert done.exit_code == 2
    assert "there is no sink chta; there are pager, chat" in done.stderr


@pytest.mark.parametrize(
    ("sink", "words"),
    [
        (FakeSink(trouble=SinkError("it cannot be reached")), "not delivered: it cannot be reached"),
        (FakeSink(trouble=KeyError("https://there/token")), "the sink itself failed (KeyError)"),
        (FakeSink(takes=60.0), "nothing has come back within 0.1 s"),
    ],
)
def test_a_sink_that_takes_nothing_is_told(
    tmp_path: Path, made: dict[str, FakeSink], sink: FakeSink, words: str
) -> None:
    """With code 1, and without its URL; the other one is tried all the same."""
    made["pager"] = sink
    done = run(tmp_path)
    assert done.exit_code == 1
    assert words in done.stderr
    assert done.stdout == "chat (webhook): delivered\n"
    assert "token" not in done.output
    assert "letters of the secret" not in done.output


def test_a_mistake_in_a_sink_is_told_as_check_does(tmp_path: Path, made: dict[str, FakeSink]) -> None:
    """And nothing is sent there."""
    done = run(tmp_path, names=("pager",), secret="short")
    assert done.exit_code == 1
    assert "secret is shorter than 16 bytes" in done.stderr
    assert made == {}


def test_without_a_sink_nobody_is_told(tmp_path: Path) -> None:
    """Which is said."""
    done = run(tmp_path, names=())
    assert done.exit_code == 1
    assert "nobody is told" in done.stderr


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Line by line."""
    done = run(tmp_path, surprise=1, timeout="soon")
    assert done.exit_code == 1
    assert "alerts.sinks[0].timeout" in done.stderr


def test_check_finds_mistakes_of_sinks(tmp_path: Path) -> None:
    """Before anybody relies on them."""
    run(tmp_path, names=("pager",), secret="short")
    done = CliRunner().invoke(main, ["check", str(tmp_path / "gateway.yaml")])
    assert done.exit_code == 1
    assert "alerts.sinks.pager.secret: is shorter than 16 bytes" in done.stderr

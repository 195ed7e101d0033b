"""The command of the fuzz part refuses what would draw nothing and say that all held."""

import contextlib
import signal
import subprocess
from typing import Any

import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz import effort


@pytest.mark.parametrize("name", ["--seed", "--cases", "--jobs"])
@pytest.mark.parametrize("value", ["0", "-3"])
def test_what_draws_nothing_is_refused(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with the way out."""
    with pytest.raises(SystemExit) as ended:
        fuzz.main([name, value])
    assert ended.value.code == 2
    assert f"{name} must be 1 or more, got {value}" in capsys.readouterr().err


def test_one_part_draws_nothing_and_the_others_have_their_seeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The corpus once, then each seed from the first one on; what failed is named."""
    asked: list[tuple[str | None, bool]] = []

    def at_once(words: list[str], *, env: dict[str, str], **_more: Any) -> subprocess.CompletedProcess[str]:
        asked.append((env.get("FUZZ_SEED"), words == fuzz.DRAWN))
        return subprocess.CompletedProcess(words, int(env.get("FUZZ_SEED") == "8"), "", "")

    monkeypatch.delenv("FUZZ_SEED", raising=False)
    monkeypatch.setattr(subprocess, "run", at_once)
    assert fuzz.main(["--seed", "7", "--cases", "20000", "--jobs", "1"]) == 1
    assert asked == [(None, False), ("7", True), ("8", True)]
    said = capsys.readouterr().out
    assert "1 parts FAILED: seed 8" in said
    assert f"FUZZ_SEED=8 FUZZ_CASES=10000 {' '.join(fuzz.DRAWN[1:])}" in said


def test_a_part_that_hangs_is_told_with_the_command_that_does_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As any other part that failed."""

    def hang(words: list[str], *, timeout: float, **_more: Any) -> None:
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    _, has_held, _, said = fuzz.run(8, 10_000)
    assert not has_held
    assert said.startswith("it did not end within")
    assert f"FUZZ_SEED=8 FUZZ_CASES=10000 {' '.join(fuzz.DRAWN[1:])}" in said


def test_a_case_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where whoever hangs takes every error for his own."""
    monkeypatch.setattr(effort, "ENDLESS", 0.02)

    def endless() -> None:
        while True:
            with contextlib.suppress(Exception):
                sum(range(1000))

    with pytest.raises(pytest.fail.Exception, match="not over after"):
        effort.bounded(endless)()
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_a_number_of_cases_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the environment as well, without a traceback."""
    monkeypatch.setenv("FUZZ_CASES", "many")
    with pytest.raises(SystemExit) as ended:
        fuzz.main(["--seed", "1"])
    assert ended.value.code == 2
    assert "--cases: invalid int value: 'many'" in capsys.readouterr().err

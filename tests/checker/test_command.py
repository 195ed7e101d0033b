"""The checker's command: a run that cannot be made is told, counts, and costs the others nothing."""

from pathlib import Path

import pytest

from tests.checker import __main__ as command
from tests.checker import run as runs
from tests.checker.report import Summary
from tests.checker.run import Options


def test_a_run_that_could_not_be_made_is_told_and_the_others_are_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that is taken is no verdict on the gateway, and no green run either."""
    counts = dict.fromkeys(("calls", "addresses", "signatures", "unknown"), 1)

    def run(options: Options) -> Summary:
        if options.seed == 2:
            raise RuntimeError("a process of the sandbox ended before it served")
        return Summary(options.seed, options.seconds, counts, {})

    monkeypatch.setattr(runs, "run", run)
    report = tmp_path / "report.md"
    assert command.main(["run", "--seed", "1", "--runs", "3", "--report", str(report)]) == 1
    told = capsys.readouterr().err
    assert "seed 1: green" in told
    assert "seed 2: COULD NOT BE MADE; RuntimeError: a process of the sandbox" in told
    assert "seed 3: green" in told
    assert report.read_text(encoding="utf-8").startswith("# 2 runs, 0 red")
    assert command.main(["run", "--seed", "3", "--report", str(report)]) == 0


def test_what_other_processes_are_handed_is_no_part_of_the_program() -> None:
    """They begin anew, and know the program by another name."""
    assert runs.attempt.__module__ == "tests.checker.run"

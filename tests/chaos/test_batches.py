"""Many runs: which are made, in which order, and what is said of those that are not."""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from chaos import batches, drawn
from chaos.__main__ import BUDGET, RANDOMS, main
from chaos.batches import Batch, Planned, estimate, fresh, plan
from chaos.doors import DOORS
from chaos.pages import made_by
from chaos.programs import ROOT
from chaos.result import SKIPPED, VIOLATED, Result
from chaos.run import cut_off_once, rescue, sweep, to_the_end
from chaos.scenarios import SCENARIOS


def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: list[Planned], *, budget: float = 60.0) -> list[Result]:
    """Make runs that take no time and hold."""

    async def at_once(_self: Batch, one: Planned) -> Result:
        return Result(one.scenario, one.door, one.seed, "")

    monkeypatch.setattr(Batch, "_run", at_once)
    batch = Batch(tmp_path, budget, 2, lambda _: None)
    asyncio.run(batch.make(runs))
    return batch.results


def test_our_own_door_comes_first_then_random_ones_then_the_others() -> None:
    """What the budget cuts off is the comparison, and not the proof."""
    found = plan(["freeze", "wrong_seed"], ["gateway", "haproxy", "nginx"], 5, randoms=2)
    assert [(one.scenario, one.seed, one.door) for one in found] == [
        ("freeze", 5, "gateway"),
        ("wrong_seed", 5, "gateway"),
        (drawn.NAME, 5, "gateway"),
        (drawn.NAME, 6, "gateway"),
        ("freeze", 5, "haproxy"),
        ("freeze", 5, "nginx"),
    ]


def test_results_come_in_the_order_of_the_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However long each took."""
    runs = [Planned("freeze", seed, "gateway") for seed in range(7)]
    assert [one.seed for one in made(monkeypatch, tmp_path, runs)] == list(range(7))


def test_what_the_budget_does_not_cover_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And how to get it."""
    [found] = made(monkeypatch, tmp_path, [Planned("freeze", 1, "gateway")], budget=-1.0)
    assert found.verdict == SKIPPED
    assert "BUDGET" in found.why


@pytest.mark.parametrize(("required", "verdict"), [("", SKIPPED), ("1", VIOLATED)])
def test_what_the_machine_lacks_is_left_out_or_fails_where_it_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, required: str, verdict: str
) -> None:
    """As for the other tests with real components."""
    monkeypatch.setenv("ECGW_REQUIRE_REAL", required)
    monkeypatch.setattr(batches, "missing", lambda *_: "no such program: install it")
    [found] = made(monkeypatch, tmp_path, [Planned("freeze", 1, "gateway")])
    assert (found.verdict, found.why) == (verdict, "no such program: install it")


def test_a_run_that_ends_without_a_result_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last thing that it said is in the report."""
    monkeypatch.setattr(batches, "leashed", lambda *_: ["sh", "-c", "echo out of luck; exit 7"])
    batch = Batch(tmp_path, 60.0, 1, lambda _: None)
    asyncio.run(batch.make([Planned("freeze", 1, "gateway")]))
    [found] = batch.results
    assert found.has_failed
    assert "code 7; out of luck" in found.why
    assert Path(found.folder, "run.log").exists()


def test_a_run_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the others go on."""
    monkeypatch.setattr(batches, "leashed", lambda *_: ["sh", "-c", "exec sleep 60"])
    monkeypatch.setattr(batches, "LIMIT", 0.2 - SCENARIOS["freeze"].seconds)
    batch = Batch(tmp_path, 60.0, 1, lambda _: None)
    asyncio.run(batch.make([Planned("freeze", 1, "gateway")]))
    [found] = batch.results
    assert found.has_failed
    assert "it took more than 0.2 s" in found.why


def test_a_report_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """An older one stays as it is."""
    (tmp_path / "chaos").mkdir()
    assert fresh(tmp_path / "chaos") == tmp_path / "chaos"
    (tmp_path / "chaos" / "page.html").touch()
    (tmp_path / "chaos-2").mkdir()
    assert fresh(tmp_path / "chaos") == tmp_path / "chaos-3"


def test_the_commands_say_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Every scenario, and what to do about a wrong name."""
    assert main(["list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in SCENARIOS)
    assert main(["run", "--scenario", "frieze"]) == 2
    assert "there is no scenario 'frieze'; is it one of freeze" in capsys.readouterr().err
    assert main(["run", "--scenario", "freeze", "--doors", "gateway,"]) == 2
    assert "there is no door ''; is it one of gateway, haproxy, nginx?" in capsys.readouterr().err
    assert all(f"\n  {name}" in told.partition("doors:")[2] for name in DOORS)


def test_a_report_that_cannot_be_written_is_told_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file is no folder."""
    (tmp_path / "report").touch()
    assert main(["run", "--scenario", "freeze", "--report", str(tmp_path / "report")]) == 2
    assert "--report FOLDER" in capsys.readouterr().err


def test_what_is_named_twice_is_made_once() -> None:
    """Two runs in one folder would write over each other."""
    runs = plan(["random", "freeze", "freeze"], ["gateway", "haproxy", "haproxy"], 1, randoms=1)
    assert len(runs) == len(set(runs)) == 3


def test_what_ends_a_run_is_not_torn_apart_when_it_is_cut_off_meanwhile() -> None:
    """The first Ctrl-C may come when the run is over and ends what it has started."""
    done = []

    async def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        done.append(True)

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        cut_off_once(task)
        await to_the_end(end())

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert done


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_what_must_be_done_whole_is_done_however_often_it_is_cut_off(times: int) -> None:
    """Whoever has cut it off is told so afterwards."""
    done = []

    async def end(task: "asyncio.Task[None]") -> None:
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        for _ in range(50):  # turns in which it would be torn apart
            await asyncio.sleep(0)
        done.append(True)

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        await to_the_end(end(task))

    with pytest.raises(asyncio.CancelledError) if times else nullcontext():
        asyncio.run(work())
    assert done


def test_an_error_of_what_must_be_done_whole_is_told() -> None:
    """Be it cut off or not."""

    async def end(task: "asyncio.Task[None]") -> None:
        task.cancel()
        await asyncio.sleep(0)
        raise RuntimeError("nothing was ended")

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        await to_the_end(end(task))

    with pytest.raises(RuntimeError, match="nothing was ended"):
        asyncio.run(work())


def test_what_killed_runs_left_in_memory_is_taken_away(tmp_path: Path) -> None:
    """And what runs have there that go on is left alone."""
    with subprocess.Popen(["true"]) as over:
        over.wait()
    others = {f"chaos-{os.getpid()}-b", "chaos-c", "chaos-mesh-d"}
    for name in (f"chaos-{over.pid}-a", *others):
        (tmp_path / name / "ledger").mkdir(parents=True)
    sweep(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == others


def test_what_a_run_had_that_hung_and_was_killed_is_kept(tmp_path: Path) -> None:
    """Its log says where it hung; what another one has is left alone."""
    memory, folder = tmp_path / "memory", tmp_path / "report"
    with subprocess.Popen(["true"]) as over:
        over.wait()
    for name in (f"chaos-{over.pid}-a", f"chaos-{os.getpid()}-b"):
        (memory / name / "ledger").mkdir(parents=True)
        (memory / name / "gateway.log").write_text(name)
    rescue(memory, over.pid, folder)
    assert (folder / "gateway.log").read_text() == f"chaos-{over.pid}-a"
    assert [one.name for one in memory.iterdir()] == [f"chaos-{os.getpid()}-b"]


def test_a_file_that_goes_while_a_killed_run_is_copied_ends_no_other_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the run had started ends a moment after it, and takes files with it."""
    memory, folder = tmp_path / "memory", tmp_path / "report"
    with subprocess.Popen(["true"]) as over:
        over.wait()
    (memory / f"chaos-{over.pid}-a").mkdir(parents=True)
    for name in ("gateway.log", "ledger.db-wal"):
        (memory / f"chaos-{over.pid}-a" / name).touch()
    copy2 = shutil.copy2

    def copy(source: str, target: str, **named: bool) -> str:
        if Path(source).name == "ledger.db-wal":
            raise FileNotFoundError(source)
        return str(copy2(source, target, **named))

    monkeypatch.setattr(shutil.copytree, "__kwdefaults__", None)
    monkeypatch.setattr(shutil.copytree, "__defaults__", (False, None, copy, False, False))
    rescue(memory, over.pid, folder)
    assert [one.name for one in folder.iterdir()] == ["gateway.log"]
    assert not list(memory.iterdir())


@pytest.mark.parametrize("budget", ["nan", "inf", "0", "-5"])
def test_a_budget_that_is_none_is_refused(budget: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is begun."""
    assert main(["run", "--scenario", "freeze", f"--budget={budget}"]) == 2
    assert "--budget must be seconds above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--jobs", "0"], "--jobs must be 1 or more, got 0"),
        (["run", "--randoms", "-1"], "--randoms must be 0 or more, got -1"),
        (["one"], "--scenario NAME"),
        (["one", "--scenario", "freeze", "--scenario", "kill"], "--scenario NAME"),
        (["one", "--scenario", "freeze", "--doors", "gateway,nginx"], "before one door"),
    ],
)
def test_a_command_of_which_nothing_can_come_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the way out, and without a traceback."""
    assert main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("budget", "code"), [("60", 0), ("1e-9", 3)])
def test_what_is_left_out_for_want_of_time_is_said_last_and_by_the_exit_code(
    budget: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Green is only what was made; the report is told by the command that made it."""

    async def at_once(_self: Batch, one: Planned) -> Result:
        return Result(one.scenario, one.door, one.seed, "", began=1.0)

    monkeypatch.setattr(Batch, "_run", at_once)
    monkeypatch.setattr(batches, "missing", lambda *_: "")
    words = ["run", "--scenario", "freeze", "--doors", "gateway,haproxy", "--budget", budget]
    words += ["--report", str(tmp_path / "report")]
    assert main(words) == code
    last = capsys.readouterr().out.strip().splitlines()[-1]
    is_late = "NOT ALL WAS MADE: 2 runs left out for want of time (1 before ec-gateway, 1 before HAProxy)." in last
    assert is_late == (code == 3)
    assert made_by(tmp_path / "report") == shlex.join(["python", "-m", "chaos", *words])


def test_all_runs_fit_into_the_usual_budget() -> None:
    """Two at once, as `make chaos` makes them; the Makefile gives the same."""
    runs = plan(list(SCENARIOS), list(DOORS), 1, randoms=RANDOMS)
    assert estimate(runs, 2) < 0.9 * BUDGET
    assert f"$(or $(BUDGET),{BUDGET:g})" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_it_twice_waits_for_the_same_end(number: signal.Signals) -> None:
    """What ends the processes is not torn apart by a second Ctrl-C."""
    done = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        cut_off_once(task)
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(10)
        finally:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.05)
            done.append(True)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert done

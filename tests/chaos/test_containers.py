"""A wallet's container is paused and goes on, and nothing of its engine is left."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos import needs
from chaos.containers import KEEP, is_paused
from chaos.faults.container_pause import ContainerPause
from tests.chaos.bare_stage import Bare
from tests.integration.private_engine import Engine

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


async def test_a_paused_container_stands_still_until_it_is_let_go_on(tmp_path: Path) -> None:
    """By the kernel's own word; it is a process of this machine, in the run's folder, which the launcher starts."""
    why = needs.missing(ContainerPause.needs)
    if why:
        (pytest.fail if os.environ.get("ECGW_REQUIRE_REAL") == "1" else pytest.skip)(why)
    stage, fault, written = Bare(tmp_path, []), ContainerPause(), tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {written}; echo $WORD; exec sleep 100"]
    told = tmp_path / "told"
    launcher: dict[str, Any] = {"kind": "process", "command": command, "output": str(told), "env": {"WORD": "ours"}}
    stage.launchers.append(launcher)
    try:
        await fault.prepare(stage.stage)
        assert launcher.keys() == {"kind", "container", "host"}
        engine: Engine = stage.stage.keep["containers"]
        await stage.by_hand(lambda: engine.run("start", launcher["container"]))
        pid = int(await stage.by_hand(engine.run, "inspect", "--format", "{{.State.Pid}}", launcher["container"]))
        wallet = SimpleNamespace(pid=pid, is_alive=False, by_hand=stage.by_hand)
        stage.wallets.append(wallet)
        assert not is_paused(pid)
        await fault.inject(stage.stage, 0, 0.0)
        assert is_paused(pid)
        assert not fault.is_over(stage.stage, 0)
        await fault.heal(stage.stage, 0)
        await fault.heal(stage.stage, 0)
        assert not is_paused(pid)
        assert fault.is_over(stage.stage, 0)
        assert int(written.read_text()) == pid
        assert told.read_text() == "ours\n"
    finally:
        await fault.tidy(stage.stage)
        await fault.tidy(stage.stage)
        stage.hand.shutdown()
    assert KEEP not in stage.stage.keep
    assert _left(pid) == []


def _left(pid: int) -> list[str]:
    """Return what is there still of a process and of an engine's network."""
    return [str(one) for one in (Path(f"/proc/{pid}"), Path("/sys/class/net/docker0")) if one.exists()]

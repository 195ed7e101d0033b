"""A real PostgreSQL is stopped, killed, frozen and restarted, and answers again at the end of each."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos import needs
from chaos.databases import Databased
from chaos.faults.database_freeze import DatabaseFreeze
from chaos.faults.database_kill import DatabaseKill
from chaos.faults.database_restart import DatabaseRestart
from chaos.faults.database_stop import DatabaseStop
from tests.chaos.bare_stage import Bare, is_refused, said

pytestmark = pytest.mark.integration


async def test_a_database_is_lost_in_every_way_and_found_again(tmp_path: Path) -> None:
    """One server for all, as in a run; the gateway keeps its ledger there."""
    why = needs.missing(Databased.needs)
    if why:
        (pytest.fail if os.environ.get("ECGW_REQUIRE_REAL") == "1" else pytest.skip)(why)
    stage = Bare(tmp_path, [])
    faults: tuple[Databased, ...] = (DatabaseStop(), DatabaseKill(), DatabaseFreeze(), DatabaseRestart())
    try:
        for fault in faults:
            await fault.prepare(stage.stage)
        server = faults[0].server(stage.stage)
        settings = {"ledger": {"path": "ledger.db"}}
        for change in stage.launch.settings:
            change(settings)
        assert settings["ledger"].keys() == {"url", "password", "key_file"}
        assert str(server.port) in settings["ledger"]["url"]
        assert len(stage.launch.settings) == 1

        async def answers(name: str = "SELECT 1") -> str:
            found: str = await stage.by_hand(server.sql, name)
            return found

        async def is_away(look: Callable[[], bool]) -> bool:
            found: bool = await stage.by_hand(look)
            return found

        assert await answers() == "1"
        for fault in faults[:2]:
            await fault.inject(stage.stage, 0, 0.0)
            assert await is_away(lambda: is_refused(server.port)), fault.name
            await fault.heal(stage.stage, 0)
            await fault.heal(stage.stage, 0)
            assert await answers() == "1", fault.name
        await faults[2].inject(stage.stage, 0, 0.0)
        # it takes connections still, and says nothing
        assert await said(server.port, b"\0\0\0\x08\x04\xd2\x16\x2f", patience=0.3) == b""
        await faults[2].heal(stage.stage, 0)
        assert await said(server.port, b"\0\0\0\x08\x04\xd2\x16\x2f"[:8], patience=2.0) in {b"N", b"S"}
        begun = await answers("SELECT pg_postmaster_start_time()")
        await faults[3].inject(stage.stage, 0, 0.0)
        await faults[3].heal(stage.stage, 0)
        assert await answers("SELECT pg_postmaster_start_time()") != begun
    finally:
        for fault in faults:
            await fault.tidy(stage.stage)
        stage.hand.shutdown()
    assert is_refused(server.port)

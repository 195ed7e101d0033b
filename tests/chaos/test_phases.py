"""The phases of backends are read from the gateway's log."""

from pathlib import Path

from chaos.phases import phases


def test_each_change_of_a_phase_is_found(tmp_path: Path) -> None:
    """What else is in the log, and a line cut short, is passed over."""
    log = tmp_path / "gateway.log"
    log.write_text(
        '{"event": "gateway.started"}\n'
        '{"event": "backend.ejected", "backend": "ec-1", "timestamp": "2026-11-29T06:00:00.500000Z"}\n'
        '{"event": "backend.aligned", "backend": "ec-1", "timestamp": "2026-11-29T06:00:01Z"}\n'
        '{"event": "backend.ready", "backend": "ec-2", "timestamp": "2026-11-29T06:00:02Z"}\n'
        '{"event": "backend.rea',
        encoding="utf-8",
    )
    assert [(one["backend"], one["phase"]) for one in phases(log)] == [("ec-1", "EJECTED"), ("ec-2", "READY")]
    assert phases(log)[0]["at"] == 1795932000.5


def test_another_door_has_no_phases(tmp_path: Path) -> None:
    """It writes no such log."""
    assert phases(tmp_path / "gateway.log") == []

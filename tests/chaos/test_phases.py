"""The phases of backends are read from the gateway's log."""

from pathlib import Path

from chaos.phases import phases, unseen
from chaos.script import Sign


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


def test_a_sign_is_seen_after_the_fault_and_of_its_backend(tmp_path: Path) -> None:
    """What the start of the wallets led to is no sign; one without a backend may be anybody's."""
    log = tmp_path / "gateway.log"
    log.write_text(
        '{"event": "backend.restarting", "backend": "ec-1", "timestamp": "1970-01-01T00:00:01Z"}\n'
        '{"event": "backend.restarting", "backend": "ec-2", "timestamp": "1970-01-01T00:00:09Z"}\n'
        "[1]\n",
        encoding="utf-8",
    )
    first, second, any_ = (Sign("backend.restarting", name) for name in ("ec-1", "ec-2", ""))
    assert unseen([first, second, any_], log, 5.0) == [first]
    assert unseen([first, second, any_], log, 10.0) == [first, second, any_]
    assert unseen([first], tmp_path / "none.log", 0.0) == [first]


def test_another_door_has_no_phases(tmp_path: Path) -> None:
    """It writes no such log."""
    assert phases(tmp_path / "gateway.log") == []

"""What a probe's answer proves: heights are compared, claims are not believed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.levels import Level
from gateway.profiles import load
from gateway.profiles.probes import Probe, read_probe

CASH, ELECTRUM = load("electron-cash"), load("electrum")
WELL = {
    "path": "/data/regtest", "server": "127.0.0.1", "blockchain_height": 120, "server_height": 120, "spv_nodes": 1,
    "connected": True, "auto_connect": False, "version": "4.4.5", "wallets": {"/data/w": True}, "fee_per_kb": 1000,
}  # fmt: skip


def probe(*, lag: int = 1, **changes: Any) -> Probe:
    """Read a getinfo that is well but for these members."""
    return read_probe(CASH, json.dumps({**WELL, **changes}).encode(), lag)


def test_a_daemon_at_the_height_of_a_connected_server_is_synced() -> None:
    """As a real one answers."""
    assert probe() == Probe(Level.SYNCED, 120, 120, connected=True)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"wallets": {}}, Level.ANSWERS),
        ({"connected": False}, Level.LOADED),
        ({"wallets": {"a": True, "b": False}}, Level.LOADED),
        ({"server_height": 0}, Level.LOADED),
        ({"server_height": 0, "connected": True, "spv_nodes": 1}, Level.LOADED),
        ({"server_height": 0, "blockchain_height": 0}, Level.LOADED),
        ({"server_height": 122}, Level.LOADED),
        ({"blockchain_height": 122}, Level.LOADED),
        ({"server_height": 121}, Level.SYNCED),
        ({"blockchain_height": 121}, Level.SYNCED),
    ],
)
def test_each_thing_that_is_missing_costs_a_level(changes: dict[str, Any], level: Level) -> None:
    """A silent server leaves connected and synchronized true, so its height decides."""
    assert probe(**changes).level is level


@pytest.mark.parametrize("raw", [b'"Daemon offline"', b"null", b"5", b"[]", b'{"wallets": 5}', b"{", b"[" * 100_000])
def test_words_that_are_no_status_prove_only_that_it_answers(raw: bytes) -> None:
    """An offline daemon says so in a plain string, with HTTP 200."""
    assert read_probe(CASH, raw) == Probe(Level.ANSWERS)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 20))
def test_the_lag_that_is_allowed_is_allowed_both_ways(height: int, server: int, lag: int) -> None:
    """And a server without a height is never at the same height."""
    found = probe(lag=lag, blockchain_height=height, server_height=server).level
    assert (found is Level.SYNCED) == (server > 0 and abs(height - server) <= lag)


@given(st.binary(max_size=60) | st.text('{}[]":,walletspathtrue1').map(str.encode))
def test_no_answer_makes_the_reader_raise(raw: bytes) -> None:
    """Whatever a daemon says, for either family."""
    for profile in (CASH, ELECTRUM):
        assert read_probe(profile, raw).level >= Level.ANSWERS


def test_electrum_counts_its_wallets() -> None:
    """Offline, a loaded wallet is as far up as it gets."""
    assert read_probe(ELECTRUM, b'[{"path": "/w", "synchronized": false}]') == Probe(Level.LOADED)
    assert read_probe(ELECTRUM, b"[]") == Probe(Level.ANSWERS)
    assert read_probe(replace(ELECTRUM, probe_style="getinfo"), b"[]") == Probe(Level.ANSWERS)

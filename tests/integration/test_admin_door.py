"""The operators' API of a real gateway: all that its OpenAPI document says, and the event stream."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import PATIENCE, Gateway, backends, settings_for

TOKEN = "a-token-of-the-operators-of-32-letters"

EXAMPLES = 8
"""Random requests for each kind there is, beside the limits of every parameter, which are tried one by one."""

NAMES = {"wallet": ["main"], "backend": ["ec-1", "ec-2"]}


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Iterator[Fleet]:
    """Two daemons, to be ordered about."""
    with Fleet(2, folder / "fleet") as two:
        yield two


@pytest.fixture(scope="module")
def ordered(fleet: Fleet, folder: Path) -> Iterator[Gateway]:
    """A gateway in front of them that takes orders and keeps a ledger."""
    settings = settings_for(
        backends(fleet),
        admin={"port": 0, "token": TOKEN},
        ledger={"path": str(folder / "ledger.db"), "may_be_lost": True},
    )
    with Gateway(folder / "ordered", settings) as one:
        one.wait_all_well()
        yield one


class Stream:
    """The event stream as a browser reads it."""

    def __init__(self, port: int) -> None:
        """Begin to listen."""
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.connection.request("GET", "/api/v1/stream")
        self.response = self.connection.getresponse()
        assert self.response.status == 200

    def next(self, name: str) -> Any:
        """Wait for the next event of a name and return its data."""
        end = time.monotonic() + PATIENCE
        event = ""
        while time.monotonic() < end:
            line = self.response.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == name:
                return json.loads(line.removeprefix("data: "))
        raise AssertionError(f"no event {name} came")

    def until(self, phase: str) -> dict[str, Any]:
        """Wait for the snapshot in which the second daemon is in a phase."""
        while True:
            found: dict[str, Any] = self.next("status")
            if found["wallets"]["main"]["backends"][1]["phase"] == phase:
                return found


@contextmanager
def listening(gateway: Gateway) -> Iterator[Stream]:
    """Listen for a while."""
    stream = Stream(gateway.admin_port)
    try:
        yield stream
    finally:
        stream.connection.close()


def test_a_frozen_daemon_is_on_the_stream_and_so_is_its_return(ordered: Gateway, fleet: Fleet) -> None:
    """And whoever comes in between begins with all there is."""
    with listening(ordered) as stream:
        assert [one["phase"] for one in stream.next("status")["wallets"]["main"]["backends"]] == ["READY", "READY"]
        assert set(stream.next("samples")["wallets"]["main"]["backends"]) == {"ec-1", "ec-2"}
        fleet.freeze(1)
        try:
            sick = stream.until("EJECTED")
            with listening(ordered) as other:
                assert other.next("status")["wallets"]["main"]["backends"][1]["phase"] == "EJECTED"
        finally:
            fleet.thaw(1)
        well = stream.until("READY")
        assert well["wallets"]["main"]["backends"][1]["since"] > sick["wallets"]["main"]["backends"][1]["since"]
    ordered.wait_all_well()


def test_schemathesis_finds_nothing(ordered: Gateway, tmp_path: Path) -> None:
    """Every answer is as it is written down, nothing that is wrong is taken, and nothing breaks.

    The stream does not end and is asked by other tests; so is what becomes of wrong tokens, which are answered late.
    """
    document = ordered.admin("/api/v1/openapi.json").json
    for path, operations in document["paths"].items():
        is_of_past = "format" in {one.get("name") for one in operations.get("get", {}).get("parameters", ())}
        for operation in operations.values():
            for parameter in operation["parameters"]:
                # so that orders reach somebody; a wallet that was taken out has a past
                if parameter.get("name") in NAMES and not is_of_past and "sandbox" not in path:
                    parameter["schema"] = {"type": "string", "enum": NAMES[parameter["name"]]}
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", file, "--url", f"http://127.0.0.1:{ordered.admin_port}",
            "--header", f"Authorization: Bearer {TOKEN}", "--exclude-path", "/api/v1/stream",
            "--exclude-checks", "ignored_auth", "--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES),
            "--seed", "1", "--no-color", "--warnings", "off", "--continue-on-failure",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=55,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    assert ordered.events("admin.failed") == []
    assert {one["verb"] for one in ordered.events("order.given")} >= {"drain", "undrain", "hold", "promote"}

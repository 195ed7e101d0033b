"""The launcher: what it starts it ends, what it restarts keeps its ports, and the same from the command line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.sandbox.__main__ import main
from gateway.sandbox.fleet import PASSWORD_VARIABLE, Fleet, RpcError
from tests.sandbox.conftest import MakeFleet, eventually, fund, receiving

pytestmark = pytest.mark.integration


def is_gone(pid: int) -> bool:
    """Whether no process has this pid, or only its remains are left."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_fleet_ends_what_it_started(tmp_path: Path) -> None:
    """Daemons, frozen ones too, and chain are gone after stop, which may be called twice."""
    with Fleet(2, tmp_path) as fleet:
        pids = [fleet.pid(0), fleet.pid(1), fleet._chain.pid]
        fleet.freeze(1)
        assert repr(fleet).startswith("<Fleet 2 of 2 daemons alive")
    fleet.stop()
    assert all(is_gone(pid) for pid in pids)
    assert repr(fleet).startswith("<Fleet 0 of 2 daemons alive")


def test_a_daemon_keeps_its_ports_and_its_wallet_over_restarts(one: Fleet) -> None:
    """Who knows a daemon finds it again; one that runs is not started twice."""
    with pytest.raises(RuntimeError, match="still running"):
        one.start(0)
    before = one.port(0), one.control_port(0), one.pid(0)
    one.rpc(0, "addrequest", "1")
    one.kill(0)
    assert not one.is_alive(0)
    one.start(0)
    assert (one.port(0), one.control_port(0)) == before[:2]
    assert one.pid(0) != before[2]
    assert len(one.rpc(0, "listrequests")) == 1


def test_a_directory_used_before_is_gone_on_with_and_seeds_differ(tmp_path: Path) -> None:
    """Wallet files survive the fleet; another seed is another wallet."""
    with Fleet(1, tmp_path / "a") as fleet:
        given = [fleet.rpc(0, "createnewaddress"), fleet.rpc(0, "addrequest", "1")["address"]]
        known = receiving(fleet)
    with Fleet(1, tmp_path / "a") as fleet:
        assert receiving(fleet) == known
        assert set(given) <= set(known)
    with Fleet(1, tmp_path / "b", seed="another") as fleet:
        assert not set(known) & set(receiving(fleet))


def test_a_daemon_that_cannot_start_is_an_error_that_leaves_nothing(one: Fleet, tmp_path: Path) -> None:
    """A port that is taken ends the constructor with the exit code, not with a half fleet."""
    with pytest.raises(RuntimeError, match="ended before it served, with code 1"):
        Fleet(1, tmp_path / "other", ports=[one.port(0)])
    assert one.rpc(0, "ping") is True


def test_calls_of_a_fleet_raise_the_daemons_errors(one: Fleet) -> None:
    """With code and message; named and positional parameters both work."""
    with pytest.raises(RpcError) as caught:
        one.rpc(0, "nope")
    assert caught.value.error == {"code": -32601, "message": "Method nope not supported."}
    assert one.rpc(0, "validateaddress", address=receiving(one)[0]) is True


def test_the_wedge_of_a_fleet_is_a_foreign_idle_connection(make_fleet: MakeFleet) -> None:
    """While the block runs nobody is served, after it everybody is."""
    fleet = make_fleet(1)
    with fleet.wedge(0), pytest.raises(TimeoutError):
        fleet.rpc(0, "ping", timeout=0.3)
    assert fleet.rpc(0, "ping") is True


def test_the_kernel_ends_the_processes_whose_parent_was_killed(tmp_path: Path) -> None:
    """However the one who started them ended: here by SIGKILL."""
    with _command_line(tmp_path) as process:
        ports = _ports(process)
        told = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        children = [int(pid) for pid in told.split()]
        assert len(children) == len(ports) == 2
        process.kill()
    assert eventually(lambda: all(is_gone(pid) for pid in children))


def test_the_command_line_runs_a_fleet_and_throws_its_switches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run prints the ports, tell uses them, SIGTERM ends it in order."""
    with _command_line(tmp_path) as process:
        ports = _ports(process)
        assert main(["tell", ports["control"], "behind", "value=2"]) == 0
        assert main(["tell", ports["SANDBOX chain"], "mine", "blocks=2"]) == 0
        assert main(["tell", ports["control"], "explode"]) == 1
        printed = capsys.readouterr().out.splitlines()
        assert printed[:2] == ['{"ok": "behind"}', '{"height": 122}']
        assert printed[2].startswith("refused: no such switch: explode")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_daemon_process_refuses_options_it_cannot_use() -> None:
    """No password in its environment, or a chain without a port: a line that says so, and code 2."""
    options = ["--port=0", "--data=x", "--seed=x", "--user=x", "--password-env=NOWHERE", "--journal=x"]
    for chain, password, text in (("127.0.0.1:1", "", "NOWHERE"), ("here", "pw", "HOST:PORT")):
        done = subprocess.run(
            [sys.executable, "-m", "gateway.sandbox.daemon", *options, f"--chain={chain}"],
            env={**os.environ, "NOWHERE": password},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 2
        assert text in done.stderr


def test_the_example_of_the_documentation_works(one: Fleet) -> None:
    """Fund, see it, pay it on: the shortest use of a fleet, as the documentation shows it."""
    first, *_ = receiving(one)
    fund(one, first, 5_000)
    assert one.rpc(0, "getbalance") == {"confirmed": "0.00005"}


def _command_line(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway.sandbox", "run", "--wallets=1", f"--directory={folder}"],
        env={**os.environ, PASSWORD_VARIABLE: "pw"},
        stdout=subprocess.PIPE,
        text=True,
    )


def _ports(process: subprocess.Popen[str]) -> dict[str, str]:
    """The ports that the two first lines name."""
    assert process.stdout is not None
    pairs = [process.stdout.readline().split(part)[0] for part in (" directory", "\n")]
    chain, wallet = pairs
    return {
        "SANDBOX chain": chain.rpartition("=")[2],
        "control": wallet.rpartition("=")[2],
    }

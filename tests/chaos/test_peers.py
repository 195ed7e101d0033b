"""HAProxy and nginx are configured as well as we know how, from files that say why."""

import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import cast

import pytest

from chaos import needs, peers
from chaos.doors import DOORS
from chaos.faults.gateway_kill import GatewayKill
from chaos.line import Done
from chaos.peers import SOCKETS, Peer, addresses, haproxy, haproxy_text, nginx, nginx_text
from chaos.programs import ProgramError
from chaos.run import _see_that_the_door_is_back
from chaos.stage import Launch, Stage
from chaos.templates import PEERS, fill
from gateway.sandbox.ports import free_port

WALLETS = ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003"]


def test_a_line_for_each_wallet_stands_once_for_each() -> None:
    """The first one is where addresses come from, the others are spares."""
    lines = [line.strip() for line in haproxy_text(80, WALLETS, "u:p").splitlines()]
    assert [line for line in lines if line.startswith("server ")] == [
        f"server ec-{n + 1} {one}" for n, one in enumerate(WALLETS)
    ]
    assert "use-server ec-1 if !is_read" in lines
    lines = [line.strip() for line in nginx_text(80, WALLETS, Path("/f")).splitlines()]
    assert "server 127.0.0.1:7001 max_fails=1 fail_timeout=30s;" in lines
    assert "server 127.0.0.1:7002 max_fails=1 fail_timeout=30s backup;" in lines
    assert "server 127.0.0.1:7003 max_fails=0 backup;" in lines, "the last one is never out"
    assert lines.count("server 127.0.0.1:7003 max_fails=0;") == 1


def test_haproxys_check_is_a_call_with_the_daemons_own_login() -> None:
    """A port that accepts proves nothing of a daemon."""
    text = haproxy_text(80, WALLETS, "user:sandbox")
    assert 'hdr Authorization "Basic dXNlcjpzYW5kYm94"' in text
    assert "getinfo" in text


@pytest.mark.parametrize("name", sorted(one.name for one in PEERS.iterdir()))
def test_a_name_that_nobody_gives_is_an_error(name: str) -> None:
    """A peer configured by half would be a fine comparison for us."""
    with pytest.raises(KeyError):
        fill(name, {}, [{}])


def test_reasons_are_left_as_they_are_written() -> None:
    """What follows an @ in a comment is no name."""
    head = fill("haproxy-speed.cfg", {"port": 1, "reuse": "", "name": "", "address": "", "limit": ""}, [])
    assert head.startswith("# HAProxy for the comparison of speed")
    assert "a line with @each stands once" in head


def test_a_wallet_is_found_by_its_url_without_a_login() -> None:
    """As a fault may have put it elsewhere."""
    assert addresses(["http://u:p@127.0.0.1:7001", "http://wallet.test"]) == ["127.0.0.1:7001", "wallet.test:80"]


def test_nginx_keeps_a_connection_for_each_client_of_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer it opens new ones all the time, and looks slower than it is."""
    monkeypatch.syspath_prepend(str(PEERS.parent))
    pool = str(runpy.run_path(str(PEERS.parent / "peers.py"))["POOL"])
    most = max(max(kind.clients) for kind in runpy.run_path(str(PEERS.parent / "throughput.py"))["KINDS"].values())
    assert int(pool.removeprefix("keepalive ").partition(";")[0]) > most


def test_both_are_doors() -> None:
    """Beside our own."""
    assert {"gateway", "haproxy", "nginx"} <= set(DOORS)
    assert set(needs.DOORS) <= set(DOORS)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["haproxy", "nginx"])
def test_the_programs_themselves_take_their_configuration(name: str, tmp_path: Path) -> None:
    """Without a warning."""
    program = needs.found(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    file = tmp_path / "conf"
    file.write_text(haproxy_text(1, WALLETS, "u:p") if name == "haproxy" else nginx_text(1, WALLETS, tmp_path))
    asked = ["-c", "-f", str(file)] if name == "haproxy" else ["-t", "-q", "-e", "stderr", "-c", str(file)]
    told = subprocess.run([program, *asked], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "WARN" not in told.stderr.upper()


class Daemon(BaseHTTPRequestHandler):
    """Answers whatever it is asked, or nothing but an error."""

    status = 200

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = b'{"id": 1, "error": null, "result": {"connected": true, "wallets": {"/w": true}}}'
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class BadDaemon(Daemon):
    """It answers with an error."""

    status = 500


@pytest.fixture
def daemon() -> Iterator[Callable[[type[Daemon]], str]]:
    """Gives the address of a daemon of a kind."""
    servers: list[ThreadingHTTPServer] = []

    def start(kind: type[Daemon]) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), kind))
        Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for one in servers:
        one.shutdown()
        one.server_close()


def stage_of(folder: Path, *urls: str) -> Stage:
    """Return as much of a stage as a peer looks at."""
    fleet = SimpleNamespace(user="user", password="sandbox")
    found = SimpleNamespace(folder=folder, door_port=free_port(), launch=Launch(list(urls)), fleet=fleet)
    return cast("Stage", found)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["haproxy", "nginx"])
def test_a_peer_that_was_killed_comes_back(name: str, tmp_path: Path, daemon: Callable[[type[Daemon]], str]) -> None:
    """The sockets by which nginx calls itself are still there, and would keep it from starting."""
    if needs.found(name) is None:
        pytest.skip(f"{name} is not installed")
    peer = {"haproxy": haproxy, "nginx": nginx}[name](stage_of(tmp_path, *[daemon(Daemon) for _ in range(3)]))
    try:
        peer.start()
        first = peer.pid
        peer.kill()
        if name == "nginx":
            assert all((tmp_path / "nginx" / one).is_socket() for one in SOCKETS), "else this shows nothing"
        peer.start()
        assert peer.is_alive
        assert peer.pid != first
    finally:
        peer.kill()


LISTENS = "import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep({lasts})"
"""As nginx does that cannot start: it listens, and is gone a moment later."""


@pytest.mark.parametrize(("lasts", "state"), [(0.2, "has ended"), (60, "runs, but answers no call")])
def test_a_peer_that_only_listens_is_told_as_one_that_does_not_come_back(
    lasts: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was left of it is ended."""
    monkeypatch.setattr(peers, "PATIENCE", 0.5)
    monkeypatch.setattr(peers, "ASKS", 0.3)
    stage = stage_of(tmp_path)
    program = LISTENS.format(port=stage.door_port, lasts=lasts)
    peer = Peer(stage, sys.executable, ["-c", program], signal.SIGTERM)
    peer.program.log = tmp_path / "log"
    with pytest.raises(ProgramError, match=state):
        peer.start()
    assert not peer.is_alive


@pytest.mark.integration
def test_a_peer_that_passes_on_nothing_but_errors_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: Callable[[type[Daemon]], str]
) -> None:
    """With what it said."""
    if needs.found("nginx") is None:
        pytest.skip("nginx is not installed")
    monkeypatch.setattr(peers, "PATIENCE", 1.0)
    with pytest.raises(ProgramError, match=r"answers no call \(50\d"):
        nginx(stage_of(tmp_path, *[daemon(BadDaemon) for _ in range(3)])).start()


@pytest.mark.parametrize("is_gateway", [True, False])
def test_a_run_without_its_peer_is_an_error(is_gateway: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    """A comparison with a door that was not there would be a fine one for us; our own is the judge's matter."""
    lost = Done(GatewayKill.name, 0, 1.0, 2.0, 0.0, is_done=False, note="nginx has ended")
    other = Done("freeze", 0, 1.0, 2.0, 0.0, is_done=False, note="a wallet")

    def look(fault: Done, *, is_alive: bool) -> None:
        stage = SimpleNamespace(is_gateway=is_gateway, door_name="nginx", front=SimpleNamespace(is_alive=is_alive))
        _see_that_the_door_is_back(cast("Stage", stage), [fault])

    look(other, is_alive=True)
    if is_gateway:
        look(lost, is_alive=False)
        return
    with pytest.raises(ProgramError, match="nginx did not come back: nginx has ended"):
        look(lost, is_alive=True)
    with pytest.raises(ProgramError, match="it ended by itself"):
        look(other, is_alive=False)


def test_reads_go_to_anybody_where_all_are_out() -> None:
    """By a named place, for any other would be asked with GET."""
    text = nginx_text(80, WALLETS, Path("/f"))
    assert "error_page 502 = @anybody;" in text
    assert "location @anybody {" in text


def test_the_sockets_that_are_removed_are_those_of_the_configuration() -> None:
    """One that is forgotten would keep nginx from starting."""
    text = nginx_text(80, WALLETS, Path("/f"))
    assert {line.split("unix:/f/")[1].rstrip(";") for line in text.splitlines() if "listen unix:" in line} == set(
        SOCKETS
    )

"""`ec-gateway sandbox`: the whole thing on one machine, as somebody sees it who has just found the project."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.integration.gateway_process import ROOT, wait_until

EVERYBODY = 5
"""Three daemons, their chain and the shop."""


@dataclass
class Demo:
    """The command as a process, and what it has shown so far."""

    process: subprocess.Popen[str]
    shown: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Read what it shows until it ends."""
        assert self.process.stdout is not None
        self.shown += self.process.stdout

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.shown)

    def url(self, what: str) -> str:
        """Where something is that the welcome names."""
        found = re.search(rf"^  {what} +(http://127\.0\.0\.1:\d+/)", self.text, re.MULTILINE)
        assert found is not None, what
        return found[1]

    def lines(self, beginning: str) -> list[str]:
        """The commands that it proposes, by their first words."""
        return [line.strip() for line in self.text.splitlines() if line.strip().startswith(beginning)]


@pytest.fixture
def demo() -> Iterator[Demo]:
    """Started on free ports, and welcoming."""
    command = [sys.executable, "-m", "gateway", "sandbox", "--port", "0", "--admin-port", "0", "--shop-port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        one = Demo(process)
        reader = Thread(target=one.read)
        reader.start()
        try:
            wait_until(lambda: "Ctrl-C stops everything" in one.text or process.poll() is not None, "it welcomes")
            yield one
        finally:
            process.kill()
            reader.join()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def ask(line: str) -> str:
    """Run a line just as it stands, as somebody would who pastes it."""
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout


def test_its_lines_work_as_they_stand_and_ctrl_c_ends_all_of_it(demo: Demo) -> None:
    """Each curl line, the frozen primary that the gateway lets go on, the operators' door; then nothing is left."""
    assert "SANDBOX" in demo.text
    assert "http://127.0.0.1:0/" not in demo.text, "the ports are those that it really has"
    curls = demo.lines("curl ")
    wait_until(lambda: '"result"' in ask(curls[0]), "the first line answers")
    with_head, curls[0] = curls[0], curls[0].replace("curl -si", "curl -s")
    thrown = [line for line in curls if "/api/v1/sandbox/" in line]
    assert len(thrown) == 2
    curls = [line for line in curls if line not in thrown]
    for line in curls:
        assert "result" in json.loads(ask(line)), line
    assert json.loads(ask(curls[1]))["result"].startswith("bchreg:")
    assert "X-Sandbox: SANDBOX" in ask(with_head)
    ask(demo.lines("kill -STOP ")[0])
    assert "result" in json.loads(ask(curls[0]))
    wait_until(lambda: "wedged" in demo.text, "the log tells of it")
    wait_until(lambda: "restart.done" in demo.text.partition("wedged")[2], "the gateway heals it")
    wait_until(lambda: "backend.ready" in demo.text.partition("wedged")[2], "the log tells of its return")
    operators = re.search(r"http://127\.0\.0\.1:\d+/readyz", demo.text)
    assert operators is not None
    assert json.loads(ask(f"curl -s {operators[0]}"))["ready"] is True
    slow, heal = [line.strip() for line in demo.text.splitlines() if " -m gateway.sandbox tell " in line]
    ask(slow)
    ask(heal)
    for line in thrown:
        assert "answer" in json.loads(ask(line)), line
    started = children(demo.process.pid)
    assert len(started) == EVERYBODY
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(20) == 0
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    log = [line for line in demo.text.splitlines() if "backend." in line or "gateway." in line.partition(" ")[2]]
    assert all("SANDBOX" in line for line in log if line.startswith("20"))
    assert "Traceback" not in demo.text


def test_a_visitor_kills_wedges_and_freezes_wallets_and_the_shop_goes_on_selling(demo: Demo) -> None:
    """By the switches of the operators' door, one after the other; each time the gateway heals the fleet by itself.

    Meanwhile the automatic customer buys: every order gets an address, and no address is given twice.  What the gateway
    has started anew ends with the sandbox too, also when that is killed.
    """
    admin, shop = demo.url("status page"), demo.url("shop")
    wait_until(lambda: demo.text.count("backend.ready") >= 3, "all wallets serve")
    assert post(f"{shop}customer", b"on=1").status == 200
    for backend, switch in (("ec-1", "kill"), ("ec-2", "wedge"), ("ec-3", "freeze")):
        hurt(demo, admin, backend, switch)
    sold = figures(shop)["orders"]
    wait_until(lambda: figures(shop)["orders"] > sold and figures(shop)["paid"], "orders go on and are paid")
    post(f"{shop}customer", b"on=0")
    wait_until(lambda: figures(shop)["given"] == figures(shop)["orders"], "every order has its address")
    found = figures(shop)
    assert (found["twice"], found["refused"], found["failed"]) == (0, 0, 0), found
    started = [pid for pid in children(demo.process.pid) if _runs(pid)]
    assert len(started) == EVERYBODY
    demo.process.kill()
    demo.process.wait()
    wait_until(lambda: not [pid for pid in started if _runs(pid)], "all of them have ended")


def hurt(demo: Demo, admin: str, backend: str, switch: str) -> None:
    """Throw a switch, and wait until the gateway has healed what it did."""
    before = len(demo.text)
    answer = post(f"{admin}api/v1/sandbox/{backend}/{switch}", b'{"on": true}', "application/json")
    assert backend in json.load(answer)["answer"]
    done = rf"restart\.done.* backend={backend} "
    wait_until(lambda: re.search(done, demo.text[before:]), f"{backend} is healed")
    wait_until(lambda: switches_on(admin) == [], "nothing is on any more")


def post(url: str, body: bytes, kind: str = "application/x-www-form-urlencoded") -> HTTPResponse:
    """Send something to one of its doors; what leads elsewhere is followed."""
    request = urllib.request.Request(url, body, {"Content-Type": kind})  # noqa: S310 - always http on loopback
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=30)  # noqa: S310 - the same
    return answer


def get(url: str) -> Any:
    """Read the JSON of one of its doors."""
    return json.load(urllib.request.urlopen(url, timeout=30))  # noqa: S310 - always http on loopback


def figures(shop: str) -> dict[str, int]:
    """What the shop counts."""
    found: dict[str, int] = get(f"{shop}figures")
    return found


def switches_on(admin: str) -> list[str]:
    """The switches that the status shows as on."""
    rows = get(f"{admin}api/v1/status")["switches"]
    return [one["name"] for row in rows for one in row["switches"] if one["is_on"]]


def test_nothing_outlives_it_when_it_is_killed(demo: Demo) -> None:
    """Even SIGKILL leaves no wallet daemon behind."""
    started = children(demo.process.pid)
    assert len(started) == EVERYBODY
    demo.process.kill()
    demo.process.wait()
    wait_until(lambda: not [pid for pid in started if _runs(pid)], "all of them have ended")


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize(("option", "door"), [("--port", "listen"), ("--shop-port", "shop")])
def test_a_taken_port_is_said_with_the_way_out(option: str, door: str) -> None:
    """One line with the door, the port and the option; code 1; nothing left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gateway", "sandbox", "--wallets", "1"]
        for one in ("--port", "--admin-port", "--shop-port"):
            command += [one, str(port) if one == option else "0"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert f"{door}: 127.0.0.1:{port} cannot be listened on (Address already in use)" in done.stderr
    assert option in done.stderr
    assert "Traceback" not in done.stderr + done.stdout

"""`ec-gateway sandbox`: the whole thing on one machine, as somebody sees it who has just found the project."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from tests.integration.gateway_process import ROOT, wait_until


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

    def lines(self, beginning: str) -> list[str]:
        """The commands that it proposes, by their first words."""
        return [line.strip() for line in self.text.splitlines() if line.strip().startswith(beginning)]


@pytest.fixture
def demo() -> Iterator[Demo]:
    """Started on free ports, and welcoming."""
    command = [sys.executable, "-m", "gateway", "sandbox", "--port", "0", "--admin-port", "0"]
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
    """Each curl line, the frozen primary, the operators' door; then nothing is left."""
    assert "SANDBOX" in demo.text
    assert "http://127.0.0.1:0/" not in demo.text, "the ports are those that it really has"
    curls = demo.lines("curl ")
    wait_until(lambda: '"result"' in ask(curls[0]), "the first line answers")
    with_head, curls[0] = curls[0], curls[0].replace("curl -si", "curl -s")
    for line in curls:
        assert "result" in json.loads(ask(line)), line
    assert json.loads(ask(curls[1]))["result"].startswith("bchreg:")
    assert "X-Sandbox: SANDBOX" in ask(with_head)
    stop, go_on = demo.lines("kill -STOP ")[0], demo.lines("kill -CONT ")[0]
    ask(stop)
    try:
        assert "result" in json.loads(ask(curls[0]))
        wait_until(lambda: "wedged" in demo.text, "the log tells of it")
    finally:
        ask(go_on)
    wait_until(lambda: "backend.ready" in demo.text.partition("wedged")[2], "the log tells of its return")
    operators = re.search(r"http://127\.0\.0\.1:\d+/readyz", demo.text)
    assert operators is not None
    assert json.loads(ask(f"curl -s {operators[0]}"))["ready"] is True
    slow, heal = [line.strip() for line in demo.text.splitlines() if " -m gateway.sandbox tell " in line]
    ask(slow)
    ask(heal)
    started = children(demo.process.pid)
    assert len(started) == 4, "three daemons and their chain"
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(20) == 0
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    log = [line for line in demo.text.splitlines() if "backend." in line or "gateway." in line.partition(" ")[2]]
    assert all("SANDBOX" in line for line in log if line.startswith("20"))
    assert "Traceback" not in demo.text


def test_nothing_outlives_it_when_it_is_killed(demo: Demo) -> None:
    """Even SIGKILL leaves no wallet daemon behind."""
    started = children(demo.process.pid)
    assert len(started) == 4
    demo.process.kill()
    demo.process.wait()
    wait_until(lambda: not [pid for pid in started if _runs(pid)], "all of them have ended")


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_taken_port_is_said_with_the_way_out() -> None:
    """One line with the door, the port and the option; code 1; nothing left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gateway", "sandbox", "--wallets", "1", "--port", str(port)]
        command += ["--admin-port", "0"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert f"listen: 127.0.0.1:{port} cannot be listened on (Address already in use)" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout

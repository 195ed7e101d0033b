"""A payment service in a container of its own: it calls by the stable name, all the time and from several threads.

The rule is that of HTTP libraries: a read whose connection broke before any answer is sent once more, on a new
connection; anything else is sent once, and what became of it is not known where its connection broke.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # only then: pytest wants to be the first to import a plugin
    from tests.integration.docker_engine import Engine

PASSWORD = "the old password"

SCRIPT = '''
import base64, http.client, json, socket, sys, threading, time

HEAD = {"Authorization": "Basic " + base64.b64encode(b"user:the old password").decode()}
TIMEOUT = 15
over = threading.Event()
told = {"reads": [], "addresses": []}


class Line:
    """Calls over one connection that is kept, or over a new one for each call."""

    def __init__(self, is_kept):
        self.is_kept, self.line = is_kept, None

    def call(self, method):
        """Return the answer; raises OSError or HTTPException where there was none."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []})
        if self.line is None:
            self.line = http.client.HTTPConnection("electron-cash", 7777, timeout=TIMEOUT)
        try:
            self.line.request("POST", "/", body, HEAD)
            return json.loads(self.line.getresponse().read())
        except BaseException:
            self.close()
            raise
        finally:
            if not self.is_kept:
                self.close()

    def close(self):
        if self.line is not None:
            self.line.close()
        self.line = None


def keep_calling(kind, method, is_kept):
    line = Line(is_kept)
    while not over.is_set():
        one = {"at": time.monotonic(), "kept": is_kept, "again": False}
        for is_last in ((False, True) if kind == "reads" else (True,)):
            try:
                answer = line.call(method)
            except (OSError, http.client.HTTPException) as error:
                one["broken"] = f"{type(error).__name__}: {error}"
                if isinstance(error, TimeoutError):
                    break
                one["again"] = not is_last
            else:
                one.pop("broken", None)
                if answer.get("error"):
                    one["error"] = answer["error"]["message"]
                else:
                    one["result"] = answer["result"]
                break
        one["took"] = time.monotonic() - one["at"]
        told[kind].append(one)
        over.wait(0.05)


def reach(host, port):
    """How far one gets to a port."""
    try:
        socket.create_connection((host, port), timeout=1.5).close()
        return "open"
    except OSError as error:
        return "shut: " + type(error).__name__


def main():
    ways = [("reads", "getbalance"), ("addresses", "createnewaddress")]
    threads = [
        threading.Thread(target=keep_calling, args=(*way, is_kept)) for way in ways for is_kept in (True, True, False)
    ]
    for one in threads:
        one.start()
    print("calling", flush=True)
    sys.stdin.read()
    over.set()
    for one in threads:
        one.join()
    print(json.dumps(told))
'''


FELT = 0.5
"""Seconds that no read takes while all is well."""


@dataclass
class Told:
    """What the payment service was told; a row has `at`, `took`, `kept`, `again`, and `result`, `error` or `broken`."""

    reads: list[dict[str, Any]] = field(default_factory=list)
    addresses: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lost(self) -> list[dict[str, Any]]:
        """Reads without a result."""
        return [one for one in self.reads if "result" not in one]

    @property
    def given(self) -> list[str]:
        """Addresses."""
        return [one["result"] for one in self.addresses if "result" in one]

    def refused(self, *but: str) -> list[dict[str, Any]]:
        """Requests for an address that were answered by another error than these."""
        return [one for one in self.addresses if "error" in one and not one["error"].startswith(but)]

    @property
    def broken(self) -> list[dict[str, Any]]:
        """Requests for an address that were not answered."""
        return [one for one in self.addresses if "broken" in one]

    @property
    def repeated(self) -> int:
        """How many reads were sent once more."""
        return sum(one["again"] for one in self.reads)

    @property
    def was_felt(self) -> bool:
        """Whether some read had to be sent once more, or waited: that the fault was there at all."""
        return self.repeated > 0 or any(one["took"] > FELT for one in self.reads)


class Shop:
    """The payment service: a container in the one network that is meant for it."""

    def __init__(self, engine: "Engine", network: str) -> None:
        """Start it."""
        self.engine = engine
        self.container = engine.run(
            "run", "--detach", "--network", network, "--stop-timeout=0", engine.image, "sleep", "600"
        )

    def end(self) -> None:
        """Take it away."""
        self.engine.run("rm", "--force", self.container, check=False)

    def run(self, script: str) -> Any:
        """Run Python there and return what it printed as JSON."""
        said = self.engine.run("exec", "-i", self.container, "python3", "-", given=(SCRIPT + script).encode())
        return json.loads(said)

    @contextmanager
    def calling(self) -> Iterator[Told]:
        """Let it call for as long as this lasts; what it was told is there afterwards."""
        told = Told()
        with subprocess.Popen(
            ["docker", "exec", "-i", self.container, "python3", "-c", SCRIPT + "\nmain()"],
            env=self.engine.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            try:
                assert client.stdout.readline() == b"calling\n"
                yield told
            finally:
                client.stdin.close()
                said = client.stdout.read()
        found = json.loads(said)
        told.reads, told.addresses = found["reads"], found["addresses"]

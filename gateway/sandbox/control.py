"""The side door of a sandbox daemon, for switches: JSON lines over loopback TCP, in a thread of its own.

The rule: a switch is answered once it is sure to count for the next call; it never waits for a call that
runs, so that a frozen daemon can be thawed.

    {"cmd": "freeze"}                     serve nobody until heal; the kernel goes on taking connections
    {"cmd": "leak", "value": MEBIBYTES}   keep that much more memory with each call
    {"cmd": "behind", "value": BLOCKS}    show the chain as it was that many blocks ago
    {"cmd": "lose_chain"}                 the server's connection is gone: connected false, server_height 0
    {"cmd": "silent_chain"}               the server says nothing: connected true, nothing new is seen
    {"cmd": "slow", "value": SECONDS}     each call takes that much longer
    {"cmd": "wrong_balance"}              miss the newest receipt while claiming to be synchronized; a reload cures it
    {"cmd": "unload"}                     the wallet is gone, unsaved
    {"cmd": "heal"}                       all of it is over; a wallet that was unloaded stays so

With a server that is lost or silent, whoever asks it waits for 30 s (or what --server-timeout says), and everybody
else waits with him.
"""

import json
import socketserver
import threading
from collections.abc import Mapping

from gateway.sandbox.node import Node

WITH_VALUE = frozenset({"leak", "behind", "slow"})
SWITCHES = WITH_VALUE | {"freeze", "lose_chain", "silent_chain", "wrong_balance", "unload", "heal"}


class _Handler(socketserver.StreamRequestHandler):
    """One connection of a controller."""

    server: "ControlServer"

    def handle(self) -> None:
        for line in self.rfile:
            try:
                asked = json.loads(line)
                self.server.throw(asked)
                answer = {"ok": asked["cmd"]}
            except (ValueError, KeyError, TypeError) as error:
                answer = {"error": str(error)}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class ControlServer(socketserver.ThreadingTCPServer):
    """Takes switches for a node."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, node: Node) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._node = node

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread that ends with the process."""
        threading.Thread(target=self.serve_forever, name="control", daemon=True).start()

    def throw(self, asked: Mapping[str, object]) -> None:
        """Throw one switch; raises ValueError for one that does not exist or lacks its value."""
        name = asked["cmd"]
        if name not in SWITCHES:
            raise ValueError(f"no such switch: {name}; there are {', '.join(sorted(SWITCHES))}")
        if name in WITH_VALUE and "value" not in asked:
            raise ValueError(f"{name} needs a value")
        self._node.orders.put((str(name), float(str(asked.get("value", 0)))))
        # These cannot wait for the next call: it would wait for them.
        if name == "freeze":
            self._node.thawed.clear()
        if name in {"lose_chain", "silent_chain"}:
            self._node.link.spoke.clear()
        if name == "heal":
            self._node.link.spoke.set()
            self._node.thawed.set()
        self._node.obey_if_idle()

"""A run in which the gateway lives in a network namespace of its own, so that ways to it can be cut.

Rule: nothing of the machine's network is touched, and nothing is left: the namespace has no name, nothing in it but its
loopback, and ends with the last process in it.  What is cut is dropped by the kernel, and nobody is told: connections
stay, and what is sent is sent again until the way is whole.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chaos.crossing import LOOPBACK
from chaos.programs import Program

if TYPE_CHECKING:
    from chaos.stage import Stage

KEEP = "apart"

PATIENCE = 10.0


class Apart:
    """A fault of a way between namespaces."""

    name = ""
    lane = "way"
    needs = frozenset({"netns"})
    also_peers = False

    async def prepare(self, stage: "Stage") -> None:
        """Let the gateway live there, and carry its connections; nothing happens when it does."""
        if KEEP in stage.keep:
            return
        # it does nothing but be there: the namespace is its own
        keeper = Program("namespace", ["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep infinity"],
                         stage.folder)  # fmt: skip
        await stage.begin(keeper)
        namespace = f"/proc/{keeper.pid}/ns/net"
        await stage.by_hand(_wait_for, namespace)
        here = f"/proc/{os.getpid()}/ns/net"
        wallets = ",".join(str(one.port) for one in stage.wallets)
        # the door's own port is the last to listen here, for the door itself listens in there
        crossing = Program(
            "crossing", [sys.executable, "-m", "chaos.crossing", namespace, str(stage.door_port), wallets], stage.folder
        )
        await stage.begin(crossing, stage.door_port)
        stage.keep[KEEP] = namespace
        stage.launch.inside += ["nsenter", f"--net={namespace}"]
        for launcher in stage.launchers:
            # wallets are started by the gateway, and live out here
            launcher["command"] = ["nsenter", f"--net={here}", *launcher["command"]]

    async def cut(self, stage: "Stage", port: int) -> None:
        """Let nothing through to a port in there, or from it."""
        for chain, way in (("OUTPUT", "--dport"), ("OUTPUT", "--sport")):
            await stage.by_hand(self._filter, stage, "-A", chain, way, port)

    async def mend(self, stage: "Stage", port: int) -> None:
        """Let everything through; nothing happens where nothing is cut."""
        if KEEP in stage.keep:
            for chain, way in (("OUTPUT", "--dport"), ("OUTPUT", "--sport")):
                await stage.by_hand(self._filter, stage, "-D", chain, way, port)

    def _filter(self, stage: "Stage", verb: str, chain: str, way: str, port: int) -> None:
        words = ["iptables", "-w", verb, chain, "-p", "tcp", "-d", LOOPBACK, way, str(port), "-j", "DROP"]
        # what is not there cannot be taken away, which is as well
        _run(("nsenter", f"--net={stage.keep[KEEP]}", *words), is_sure=verb == "-A")


def _wait_for(namespace: str) -> None:
    """Wait until the namespace is another one than ours, with its loopback up."""
    script = 'n=0; while [ "$(readlink "$1")" = "$(readlink /proc/self/ns/net)" ] || \
! nsenter --net="$1" ip -o link show lo up | grep -q lo; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.05; done'
    _run(("sh", "-c", script, "wait", namespace))


def _run(command: Sequence[str], *, is_sure: bool = True) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    if is_sure and done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")

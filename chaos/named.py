"""A run in which the gateway knows each wallet by a name, and what is said of that name.

Rule: the gateway asks the system, and the system asks a name server of the run: the gateway alone sees another
/etc/resolv.conf, in a mount namespace that ends with it.  Everything else on the machine asks whom it always asked.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from chaos.nameserver import Names, serve
from chaos.relays import Relay

if TYPE_CHECKING:
    from chaos.script import At
    from chaos.stage import Stage

KEEP = "names"
DOMAIN = "wallets.test"

COUNTS = 1.0
"""Seconds for which the gateway takes a name for known; the half minute of its defaults outlasts every fault here."""

HERE, THERE = "127.0.0.2", "127.0.0.3"
"""Where a wallet is, and where it moves to."""

ENTER = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"'

LOOK = 0.05


class Named:
    """A fault of a wallet's name."""

    name = ""
    lane = "names"
    needs = frozenset({"mounts"})
    also_peers = False

    async def prepare(self, stage: "Stage") -> None:
        """Let the gateway know all wallets by names; nothing happens when it does."""
        if KEEP in stage.keep:
            return
        names = Names({name_of(n): [HERE] for n in range(len(stage.wallets))})
        relays = {
            (n, host): Relay(host, one.port, one.port) for n, one in enumerate(stage.wallets) for host in (HERE, THERE)
        }
        stage.keep[KEEP] = names
        transport, host = await serve(names)
        waiting = [
            asyncio.create_task(_start_when_it_listens(relays[n, HERE], one.port))
            for n, one in enumerate(stage.wallets)
        ]
        stage.keep[f"{KEEP} relays"], stage.keep[f"{KEEP} end"] = relays, (transport, waiting)
        for n, one in enumerate(stage.wallets):
            stage.launch.urls[n] = f"http://{name_of(n)}:{one.port}"
        resolv, switch = stage.folder / "resolv.conf", stage.folder / "nsswitch.conf"
        resolv.write_text(f"nameserver {host}\n", encoding="ascii")
        switch.write_text("hosts: files dns\n", encoding="ascii")
        stage.launch.inside += ["unshare", "--mount", "sh", "-c", ENTER, "enter", str(resolv), str(switch)]

        def forget_soon(found: dict[str, Any]) -> None:
            found["upstream"] = {**found.get("upstream", {}), "resolve_ttl": COUNTS}

        stage.launch.settings.append(forget_soon)

    def hollow(self, stage: "Stage", at: "At", begin: float) -> str:
        """Say so where nobody asked for the name meanwhile."""
        is_asked = names_of(stage).asked_at.get(name_of(at.target), 0.0) > begin
        return "" if is_asked else f"nobody asked for {name_of(at.target)}"

    async def tidy(self, stage: "Stage") -> None:
        """Say nothing any more, and carry nothing."""
        transport, waiting = stage.keep.pop(f"{KEEP} end", (None, ()))
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if transport is not None:
            transport.close()
        for relay in stage.keep.pop(f"{KEEP} relays", {}).values():
            await relay.stop()


def name_of(wallet: int) -> str:
    """Return the name of a wallet's host."""
    return f"wallet-{wallet}.{DOMAIN}"


def names_of(stage: "Stage") -> Names:
    """Return what is said of names in a run."""
    names: Names = stage.keep[KEEP]
    return names


async def move(stage: "Stage", wallet: int, to: str) -> None:
    """Let a wallet be reached at another address alone, and its name say so."""
    relays = stage.keep[f"{KEEP} relays"]
    for (number, host), relay in relays.items():
        if number == wallet:
            await (relay.start() if host == to else relay.stop())
    names_of(stage).addresses[name_of(wallet)] = [to]


async def _start_when_it_listens(relay: Relay, port: int) -> None:
    """Start a relay when there is somebody behind it; before, it would be taken for a daemon of somebody else's."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.transport.abort()
            break
        await asyncio.sleep(LOOK)
    await relay.start()

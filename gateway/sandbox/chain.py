"""The chain that all sandbox daemons share: a small process that holds blocks and a mempool in memory.

It speaks JSON lines over loopback TCP.  The rule: whoever changes the chain gets the answer only after the
change was written to every subscriber, so that a daemon asked later knows of it.

Commands, one JSON object a line, each answered by one line:

    {"cmd": "height"}                                     {"height": 120}
    {"cmd": "mempool"}                                    {"mempool": [TXID, ...]}
    {"cmd": "transaction", "txid": TXID}                  {"hex": HEX, "height": 0} or {"error": TEXT}
    {"cmd": "script", "script": HEX}                      {"history": [...], "unspent": [...]}
    {"cmd": "broadcast", "tx": HEX}                       {"txid": TXID} or {"error": TEXT}
    {"cmd": "mine", "blocks": 1}                          {"height": 121}
    {"cmd": "fund", "address": ADDRESS, "sats": 1000}     {"txid": TXID}

``{"cmd": "subscribe"}`` is answered by every event so far, by ``{"ready": true}``, and by each later event as it
happens.
"""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.ledger import Event, View
from gateway.sandbox.processes import die_with_parent, report_ready
from gateway.sandbox.transactions import Input, Outpoint, Output, SerializationError, Transaction

# The exact words in which a wallet daemon passes these refusals of its server on.
GARBAGE = "The transaction could not be decoded."
IN_MEMPOOL = "The transaction already exists in the server's mempool."
IN_CHAIN = "The transaction already exists in the blockchain."
CONFLICT = "Transaction could not be broadcast due to missing, already-spent, or otherwise invalid inputs."
UNKNOWN = "No such mempool or blockchain transaction. Use gettransaction for wallet transactions."

MAX_LINE = 16 * 1024 * 1024


class RefusedError(Exception):
    """The chain will not do it; the text says why, in the words a wallet's server uses."""


class Chain:
    """Blocks, mempool and the events they came from."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.view = View()
        self._minted = 0

    def accept(self, text: str) -> str:
        """Take a transaction (hexadecimal) into the mempool and return its txid; raises RefusedError."""
        try:
            tx = Transaction.parse(text)
        except SerializationError:
            raise RefusedError(GARBAGE) from None
        if not all(one.unlock for one in tx.inputs):
            # Real daemons write unsigned ones in a form of their own, which no server can read.
            raise RefusedError(GARBAGE)
        height = self.view.heights.get(tx.txid)
        if height is not None:
            raise RefusedError(IN_CHAIN if height else IN_MEMPOOL)
        spent = sum(self.view.coins[one.spent].value for one in tx.inputs if one.spent in self.view.coins)
        if self.view.missing(tx) or spent < sum(made.value for made in tx.outputs):
            raise RefusedError(CONFLICT)
        self._happen(Event(tx=tx))
        return tx.txid

    def mine(self, blocks: int) -> int:
        """Find that many blocks, the first with the whole mempool in it, and return the new height."""
        for _ in range(blocks):
            self._happen(Event(height=self.view.height + 1))
        return self.view.height

    def fund(self, address: str, sats: int) -> str:
        """Make new coins for an address out of nothing; they wait in the mempool for the next block."""
        self._minted += 1
        source = Input(Outpoint("0" * 64, self._minted))
        tx = Transaction((source,), (Output(sats, addresses.parse(address).script),))
        self._happen(Event(tx=tx))
        return tx.txid

    def transaction(self, txid: str) -> dict[str, Any]:
        """The bytes of a transaction and its block, 0 while it has none; raises RefusedError."""
        if txid not in self.view.transactions:
            raise RefusedError(UNKNOWN)
        return {"hex": self.view.transactions[txid].hex, "height": self.view.heights[txid]}

    def script(self, script: str) -> dict[str, Any]:
        """The transactions that touched a script, and the coins that it locks."""
        history = self.view.touching.get(script, [])
        return {
            "history": [{"tx_hash": txid, "height": self.view.heights[txid]} for txid in history],
            "unspent": [
                {
                    "tx_hash": coin.txid,
                    "tx_pos": coin.index,
                    "value": made.value,
                    "height": self.view.heights[coin.txid],
                }
                for coin, made in self.view.coins.items()
                if made.script == script
            ],
        }

    def _happen(self, event: Event) -> None:
        self.view.apply([event])
        self.events.append(event)


class ChainServer:
    """The door to a chain."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._subscribers: set[asyncio.StreamWriter] = set()
        self._told = 0
        self._commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "height": lambda _: {"height": chain.view.height},
            "mempool": lambda _: {"mempool": list(chain.view.mempool)},
            "transaction": lambda asked: chain.transaction(str(asked["txid"])),
            "script": lambda asked: chain.script(str(asked["script"])),
            "broadcast": lambda asked: {"txid": chain.accept(str(asked["tx"]))},
            "mine": lambda asked: {"height": chain.mine(int(asked.get("blocks", 1)))},
            "fund": lambda asked: {"txid": chain.fund(asked["address"], int(asked["sats"]))},
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        try:
            while line := await reader.readline():
                self._answer(line, writer)
                await writer.drain()
        except (ConnectionError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            self._subscribers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            asked = json.loads(line)
            if asked["cmd"] == "subscribe":
                writer.write(b"".join(_line(event.to_json()) for event in self.chain.events))
                writer.write(_line({"ready": True}))
                self._subscribers.add(writer)
                return
            answer = self._commands[asked["cmd"]](asked)
        except RefusedError as refusal:
            answer = {"error": str(refusal)}
        except (ValueError, KeyError, TypeError, addresses.AddressError) as error:
            answer = {"error": f"not a command of the chain: {error!r}"}
        self._tell()
        writer.write(_line(answer))

    def _tell(self) -> None:
        """Write what is new to all subscribers; a subscriber that does not read costs memory, never time."""
        news = b"".join(_line(event.to_json()) for event in self.chain.events[self._told :])
        self._told = len(self.chain.events)
        if news:
            for subscriber in self._subscribers:
                subscriber.write(news)


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


async def _run(host: str, port: int) -> None:
    door = ChainServer(Chain())
    server = await asyncio.start_server(door.serve, host, port, limit=MAX_LINE)
    report_ready(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


def main(arguments: list[str] | None = None) -> None:
    """Run the chain until it is ended by a signal."""
    parser = argparse.ArgumentParser(prog="gateway.sandbox.chain", description="The chain of the sandbox.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; 0.0.0.0 in a container")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this parent ends")
    chosen = parser.parse_args(arguments)
    if chosen.die_with_parent:
        die_with_parent(chosen.die_with_parent)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(chosen.host, chosen.port))


if __name__ == "__main__":
    main(sys.argv[1:])

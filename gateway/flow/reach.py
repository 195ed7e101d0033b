"""Whether the holder of a wallet is reached from here: learnt from the calls that are sent on, and from greetings.

Rule: the holder is greeted each second, whatever it answers to calls.  So this gateway knows that it is of no use
before a client finds out, and knows when it is again though no client comes any more.  A greeting asks nothing of a
daemon; its answer says whether those of the wallet take calls, for the holder alone sees them.  Who answers that it
does not hold the wallet is not the holder, though it has its name and is found at its address.
"""

import asyncio
from collections.abc import Callable, Sequence

from gateway.base.effects import Effect
from gateway.base.errors import NOT_HOLDER
from gateway.base.events import Emit, Event
from gateway.flow.identity import Holder, Identity
from gateway.rules import forward as signing
from gateway.rules import reach as rules
from gateway.upstream.relay import Arrived, Relay, Sending

BEAT = 1.0
"""Seconds between two greetings."""

PATIENCE = 1.0
"""Seconds in which a gateway that lives answers a greeting, whatever else it has to do."""

GREETED = signing.digest(signing.GREETING)


class Reach:
    """The way from this gateway to whoever holds one wallet.

    Args:
        identity, relay: shared by all wallets.
        holder: who has the lease, None when nobody is known to; may be this gateway.
    """

    def __init__(
        self, wallet: str, identity: Identity, relay: Relay, holder: Callable[[], Holder | None],
        loop: asyncio.AbstractEventLoop, emit: Emit,
    ) -> None:  # fmt: skip
        """Begin with nothing heard."""
        self.wallet = wallet
        self.identity = identity
        self.relay = relay
        self.holder = holder
        self.loop = loop
        self.emit = emit
        self.found = rules.Reach()
        self.word = rules.Word()
        self._told = ""

    def heard(self, holder: Holder) -> None:
        """Take note of an answer."""
        self.found = rules.heard(self.found, holder.term, self.loop.time())

    def missed(self, holder: Holder, sent_at: float) -> None:
        """Take note of a try that brought nothing."""
        now = self.holder()
        until = now.until if now is not None and now.term == holder.term else holder.until
        self.found = rules.missed(self.found, holder.term, until, sent_at)

    def cut_off_from(self, ttl: float) -> str:
        """Return the name of the holder where it lives and is not reached from here, "" otherwise."""
        holder = self._other()
        if holder is None:
            return ""
        is_cut_off = rules.is_cut_off(self.found, holder.term, holder.until, ttl, self.loop.time())
        return holder.name if is_cut_off else ""

    def not_ready(self) -> list[str]:
        """Return why calls that reach the holder are not answered there either, in its words; empty where they are."""
        holder = self._other()
        if holder is None:
            return []
        return [f"{holder.name}, which holds it: {why}" for why in rules.not_ready(self.word)]

    def remember(self, reasons: Sequence[str]) -> None:
        """Take what this gateway knew while it held the wallet, until the next holder says how its daemons are."""
        self.word = rules.known(tuple(reasons))

    async def run(self, ttl: float) -> None:
        """Greet the holder, and tell when it is not reached, for ever."""
        while True:
            await asyncio.sleep(BEAT)
            holder = self._other()
            try:
                if holder is not None:
                    await self._greet(holder)
            except Exception as error:  # noqa: BLE001 - the lease is gone after beside this, and must not end with it
                what = f"{type(error).__name__}: {error}"[:500]
                self.emit(Event("room.failed", self.wallet, "", {"room": "reach", "error": what}, "error"))
            self._tell(self.cut_off_from(ttl))

    def _other(self) -> Holder | None:
        holder = self.holder()
        return holder if holder is not None and holder.is_elsewhere else None

    async def _greet(self, holder: Holder) -> None:
        """Ask a holder for a word."""
        sent_at = self.loop.time()
        passage = self.identity.passage(holder, self.wallet, "", PATIENCE, None, GREETED, Effect.READ)
        head = signing.headers(self.identity.secret, passage)
        url = f"{holder.address}/wallets/{self.wallet}"
        try:
            async with asyncio.timeout(PATIENCE):
                ended = await self.relay.send(url, head, signing.GREETING, Sending(careful=False))
        except TimeoutError:
            self.missed(holder, sent_at)
            return
        told = ended.told if isinstance(ended, Arrived) else None
        body = ended.body if isinstance(ended, Arrived) else b""
        answer = signing.read_answer(self.identity.secret, passage, told, body)
        if answer is None or answer[0] == NOT_HOLDER.status:
            self.missed(holder, sent_at)
        else:
            self.heard(holder)
            self.word = rules.said(self.word, signing.read_greeted(body))

    def _tell(self, name: str) -> None:
        """Say what has changed, once."""
        if name == self._told:
            return
        if self._told:
            self.emit(Event("lease.holder_reached", self.wallet, "", {"holder": self._told}))
        self._told = name
        if name:
            fields: dict[str, object] = {
                "holder": name, "reason": f"{name}, which holds {self.wallet}, is not reached from here",
                "remedy": "see whether its cluster.address is right, its secret the same, and the network between both",
            }  # fmt: skip
            self.emit(Event("lease.holder_unreached", self.wallet, "", fields, "error"))

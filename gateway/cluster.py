"""A gateway among others that share its ledger: a seat for each wallet, and the way to the other gateways.

Rule: what is held here is answered here; everything else is sent to who holds it.  Without the database nothing can be
gained, and what is held ends by itself.  A gateway that cannot open the ledger looks who holds what, and gains nothing.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.base.cluster import Cluster as ClusterSettings
from gateway.base.cluster import Ledger as LedgerSettings
from gateway.base.config import Client, Settings
from gateway.base.effects import Effect
from gateway.base.errors import Failure, OrderError
from gateway.base.events import Emit
from gateway.base.jsonrpc import Call
from gateway.edge.peers import PeerCounters, Peers, known_clients
from gateway.flow.dispatch import Dispatcher
from gateway.flow.forward import ForwardCounters, Forwarder, Here, effect_of
from gateway.flow.identity import Identity
from gateway.flow.reach import PATIENCE
from gateway.ledger.looking import Looking, looking_at
from gateway.ledger.store import Ledger
from gateway.profiles import Profile
from gateway.profiles import load as load_profile
from gateway.rules.config_hash import config_hash, sections
from gateway.rules.lease import Gateway
from gateway.seats import Build, Seat
from gateway.supervision.tenancy import Tenancy
from gateway.upstream.relay import Relay, trusting
from gateway.upstream.wire import Wire

if TYPE_CHECKING:
    from gateway.money import Book
    from gateway.plant import Plant

KEEP = 15.0
"""Seconds that an idle connection to another gateway is kept; a door keeps its own for longer."""

LAST_WORDS = 1.0
"""Seconds in which forwarded calls may still end while the gateway stops."""


class Cluster:
    """This gateway, as one of several.

    Args:
        settings: of the whole gateway, asked anew each time.
        dispatcher: answers what is held here.
        build, make_wire, admit, dismiss: see `Seat`.
        why_closed: why the ledger could not be opened so far, with the way out.
    """

    def __init__(
        self, settings: Callable[[], Settings], dispatcher: Dispatcher, build: Build,
        make_wire: Callable[[Callable[[], bool]], Wire], admit: Callable[["Plant"], None],
        dismiss: Callable[["Plant"], None], emit: Emit, loop: asyncio.AbstractEventLoop,
        why_closed: Callable[[], str],
    ) -> None:  # fmt: skip
        """Begin without a seat.  Raises OSError for certificates that cannot be read."""
        self.settings = settings
        self.dispatcher = dispatcher
        self.build = build
        self.make_wire = make_wire
        self.admit = admit
        self.dismiss = dismiss
        self.emit = emit
        self.loop = loop
        self.why_closed = why_closed
        chosen = self._chosen
        self.instance = secrets.token_hex(8)
        self.forwarded = ForwardCounters()
        self.taken = PeerCounters()
        secret = chosen.secret.get_secret_value().encode()
        self.identity = Identity(chosen.name, secret, time.time)
        self.relay = Relay(
            # so that a greeting still learns of an address where nobody answers, and the next one has another
            connect=min(settings().timeouts.connect, PATIENCE / 2), max_body=settings().upstream.max_body, keep=KEEP,
            context=trusting(chosen.ca_file),
        )  # fmt: skip
        self.peers = Peers(
            chosen.name, secret, self.term, dispatcher.here, self._effect, lambda: self._clients, emit, time.time,
            self.taken, self.why_no_daemon,
        )  # fmt: skip
        self.seats: dict[str, Seat] = {}
        self._tenancies: dict[str, Tenancy] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[str, tuple[Seat, asyncio.Task[None]]] = {}
        """Wallets that a reload took out and that are not given up yet; one that is put back waits for that."""
        self._book: Book | None = None
        self._looking: Looking | None = None
        """What leases are looked at by while there is no book."""
        self._is_open = self._has_left = False
        """Whether this gateway goes after leases, or looks at them."""
        self._key = b""
        """Of the ledger: known by whoever has opened it, and in no database."""
        self._ending: set[asyncio.Task[None]] = set()
        self._take_over()
        self.forwarders: dict[str, Forwarder] = {}
        for wallet in settings().wallets:
            self._add(wallet)

    @property
    def _chosen(self) -> ClusterSettings:
        chosen = self.settings().cluster
        assert chosen is not None  # noqa: S101 - this room is built for such settings alone, and a reload keeps them
        return chosen

    @property
    def _ledger(self) -> LedgerSettings:
        chosen = self.settings().ledger
        assert chosen is not None  # noqa: S101 - gateways that share wallets share their ledger
        return chosen

    def _add(self, wallet: str) -> None:
        """Let calls of a wallet wait for a holder, or go to one."""
        here: Here = partial(self.dispatcher.here, wallet)
        self.forwarders[wallet] = Forwarder(
            wallet, self.identity, self.relay, here, lambda: self._holder(wallet),
            lambda: self._profile(wallet), self.loop, self.forwarded, self.emit, lambda: self._look_now(wallet),
        )  # fmt: skip

    def _take_over(self) -> None:
        """Take clients and profiles from the settings: no call reads a file, which may be edited badly by then."""
        settings = self.settings()
        self._clients: dict[str, Client] = known_clients(settings)
        self._profiles = {name: load_profile(one.profile) for name, one in settings.wallets.items()}

    def _profile(self, wallet: str) -> Profile:
        """Return the profile that a call is run by, or would be: that of the rooms, where there are any."""
        runner = self.dispatcher.runners.get(wallet)
        return self._profiles[wallet] if runner is None else runner.profile

    def _effect(self, wallet: str, client: Client, call: Call) -> Effect | Failure:
        runner = self.dispatcher.runners.get(wallet)
        # without rooms it will not be run
        return Effect.READ if runner is None else effect_of(runner.profile, wallet, client, call)

    def edited(self, profiles: Mapping[str, Profile]) -> list[str]:
        """Return the wallets whose calls are judged by another profile than these say."""
        return [name for name, one in profiles.items() if self._profiles.get(name, one) != one]

    def _look_now(self, wallet: str) -> None:
        tenancy = self._tenancies.get(wallet)
        if tenancy is not None:
            tenancy.look_now()

    def _holder(self, wallet: str) -> Any:
        tenancy = self._tenancies.get(wallet)
        return None if tenancy is None else tenancy.holder

    def is_held(self, wallet: str) -> bool:
        """Whether this gateway holds a wallet at this very moment."""
        return self.term(wallet) != 0

    def has_holder(self, wallet: str) -> bool:
        """Whether any gateway is known to hold a wallet."""
        return self._holder(wallet) is not None

    def term(self, wallet: str) -> int:
        """Return the term in which this gateway has a wallet, 0 where it has not."""
        tenancy = self._tenancies.get(wallet)
        return 0 if tenancy is None else tenancy.term

    # -- life -------------------------------------------------------------------------------------------------

    def open(self, book: "Book | None") -> None:
        """Go after the lease of every wallet; where the ledger could not be opened only look who has it, until it is.

        Raises MisplacedError where not even that can be.
        """
        if self._has_left:
            return
        self._is_open = True
        if book is not None:
            self._book, self._key = book, book.secret
        for wallet in self.forwarders:
            seat = self.seats.get(wallet)
            if seat is None and wallet not in self._leaving:
                self._sit_down(wallet)
            elif seat is not None and seat.book is None and book is not None:
                self._tell_who(wallet, seat.tenancy)
                seat.go_after(book)
        if book is not None and self._looking is not None:
            looking, self._looking = self._looking, None
            self._end_later(looking.end(), "looking")

    def _sit_down(self, wallet: str) -> None:
        book = self._book
        seat = Seat(
            wallet, self.forwarders[wallet], book, self.build, self.make_wire, self.admit, self.dismiss, self.emit
        )
        if book is None:
            self._looking = self._looking or looking_at(self._ledger)
        ledger: Ledger | None = self._looking if book is None else book.ledger
        assert ledger is not None  # noqa: S101 - one of both
        seat.tenancy = self._tenancies[wallet] = Tenancy(
            wallet, ledger, self._me(wallet), self._chosen.lease, self.loop, seat.gained, seat.lost, self.emit,
            time.time if book is None else book.clock, looks_alone=book is None,
        )  # fmt: skip
        self.seats[wallet] = seat
        self._tasks[wallet] = self.loop.create_task(seat.run(), name=f"seat-{wallet}")

    def _me(self, wallet: str) -> Gateway:
        chosen, backends = self._chosen, self.settings().wallets[wallet].backends
        methods = self._profiles[wallet].methods.values()
        config = config_hash(((one.name, one.url) for one in backends), methods)
        # without the key what it tells would differ from everybody's
        told = sections(self._key, wallet, self.settings(), self._clients.values(), methods) if self._key else ""
        return Gateway(chosen.name, self.instance, chosen.address, config, told)

    def update(self, book: "Book | None") -> None:
        """Take new settings: wallets that came and went, and what the lease says of this gateway."""
        wallets = self.settings().wallets
        self._take_over()
        for wallet in [name for name in self.forwarders if name not in wallets]:
            self._stand_up(wallet, self.forwarders.pop(wallet))
        for wallet in wallets:
            if wallet not in self.forwarders:
                self._add(wallet)
        for wallet, tenancy in self._tenancies.items():
            if wallet in wallets:
                self._tell_who(wallet, tenancy)
        if self._is_open:
            self.open(book)

    def _tell_who(self, wallet: str, tenancy: Tenancy) -> None:
        me = self._me(wallet)
        tenancy.update(me.address, me.config, me.sections)

    def _stand_up(self, wallet: str, forwarder: Forwarder) -> None:
        """Begin to give a wallet up that was taken out; it may have no seat, or only one that is given up already."""
        seat, running = self.seats.pop(wallet, None), self._tasks.pop(wallet, None)
        if seat is not None and running is not None:
            task = self.loop.create_task(self._leave(seat, running, forwarder), name=f"leave-{wallet}")
            self._leaving[wallet] = seat, task
        else:
            self._end_later(forwarder.end(LAST_WORDS), f"leave-{wallet}")

    def _end_later(self, work: Coroutine[Any, Any, None], name: str) -> None:
        ending = self.loop.create_task(work, name=name)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _leave(self, seat: Seat, running: "asyncio.Task[None]", forwarder: Forwarder) -> None:
        """Give a seat up for good; where the wallet was put back meanwhile, sit down anew after that."""
        wallet = seat.wallet
        try:
            await self._give_up(seat)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await forwarder.end(LAST_WORDS)
        finally:
            running.cancel()
            if self._tenancies.get(wallet) is seat.tenancy:
                del self._tenancies[wallet]
            del self._leaving[wallet]
        if wallet in self.forwarders and not self._has_left:
            self._sit_down(wallet)

    async def leave(self) -> None:
        """Give everything up to the others, before this gateway stops; its clients' calls go there from now on."""
        self._has_left = True
        leaving = [task for _, task in self._leaving.values()]
        await asyncio.gather(*(self._give_up(seat) for seat in self.seats.values()), *leaving, return_exceptions=True)

    async def _give_up(self, seat: Seat) -> None:
        with suppress(OrderError):  # somebody else has it
            await seat.hand_over(for_good=True)

    async def stop(self) -> None:
        """End everything."""
        leaving = list(self._leaving.values())
        tasks = [*self._tasks.values(), *self._ending, *(task for _, task in leaving)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for seat in [*self.seats.values(), *(seat for seat, _ in leaving)]:
            await seat.lost()
        await asyncio.gather(*(one.end(LAST_WORDS) for one in self.forwarders.values()))
        await self.relay.close()
        if self._looking is not None:
            await asyncio.to_thread(self._looking.close)

    def plants(self) -> dict[str, "Plant"]:
        """Return the rooms of every wallet held here, also of those that no call comes to yet."""
        return {wallet: seat.plant for wallet, seat in self.seats.items() if seat.plant is not None}

    def wires(self) -> list[Wire]:
        """Return the wires of what is held."""
        return [seat.wire for seat in self.seats.values() if seat.wire is not None]

    # -- what it is told and tells ------------------------------------------------------------------------------

    async def hand_over(self, wallet: str) -> str:
        """Give a wallet to another gateway by an operator's order; return a sentence.  Raises OrderError."""
        seat = self.seats.get(wallet)
        if seat is None:
            raise OrderError("the database was not reached yet, so that this gateway holds nothing")
        return await seat.hand_over()

    def status(self, wallet: str) -> dict[str, object]:
        """Return how the lease of a wallet stands, as seen from here."""
        seat = self.seats.get(wallet)
        unknown: dict[str, object] = {"held": False, "holder": None, "address": None, "term": 0, "answered_ago": None}
        return {
            **(unknown if seat is None else seat.status()),
            "closed": self.why_no_seat(wallet),
            "forwarded": self.forwarded.of(wallet),
        }

    def peer_calls(self) -> dict[str, int]:
        """Return what became of the calls that other gateways sent here."""
        taken = self.taken
        return {"taken": taken.taken, "not_holder": taken.not_holder, "refused": taken.refused.total()}

    def why_no_seat(self, wallet: str) -> str:
        """Return why this gateway could not take a wallet over, with the way out; "" where it could."""
        seat = self.seats.get(wallet)
        return self.why_closed() if seat is not None and seat.book is None else ""

    def elsewhere(self) -> dict[str, str]:
        """Return the wallets that are not held here, each with a sentence for whoever wants to order something."""
        found = {}
        for wallet in self.forwarders:
            seat = self.seats.get(wallet)
            if seat is None or not seat.tenancy.is_held:
                holder = self._holder(wallet)
                who = "no gateway is known to" if holder is None else f"{holder.name} ({holder.address}) does"
                found[wallet] = f"this gateway does not hold {wallet}; {who}: give the order at that one's own door"
        return found

    def why_not_ready(self, wallet: str) -> list[str]:
        """Return why calls of a wallet cannot be answered through this gateway; empty when they can."""
        seat = self.seats.get(wallet)
        if seat is None and wallet in self._leaving:
            return ["it was taken out and put back, and waits until it was given up"]
        if seat is None:
            return ["it is being started"]
        reasons = seat.why_not_ready()
        if reasons and not self.has_holder(wallet) and (why := self.why_no_seat(wallet)):
            return [*reasons, f"this gateway cannot take it over: {why}"]
        return reasons

    def why_no_daemon(self, wallet: str) -> list[str]:
        """Return why no daemon of a wallet held here takes calls; empty when one does, or it is held elsewhere."""
        seat = self.seats.get(wallet)
        return [] if seat is None else seat.why_no_daemon()

    def gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what metrics want to know: name, labels, value."""
        for wallet, seat in self.seats.items():
            labels = {"wallet": wallet}
            yield "lease_held", labels, float(seat.tenancy.is_held)
            holder = seat.tenancy.holder
            yield "lease_term", labels, float(0 if holder is None else holder.term)
            yield "lease_has_holder", labels, float(holder is not None)
            yield "lease_answer_age_seconds", labels, seat.tenancy.age
        for (wallet, outcome), count in self.forwarded.outcomes.items():
            yield "forwarded_calls_total", {"wallet": wallet, "outcome": outcome}, float(count)
        for (wallet, reason), count in self.forwarded.repeated.items():
            yield "forwarded_repeats_total", {"wallet": wallet, "reason": reason}, float(count)
        yield "peer_calls_total", {"outcome": "taken"}, float(self.taken.taken)
        yield "peer_calls_total", {"outcome": "not_holder"}, float(self.taken.not_holder)
        for reason, count in self.taken.refused.items():
            yield "peer_calls_total", {"outcome": f"refused_{reason}"}, float(count)

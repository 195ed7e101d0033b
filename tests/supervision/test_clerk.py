"""Orders of operators: side by side where they may be, each answered, and nobody waits for a cure in vain."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.base.events import Event
from gateway.ledger import orders
from gateway.ledger.migrations import bring_up
from gateway.ledger.orders import DONE, FAILED, OPEN, TAKEN
from gateway.ledger.store import InlineLedger
from gateway.supervision.clerk import LOOK, PATIENCE, Clerk
from tests.virtual_time import run_virtual

AT = 1_800_000_000.0


class Office:
    """A clerk, a ledger, and verbs that take as long as they are told."""

    def __init__(self) -> None:
        """Have no order; must be made inside the virtual loop."""
        self.loop = asyncio.get_running_loop()
        self.ledger = InlineLedger(None)
        self.ledger.transact(bring_up)
        self.begun: list[tuple[str, str]] = []
        self.takes: dict[tuple[str, str], float] = {}
        self.fails: dict[tuple[str, str], Exception] = {}
        self.events: list[Event] = []
        wallets = ("main", "purse")
        verbs = {
            wallet: {verb: self.verb(wallet, verb) for verb in ("promote", "adopt", "reinit")} for wallet in wallets
        }
        self.verbs = verbs
        self.clerk = Clerk(self.ledger, lambda: verbs, self.clock, self.events.append)

    def clock(self) -> float:
        """Seconds since 1970."""
        return AT + self.loop.time()

    def verb(self, wallet: str, name: str) -> Callable[[str], Awaitable[str]]:
        """What does an order."""

        async def do(_argument: str) -> str:
            self.begun.append((wallet, name))
            await asyncio.sleep(self.takes.get((wallet, name), 0.0))
            if (wallet, name) in self.fails:
                raise self.fails[wallet, name]
            return f"{name} of {wallet} is done"

        return do

    def order(self, verb: str, wallet: str = "main", age: float = 0.0) -> int:
        """Give an order."""
        return self.ledger.transact(lambda c: orders.place(c, wallet, verb, "", self.clock() - age))

    def state(self, order: int) -> tuple[str, str]:
        """How an order stands."""
        found = self.ledger.transact(lambda c: orders.read(c, order))
        return found.state, found.answer


def play(scene: Callable[[Office], Awaitable[None]]) -> None:
    """Play a scene with a clerk at work."""

    async def live() -> None:
        office = Office()
        working = asyncio.create_task(office.clerk.run())
        await asyncio.sleep(0)
        await scene(office)
        assert not working.done()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    run_virtual(live())


def test_an_order_of_a_command_is_in_the_trail_before_it_is_answered() -> None:
    """By whom it came and what it was about; the number tells its answer from another one's."""

    async def scene(office: Office) -> None:
        seen: list[tuple[str, list[str]]] = []
        order = 0

        async def recorded() -> None:
            seen.append((office.state(order)[0], [one.name for one in office.events]))

        office.clerk.recorded = recorded
        order = office.ledger.transact(lambda c: orders.place(c, "main", "reinit", "ec-2 ec-1", office.clock()))
        await asyncio.sleep(LOOK + 0.05)
        assert seen == [(TAKEN, ["order.given", "order.done"])]
        assert office.state(order)[0] == DONE
        given, done = office.events
        assert given.fields == {
            "verb": "reinit", "by": "command line", "reason": "ec-2 ec-1", "order": f"ledger-{order}",
        }  # fmt: skip
        assert done.fields["order"] == f"ledger-{order}"

    play(scene)


def test_a_promotion_does_not_wait_for_what_waits_for_a_frozen_primary() -> None:
    """Nor does the order of another wallet; and all are taken at once, so that no command gives up."""

    async def scene(office: Office) -> None:
        office.takes["main", "adopt"] = 14.0
        adopt, promote, other = office.order("adopt"), office.order("promote"), office.order("adopt", "purse")
        await asyncio.sleep(LOOK + 0.05)
        assert office.state(promote) == (DONE, "promote of main is done")
        assert office.state(other) == (DONE, "adopt of purse is done")
        assert office.state(adopt)[0] == TAKEN
        later = office.order("promote")
        assert office.state(later)[0] == OPEN
        await asyncio.sleep(LOOK + 0.05)
        assert office.state(later)[0] == DONE
        await asyncio.sleep(14.0)
        assert office.state(adopt) == (DONE, "adopt of main is done")

    play(scene)


def test_orders_of_one_wallet_follow_each_other_in_their_order() -> None:
    """One that closes wallets and one that reads lists must not meet; each is taken meanwhile."""

    async def scene(office: Office) -> None:
        office.takes = {("main", "reinit"): 5.0, ("main", "adopt"): 5.0, ("main", "promote"): 2.0}
        given = [office.order(verb) for verb in ("reinit", "adopt", "reinit", "promote", "promote")]
        await asyncio.sleep(1.0)
        assert [office.state(one)[0] for one in given] == [TAKEN] * 5
        assert office.begun == [("main", "reinit"), ("main", "promote")]
        await asyncio.sleep(20.0)
        assert [office.state(one)[0] for one in given] == [DONE] * 5
        assert [verb for _, verb in office.begun if verb != "promote"] == ["reinit", "adopt", "reinit"]

    play(scene)


def test_an_order_whose_turn_comes_too_late_is_not_begun() -> None:
    """Nobody expects it any more."""

    async def scene(office: Office) -> None:
        office.takes["main", "reinit"] = 20.0
        first, last = office.order("reinit"), office.order("adopt", age=orders.TOO_OLD - 10.0)
        await asyncio.sleep(30.0)
        assert office.state(first)[0] == DONE
        assert office.state(last) == (FAILED, orders.LATE)
        assert ("main", "adopt") not in office.begun

    play(scene)


@pytest.mark.parametrize(
    ("wallet", "verb", "why"),
    [
        ("nope", "adopt", "there is no wallet nope with a ledger"),
        ("main", "dance", "knows no order dance"),
        ("main", "adopt", "not done within 25 s"),
        ("main", "reinit", "the disk is full"),
    ],
)
def test_what_cannot_be_done_is_answered(wallet: str, verb: str, why: str) -> None:
    """With the reason; the orders behind it go on."""

    async def scene(office: Office) -> None:
        office.takes["main", "adopt"] = PATIENCE + 1.0
        office.fails["main", "reinit"] = OSError("the disk is full")
        bad, good = office.order(verb, wallet), office.order("promote")
        await asyncio.sleep(PATIENCE + 1.0)
        state, answer = office.state(bad)
        assert state == FAILED
        assert why in answer
        assert office.state(good)[0] == DONE
        assert sorted(one.name for one in office.events) == ["order.done", "order.failed", "order.given", "order.given"]

    play(scene)


def test_orders_of_wallets_that_another_gateway_holds_are_left_to_it() -> None:
    """Until this one holds them; and what was taken elsewhere is not said to have failed."""

    async def live() -> None:
        office, held = Office(), ["main"]
        taken_elsewhere = office.order("adopt", "purse")
        office.ledger.transact(lambda c: orders.take(c, office.clock(), ["purse"]))
        clerk = Clerk(office.ledger, lambda: office.verbs, office.clock, office.events.append, lambda: held)
        working = asyncio.create_task(clerk.run())
        mine, theirs = office.order("adopt", "main"), office.order("promote", "purse")
        await asyncio.sleep(2.0)
        assert [office.state(one)[0] for one in (mine, theirs, taken_elsewhere)] == [DONE, OPEN, TAKEN]
        held.append("purse")
        await asyncio.sleep(2.0)
        assert office.state(theirs)[0] == DONE
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    run_virtual(live())


def test_a_gateway_that_stops_ends_what_is_under_way() -> None:
    """The next one says that it was not done."""

    async def live() -> None:
        office = Office()
        office.takes["main", "adopt"] = 20.0
        working = asyncio.create_task(office.clerk.run())
        await asyncio.sleep(0)
        adopt = office.order("adopt")
        await asyncio.sleep(1.0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert len(asyncio.all_tasks()) == 1
        assert office.state(adopt)[0] == TAKEN
        working = asyncio.create_task(office.clerk.run())
        await asyncio.sleep(1.0)
        assert office.state(adopt)[0] == FAILED
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    run_virtual(live())

"""One sick wallet daemon of three, while reads go on: nobody notices, and every answer is right."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import Gateway, Reads, wait_until

Ask = tuple[str, tuple[object, ...], object]
Fault = Callable[[Fleet, int], AbstractContextManager[None]]


def known_reads(fleet: Fleet) -> Sequence[Ask]:
    """Reads and wallet reads with their only right results."""
    mine = fleet.rpc(2, "listaddresses")
    return (
        ("version", (), fleet.rpc(2, "version")),
        ("validateaddress", (mine[3],), True),
        ("validateaddress", ("nonsense",), False),
        ("ismine", (mine[5],), True),
        ("getbalance", (), fleet.rpc(2, "getbalance")),
        ("listaddresses", (), mine),
        ("history", (), fleet.rpc(2, "history")),
    )


@contextmanager
def killed(fleet: Fleet, index: int) -> Iterator[None]:
    """The process is gone, then it is started again."""
    fleet.kill(index)
    yield
    fleet.start(index)


@contextmanager
def frozen(fleet: Fleet, index: int) -> Iterator[None]:
    """The process is stopped (SIGSTOP), then it goes on."""
    fleet.freeze(index)
    yield
    fleet.thaw(index)


@contextmanager
def wedged(fleet: Fleet, index: int) -> Iterator[None]:
    """A foreign connection says nothing, then it leaves."""
    with fleet.wedge(index):
        yield


@contextmanager
def chainless(fleet: Fleet, index: int) -> Iterator[None]:
    """The daemon loses its server, then finds it again."""
    fleet.control(index, "lose_chain")
    yield
    fleet.control(index, "heal")


@pytest.mark.parametrize("index", [0, 1], ids=["primary", "standby"])
@pytest.mark.parametrize(
    ("fault", "kinds"),
    [(killed, {"starting", "dead"}), (frozen, {"wedged", "starting"}), (wedged, {"wedged", "starting"}),
     (chainless, {"adrift"})],
)  # fmt: skip
def test_reads_do_not_notice_a_sick_daemon(
    fault: Fault, kinds: set[str], index: int, gateway: Gateway, fleet: Fleet
) -> None:
    """Whoever it is and whatever it has: no read errs, the gateway sees what it is, and it comes back."""
    name = f"ec-{index + 1}"
    with Reads(gateway, known_reads(fleet)) as reads:
        with fault(fleet, index):
            wait_until(lambda: gateway.backend(name)["kind"] in kinds, f"{name} is {kinds}")
            reads.wait_more()
        gateway.wait_all_well()
        reads.wait_more()
    assert reads.wrong == []

"""For each planted bug a short run that it turns red, and that a gateway without bugs passes.

Rule: a scenario says which invariant must be violated, and in which words; that another one is violated is no proof.
One for a harmless bug names none, and shows by a count that the bug did something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.sandbox.node import SYNC_DELAY
from tests.checker.gateway import USUAL, Bounds
from tests.checker.plan import Fault
from tests.checker.run import Options


@dataclass(frozen=True)
class Scenario:
    """A run for one bug.

    Args:
        invariant: the one that must be violated, and `says` what must be said of it.
        only: who is on the stage, and `keyed` which share of payments has a key.
        restarts: whether the gateway starts and restarts the daemons.
        sync_delay: seconds until a daemon has saved a new address.
        counts: what the summary must count of, "" for nothing.
        gateways: how many.
        bears: what a harmless bug violates all the same, for the bug itself is that.
    """

    bug: str
    invariant: str
    says: str
    seconds: float
    faults: tuple[Fault, ...]
    only: frozenset[str]
    bounds: Bounds = USUAL
    quiet: float = 0.0
    seed: int = 1
    pause: float = 1.0
    keyed: float = 0.0
    restarts: bool = False
    sync_delay: float = SYNC_DELAY
    counts: str = ""
    gateways: int = 1
    bears: frozenset[str] = frozenset()

    def options(self, launcher: Sequence[str], folder: Path) -> Options:
        """Return how to make the run."""
        return Options(
            self.seed,
            self.seconds,
            faults=self.faults,
            only=self.only,
            launcher=launcher,
            folder=folder,
            keyed=self.keyed,
            bounds=self.bounds,
            quiet=self.quiet,
            pause=self.pause,
            restarts=self.restarts,
            sync_delay=self.sync_delay,
            gateways=self.gateways,
        )


PAYERS = frozenset({"payer-1"})
CUSTOMERS = frozenset({"desk-1", "desk-2", "eye-1", "eye-2"})

EVERYBODY = CUSTOMERS | PAYERS | {"desk-3", "eye-2", "payer-2", "payer-3", "customer", "namer"}

STANDS_STILL = (Fault(0.5, "gateway_freeze", 0, 3.0),)

SCENARIOS = (
    Scenario("no-unique-address", "1", "was answered to", 1.0, (), frozenset({"desk-1"})),
    # in base64, as it came
    Scenario("tells-passwords", "8", "has the secret of client shop", 1.0, (), frozenset({"desk-1"})),
    # the first signature is in a primary that stands still while another one is made primary, and is answered late
    Scenario(
        "no-epoch-check",
        "6",
        "and it was answered",
        7.0,
        (Fault(0.0, "freeze", 0, 6.0), Fault(0.1, "promote", 1, 0.0)),
        PAYERS,
        Bounds(deadline=9.0, server=8.0),
        quiet=1.0,
    ),
    # the same, and it stands still for longer than a signature may take
    Scenario(
        "resend-on-unknown",
        "2",
        " ran ",
        7.5,
        (Fault(0.0, "freeze", 0, 7.0), Fault(0.1, "promote", 1, 0.0)),
        PAYERS,
        Bounds(deadline=9.0, server=5.0),
        quiet=1.0,
    ),
    # both standbys come back with an old file and are slow to learn, and the primary is out of reach
    Scenario(
        "past-the-horizon",
        "3",
        "did not know",
        5.0,
        (Fault(1.0, "wipe", 1, 0.1, 0.1), Fault(1.0, "wipe", 2, 0.1, 0.1), Fault(1.2, "freeze", 0, 3.0)),
        CUSTOMERS,
        pause=0.3,
    ),
    # the first signature waits in a primary that a foreign connection has wedged, when an operator orders its restart
    Scenario(
        "restarts-the-busy",
        "9",
        "while a payment was under way",
        4.0,
        (Fault(0.0, "wedge", 0, 0.0, stays=True), Fault(0.0, "restart", 0, 0.0, stays=True)),
        PAYERS,
        quiet=1.0,
        restarts=True,
    ),
    # daemons that save nothing by themselves are ended while addresses are derived there
    Scenario(
        "ends-unsaved",
        "",
        "",
        7.0,
        (Fault(1.0, "restart", 0, 0.0, stays=True), Fault(4.0, "restart", 1, 0.0, stays=True)),
        CUSTOMERS,
        pause=0.3,
        restarts=True,
        sync_delay=60.0,
        counts="addresses derived again",
    ),
    # the first gateway has the wallet, stands still until another one has taken over, and goes on
    Scenario(
        "stale-holder",
        "5",
        "calls came to daemon",
        8.0,
        STANDS_STILL,
        EVERYBODY,
        seed=3,
        keyed=0.6,
        gateways=3,
    ),
    # its clients get no addresses, its calls are in the journals, and daemons that it crowds hear of labels late; but
    # nothing is told twice or wrongly
    Scenario(
        "stale-holder-fenced",
        "",
        "",
        8.0,
        STANDS_STILL,
        EVERYBODY,
        seed=3,
        keyed=0.6,
        gateways=3,
        counts="calls without the wallet",
        bears=frozenset({"3", "5", "7", "9"}),
    ),
)

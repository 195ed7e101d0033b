"""The kinds of alerts as one table, and what a condition is: something that holds and may be worth telling.

Rule: no text and no fact holds an address, a key or a password, whatever a daemon put into words that are quoted;
`blot` goes over everything that was not written by us.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How loud an alert is."""

    INFO = "info"
    """Nobody has to do anything."""
    WARNING = "warning"
    """Look at it in the morning: something else carries it, or will not for long."""
    CRITICAL = "critical"
    """Now: clients are answered errors, or money is in doubt."""


class Kind(StrEnum):
    """What can be the matter; docs/alerts.md has a chapter for each."""

    ALL_DOWN = "all_down"
    BELOW_HALF = "below_half"
    STUCK = "stuck"
    WAITING = "waiting"
    FAILURES = "failures"
    MEMORY = "memory"
    NO_HELP = "no_help"
    RESTARTED = "restarted"
    RESTART_FAILED = "restart_failed"
    FAILED = "failed"
    LAUNCHER = "launcher"
    NOT_LOADED = "not_loaded"
    ROOM_FAILED = "room_failed"
    ADRIFT = "adrift"
    ALL_ADRIFT = "all_adrift"
    DIVERGED = "diverged"
    WRONG_SEED = "wrong_seed"
    POOL_LOW = "pool_low"
    UNKNOWN_OUTCOME = "unknown_outcome"
    HELD_LONG = "held_long"
    READ_ONLY = "read_only"
    NOT_ADOPTED = "not_adopted"
    NO_ADDRESSES = "no_addresses"
    DOUBTED = "doubted"
    NO_HOLDER = "no_holder"
    GATEWAYS = "gateways"
    CUT_OFF = "cut_off"
    UNSAFE = "unsafe"


FOR_EVER = float("inf")
MINUTE = 60.0
HOUR = 3600.0
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Row:
    """What is settled of a kind beforehand.

    Args:
        delay: seconds that it must hold before anybody hears of it.
        lasts: seconds after which a mark counts no more, if no event has ended it.
        under: the kind of the whole wallet that says it already.
        is_news: told once and over with; what happens again soon is counted and told together.
        is_of_gateway: about this gateway, whoever holds the wallet.
    """

    severity: Severity
    title: str
    delay: float = 0.0
    lasts: float = FOR_EVER
    under: Kind | None = None
    is_news: bool = False
    is_of_gateway: bool = False


_INFO, _WARNING, _CRITICAL = Severity

ROWS: dict[Kind, Row] = {
    # a backend that is taken out and back within a moment has cost no call
    Kind.ALL_DOWN: Row(_CRITICAL, "no daemon serves", delay=2.0),
    Kind.BELOW_HALF: Row(_WARNING, "fewer than half of the daemons serve", delay=5.0, under=Kind.ALL_DOWN),
    Kind.STUCK: Row(_WARNING, "a daemon does not answer"),
    Kind.WAITING: Row(_WARNING, "a call waits for long"),
    Kind.FAILURES: Row(_WARNING, "calls fail in a row"),
    Kind.MEMORY: Row(_WARNING, "a daemon takes much memory", delay=10.0),
    # it is tried again after a day, and marked anew within the hour after
    Kind.NO_HELP: Row(_WARNING, "a restart does not lower the memory", lasts=2 * DAY),
    Kind.RESTARTED: Row(_INFO, "a daemon was restarted", lasts=HOUR, is_news=True),
    Kind.RESTART_FAILED: Row(_CRITICAL, "a restart failed"),
    Kind.FAILED: Row(_CRITICAL, "a daemon was restarted too often"),
    # a container that is made anew is absent for a moment
    Kind.LAUNCHER: Row(_WARNING, "a daemon cannot be restarted", delay=5.0, lasts=3 * MINUTE),
    # tried again within two minutes, for as long as there is something to load
    Kind.NOT_LOADED: Row(_CRITICAL, "a wallet cannot be loaded", lasts=10 * MINUTE),
    Kind.ROOM_FAILED: Row(_WARNING, "a part of the gateway failed", lasts=HOUR, is_of_gateway=True),
    # daemons change their server now and then, and are back on the chain in a few seconds
    Kind.ADRIFT: Row(_WARNING, "a daemon is adrift", delay=15.0, under=Kind.ALL_ADRIFT),
    Kind.ALL_ADRIFT: Row(_CRITICAL, "every daemon is adrift", delay=15.0),
    Kind.DIVERGED: Row(_CRITICAL, "daemons disagree about the balance"),
    Kind.WRONG_SEED: Row(_CRITICAL, "a daemon holds another seed"),
    # a wallet that was just taken over has its pool filled in seconds
    Kind.POOL_LOW: Row(_WARNING, "the address pool runs low", delay=30.0),
    # labels and freezes are brought to every daemon anew, and most broadcasts are found on the chain: nobody is woken
    Kind.UNKNOWN_OUTCOME: Row(_CRITICAL, "the outcome of a call is not known", delay=15.0, lasts=HOUR),
    Kind.HELD_LONG: Row(_WARNING, "coins are held for a payment that does not come"),
    Kind.READ_ONLY: Row(_CRITICAL, "the ledger cannot be written", delay=2.0),
    # whoever sets a gateway up is told by the log as well, and adopts it in a moment
    Kind.NOT_ADOPTED: Row(_WARNING, "the wallet waits to be adopted", delay=5.0),
    # daemons that come up one after the other may look like two seeds for a moment
    Kind.NO_ADDRESSES: Row(_CRITICAL, "a wallet gives out no address", delay=15.0),
    Kind.DOUBTED: Row(_CRITICAL, "the ledger is older than its wallet"),
    # a takeover takes a lease or two
    Kind.NO_HOLDER: Row(_CRITICAL, "no gateway holds a wallet", delay=10.0, is_of_gateway=True),
    Kind.GATEWAYS: Row(_WARNING, "gateways that share a wallet disagree", lasts=HOUR, is_of_gateway=True),
    # a standby that has just come back is asynchronous until whoever looks after the database has it waited for
    Kind.UNSAFE: Row(_CRITICAL, "the database may lose what it has committed", delay=30.0, is_of_gateway=True),
    # /readyz says so, and whoever balances sends calls to the holder; two seconds of silence were awaited already
    Kind.CUT_OFF: Row(_WARNING, "a gateway does not reach the one that holds a wallet", is_of_gateway=True),
}

Key = tuple[Kind, str, str]
"""A kind, the wallet and the backend; "" where none applies."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds.

    Args:
        text: one sentence for a person, without a full stop.
        facts: numbers and names for a program; seconds.
        count: how often it has happened, where it is something that happens.
        is_quiet: it is no reason to begin to tell, only to go on.
    """

    kind: Kind
    wallet: str
    backend: str
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)
    count: int = 1
    is_quiet: bool = False

    @property
    def key(self) -> Key:
        """What makes it the same one."""
        return self.kind, self.wallet, self.backend

    @property
    def row(self) -> Row:
        """What is settled of its kind."""
        return ROWS[self.kind]


_LONG = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{25,}")
"""Addresses, keys, transactions and their ids are the only words so long with digits in them."""

_USER = re.compile(r"//[^/\s@]+@")

_QUOTED = re.compile(r"«[^»]*(»|$)")
"""What a command of the operator said, as `upstream/launchers/command.py` quotes it: anything may be in there."""


def blot(value: object) -> object:
    """Return a value without addresses, keys, passwords in a URL and a command's words; numbers stay."""
    if isinstance(value, bool | int | float):
        return value
    return _USER.sub("//***@", _LONG.sub("***", _QUOTED.sub("«see the log»", str(value))))

"""What a wallet call may do to the world, and how long its kind may take.

The effect decides everything that follows: where a call goes, whether it may be sent again, who may make it.
"""

from enum import StrEnum


class Effect(StrEnum):
    """What a method call may do (design table of effects)."""

    READ = "read"
    """The same answer from any healthy backend."""
    WALLET_READ = "wallet_read"
    """State of the wallet that aligned backends share; the primary first."""
    LOCAL_READ = "local_read"
    """State that only the primary's own file holds."""
    WRITE = "write"
    """Changes local state; naturally idempotent on the same backend."""
    ALLOCATE = "allocate"
    """Gives out an address; twice is two addresses."""
    SIGN = "sign"
    """Makes signed bytes; changes nothing by itself."""
    PUBLISH = "publish"
    """Sends signed bytes to the chain; the same bytes may be sent again."""
    SECRET = "secret"  # noqa: S105 - the name of a class of methods
    """Shows or takes keys, seeds or passwords; refused."""
    CONTROL = "control"
    """Steers the daemon itself; refused to clients."""

    __hash__ = str.__hash__
    """That of an Enum is worked out by Python, each time."""

    is_read: bool
    """True when running it any number of times changes nothing."""
    is_money: bool
    """True when it goes to the primary alone and is never repeated by itself once sent."""


_READS = frozenset({Effect.READ, Effect.WALLET_READ, Effect.LOCAL_READ})
_MONEY = frozenset({Effect.WRITE, Effect.ALLOCATE, Effect.SIGN})

for _effect in Effect:
    # worked out once: each call asks several times
    _effect.is_read, _effect.is_money = _effect in _READS, _effect in _MONEY

OPEN_BY_DEFAULT = frozenset({Effect.READ, Effect.WALLET_READ, Effect.LOCAL_READ, Effect.WRITE, Effect.ALLOCATE})
"""What a new client may do; sign and publish are opened by name."""

GRANTABLE = OPEN_BY_DEFAULT | {Effect.SIGN, Effect.PUBLISH}
"""What a client may be given at all; secret and control never are."""


class Bound(StrEnum):
    """How long a call of this kind may take before the daemon is suspected (seconds are in `timeouts`)."""

    FAST = "fast"
    """Local and small; 1 s."""
    HEAVY = "heavy"
    """Local but as large as the wallet (history, listunspent, listaddresses); 5 s."""
    SIGN = "sign"
    """Signs: local, and as large as the coins it spends; 8 s.  One that is given up changed nothing."""
    SERVER = "server"
    """Waits for the chain server (30 s inside the daemon); 35 s."""

    __hash__ = str.__hash__
    """As above."""

"""What happened, as frozen facts: one event for each change of state, named in the past tense.

Whoever changes state returns or emits events; sinks write them down.  No event holds a secret, an address or a key.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """One change of state.

    Args:
        name: past tense, dotted: `backend.ejected`.
        wallet, backend: names, "" where none applies.
        fields: what else a person on call wants on the line; numbers in seconds.
        level: how loud: debug, info, warning or error.
    """

    name: str
    wallet: str = ""
    backend: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    level: str = "info"


Emit = Callable[[Event], None]
"""Where events go; never raises."""

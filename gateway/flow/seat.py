"""A caller that waits for a call without a task of its own.

Rule: the result is handed on once, in the very turn in which the daemon's answer came, and whoever hears it does no
more in that turn than to write it down: the errand that ends has work of its own to do.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.flow.errand import Passenger, Result

if TYPE_CHECKING:
    from gateway.flow.errand import Errand
    from gateway.flow.runner import Runner


class Seat(Passenger):
    """One place in a flight.

    Args:
        loop: hears of faults of `hear`.
        hear: called with the result, unless the caller left before.
    """

    __slots__ = ("_errand", "_hear", "_loop", "_runner")

    def __init__(self, loop: asyncio.AbstractEventLoop, hear: Callable[[Any], None], deadline: float = 0.0) -> None:
        """Begin without an errand."""
        self._loop = loop
        self._hear: Callable[[Any], None] | None = hear
        self.deadline = deadline
        self._runner: Runner | None = None
        self._errand: Errand | None = None

    def board(self, runner: "Runner", errand: "Errand") -> None:
        """Know how to leave."""
        self._runner, self._errand = runner, errand

    def done(self) -> bool:
        """Whether nobody waits here any more."""
        return self._hear is None

    def set_result(self, result: Result, /) -> None:
        """Hand the result on."""
        hear, self._hear = self._hear, None
        self._errand = None
        if hear is None:
            return
        try:
            self._tell(hear, result)
        except Exception as error:  # noqa: BLE001 - one caller's fault must not reach the others of his flight
            self._loop.call_exception_handler({"message": "whoever waited for a call failed", "exception": error})

    def _tell(self, hear: Callable[[Any], None], result: Result) -> None:
        """Tell whoever hears it."""
        hear(result)

    def cancel(self) -> None:
        """Leave before the end."""
        if self._hear is not None:
            self._hear = None
            errand, self._errand = self._errand, None
            if errand is not None and self._runner is not None:
                self._runner.leave(errand, self)

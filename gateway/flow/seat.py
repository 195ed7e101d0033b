"""A caller that waits for a call without a task of its own.

Rule: the result is handed on once, in the very turn in which the daemon's answer came, and whoever hears it does no
more in that turn than to write it down: the errand that ends has work of its own to do.
"""

import asyncio
from typing import TYPE_CHECKING

from gateway.base.jsonrpc import Reply
from gateway.flow.errand import Passenger, Result

if TYPE_CHECKING:
    from gateway.flow.errand import Errand
    from gateway.flow.runner import Runner


class Hearer:
    """Who hears a reply.  A class and no function: to call one of many that are alike costs a tenth of a partial."""

    __slots__ = ()

    def hear(self, reply: Reply) -> None:
        """Write the reply down."""
        raise NotImplementedError


class Seat(Passenger):
    """One place in a flight.

    Args:
        loop: hears of faults of who hears.
        hearer: hears the reply, unless the caller left before.
    """

    __slots__ = ("_errand", "_hearer", "_loop", "_runner")

    def __init__(self, loop: asyncio.AbstractEventLoop, hearer: Hearer, deadline: float = 0.0) -> None:
        """Begin without an errand."""
        self._loop = loop
        self._hearer: Hearer | None = hearer
        self.deadline = deadline
        self._runner: Runner | None = None
        self._errand: Errand | None = None

    def board(self, runner: "Runner", errand: "Errand") -> None:
        """Know how to leave."""
        self._runner, self._errand = runner, errand

    def done(self) -> bool:
        """Whether nobody waits here any more."""
        return self._hearer is None

    def set_result(self, result: Result, /) -> None:
        """Hand the result on."""
        hearer, self._hearer = self._hearer, None
        errand, self._errand = self._errand, None
        if hearer is None:
            return
        try:
            self._tell(hearer, result, 0.0 if errand is None else errand.ended_at)
        except Exception as error:  # noqa: BLE001 - one caller's fault must not reach the others of his flight
            self._loop.call_exception_handler({"message": "whoever waited for a call failed", "exception": error})

    def _tell(self, hearer: Hearer, result: Result, ended_at: float) -> None:
        """Make a reply of a result; `ended_at` is loop time, 0.0 where it is not known."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Leave before the end."""
        if self._hearer is not None:
            self._hearer = None
            errand, self._errand = self._errand, None
            if errand is not None and self._runner is not None:
                self._runner.leave(errand, self)

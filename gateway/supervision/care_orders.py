"""What operators order about the backends of one wallet: restart, hold and release, drain and undrain.

Rule: an order counts as soon as it is answered; whether it outlasts the gateway is part of the answer.
"""

from collections.abc import Callable

from gateway.base.errors import OrderError
from gateway.fleet.backend import Backend
from gateway.supervision.charts import Chart
from gateway.supervision.ward import Ward


class CareOrders:
    """The orders of one wallet; each returns a sentence for the operator.

    Args:
        look: has the supervisor look at all backends now.
    """

    def __init__(self, ward: Ward, look: Callable[[], None]) -> None:
        """Have taken none."""
        self.ward = ward
        self.look = look

    def restart(self, name: str, reason: str) -> str:
        """Take the order to restart a backend.  Raises OrderError."""
        backend, chart = self._known(name)
        if not self.ward.limits.enforce:
            raise OrderError("restart.enforce is false, so that nothing is restarted; set it true")
        if name not in self.ward.launchers:
            place = f"wallets.{self.ward.pool.name}.backends.{name}.launcher"
            raise OrderError(f"{name} has no launcher; give it one ({place})")
        if chart.is_held:
            raise OrderError(f"{name} is held; release it first")
        if name in self.ward.restarts:
            return f"{name} is being restarted already ({backend.step or 'it is about to begin'})"
        was, chart.order = chart.order, reason or "an operator's order"
        self.look()
        if name in self.ward.restarts:
            return f"{name} is restarted now"
        why = chart.verdict.reason
        return f"{name} will be restarted as soon as that is possible ({why})" + (
            ", as was ordered before" if was else ""
        )

    async def hold(self, name: str) -> str:
        """Take the order to restart a backend no more.  Raises OrderError."""
        _, chart = self._known(name)
        chart.order = ""
        after = " after the one under way" if name in self.ward.restarts else ""
        return await self._order(
            name, "hold", on=True, told=f"{name} is held: nothing restarts it{after} until it is released"
        )

    async def release(self, name: str) -> str:
        """Take back a hold.  Raises OrderError."""
        return await self._order(name, "hold", on=False, told=f"{name} is released: it is restarted when it must be")

    async def drain(self, name: str) -> str:
        """Take the order to give a backend no calls.  Raises OrderError."""
        backend, _ = self._known(name)
        told = await self._order(name, "drain", on=True, told=f"{name} is drained: it gets no more calls")
        self.ward.pool.drain(backend, drained=True)
        left = len(backend.occupants)
        told += f"; {left} are under way there" if left else ""
        is_last = not any(one.phase.is_serving and not one.is_drained for one in self.ward.pool.backends)
        return told + ("; no daemon serves now, and clients are answered errors or wait" if is_last else "")

    async def undrain(self, name: str) -> str:
        """Take back a drain.  Raises OrderError."""
        backend, _ = self._known(name)
        told = await self._order(name, "drain", on=False, told=f"{name} gets calls again")
        self.ward.pool.drain(backend, drained=False)
        return told

    async def _order(self, name: str, verb: str, *, on: bool, told: str) -> str:
        """Let an order stand or take it back, here and in the ledger."""
        self._known(name)
        self.ward.stand(name, verb, on=on)
        self.ward.wake()
        if self.ward.links.keep is None:
            return f"{told}; without a ledger that is forgotten when the gateway restarts"
        try:
            await self.ward.links.keep(name, verb, on)
        except Exception as error:  # noqa: BLE001 - the order counts all the same, and the operator is told
            return f"{told}; it could not be written down ({error}) and is forgotten when the gateway restarts"
        return told

    def _known(self, name: str) -> tuple[Backend, Chart]:
        backend = self.ward.pool.by_name.get(name)
        if backend is None:
            raise OrderError(f"there is no backend {name}; there are {', '.join(self.ward.pool.by_name)}")
        return backend, self.ward.charts[name]

"""The operators' door on loopback, whom it orders, what it tells, and a ledger where a test wants one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import SecretStr

from gateway.base.config import Admin
from gateway.base.errors import OrderError
from gateway.base.events import Event
from gateway.edge.admin import AdminDoor
from gateway.edge.admin_access import Access
from gateway.edge.admin_api import AdminApi
from gateway.edge.admin_orders import OrderDesk
from gateway.edge.admin_outcomes import OutcomeDesk
from gateway.edge.descriptors import Descriptors
from gateway.edge.rpc import DoorCounters
from gateway.ledger.store import InlineLedger
from gateway.observe.metrics import Metrics
from gateway.observe.rates import Rates

TOKEN = "secret-of-the-operators-32-letters"
AT = 1_800_000_000.0
STATUS: dict[str, object] = {"version": "1", "draining": False, "wallets": {"main": {"backends": []}}}


def head(*lines: str) -> bytes:
    """Return the head of an order."""
    first = ("POST /api/v1/wallets/main/backends/ec-1/restart HTTP/1.1", "Host: localhost")
    return "\r\n".join([*first, f"Authorization: Bearer {TOKEN}", *lines, "", ""]).encode()


async def done(*said: str) -> str:
    """Answer at once."""
    return " ".join(said)


@dataclass
class FakeOrders:
    """Remembers what was ordered, and does what a test tells it."""

    heard: list[tuple[str, ...]] = field(default_factory=list)
    act: Callable[..., Awaitable[str]] = done

    async def _take(self, *said: str) -> str:
        self.heard.append(said)
        return await self.act(*said)

    def drain(self, backend: str) -> Awaitable[str]:
        """Drain."""
        return self._take("drain", backend)

    def undrain(self, backend: str) -> str:
        """Undrain; a plain function is as good."""
        self.heard.append(("undrain", backend))
        return f"undrain {backend}"

    def restart(self, backend: str, reason: str) -> Awaitable[str]:
        """Restart."""
        return self._take("restart", backend, reason)

    def hold(self, backend: str) -> Awaitable[str]:
        """Hold."""
        return self._take("hold", backend)

    def release(self, backend: str) -> Awaitable[str]:
        """Release."""
        return self._take("release", backend)

    def promote(self, backend: str) -> Awaitable[str]:
        """Promote."""
        return self._take("promote", backend)


@dataclass
class FakeSwitches:
    """What a visitor of the sandbox may do."""

    on: dict[str, bool] = field(default_factory=dict)

    def names(self) -> list[dict[str, object]]:
        """Return one daemon's."""
        shown = [{"name": "freeze", "is_on": self.on.get("freeze", False)}, {"name": "kill", "is_on": False}]
        return [{"wallet": "main", "backend": "ec-1", "switches": shown}]

    async def flip(self, backend: str, name: str, on: bool) -> str:  # noqa: FBT001 - as the real one has it
        """Turn one."""
        if name == "kill":
            raise OrderError("it is dead already; wait for it")
        self.on[name] = on
        return f"{backend} {name}"


@dataclass
class World:
    """A door on loopback, whom it orders, and what it told."""

    orders: FakeOrders = field(default_factory=FakeOrders)
    events: list[Event] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    draining: bool = False
    breaks: bool = False
    wallets: int = 2
    listeners: int = 200
    descriptors: Descriptors = field(default_factory=Descriptors)
    elsewhere: dict[str, str] = field(default_factory=dict)
    ledger: InlineLedger | None = None
    is_kept: bool = False
    """Whether there should be a ledger, where there is none."""
    mark: int = 0
    at: float = AT + 3600.0
    rates: Rates = field(default_factory=lambda: Rates(AT))
    api: AdminApi = field(init=False)
    door: AdminDoor = field(init=False)

    async def open(self, admin: Admin | None = None) -> None:
        """Open the door, for who shows TOKEN unless the settings are others."""
        admin = admin or Admin(port=0, token=SecretStr(TOKEN))
        loop = asyncio.get_running_loop()
        api = self.api = AdminApi(
            Access(admin, emit=self.events.append, now=loop.time, sleep=self._sleep),
            status=self._status,
            backends=lambda: {"main": ["ec-1", "ec-2"], "savings": ["cold"]},
            orders=lambda: dict.fromkeys(("main", "savings")[: self.wallets], self.orders),
            draining=lambda: self.draining,
            emit=self.events.append,
            elsewhere=lambda: self.elsewhere,
            outcomes=self._outcomes,
            rates=self.rates,
            listeners=self.listeners,
        )
        metrics = Metrics(version="1", door=DoorCounters(), dropped_lines=lambda: 0)
        self.door = AdminDoor(
            admin, ready=dict, ailing=dict, draining=lambda: self.draining, metrics=metrics.text, api=api,
            descriptors=self.descriptors,
        )  # fmt: skip
        await self.door.start()

    def _outcomes(self, desk: OrderDesk) -> OutcomeDesk:
        def writing(wallet: str) -> InlineLedger:
            if self.ledger is None:
                raise OrderError(f"the ledger of {wallet} is not open here")
            return self.ledger

        return OutcomeDesk(
            desk, reading=lambda: self.ledger, writing=writing, resolved=self.resolved.append,
            emit=self.events.append, clock=lambda: self.at, mark=lambda: self.mark,
            is_kept=lambda: self.is_kept or self.ledger is not None,
        )  # fmt: skip

    def later(self, seconds: float) -> None:
        """Let time pass for what is kept for a moment."""
        self.at += seconds

    def _status(self) -> dict[str, object]:
        if self.breaks:
            raise RuntimeError("hunter2")
        return STATUS

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def ask(
        self, verb: str, path: str, body: bytes | None = None, *, token: str | None = TOKEN, **headers: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Send a request; return status, JSON and headers of the answer."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        async with (
            aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session,
            session.request(verb, f"http://127.0.0.1:{self.door.port}{path}", data=body, headers=sent) as response,
        ):
            text = await response.text()
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert not [name for name in response.headers if name.lower().startswith("access-control")]
            assert TOKEN not in text
            if response.status >= 400:
                assert response.headers["Content-Type"] == "application/problem+json"
            return response.status, json.loads(text) if text else {}, dict(response.headers)

    async def order(self, words: str = "main/backends/ec-2/restart", **how: Any) -> tuple[int, str]:
        """Give an order; return the status, and what was said, which is a problem as RFC 9457 has it or an answer."""
        status, found, _ = await self.ask("POST", f"/api/v1/wallets/{words}", **how)
        if status == 200:
            return status, found["answer"]
        assert found["status"] == status
        assert found["title"]
        return status, found["detail"]

    async def raw(self, sent: bytes) -> bytes:
        """Send bytes and return all that comes until the door closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port)
        writer.write(sent)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer

    def told(self, name: str) -> list[dict[str, object]]:
        """What was told under a name."""
        assert TOKEN not in repr(self.events)
        return [event.fields for event in self.events if event.name == name]

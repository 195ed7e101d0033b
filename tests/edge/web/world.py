"""Snapshots as the gateway makes them, and a door on loopback whose pages are drawn from one."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import SecretStr

from gateway.base.config import Admin
from gateway.base.events import Event
from gateway.base.people import Person, Role, User
from gateway.edge.admin import AdminDoor
from gateway.edge.admin_access import Access
from gateway.edge.admin_api import AdminApi
from gateway.edge.passwords import Passwords
from gateway.edge.sign_in import SignIn
from gateway.observe.past import Answer
from gateway.observe.rates import Rates

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
"""Of no password; sessions are begun behind the page to sign in."""

AT = 1_795_900_000.0
"""When a snapshot was taken: 2026-11-28, 21:06:40 UTC."""

HOSTILE = "\"'><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
"""What somebody writes who hopes that it is not escaped."""


def backend(name: str, **changes: Any) -> dict[str, Any]:
    """A backend that is well."""
    return {
        "name": name, "primary": False, "phase": "READY", "kind": "ok", "reason": "", "for_seconds": 7200.0,
        "since": AT - 7200.0, "level": "synced", "height": 868_123, "aligned": True, "circuit": "closed",
        "score": 0.97, "in_flight": 0, "slots": 1, "suspect": False, "expected": True, "latency_ms": 4.2,
        "sparkline": [None] * 10 + [4.0, 5.0, None, 4.4] * 12 + [4.1, 4.2], "horizon": 1_204,
        "url": "10.0.0.11:7777", "step": "", "care": "", "next_try": None, "restarts": 0, "restarts_in_a_row": 0,
        "ordered": "", "failure": None, "held": False, "drained": False, "process": "running", "process_age": 90_000,
        "launcher_error": "", "memory": {"used": 221 << 20, "limit": 512 << 20, "share": 0.432}, "launcher": "docker",
        **changes,
    }  # fmt: skip


def wallet(*backends: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A wallet that is well."""
    return {
        "wallet": "main", "profile": "electron-cash", "primary": "ec-1", "panic": False, "waiting": 0, "in_flight": 1,
        "ledger": {"state": "adopted", "epoch": 3, "addresses": 1204, "pool": 27, "pool_size": 30, "error": ""},
        "rates": {"calls": 12.34, "errors": 0.0, "p50_ms": 4.1, "p95_ms": 38.0}, "slots_taken": 1, "slots": 3,
        "addresses": {"ahead": 27, "of": 30, "handed": 1177}, "unresolved": 0, "not_ready": [],
        "backends": list(backends) or [backend("ec-1", primary=True), backend("ec-2"), backend("ec-3")], **changes,
    }  # fmt: skip


def snapshot(*wallets: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A gateway that is well."""
    every = wallets or (wallet(),)
    return {
        "version": "0.1.0", "gateway": "gw-1", "sandbox": False, "started_at": AT - 86_400.0, "time": AT,
        "draining": False, "alerts": [], "wallets": {one["wallet"]: one for one in every}, **changes,
    }  # fmt: skip


def alert(kind: str, **changes: Any) -> dict[str, Any]:
    """An open alert."""
    return {
        "kind": kind, "severity": "warning", "wallet": "main", "backend": "", "title": "a title", "text": "a text",
        "since": AT - 240.0, "incident": "a-1", "docs": f"docs/alerts.md#{kind}", **changes,
    }  # fmt: skip


def sick() -> dict[str, Any]:
    """A gateway one of whose daemons hangs, and another of which is being restarted."""
    return snapshot(
        wallet(
            backend("ec-1", phase="EJECTED", kind="wedged", reason="silent", since=AT - 252.0, aligned=False,
                    circuit="open", score=0.12, in_flight=1, latency_ms=2_140.0, restarts=2, horizon=1_190,
                    care="silent without an excuse; ec-2 is being restarted", launcher_error="no such container",
                    memory={"used": 489 << 20, "limit": 512 << 20, "share": 0.955}),
            backend("ec-2", phase="RESTARTING", kind="dead", reason="refuses connections", step="sync",
                    since=AT - 41.0, restarts=1, height=None),
            backend("ec-3", primary=True, held=True),
            rates={"calls": 9.1, "errors": 0.4, "p50_ms": 5.2, "p95_ms": 1_210.0}, waiting=3, unresolved=1,
        ),
        alerts=[
            alert("below_half", text="1 of 3 daemons of main serve (ec-1: silent; ec-2: refuses connections)"),
            alert("stuck", severity="critical", backend="ec-1",
                  text="ec-1 has accepted or answered nothing for 252 s: silent"),
        ],
    )  # fmt: skip


INCIDENTS: list[dict[str, Any]] = [
    {
        "id": "a-2", "kind": "out_of_service", "severity": "warning", "wallet": "main", "backend": "ec-1",
        "title": "ec-1 is out of service: silent", "opened_at": AT - 252.0, "closed_at": None, "seconds": 252.0,
        "done": [
            {"at": AT - 252.0, "text": "taken out of service, its calls go elsewhere: silent"},
            {"at": AT - 251.0, "text": "ec-3 was made primary in place of ec-1: wedged, silent"},
        ],
    },
    {
        "id": "a-1", "kind": "memory", "severity": "warning", "wallet": "main", "backend": "ec-2",
        "title": "a daemon takes much memory: ec-2 takes 84% of the memory that it may take",
        "opened_at": AT - 90_000.0, "closed_at": AT - 89_000.0, "seconds": 1000.0,
        "done": [{"at": AT - 89_100.0, "text": "restart ordered by anna: before the night"}],
    },
]  # fmt: skip

OUTCOMES: list[dict[str, Any]] = [
    {
        "wallet": "main", "id": "call-17", "client": "shop", "method": "payto", "opened_at": AT - 3_600.0,
        "state": "unknown", "backend": "ec-1", "note": "request 0190",
    }
]  # fmt: skip

AUDIT: list[dict[str, Any]] = [
    {
        "at": AT - 100.0, "who": "anna", "by": "session", "wallet": "main", "backend": "ec-3", "verb": "hold",
        "reason": "while I look", "answer": "ec-3 is held: nothing restarts it until it is released",
    },
    {"at": AT - 900.0, "who": "open", "by": "open", "wallet": "main", "backend": "ec-2", "verb": "switch freeze",
     "reason": "", "answer": "ec-2 is frozen"},
]  # fmt: skip


def moved(what: Any, to: float) -> Any:
    """Return a snapshot or a list as if it had been taken at `to` and not at AT."""
    if isinstance(what, dict):
        return {name: moved(one, to) for name, one in what.items()}
    if isinstance(what, list):
        return [moved(one, to) for one in what]
    is_moment = isinstance(what, float) and abs(what - AT) < 1e7
    return what + to - AT if is_moment else what


def busy(at: float) -> Rates:
    """Ten minutes of calls up to a moment; a daemon hung four minutes ago."""
    chance, rates = random.Random(7), Rates(at - 600.0)
    for second in range(600):
        is_bad = 350 < second < 372
        for _ in range(chance.randint(6, 14) - 4 * is_bad):
            seconds = chance.lognormvariate(-5.4, 0.5) + (chance.random() < 0.04) * 0.03 + is_bad * chance.random()
            rates.call_ended("main", "overloaded" if is_bad and chance.random() < 0.3 else "ok", seconds)
        rates.turn(at - 599.0 + second, [("main", ["ec-1", "ec-2", "ec-3"])])
    return rates


class FakeApi(AdminApi):
    """An API whose gateway is a snapshot; remembers what was ordered."""

    shown: dict[str, Any]
    lists: dict[str, Any]
    heard: list[tuple[object, ...]]
    refuses: Exception | None = None
    incomplete: str = ""
    """Why the history is not whole."""
    has_more: bool = False
    """Whether there is more of it than is shown."""

    def snapshot(self) -> dict[str, object]:
        """Return the snapshot."""
        return self.shown

    async def _list(self, name: str) -> list[dict[str, object]]:
        found = self.lists.get(name, [])
        if isinstance(found, Exception):
            raise found
        return list(found)

    async def incidents(self, limit: int = 100) -> Answer:
        """Return what a test gave."""
        rows = (await self._list("incidents"))[:limit]
        return Answer(rows, not self.incomplete, self.incomplete, has_more=self.has_more)

    async def audit(self, limit: int = 100) -> Answer:
        """Return what a test gave."""
        rows = (await self._list("audit"))[:limit]
        return Answer(rows, not self.incomplete, self.incomplete, has_more=self.has_more)

    async def outcomes(self, _wallet: str | None = None) -> list[dict[str, object]]:
        """Return what a test gave."""
        return await self._list("outcomes")

    async def give_order(
        self, person: Person, wallet: str, backend: str, verb: str, reason: str, _peer: str = ""
    ) -> str:  # fmt: skip
        """Remember it."""
        return self._hear(person.name, wallet, backend, verb, reason)

    async def resolve(
        self, person: Person, wallet: str, outcome: str, executed: bool, reason: str, _peer: str = ""  # noqa: FBT001
    ) -> str:  # fmt: skip
        """Remember it."""
        return self._hear(person.name, wallet, outcome, executed, reason)

    async def flip(self, person: Person, backend: str, name: str, on: bool, _peer: str = "") -> str:  # noqa: FBT001
        """Remember it."""
        return self._hear(person.name, backend, name, on)

    def _hear(self, *what: object) -> str:
        if self.refuses is not None:
            raise self.refuses
        self.heard.append(what)
        return f"{what[1]} hears {what[-2]}"


@dataclass
class PageWorld:
    """A door whose pages show a snapshot; anna is an operator and otto looks."""

    shown: dict[str, Any] = field(default_factory=snapshot)
    lists: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    api: FakeApi = field(init=False)
    door: AdminDoor = field(init=False)
    cookies: dict[str, str] = field(default_factory=dict)
    hashed: str = HASH
    """Of the password of everybody."""

    async def open(self, *, is_open: bool = False, port: int = 0) -> None:
        """Open the door; to everybody, or to who has signed in."""
        loop = asyncio.get_running_loop()
        users = () if is_open else tuple(
            User(name=name, role=role, password_hash=SecretStr(self.hashed))
            for name, role in (("anna", Role.OPERATOR), ("otto", Role.VIEWER))
        )  # fmt: skip
        admin = Admin(port=port, open=is_open, users=users)
        access = Access(admin, emit=self.events.append, now=loop.time)
        self.api = FakeApi(
            access, status=lambda: self.shown, backends=lambda: {name: [] for name in self.shown["wallets"]},
            orders=dict, draining=bool, emit=self.events.append, rates=busy(time.time()),
        )  # fmt: skip
        self.api.shown, self.api.lists, self.api.heard = self.shown, self.lists, []
        sign_in = SignIn(access, Passwords(access.brakes, now=loop.time), emit=self.events.append)
        self.door = AdminDoor(
            admin, ready=dict, ailing=dict, draining=bool, metrics=bytes, api=self.api, sign_in=sign_in
        )  # fmt: skip
        await self.door.start()

    def show(self, shown: dict[str, Any], **lists: Any) -> None:
        """Change what is to be seen."""
        self.shown = self.api.shown = shown
        self.lists.update(lists)
        if self.door.pages is not None:
            self.door.pages.shared.forget()

    def enter(self, name: str) -> None:
        """Sign somebody in."""
        access = self.api.access
        user = next(one for one in access.admin.users if one.name == name)
        self.cookies["ecgw_session"] = access.sessions.begin(user, access.now())

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.door.port}"

    async def get(self, path: str = "/", **headers: str) -> tuple[int, str, aiohttp.ClientResponse]:
        """Ask for a page and follow nothing."""
        return await self.ask("GET", path, None, **headers)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> tuple[int, str, aiohttp.ClientResponse]:
        """Send a form."""
        return await self.ask("POST", path, fields, **headers)

    async def ask(
        self, verb: str, path: str, data: Any, **headers: str
    ) -> tuple[int, str, aiohttp.ClientResponse]:  # fmt: skip
        """Send a request with the cookies that there are."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            sent["Cookie"] = cookie
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(verb, self.url + path, data=data, headers=sent, allow_redirects=False) as response,
        ):
            return response.status, await response.text(), response

    async def csrf(self, path: str) -> str:
        """Return what the form on a page holds."""
        _, text, _ = await self.get(path)
        return text.partition('name="csrf" value="')[2].partition('"')[0]

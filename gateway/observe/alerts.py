"""Tells people what is wrong: hears every event, looks at every wallet once a second, and hands messages to couriers.

Rule: what is told and when is decided in `rules/conditions.py` and `rules/alerts.py`; nobody who emits an event or
answers a call ever waits for a sink.  Alerts are in the log and in /metrics whether there are sinks or not.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.base.care import Alerts as AlertSettings
from gateway.base.care import Sink as SinkSettings
from gateway.base.events import Emit, Event
from gateway.observe.courier import Courier
from gateway.observe.sinks import Message, Sink, build
from gateway.rules import alerts as rules
from gateway.rules.alerts import Notice, Stage, Transition
from gateway.rules.conditions import WalletView, conditions, places
from gateway.rules.heard import Heard, forget, hear
from gateway.rules.kinds import Key, Kind, Severity

LOOK = 1.0
"""Seconds between two looks."""

STOOD_STILL = 2.0
"""Seconds by which a look may be late; beyond them this process itself stood still, and every age is its own."""

FLUSH = 2.0
"""Seconds in which the last messages may leave while the gateway stops."""

AGES = frozenset({Kind.STUCK, Kind.WAITING})
"""Kinds whose text says for how long."""

LEVELS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "error"}


@dataclass(slots=True)
class Incident:
    """What the messages of one alert have in common, from its opening to its closing.

    Args:
        quiet_since: since when it does not hold any more, in seconds since 1970; None while it does.
    """

    id: str
    messages: int = 0
    opening: Message | None = None
    quiet_since: float | None = None


@dataclass(slots=True)
class Alerts:
    """The alerts of one gateway.

    Args:
        settings: when something is told, and to whom.
        views: returns what is seen of each wallet now.
        tell: where alerts are written down; not `emit`, which hears everything.
        clock: seconds since 1970.
        chance: numbers in [0, 1).
        gateway: the name of this one, for whoever is told.
        make: builds a sink from its settings.
    """

    settings: AlertSettings
    views: Callable[[], Iterable[WalletView]]
    tell: Emit
    clock: Callable[[], float]
    chance: Callable[[], float]
    loop: asyncio.AbstractEventLoop
    gateway: str = ""
    make: Callable[[SinkSettings], Sink] = build
    couriers: dict[str, Courier] = field(default_factory=dict)
    _alerts: dict[Key, rules.Alert] = field(default_factory=dict)
    _heard: Heard = field(default_factory=Heard)
    _wallets: list[str] = field(default_factory=list)
    _incidents: dict[Key, Incident] = field(default_factory=dict)
    _life: str = field(default_factory=lambda: secrets.token_hex(6))
    """Tells the ids of this gateway's life from those of any other."""
    _number: int = 0
    _looked_at: float | None = None
    _built: dict[str, SinkSettings] = field(default_factory=dict)
    _ending: set["asyncio.Task[None]"] = field(default_factory=set)
    _task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        """Begin to look and to bring."""
        self.update(self.settings)
        self._task = self.loop.create_task(self._run(), name="alerts")

    def update(self, settings: AlertSettings) -> None:
        """Take new settings; what waits for a sink whose settings changed goes to the new one."""
        self.settings = settings
        wanted = {sink.name: sink for sink in settings.sinks}
        changed = [name for name, sink in self._built.items() if wanted.get(name) != sink]
        for name in changed:
            former = self.couriers.pop(name)
            del self._built[name]
            heir = self._build(wanted[name]) if name in wanted else None
            if heir is not None:
                heir.take_over(former)
            else:
                former.give_up("the sink was taken out")
            self._end(former)
        for name, sink in wanted.items():
            if name in self._built or name in changed:
                continue
            fresh = self._build(sink)
            if fresh is not None:
                self._bring_up_to_date(fresh)

    def hear(self, event: Event) -> None:
        """Take note of an event; costs a lookup where it is of no interest, and never raises."""
        with suppress(Exception):
            self._heard = hear(self._heard, event, self.loop.time())

    async def stop(self) -> None:
        """Close what is open, for nobody will later, and give the messages a moment to leave."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        for notice in rules.close_all(self._alerts, self.loop.time()):
            self._publish(notice)
        self._alerts = {}
        await asyncio.gather(*(courier.stop(FLUSH) for courier in self.couriers.values()), *self._ending)
        for courier in self.couriers.values():
            courier.give_up("the gateway stops")

    def gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield what metrics want to know: name, labels, value."""
        told: Counter[tuple[Kind, str]] = Counter()
        for (kind, wallet, _), alert in self._alerts.items():
            told[kind, wallet] += alert.is_told
        for wallet in self._wallets:
            for kind in Kind:
                # the ledger is one for all wallets, and whoever reads these expects the name of a wallet
                count = told[kind, wallet] + (told[kind, ""] if wallet else 0)
                yield "alerts_open", {"wallet": wallet, "kind": kind.value}, float(count)
        for courier in self.couriers.values():
            yield from courier.gauges()

    def shown(self) -> list[dict[str, object]]:
        """Return what is open now, as the operators' door shows it: no address, no key, times since 1970.

        A text that only grows older is that of the opening: who reads it sees since when.  What does not hold any more
        and is still watched has `quiet_since`, and `closes_at` says when it is told as over.
        """
        found: list[dict[str, object]] = []
        for key, alert in self._alerts.items():
            incident = self._incidents.get(key)
            if not alert.is_told or incident is None or incident.opening is None:
                continue
            opening, condition, quiet = incident.opening, alert.condition, incident.quiet_since
            found.append(
                {
                    "kind": opening.kind,
                    "severity": opening.severity,
                    "wallet": opening.wallet,
                    "backend": opening.backend,
                    "title": opening.title,
                    "text": opening.text if condition.kind in AGES else condition.text,
                    "since": round(opening.opened_at, 3),
                    "quiet_since": None if quiet is None else round(quiet, 3),
                    "closes_at": None if quiet is None else round(quiet + alert.settle, 3),
                    "incident": incident.id,
                    "docs": f"docs/alerts.md#{opening.kind}",
                }
            )
        return found

    # -- looking ------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Look for ever; a look that fails is told, and the next one may do better."""
        is_failing = False
        while True:
            try:
                self.look()
                is_failing = False
            except Exception as error:  # noqa: BLE001 - a room that nobody watches would be dead in silence
                if not is_failing:
                    what = f"{type(error).__name__}: {error}"[:500]
                    self.tell(Event("room.failed", "", "", {"room": "alerts", "error": what}, "error"))
                is_failing = True
            await asyncio.sleep(LOOK)

    def look(self) -> None:
        """Look at every wallet, and tell what follows."""
        now = self.loop.time()
        before, self._looked_at = self._looked_at, now
        if before is not None and now - before > LOOK + STOOD_STILL:
            return
        views = list(self.views())
        self._wallets = [view.name for view in views]
        self._heard = forget(self._heard, places(views), now)
        holding = list(conditions(views, self._heard, self.settings))
        watched = {view.name for view in views if view.is_here}
        self._alerts, notices = rules.step(self._alerts, holding, now, self.settings, watched)
        for notice in notices:
            self._publish(notice)
        for key, incident in self._incidents.items():
            self._note_quiet(incident, self._alerts.get(key))

    def _note_quiet(self, incident: Incident, alert: rules.Alert | None) -> None:
        """Write down once since when an alert does not hold: two looks at a clock are never quite alike."""
        if alert is None or alert.stage is not Stage.QUIET:
            incident.quiet_since = None
        elif incident.quiet_since is None:
            incident.quiet_since = self.clock() - (self.loop.time() - alert.changed_at)

    def _publish(self, notice: Notice) -> None:
        """Write a transition down and hand it to every courier."""
        message = self._message(notice)
        fields: dict[str, object] = {
            "alert": message.kind, "severity": message.severity, "text": message.text, "incident": message.incident,
            "seconds": round(message.seconds, 3),
        }  # fmt: skip
        is_over = notice.transition is Transition.CLOSED
        level = "info" if is_over else LEVELS[notice.condition.row.severity]
        self.tell(Event(message.type, message.wallet, message.backend, fields, level))
        for courier in self.couriers.values():
            courier.push(message)

    def _message(self, notice: Notice) -> Message:
        condition, key = notice.condition, notice.condition.key
        incident = self._incidents.get(key)
        if incident is None or notice.transition in (Transition.OPENED, Transition.TOLD):
            self._number += 1
            incident = self._incidents[key] = Incident(f"{self._life}-{self._number}")
        incident.messages += 1
        if notice.transition in (Transition.CLOSED, Transition.TOLD):
            del self._incidents[key]
        at = self.clock()
        message = Message(
            id=f"{incident.id}-{incident.messages}",
            type=f"alert.{notice.transition}",
            incident=incident.id,
            alert="/".join(part for part in (condition.kind, condition.wallet, condition.backend) if part),
            kind=condition.kind,
            severity=condition.row.severity,
            wallet=condition.wallet,
            backend=condition.backend,
            title=condition.row.title,
            text=condition.text,
            at=at,
            opened_at=at - (self.loop.time() - notice.since),
            seconds=notice.seconds,
            repeats=notice.repeats,
            count=notice.count,
            facts=_plain(condition.facts),
            gateway=self.gateway,
        )
        if notice.transition is Transition.OPENED:
            incident.opening = message
        return message

    # -- sinks --------------------------------------------------------------------------------------------

    def _build(self, sink: SinkSettings) -> Courier | None:
        """Start a courier; a sink that cannot be built is told, and keeps nobody else from being told."""
        try:
            made = self.make(sink)
        except Exception as error:  # noqa: BLE001 - a package from elsewhere may do anything
            fields: dict[str, object] = {"sink": sink.name, "reason": type(error).__name__}
            self.tell(Event("alert.sink_not_built", "", "", fields, "error"))
            return None
        courier = Courier(sink.name, made, sink.timeout, self.tell, self.chance, self.loop)
        courier.start()
        self.couriers[sink.name], self._built[sink.name] = courier, sink
        return courier

    def _bring_up_to_date(self, courier: Courier) -> None:
        """Tell a sink that has come new what is open: it will be told when that closes."""
        for incident in self._incidents.values():
            if incident.opening is not None:
                courier.push(incident.opening)

    def _end(self, courier: Courier) -> None:
        """End a courier whose messages another one has, or nobody wants."""
        task = self.loop.create_task(courier.stop(), name=f"alerts-end-{courier.name}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _plain(facts: Mapping[str, object]) -> dict[str, object]:
    """Return facts as JSON can hold them."""
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in facts.items()}


def trial_message(gateway: str, at: float) -> Message:
    """Return a message that says that nothing has happened."""
    one = f"test-{secrets.token_hex(6)}"
    return Message(
        id=one, type="alert.test", incident=one, alert="test", kind="test", severity="info", wallet="", backend="",
        title="a test message", text="whoever reads this is told when something is wrong", at=at, opened_at=at,
        seconds=0.0, gateway=gateway,
    )  # fmt: skip

"""The most important sentence of all: what is the matter, why, since when, what was done about it and what is left.

Rule: it follows from the snapshot alone, the worst comes first, and "all well" is said only where nothing else can be.
What is left to do never promises what an operator has forbidden, and never contradicts the reason.  An alert that is
quiet is told as over, and what another gateway looks after is not judged here.  Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from gateway.edge.web.words import Words

Snapshot = Mapping[str, Any]
"""What /api/v1/status answers, or a part of it."""

MOST = 3
"""Sentences about what is done, and names in one."""

DENIED = "HTTP 401"
"""What a reason holds of a daemon that refuses the gateway's credentials."""

OF_EVERYTHING = (
    "all_down", "no_holder", "read_only", "doubted", "unsafe", "all_adrift", "no_addresses", "diverged", "wrong_seed",
    "unknown_outcome", "below_half", "cut_off", "gateways", "not_adopted", "pool_low", "held_long", "waiting",
    "room_failed",
)  # fmt: skip
"""Kinds of alerts about a whole wallet or its money, the worst first."""

OF_ONE = ("failed", "restart_failed", "not_loaded", "launcher", "stuck", "adrift", "failures", "memory", "no_help")
"""Kinds of alerts about one daemon, which others stand in for; after all else that is as loud."""

LAST = len(OF_EVERYTHING) + len(OF_ONE) + 1
"""Rank of what no alert tells."""

SAY_SO = frozenset({"all_down", "no_holder", "cut_off"})
"""Kinds of alerts that say already that a wallet takes no calls."""

RESTARTS = frozenset({
    "all_down", "below_half", "stuck", "failures", "memory", "restart_failed", "failed", "launcher", "not_loaded",
})  # fmt: skip
"""Kinds that end by a restart or a reload, which none comes to that is held or drained."""

RESTARTED = frozenset({"wedged", "dead"})
"""Conditions that end by a restart where nothing else ends them."""


class Tone(IntEnum):
    """How loud something is; the higher, the louder."""

    WELL = 0
    WATCH = 1
    """Nobody has to do anything, and something is not as it always is."""
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        """Its name in templates and style sheets."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Headline:
    """The first sentence of the page, and what stands below it.

    Args:
        title: the sentence; why: the reason in words, "" for none.
        since: seconds since 1970; None where it is about no moment.
        did, todo: sentences: what the gateway did, what is left to do.
        more: how many other things are the matter.
        quiet_since, closes_at: since when it does not hold any more, and when it counts as over; None where it holds.
        is_elsewhere: nothing of what is shown is looked after here.
    """

    tone: Tone
    title: str
    why: str = ""
    since: float | None = None
    did: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    more: int = 0
    quiet_since: float | None = None
    closes_at: float | None = None
    is_elsewhere: bool = False

    @property
    def short(self) -> str:
        """Its name among the titles of the page."""
        return "elsewhere" if self.is_elsewhere else self.tone.word


def headline(snapshot: Snapshot, words: Words) -> Headline:
    """Return the sentence for a snapshot."""
    snapshot = with_names(snapshot)
    found = sorted(_matters(snapshot, words), key=lambda one: (-one[1].tone, one[0], one[1].since or 0.0))
    return replace(found[0][1], more=len(found) - 1) if found else _well(snapshot, words)


def with_names(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot whose backends and alerts say what they are `called` where there are several wallets.

    `ec-1` may be in each of them, and is somebody else there.
    """
    wallets: Mapping[str, Snapshot] = snapshot.get("wallets") or {}
    if len(wallets) < 2:
        return snapshot
    return {
        **snapshot,
        "wallets": {
            name: {**wallet, "backends": [{**one, "called": called(name, one.get("name"))} for one in backends]}
            if (backends := backends_of(wallet))
            else wallet
            for name, wallet in wallets.items()
        },
        "alerts": [
            {**one, "called": called(one["wallet"], one["backend"])}
            if one.get("wallet") and one.get("backend")
            else one
            for one in snapshot.get("alerts") or ()
        ],
    }


def called(wallet: object, backend: object) -> str:
    """Return what a backend is called where there are several wallets."""
    return f"{wallet} / {backend or '?'}"


def name_of(backend: Snapshot) -> str:
    """Return what a backend is called on the page."""
    return str(backend.get("called") or backend.get("name") or "?")


def tone_of(backend: Snapshot) -> Tone:
    """Return how loud the state of a backend is by itself."""
    match backend.get("phase"):
        case "READY" if backend.get("kind") in ("ok", "busy"):
            is_as_always = not (backend.get("drained") or backend.get("held"))
            return Tone.WELL if is_as_always else Tone.WATCH
        case "EJECTED":
            return Tone.WATCH if backend.get("drained") else Tone.WARNING
        case "FAILED":
            return Tone.CRITICAL
        case "READY":
            return Tone.WARNING
        case _:
            return Tone.WATCH


def backends_of(wallet: Snapshot) -> Sequence[Snapshot]:
    """Return the backends that a snapshot has of a wallet; none where another gateway holds it."""
    found = wallet.get("backends")
    return found if isinstance(found, Sequence) and not isinstance(found, str) else ()


def todo_of(backend: Snapshot, words: Words) -> str:
    """Return what is left to do about a backend that is not as always; "" where there is nothing to say."""
    name, phase = name_of(backend), backend.get("phase")
    if backend.get("drained"):
        return words.text("todo.undrain")
    if DENIED in str(backend.get("reason")):
        return words.text("todo.password")
    # whoever holds it has to release it before anything restarts it
    if phase == "FAILED" and not backend.get("held"):
        return words.text("todo.failed")
    if phase in ("STARTING", "WARMING", "DRAINING", "RESTARTING"):
        return words.text("todo.wait")
    if backend.get("kind") == "dead" and not backend.get("launcher"):
        return words.text("todo.no_launcher", backend=name)
    if backend.get("held"):
        return words.text("todo.release")
    if tone_of(backend) is not Tone.WARNING:
        return ""
    # what is not allowed, or not to come for long, is not expected
    is_restarted = backend.get("launcher") and backend.get("expected") and backend.get("kind") in RESTARTED
    return words.text("todo.restarts" if is_restarted else "todo.nothing")


def rank_of(alert: Snapshot) -> int:
    """Return where an alert stands among those that are as loud: the smaller, the worse."""
    kind, backend = str(alert.get("kind")), alert.get("backend")
    if kind in OF_EVERYTHING:
        return OF_EVERYTHING.index(kind)
    known = len(OF_EVERYTHING)
    # a kind that a newer gateway knows: by whom it is about
    return known + 1 + OF_ONE.index(kind) if kind in OF_ONE else LAST if backend else known


def todo_of_alert(alert: Snapshot, wallet: Snapshot, words: Words) -> str:
    """Return what is left to do about an alert of a wallet, "" for a kind that is not known here."""
    kind, text = str(alert.get("kind")), str(alert.get("text") or "")
    if is_quiet(alert):
        return words.text("todo.quiet")
    if kind == "read_only" and "backup" in text:
        return words.text("todo.backup")
    if kind == "read_only" and "restart the gateway" in text:
        return words.text("todo.put_back")
    if kind in RESTARTS:
        concerned = _concerned(alert, wallet)
        if concerned and all(one.get("held") or one.get("drained") for one in concerned):
            return todo_of(concerned[0], words)
    known = words.alerts.get(kind)
    return known[1] if known else ""


def is_quiet(alert: Snapshot) -> bool:
    """Return whether what an alert tells of does not hold any more, and is only watched for a while."""
    return alert.get("quiet_since") is not None


def title_of(alert: Snapshot, words: Words) -> str:
    """Return what an alert is about and whom, in the language of the page; an unknown kind keeps its own title."""
    known = words.alerts.get(str(alert.get("kind")))
    title = known[0] if known else str(alert.get("title") or alert.get("kind") or "?")
    backend = alert.get("called") or alert.get("backend")
    place = backend or alert.get("wallet")
    if known and "{daemon}" in title:
        return title.format(daemon=words.text("daemon.named", name=backend) if backend else words.text("daemon"))
    return words.text("head.alert.at", place=place, title=title) if place else title


def condition_of(backend: Snapshot, words: Words) -> str:
    """Return what is the matter with a backend, in words, with the reason where it says more."""
    kind, reason = str(backend.get("kind")), words.mark(str(backend.get("reason") or ""))
    condition = words.kinds.get(kind, kind)
    return condition if kind == "ok" or reason in ("", condition) else f"{condition}: {reason}"


# -- what is the matter -----------------------------------------------------------------------------------------


def _matters(snapshot: Snapshot, words: Words) -> Iterator[tuple[int, Headline]]:
    """Yield everything that is not as always, with its rank among what is as loud."""
    wallets: Mapping[str, Snapshot] = snapshot.get("wallets") or {}
    told: set[tuple[str, str]] = set()
    known: set[str] = set()
    for alert in snapshot.get("alerts") or ():
        if alert.get("severity") == "info":
            continue
        of = str(alert.get("wallet") or "")
        if is_quiet(alert):
            yield LAST + 1, _of_quiet(alert, words)
            continue
        if alert.get("kind") in SAY_SO:
            known.add(of)
        told |= {(of, str(alert.get("backend") or "")), (of, "")}
        yield rank_of(alert), _of_alert(alert, wallets.get(of, {}), words)
    if snapshot.get("draining"):
        yield 0, Headline(Tone.WATCH, words.text("head.stopping"), words.text("head.stopping.why"))
    for name, wallet in wallets.items():
        if wallet.get("not_ready") and name not in known:
            yield 0, _of_no_calls(name, wallet, words)
        unresolved = wallet.get("unresolved")
        if isinstance(unresolved, int) and unresolved > 0:
            title = words.count("head.unresolved", unresolved, wallet=name)
            yield 1, Headline(Tone.WATCH, title, todo=(words.alerts["unknown_outcome"][1],))
        for backend in backends_of(wallet):
            tone = tone_of(backend)
            # what an alert of its wallet has said already is not counted once more
            if tone is not Tone.WELL and (name, backend.get("name")) not in told and (name, "") not in told:
                yield LAST, _of_backend(backend, wallet, tone, words)


def _of_alert(alert: Snapshot, wallet: Snapshot, words: Words) -> Headline:
    tone = Tone.CRITICAL if alert.get("severity") == "critical" else Tone.WARNING
    todo = todo_of_alert(alert, wallet, words)
    return Headline(
        tone,
        title_of(alert, words),
        words.mark(str(alert.get("text") or "")),
        _at(alert.get("since")),
        _did(_concerned(alert, wallet), wallet, words),
        (todo,) if todo else (),
    )


def _of_quiet(alert: Snapshot, words: Words) -> Headline:
    """Say that something is over, which is not yet told as such: it may come back at any moment."""
    title = words.text("alert.quiet", title=title_of(alert, words))
    return Headline(
        Tone.WATCH, title, since=_at(alert.get("since")), todo=(words.text("todo.quiet"),),
        quiet_since=_at(alert.get("quiet_since")), closes_at=_at(alert.get("closes_at")),
    )  # fmt: skip


def _of_no_calls(name: str, wallet: Snapshot, words: Words) -> Headline:
    """Say that a wallet takes no calls: no matter while a daemon starts and calls wait for it, and one beyond that.

    That clients are answered errors is said once they are, and not as soon as they may be.
    """
    everyone = backends_of(wallet)
    is_bad = bool(wallet.get("overdue")) or any(tone_of(one) >= Tone.WARNING for one in everyone)
    title = words.text("head.not_sent" if _is_elsewhere(wallet) else "head.no_calls", wallet=name)
    why = words.mark("; ".join(str(one) for one in wallet["not_ready"]))
    did = _did([one for one in everyone if tone_of(one) is not Tone.WELL], wallet, words)
    todo = words.text("todo.soon" if not is_bad else "todo.waits" if _do_calls_wait(wallet) else "todo.no_calls")
    return Headline(
        Tone.WARNING if is_bad else Tone.WATCH, title, why, _at(wallet.get("not_ready_since")), did, (todo,)
    )


def _concerned(alert: Snapshot, wallet: Snapshot) -> list[Snapshot]:
    """Return the backends that an alert is about: the one that it names, else whatever is not as always."""
    everyone = backends_of(wallet)
    named = [one for one in everyone if one.get("name") == alert.get("backend")]
    return named or [one for one in everyone if tone_of(one) is not Tone.WELL]


def _of_backend(backend: Snapshot, wallet: Snapshot, tone: Tone, words: Words) -> Headline:
    name, phase = name_of(backend), str(backend.get("phase"))
    kind = str(backend.get("kind"))
    if tone is Tone.WATCH and backend.get("drained"):
        title, why = words.text("head.drained", backend=name), words.text("head.drained.why")
    elif tone is Tone.WATCH and phase == "READY":
        title, why = words.text("head.held", backend=name), ""
    else:
        title = words.text("head.backend", backend=name, state=words.phases.get(phase, phase))
        why = "" if kind == "ok" else condition_of(backend, words)
    todo = todo_of(backend, words)
    return Headline(
        tone, title, why, _at(backend.get("since")), _did([backend], wallet, words), (todo,) if todo else ()
    )


def _did(concerned: Iterable[Snapshot], wallet: Snapshot, words: Words) -> tuple[str, ...]:
    """Return what the gateway does about backends of a wallet, in sentences."""
    concerned, everyone = list(concerned), backends_of(wallet)
    serving = [name_of(one) for one in everyone if _serves(one)]
    sentences: list[str] = []
    # where nobody is out there is nothing to go round
    if serving and len(serving) < len(everyone):
        sentences.append(words.text("did.others", names=", ".join(serving[:MOST])))
    elif everyone and not serving:
        sentences.append(words.text("did.nobody.yet" if _do_calls_wait(wallet) else "did.nobody"))
    sentences += _promoted(concerned, wallet, words)
    for backend in concerned:
        sentences += _did_for(backend, words)
    return tuple(sentences[: MOST + 1])


def _promoted(concerned: Iterable[Snapshot], wallet: Snapshot, words: Words) -> Iterator[str]:
    """Yield who is primary in the place of one that is out; who has been for long is no news."""
    promoted = wallet.get("promoted")
    if not isinstance(promoted, Mapping):
        return
    is_out = any(
        one.get("name") == promoted.get("before") and (one.get("phase") != "READY" or one.get("drained"))
        for one in concerned
    )
    for one in backends_of(wallet):
        if is_out and one.get("primary") and one.get("name") == promoted.get("backend") and _serves(one):
            yield words.text("did.primary", backend=name_of(one))


def _did_for(backend: Snapshot, words: Words) -> Iterator[str]:
    name, phase, step = name_of(backend), backend.get("phase"), str(backend.get("step") or "")
    if phase in ("DRAINING", "RESTARTING"):
        key = "did.restarting.step" if step else "did.restarting"
        yield words.text(key, backend=name, step=words.steps.get(step, step))
    elif phase == "WARMING":
        yield words.text("did.warming", backend=name)
    elif backend.get("care"):
        yield words.text("did.care", backend=name, care=words.mark(str(backend["care"])))
    restarts = backend.get("restarts")
    if isinstance(restarts, int) and restarts > 0 and phase != "READY":
        yield words.count("did.restarts", restarts, backend=name)


def _well(snapshot: Snapshot, words: Words) -> Headline:
    wallets: Mapping[str, Snapshot] = snapshot.get("wallets") or {}
    count = sum(len(backends_of(wallet)) for wallet in wallets.values())
    others = [(name, wallet) for name, wallet in wallets.items() if not backends_of(wallet)]
    served = "; ".join(_served(others, words))
    if not count:
        title = served or words.text("head.elsewhere")
        return Headline(Tone.WATCH, title, words.text("head.elsewhere.why"), is_elsewhere=True)
    why = words.count("head.well.why", count)
    if not others:
        return Headline(Tone.WELL, words.text("head.well"), why)
    return Headline(Tone.WELL, words.text("head.well.here"), f"{why} {served or words.text('head.elsewhere')}.")


def _served(others: Iterable[tuple[str, Snapshot]], words: Words) -> Iterator[str]:
    """Yield which other gateways serve which wallets, as far as that is known here."""
    by_holder: dict[str, list[str]] = {}
    for name, wallet in others:
        lease = wallet.get("lease")
        if isinstance(lease, Mapping) and lease.get("holder"):
            by_holder.setdefault(str(lease["holder"]), []).append(name)
    for holder, names in by_holder.items():
        yield words.text("head.elsewhere.by", holder=holder, wallets=", ".join(names[:MOST]))


def _is_elsewhere(wallet: Snapshot) -> bool:
    """Return whether gateways share a wallet, and this one does not hold it."""
    lease = wallet.get("lease")
    return isinstance(lease, Mapping) and not lease.get("held")


def _do_calls_wait(wallet: Snapshot) -> bool:
    """Return whether calls of a wallet that takes none still wait: for nobody who is dead and not expected, though."""
    hope = any(one.get("expected") or one.get("kind") != "dead" for one in backends_of(wallet))
    return wallet.get("overdue") is False and hope


def _serves(backend: Snapshot) -> bool:
    return backend.get("phase") in ("READY", "WARMING") and not backend.get("drained") and not backend.get("suspect")


def _at(found: object) -> float | None:
    return float(found) if isinstance(found, int | float) else None

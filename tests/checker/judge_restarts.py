"""Restarts, where the gateway starts the daemons: who is sick is cured, one at a time, and nobody else is touched.

Rule: what the gateway did to a daemon is told from the kernel's word on when processes ended, from their own on when
they began, and from the journals on when they had their wallets; never from what the gateway says.
"""

from collections.abc import Iterator
from itertools import pairwise

from tests.checker.evidence import Evidence
from tests.checker.excuses import AWAY, BACK, GATEWAY_FAULTS, PATIENCE
from tests.checker.gateway import name_of
from tests.checker.history import ERROR, Deed, Life
from tests.checker.plan import DAEMONS, OUT_OF_REACH
from tests.checker.verdict import Violation

CURED = 5.0 * PATIENCE
"""Seconds from a fault that only the gateway ends until its daemon has its wallet again."""

TURN = 5.0
"""Seconds longer for each other restart that comes in between."""

ANEW = 15.0
"""Seconds longer, beside its own length, for each fault of the gateway: for 8 s a new one takes whom it has not seen
well for one that is starting."""

LOADING = 5.0
"""Seconds that a wallet may take to be loaded; then the next daemon may have its turn."""

BORN = 5.0
"""Seconds from the end of a process to its successor; after more, one in between did not live to say that it began,
because its disk was full or its port was taken, and the turn was another daemon's meanwhile."""

SIGN = 2.0
"""Seconds that a daemon has for signing, in the checker's configuration."""

LOST = 0.5
"""Seconds after the end of a daemon in which the client of a call there has been told."""


def cured(evidence: Evidence) -> Iterator[Violation]:
    """9: whoever only the gateway can bring back is brought back, and soon."""
    for deed in evidence.deeds:
        if not deed.is_back:
            yield Violation("9", f"daemon {deed.target} did not come back after {deed.kind}", (deed,))
            continue
        if not deed.stays:
            continue
        others = [
            one
            for one in evidence.deeds
            if one is not deed
            and one.begin < deed.end
            and one.end > deed.begin
            and (one.kind in GATEWAY_FAULTS or one.stays)
        ]
        longer = (ANEW + one.end - one.begin if one.kind in GATEWAY_FAULTS else TURN for one in others)
        bound = CURED + sum(longer)
        took = deed.end - deed.begin
        if took > bound:
            text = f"daemon {deed.target} was back {took:.1f} s after {deed.kind}; {bound:.1f} s are allowed"
            yield Violation("9", text, (deed, *others))


def reasons(evidence: Evidence) -> Iterator[Violation]:
    """9: no daemon ends for which there was no fault and no order."""
    for life in evidence.lives:
        if life.by_checker:
            continue
        if not any(
            deed.target == life.daemon and deed.kind in AWAY and deed.begin <= life.end <= deed.end + BACK
            for deed in evidence.deeds
        ):
            yield Violation("9", f"daemon {life.daemon} was restarted, and nothing had happened", (life,))


def one_at_a_time(evidence: Evidence) -> Iterator[Violation]:
    """9: while one daemon is being restarted, no other one of the wallet is ended or started."""
    spans = sorted((span for n in range(DAEMONS) for span in _restarts(evidence, n)), key=lambda span: span[1])
    for number, (daemon, begin, end, life) in enumerate(spans):
        for other, other_begin, _, other_life in spans[number + 1 :]:
            if other_begin >= end:
                break
            is_new_gateway = any(
                deed.kind == "gateway_kill" and deed.begin <= other_begin and deed.end >= begin
                for deed in evidence.deeds
            )
            if other != daemon and not is_new_gateway:
                text = f"daemon {other} was restarted while daemon {daemon} had no wallet yet"
                yield Violation("9", text, (life, other_life))


def one_process(evidence: Evidence) -> Iterator[Violation]:
    """3: no two processes of one daemon work on one wallet file."""
    for n in range(DAEMONS):
        for one, next_ in pairwise(life for life in evidence.lives if life.daemon == n):
            if next_.begin < one.end:
                yield Violation("3", f"daemon {n} was started while it ran", (one, next_))


def busy(evidence: Evidence) -> Iterator[Violation]:
    """9: no daemon is ended while it works on a payment that still has time."""
    for life in evidence.lives:
        if life.by_checker:
            continue
        for op in evidence.of("payto"):
            if op.how != ERROR or op.executed != "unknown" or not op.begin < life.end <= op.end < life.end + LOST:
                continue
            if op.backend != name_of(life.daemon):
                continue
            if life.end - op.begin < SIGN and not _is_lost_otherwise(evidence, life, op.begin, op.end):
                text = f"daemon {life.daemon} was restarted while a payment was under way there"
                yield Violation("9", text, (life, op))


def _is_lost_otherwise(evidence: Evidence, life: Life, begin: float, end: float) -> bool:
    """Whether something else may have cost a call its answer."""

    def explains(deed: Deed) -> bool:
        if deed.target == life.daemon and deed.kind in {"freeze", "wedge"}:
            return False  # it waits there, and has its time
        return deed.kind in GATEWAY_FAULTS | {"promote"} | OUT_OF_REACH

    return any(explains(deed) for deed in evidence.deeds if deed.begin <= end and deed.end >= begin)


def _was_disk_full(evidence: Evidence, begin: float, end: float) -> bool:
    """Whether a process may have been started and have failed in that time, and have written nothing of it."""
    return any(deed.kind == "disk_full" and deed.begin <= end and deed.end >= begin for deed in evidence.deeds)


def _restarts(evidence: Evidence, daemon: int) -> Iterator[tuple[int, float, float, Life]]:
    """Yield the spans in which a restart of a daemon was under way for certain: daemon, begin, end, the new life.

    They are shorter than the truth: the one before has ended by its own hand, or a new one begins, until its wallet is
    loaded, it ends again, or it has had its time for that.
    """
    loads = [row.at for row in evidence.rows if row.daemon == daemon and row.method == "load_wallet" and row.result]
    before: Life | None = None
    for life in evidence.lives:
        if life.daemon != daemon:
            continue
        follows = (
            before is not None
            and not before.by_checker
            and life.begin - before.end <= BORN
            and not _was_disk_full(evidence, before.end, life.begin)
        )
        begin = before.end if before is not None and follows else life.begin
        loaded = min((at for at in loads if at >= life.begin), default=life.end)
        yield daemon, begin, min(loaded, life.end, life.begin + LOADING), life
        before = life

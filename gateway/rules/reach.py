"""Whether a gateway that follows reaches the one that holds the wallet; until it does, its clients' calls wait in vain.

Rule: a holder that is not reached and lives is no use from here, and whoever balances sends calls to another gateway.
A holder that is dead is no reason for that: somebody takes over within a lease, and calls wait for it.

What tells the two apart is the lease.  It is renewed every RENEW of its ttl, and its end is seen in the database: when
that moved on by more than one renewal since the first try that brought nothing, its holder was alive after it.

A holder that says that its daemons take no calls is believed: they take none that come through this gateway either.
"""

from dataclasses import dataclass, replace

from gateway.rules.lease import RENEW

UNREACHED = 2.0
"""Seconds without any answer of a holder that lives, after which calls should not come here any more."""

LIVED = 1.5 * RENEW
"""Share of the ttl: one renewal may not have been seen yet when the silence began, and two prove a life after that."""


REPEATED = 2
"""Answers in a row after which that is said here too: the daemons of a wallet that was just taken over are probed
first, and take calls before the second."""


@dataclass(frozen=True, slots=True)
class Word:
    """What holders say of a wallet's daemons; it goes from one to the next, for the daemons are the same.

    Args:
        reasons: why none of them takes calls, as the last answer says.
        times: answers in a row that had any.
    """

    reasons: tuple[str, ...] = ()
    times: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """How it stands between this gateway and a holder; times are of its own clock.

    Args:
        term: of the holding that this is about.
        heard_at: when the holder answered last.
        since: when the first try was sent, of those after its last answer, that brought nothing; None without one.
        until: the end of its lease at that time, by the clock of the database.
    """

    term: int = 0
    heard_at: float = float("-inf")
    since: float | None = None
    until: float = 0.0


def heard(reach: Reach, term: int, now: float) -> Reach:
    """Return how it stands after an answer; one of a holding that is over says nothing about the next."""
    return reach if term < reach.term else Reach(term, now)


def missed(reach: Reach, term: int, until: float, sent_at: float) -> Reach:
    """Return how it stands after a try that brought nothing.

    Args:
        until: the end of the lease as it is known now.
        sent_at: when the try began; what was answered since then says more.
    """
    if term > reach.term:
        return Reach(term, since=sent_at, until=until)
    if term < reach.term or sent_at < reach.heard_at or reach.since is not None:
        return reach
    return replace(reach, since=sent_at, until=until)


def is_cut_off(reach: Reach, term: int, until: float, ttl: float, now: float) -> bool:
    """Whether the holder of that term lives and is not reached.

    Args:
        until: the end of its lease, by the clock of the database.
    """
    if term != reach.term or reach.since is None:
        return False
    return now - reach.since >= UNREACHED and until - reach.until >= LIVED * ttl


def said(word: Word, reasons: tuple[str, ...]) -> Word:
    """Return what is known after a holder has said why no daemon takes calls; without a reason one does."""
    return Word(reasons, word.times + 1 if reasons else 0)


def known(reasons: tuple[str, ...]) -> Word:
    """Return what whoever held the wallet until now knows, without having been told."""
    return Word(reasons, REPEATED if reasons else 0)


def not_ready(word: Word) -> tuple[str, ...]:
    """Return why no daemon takes calls; empty where one does, or nobody is sure."""
    return word.reasons if word.times >= REPEATED else ()

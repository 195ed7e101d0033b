"""When a gateway takes the lease of a wallet, and how long it counts on the holder's own clock.

Rule: whoever might be wrong about a lease stops first.  The holder counts it for shorter than the database does, and
a follower waits for its end on the database's clock and on its own; so at no moment do two gateways hold one wallet,
however slow, lost or late their statements are.

Three clocks
    The database's says when a lease ends: `until`, written by the statement that takes or renews it.  A gateway's own
    is monotonic (`loop.time()`), up to DRIFT fast or slow, and says whether the lease counts.  Nobody asks its time
    of day.

The holder
    A statement that was sent at `s` is carried out at `s` or later, and the database adds the ttl to that moment.  So
    the lease lasts until `s` + ttl at least, by a perfect clock.  The holder counts until `s` + ttl - margin; the
    moment of the answer says nothing.  A holding that is over by the clock stays over: the next one has another term.

The follower
    It takes over when the lease has ended on the database's clock, which the statement itself compares, and when it
    has waited for that end on its own since it first saw the lease as it is.  So a clock of the database that jumps
    ahead makes nobody a second holder, unless it does so between a renewal and the next look (LOOK): then the fence
    alone keeps writes out.  One that jumps back delays a takeover by as much.

A database that went back
    After a fail-over to a copy that lost a second, the database may show an older lease than was seen before, and
    somebody may count on the lost one.  Whoever sees that waits for a whole ttl, and says so.  A gateway that has just
    started cannot see it: there the fence alone keeps writes out, and replication that loses nothing.

Another configuration
    A gateway whose configuration is not the holder's says so while it follows.  It does not refuse to take over, for
    a daemon more or less is no reason to stand still, and in a rolling change every gateway differs from some other.
    But others go first: it waits for another ttl after the end of a lease that was not given up, and its takeover is
    told as an error.  What must not be wrong, the seed, is compared with the ledger by others.  That goes by `config`
    alone, which says where calls go; other clients or limits are told (`differing`) and make nobody wait.

Another gateway of the same name
    Who holds is told apart by the instance, never by the name.  A gateway whose name alone is taken follows and takes
    over like any other.  One whose address is taken as well could not be reached by the rest once it held, for they
    call there and meet the other one: whoever has seen that other one alive lets everybody else go first.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.rules.config_hash import UNNAMED, differences

DRIFT = 0.01
"""By how much a monotonic clock may run fast or slow; real ones are better by a hundred times."""

MARGIN = 0.1
"""Share of the ttl for which the holder counts less: for drift, and for a call that was let through just before."""

RENEW = 1 / 3
"""Share of the ttl between a renewal that went well and the next one."""

RETRY = 1 / 6
"""Share of the ttl between two tries while none is answered; an answer to any of them counts."""

LOOK = 1 / 6
"""Share of the ttl between two looks of a follower: how long a lease that was given up lies about."""

PATIENCE = 1 / 2
"""Share of the ttl for which an answer is waited for; so no more than three renewals wait for theirs at once."""

STAND_BACK = 1 / 2
"""In ttls: for how long a gateway that gave a lease up leaves it to the others.  One that lives needs a look and two
answers of the database, each of which may take a sixth of a ttl; where there is none, nobody answers for so long."""

RUN_OUT = 2.0
"""The same where the database was not told, so that the others have to wait for the end of the lease; and where the
rooms failed by a mistake, so that they would fail again."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway as its lease names it.

    Args:
        name: as configured, unique.
        instance: random, of this process alone; two that have one name by mistake differ in it.
        address: where other gateways reach it.
        config: of the wallet, as `rules.config_hash` makes it short.
        sections: all that must be the same elsewhere, as told there; "" where nothing is.
    """

    name: str
    instance: str
    address: str
    config: str
    sections: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as the database showed it; times are of its clock.

    Args:
        holder, instance, address, config, sections: of who has it, or had it last.
        term: number of the holding; grows.
        until: when it ends; 0.0 once it was given up.
        since: when this holding began.
        now: when it was read.
    """

    holder: str
    instance: str
    address: str
    config: str
    term: int
    until: float
    since: float
    now: float
    sections: str = ""

    @property
    def is_given_up(self) -> bool:
        """Whether its holder gave it back."""
        return self.until == 0.0

    @property
    def left(self) -> float:
        """Seconds that it had to run when it was read."""
        return max(0.0, self.until - self.now)


@dataclass(frozen=True, slots=True)
class Holder:
    """The gateway that has a wallet, as last seen; `until` is of the database's clock.

    Args:
        is_elsewhere: it can be called: it is neither this process, nor published at the name and address of this one,
            be it by an earlier life of this gateway or by another one that has both by mistake.
    """

    name: str
    address: str
    term: int
    until: float
    is_elsewhere: bool = True


@dataclass(frozen=True, slots=True)
class Sight:
    """What a follower knows; times are of its own clock.

    Args:
        lease: the newest that it saw; None where there never was one.
        ends_at: when that lease has ended for certain.
        highest: the highest term that it ever saw.
        went_back: the database showed an older lease than it had shown before.
        is_alive: its holder took or renewed it while it was looked at, so that it is none that a dead process left.
    """

    lease: Lease | None
    ends_at: float
    highest: int
    went_back: bool = False
    is_alive: bool = False


class Remark(StrEnum):
    """What is odd about a lease, and must be told."""

    NAME_TAKEN = "name_taken"
    """Another process that is alive has the name of this gateway."""
    OTHER_CONFIG = "other_config"
    """The holder has this wallet in another configuration."""
    WENT_BACK = "went_back"
    """The database has forgotten something that it had shown."""


def margin(ttl: float) -> float:
    """Return the seconds for which a holder counts less than the ttl."""
    return ttl * MARGIN


def counts_until(sent_at: float, ttl: float) -> float:
    """Return until when a lease counts on the holder's own clock.

    Args:
        sent_at: when the statement that took or renewed it was sent, on the same clock.
    """
    return sent_at + ttl - margin(ttl)


def does_count(until: float, now: float) -> bool:
    """Whether a lease counts now, on the holder's own clock."""
    return now < until


def next_renewal(renewed_at: float, tried_at: float, ttl: float) -> float:
    """Return when the holder sends the next renewal.

    Args:
        renewed_at: when the newest statement was sent that went well.
        tried_at: when the newest statement was sent, whatever became of it.
    """
    return max(renewed_at + ttl * RENEW, tried_at + ttl * RETRY)


def see(before: Sight | None, lease: Lease | None, me: Gateway, ttl: float, now: float) -> Sight:
    """Return what is known after a look.

    Args:
        before: what was known, None at the first look.
        now: when the answer came, on the own clock.
    """
    term = 0 if lease is None else lease.term
    highest = term if before is None else max(before.highest, term)
    if before is not None and _state(before.lease) == _state(lease):
        # the end stays where it was reckoned first: the database's clock may have jumped since
        return replace(before, lease=lease, highest=highest, went_back=False)
    ends_at = now
    if lease is not None and lease.instance != me.instance and not lease.is_given_up:
        ends_at += lease.left * (1 + DRIFT)
    went_back = before is not None and _age(lease) < _age(before.lease)
    if went_back:
        ends_at = max(ends_at, now + ttl * (1 + DRIFT))
    return Sight(lease, ends_at, highest, went_back, _is_alive(before, lease))


def ready_at(sight: Sight, me: Gateway, ttl: float) -> float:
    """Return when a follower may try to take over, on its own clock."""
    defers = does_defer(sight.lease, me) or is_twin(sight, me)
    return sight.ends_at + (ttl if defers else 0.0)


def does_defer(lease: Lease | None, me: Gateway) -> bool:
    """Whether others go first: the last holder had another configuration, and did not mean to go."""
    return lease is not None and not lease.is_given_up and is_other(lease, me)


def is_other(lease: Lease, me: Gateway) -> bool:
    """Whether the last holder was another gateway that had the wallet in another configuration."""
    return lease.instance != me.instance and lease.config != me.config


def differing(lease: Lease, me: Gateway) -> tuple[str, ...]:
    """Return the names of what the last holder had otherwise than this gateway; nothing where that was this one."""
    if lease.instance == me.instance:
        return ()
    found = differences(me.sections, lease.sections)
    return (UNNAMED,) if not found and is_other(lease, me) else found


def is_twin(sight: Sight, me: Gateway) -> bool:
    """Whether the last holder is another process that was seen alive and has the name and address of this one."""
    lease = sight.lease
    return lease is not None and sight.is_alive and lease.instance != me.instance and _is_where(lease, me)


def may_try(sight: Sight | None, me: Gateway, stand_back_until: float, ttl: float, now: float) -> bool:
    """Whether a follower tries to take over now; the database has the last word.

    Args:
        sight: None before the first look.
        stand_back_until: until when it leaves the lease to others.
    """
    return sight is not None and now >= ready_at(sight, me, ttl) and now >= stand_back_until


def next_look(looked_at: float, ready: float, ttl: float) -> float:
    """Return when a follower looks again: regularly, and at the very moment when it may take over.

    Args:
        ready: when it may try, see `ready_at`.
    """
    regular = looked_at + ttl * LOOK
    return ready if looked_at < ready < regular else regular


def remarks(before: Sight | None, sight: Sight, me: Gateway) -> list[Remark]:
    """Return what must be told of a look.

    Args:
        before: what was known before it.
    """
    found, lease = [], sight.lease
    if sight.went_back:
        found.append(Remark.WENT_BACK)
    if lease is None or lease.instance == me.instance or lease.is_given_up:
        return found
    # an earlier life of this very gateway may have left a lease; only one that still moves is somebody else's
    moves = before is not None and _age(before.lease) < _age(lease)
    if lease.holder == me.name and moves:
        found.append(Remark.NAME_TAKEN)
    if differing(lease, me) and lease.left:
        found.append(Remark.OTHER_CONFIG)
    return found


def holder(sight: Sight | None, me: Gateway, now: float) -> Holder | None:
    """Return who has a lease, as a follower sees it; None where nobody does any more, or nobody knows."""
    lease = None if sight is None else sight.lease
    if sight is None or lease is None or lease.is_given_up or lease.instance == me.instance or now >= sight.ends_at:
        return None
    return Holder(lease.holder, lease.address, lease.term, lease.until, is_elsewhere=not _is_where(lease, me))


def is_another(before: Holder | None, now: Holder | None) -> bool:
    """Whether a wallet has changed hands; a renewal is no change."""
    return _who(before) != _who(now)


def _who(holder: Holder | None) -> tuple[str, str, int]:
    return ("", "", 0) if holder is None else (holder.name, holder.address, holder.term)


def _is_where(lease: Lease, me: Gateway) -> bool:
    """Whether whoever calls the holder as it is published may meet this gateway."""
    return (lease.holder, lease.address) == (me.name, me.address)


def _is_alive(before: Sight | None, lease: Lease | None) -> bool:
    """Whether a lease that is seen in another state than before shows that its holder lives."""
    if before is None or lease is None:
        return False
    # one that was given up may be the last word of a process that ends
    return before.is_alive if lease.is_given_up else _age(before.lease) < _age(lease)


def _state(lease: Lease | None) -> tuple[str, int, float]:
    """What makes one state of a lease different from any other."""
    return ("", 0, 0.0) if lease is None else (lease.instance, lease.term, lease.until)


def _age(lease: Lease | None) -> tuple[int, float]:
    """By what states of a lease follow each other: a higher term, a later end, and giving up ends a term."""
    if lease is None:
        return 0, 0.0
    return lease.term, float("inf") if lease.is_given_up else lease.until

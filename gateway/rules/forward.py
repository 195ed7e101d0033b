"""Calls between gateways: how they are signed and checked, and what follows when one brings no answer.

Rule: a forwarded call counts once, at the gateway and in the term of the lease that it was signed for, and never later
than `BORNE` seconds by that gateway's clock.

What keeps a call that somebody recorded from being run again:

    at the gateway that took it     each process of a sender counts its calls, and each count is taken once
    after that one's restart        it holds the wallet in another term then, and the term is signed
    at the next holder              its name is signed
    held back, and let go later     the sender's time is signed; the clocks of two gateways may differ by `BORNE`
    with another client or body     they are signed as well, the body by its hash, so that it is not read before

What a call may do is signed too, as its sender takes it: by that he decides whether to send it twice, and a holder
whose profile says otherwise does not run it.

The answer is signed too, over the count of its call and its own body, by its hash.  So neither somebody else who
listens at an address that a dead gateway left behind, nor an answer that a kept connection brings late or that was
changed on its way, is taken for the holder's word.
"""

import hashlib
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.base.effects import Effect
from gateway.rules.retry import GiveUp, Sent, is_harmless_twice, is_repeatable

FORWARDED, CLIENT, DEADLINE, KEY, AUTHORIZATION = (
    "X-Ecgw-Forwarded", "X-Ecgw-Client", "X-Ecgw-Deadline", "Idempotency-Key", "Authorization",
)  # fmt: skip
ANSWER = "X-Ecgw-Answer"

HOPS = "1"
"""What FORWARDED says: such a call is never forwarded again."""

SCHEME = "ECGW-HMAC-SHA256"

GREETING = b'{"method":"gateway.greeting","id":0,"jsonrpc":"2.0"}'
"""What a gateway says in its own name, which is no client's: only to hear an answer."""

GREETED = b'{"result":true,"id":0,"jsonrpc":"2.0"}'
"""What is answered to that, in the words of every version, unless the wallet's daemons take no calls."""

MOST_REASONS, LONGEST_REASON = 8, 300
"""How many reasons such an answer holds, and characters of each; a wallet may have a thousand daemons."""

BORNE = 60.0
"""Seconds by which the clocks of two gateways may differ, a call's way between them included."""

WINDOW = 16_384
"""Calls of one sender that may overtake another one."""

MOST_SESSIONS = 1000
"""Processes of other gateways that are remembered; one more forgets the one that was silent longest."""

MOST_REFUSED = 3
"""Times that a call may be refused as forged or old: what is set up wrongly does not heal while a client waits."""

MOST_SENT = 8
"""Times that one read may be sent without an answer."""

MOST_DIED = 2
"""Holders that may go away over one read; a third shall not."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.8
"""Seconds between two tries; a new holder ends each pause."""

MOVED = "another gateway took over"
BROKEN = "the connection broke"
OVERSIZED = "the answer is too large"
REFUSED = "it refused the signature or the call"
NOT_HELD = "it does not hold the wallet"
SILENT = "it did not answer in time"
"""What became of a try; words for errors."""

_PATH = "/wallets/"
_EFFECTS = frozenset(Effect)
_NUMBER = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,6}\.[0-9]{3}")
_LONGEST = 1024
"""Characters of an Authorization header that are looked at."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is signed about a call.

    Args:
        sender, to: names of gateways.
        term: of the lease, as the sender saw it.
        wallet, client: names.
        left: seconds until the client is answered, as text.
        key: the client's idempotency key.
        session, count: of the sender's process, and of the call within it, from 1.
        at: the sender's clock, milliseconds.
        body: its SHA-256 in hex.
        effect: what the sender takes it for.
    """

    sender: str
    to: str
    term: int
    wallet: str
    client: str
    left: str
    key: str | None
    session: str
    count: int
    at: int
    body: str
    effect: Effect

    def text(self) -> bytes:
        """Return what is signed; no part of it can hold a line end, for all of them are lines of a request's head."""
        key = "" if self.key is None else f"={self.key}"
        return (
            f"call\n{self.sender}\n{self.to}\n{self.term}\n{self.wallet}\n{self.client}\n{self.left}\n{key}\n"
            f"{self.session}\n{self.count}\n{self.at}\n{self.body}\n{self.effect}"
        ).encode("utf-8", "surrogateescape")


def digest(body: bytes) -> str:
    """Return what a passage says of a body."""
    return hashlib.sha256(body).hexdigest()


def headers(secret: bytes, passage: Passage) -> dict[str, str]:
    """Return the head of a call to another gateway."""
    heads = {
        FORWARDED: HOPS,
        CLIENT: passage.client,
        DEADLINE: passage.left,
        AUTHORIZATION: (
            f"{SCHEME} {passage.sender} {passage.to} {passage.term} {passage.session} {passage.count} {passage.at} "
            f"{passage.body} {passage.effect} {_mac(secret, passage.text())}"
        ),
    }
    if passage.key is not None:
        heads[KEY] = passage.key
    return heads


def read(header: Callable[[str], str | None], path: str) -> tuple[Passage, str] | None:
    """Return what a head claims and its signature, None when it is none of ours.

    Args:
        header: looks one up.
        path: of the request.
    """
    left, client, told = header(DEADLINE) or "", header(CLIENT), header(AUTHORIZATION) or ""
    parts = told[:_LONGEST].split(" ")
    if header(FORWARDED) != HOPS or client is None or not _SECONDS.fullmatch(left) or not path.startswith(_PATH):
        return None
    if len(parts) != 10 or parts[0] != SCHEME:  # as many as `headers` writes
        return None
    _, sender, to, term, session, count, at, body, effect, mac = parts
    if not all(map(_NUMBER.fullmatch, (term, count, at))) or effect not in _EFFECTS:
        return None
    wallet, key, number = path.removeprefix(_PATH), header(KEY), int(count)
    found = Passage(sender, to, int(term), wallet, client, left, key, session, number, int(at), body, Effect(effect))
    return found, mac


def refusal(secret: bytes, passage: Passage, mac: str, *, me: str, now: float) -> str:
    """Say why a call is not taken, "" when it is: `signature`, `other_gateway` or `age`.

    Args:
        me: this gateway's name.
        now: its clock, seconds.
    """
    if not hmac.compare_digest(_mac(secret, passage.text()).encode(), mac.encode("utf-8", "surrogateescape")):
        return "signature"
    if passage.to != me:
        return "other_gateway"
    if abs(now - passage.at / 1000) > BORNE:
        return "age"
    return ""


class Replays:
    """Which calls were taken already, by the process that sent them."""

    __slots__ = ("_sessions",)

    def __init__(self) -> None:
        """Know of none."""
        self._sessions: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many senders are remembered."""
        return len(self._sessions)

    def take(self, session: str, count: int) -> bool:
        """Return whether this call is new; it is taken then.  Only what was signed may be asked."""
        highest, seen = self._sessions.get(session, (0, 0))
        if count > highest:
            # a bit for each of the last counts, the highest lowest
            seen = (seen << min(count - highest, WINDOW) | 1) & ((1 << WINDOW) - 1)
            highest = count
        else:
            behind = highest - count
            if behind >= WINDOW or seen >> behind & 1:
                return False
            seen |= 1 << behind
        self._sessions[session] = highest, seen
        self._sessions.move_to_end(session)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return True


# -- the answer ---------------------------------------------------------------------------------------------


def answer_head(secret: bytes, passage: Passage, status: int, retry_after: float | None, body: bytes) -> str:
    """Return the header ANSWER: the status and Retry-After of the reply, and that this gateway says so."""
    told = f"{status} {'-' if retry_after is None else repr(float(retry_after))}"
    return f"{told} {_mac(secret, _answered(passage, told, body))}"


def read_answer(secret: bytes, passage: Passage, head: str | None, body: bytes) -> tuple[int, float | None] | None:
    """Return status and Retry-After of an answer, None when it is not the answer to this call."""
    told, _, mac = (head or "").rpartition(" ")
    right = _mac(secret, _answered(passage, told, body))
    if not hmac.compare_digest(right.encode(), mac.encode("utf-8", "surrogateescape")):
        return None
    status, _, retry_after = told.partition(" ")
    return int(status), None if retry_after == "-" else float(retry_after)


def greeted(reasons: Sequence[str]) -> bytes:
    """Return the answer to a greeting.

    Args:
        reasons: why no daemon of the wallet takes calls; empty where one does, and where it is not held here.
    """
    if not reasons:
        return GREETED
    more = len(reasons) - MOST_REASONS
    told = [reason[:LONGEST_REASON] for reason in reasons[:MOST_REASONS]]
    not_ready = [*told, f"and {more} more"] if more > 0 else told
    return json.dumps({"result": {"not_ready": not_ready}, "id": 0, "jsonrpc": "2.0"}).encode()


def read_greeted(body: bytes) -> tuple[str, ...]:
    """Return why no daemon takes calls there; nothing where one does, or a gateway of another version does not say."""
    try:
        found = json.loads(body)["result"]["not_ready"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return ()
    reasons = found if isinstance(found, list) else []
    return tuple(one[:LONGEST_REASON] for one in reasons[: MOST_REASONS + 1] if isinstance(one, str))


def _answered(passage: Passage, told: str, body: bytes) -> bytes:
    return f"answer\n{passage.session}\n{passage.count}\n{told}\n{digest(body)}".encode("utf-8", "surrogateescape")


def _mac(secret: bytes, text: bytes) -> str:
    mac = _keyed(secret).copy()
    mac.update(text)
    return mac.hexdigest()


@lru_cache(maxsize=4)
def _keyed(secret: bytes) -> hmac.HMAC:
    """Return the code before the first byte of a text: to begin with the key anew, four times a call, costs more."""
    return hmac.new(secret, digestmod=hashlib.sha256)


# -- what follows -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lost:
    """One try that brought no answer; `term` is of the lease that it was sent for."""

    sent: Sent
    reason: str
    term: int


def follows(effect: Effect, tried: Sequence[Lost]) -> float | GiveUp:
    """Return the seconds to wait before the next try, or that there is none.

    As between gateway and daemon, what was surely not sent is free, and what may have been run is sent again only
    where twice is as good as once.
    """
    last = tried[-1]
    unknown = [one for one in tried if one.sent is Sent.UNKNOWN]
    is_over = (
        (unknown and not is_repeatable(effect))
        or last.reason == OVERSIZED
        or len(unknown) >= MOST_SENT
        or len({one.term for one in unknown if one.reason == BROKEN}) >= MOST_DIED
        or sum(one.reason == REFUSED for one in tried) >= MOST_REFUSED
    )
    if is_over:
        return GiveUp(bool(unknown), last.reason)
    if last.reason == MOVED or (last.sent is Sent.UNKNOWN and len(tried) == 1):
        return 0.0
    return float(min(FIRST_PAUSE * 2 ** min(len(tried) - 1, 10), LONGEST_PAUSE))


def is_bolder(theirs: Effect, mine: Effect) -> bool:
    """Whether who sent a call takes it for one that may be done twice, and this gateway knows better.

    Args:
        theirs: what the sender takes it for; mine: what it is by the profile of the gateway that would run it.
    """
    again, harmless = is_repeatable(theirs), is_harmless_twice(theirs)
    return (again and not is_repeatable(mine)) or (harmless and not is_harmless_twice(mine))


def next_step(effect: Effect, *, keyed: bool) -> str:
    """Return what a client should do after a call whose outcome is unknown."""
    if is_harmless_twice(effect):
        return "send the same call again"
    if effect is Effect.ALLOCATE:
        return "look at listaddresses or listrequests before asking again; an address may have been given out"
    if keyed:
        return "ask gateway.outcome with the key, or send the same call with the same key"
    return "nothing was broadcast; ask for a new signature only if none of yours is in use"

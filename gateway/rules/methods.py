"""What a call may do, judged from its method and its parameters; everything unknown is refused.

Rule: a rule about a parameter holds by name and by position, a parameter that is written twice is refused
because nobody knows which one counts, and amounts reach the daemon as the text that the client wrote.

One name is refused wherever it stands.  The library that Electron Cash serves JSON-RPC with (jsonrpclib-pelix)
turns an object that holds `__jsonclass__` into any Python class with any arguments, before it looks at the
method.  So the most harmless read would start a program on the daemon's machine, and every rule here would be
worth nothing.
"""

import gc
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.base.effects import Bound, Effect
from gateway.base.errors import INVALID_PARAMS, METHOD_REFUSED, Failure, Kind
from gateway.base.jsonrpc import MAX_NAMES, count_names, outside_strings
from gateway.profiles import REFUSED, Method, Profile

HARMLESS: Final = frozenset({b"false", b"null", b"0", b'""'})
"""Values of a forbidden parameter that the daemon takes for "no", as they are usually written."""

NUMERIC: Final = frozenset(b"%c" % first for first in b"-0123456789")
"""How a JSON number begins."""

MOST_SHOWN = 100
"""Characters of a name that an error repeats."""

RUNS_CODE: Final = "__jsonclass__"
"""The member of a parameter that makes jsonrpclib-pelix build any object."""

MAX_DIGITS = 4300
"""Digits of an integer that Python reads; one more is an error, which the daemon answers without our id."""

MAX_PAIRS = 10_000
"""Pairs in a list of outputs; a transaction that the network passes on has room for a third of them."""

MAX_EXPONENTS = 50_000
"""Numbers with an exponent in a call of which one may be too large; no call has a thousandth of them."""

# digits and exponents, told from everything else: nearly all calls have no number that is worth a second look
_SHAPE: Final = bytes({"+": 43, "e": 101, "E": 101}.get(chr(sign), 48 if chr(sign) in "0123456789" else 32)
               for sign in range(256))  # fmt: skip
EXPONENT: Final = b"0e"
"""What each of the shapes of an exponent begins with."""

_BRACE: Final = ord("{")

LEAST_LARGE: Final = len("[1e309]")
"""Bytes of the shortest parameters with a number that is too large."""

SHORT: Final = 200
"""Bytes in which no integer is too long."""

_LARGE: Final = (b"0e000", b"0e+000", b"0" * SHORT)
"""Shapes without which no number is near 1e308, nor an integer as long as `MAX_DIGITS`."""

_LONG = re.compile(rb"(?<![0-9.eE+])(?<![eE]-)[0-9]{%d,}+(?![.eE])" % (MAX_DIGITS + 1))
_FLOATS = re.compile(
    rb"(?<![0-9.eE+-])(-?(?:[0-9]++(?:\.[0-9]++)?[eE][-+]?[0-9]++|[0-9]{309,}+\.[0-9]++))"
    rb"|[0-9]{50,}+"  # long runs are passed over at once, not digit by digit
)


class Granted:
    """The call may be made; `params` is raw JSON as the daemon gets it, `bound` how long it may take."""

    __slots__ = ("bound", "effect", "method", "params")

    def __init__(self, method: Method, effect: Effect, bound: Bound, params: bytes) -> None:
        """Keep them."""
        self.method = method
        self.effect = effect
        self.bound = bound
        self.params = params

    def given(self, params: bytes) -> "Granted":
        """Return the same call with other parameters."""
        return Granted(self.method, self.effect, self.bound, params)


@dataclass(frozen=True, slots=True)
class Refused:
    """The call is refused; the error says how to allow it, where it can be allowed."""

    failure: Failure


class _No(Exception):  # noqa: N818 - never leaves this room
    """A refusal on its way out."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def judge(
    profile: Profile,
    method: str,
    params: bytes,
    *,
    effects: frozenset[Effect],
    opened: frozenset[str],
    client: str,
    wallet: str,
) -> Granted | Refused:
    """Judge one call of one client.

    Args:
        profile: of the wallet.
        method, params: as the client wrote them; params is raw JSON (a list or an object) or b"".
        effects: what the client may do; opened: methods opened to it by name.
        client, wallet: names, for the message.
    """
    try:
        row = _row(profile, method, effects, opened, client)
    except _No as no:
        return Refused(Failure(no.kind, f"{no.kind.name}: {no}", safe_to_repeat=False, wallet=wallet))
    return look(row, params, wallet)


def look(row: Method, params: bytes, wallet: str) -> Granted | Refused:
    """Judge the parameters of a call whose method the client may call."""
    try:
        _look_at_numbers(params)
        if _BRACE in params:  # as a number: as text, `in` costs ten times as much
            _look_into_objects(params)
        if not row.has_rules or not params:
            return Granted(row, row.effect, row.bound, params)
        return _by_rules(row, params)
    except (msgspec.MsgspecError, RecursionError) as error:
        message = f"invalid_params: the parameters are not JSON ({error})"
        return Refused(Failure(INVALID_PARAMS, message, safe_to_repeat=False, wallet=wallet))
    except _No as no:
        return Refused(Failure(no.kind, f"{no.kind.name}: {no}", safe_to_repeat=False, wallet=wallet))


def _row(profile: Profile, method: str, effects: frozenset[Effect], opened: frozenset[str], client: str) -> Method:
    """Return the row of a method that this client may call."""
    row = profile.methods.get(method)
    if row is None:
        raise _No(
            METHOD_REFUSED,
            f"{method} is not a method of the profile {profile.name}, and what is not classified is not sent; "
            "to allow it, the operator copies the profile, adds a row for it and names the copy in `profile:`",
        )
    if row.effect in REFUSED:
        raise _No(
            METHOD_REFUSED,
            f"{method} {row.reason}; it is refused to every client. To do it nonetheless, use the daemon's own "
            "command line on its own machine",
        )
    if method in opened:
        return row
    if row.by_name:
        raise _No(METHOD_REFUSED, f"{method} is opened by name only; add it to `methods:` of client {client}")
    if row.effect not in effects:
        raise _No(
            METHOD_REFUSED,
            f"{method} has the effect {row.effect}, which client {client} was not given; add {row.effect} to "
            f"`effects:` of that client, or {method} to its `methods:`",
        )
    return row


def _look_at_numbers(params: bytes) -> None:
    """Refuse numbers, however deep, that the daemon cannot read or reads as infinity, which is no JSON to write."""
    if len(params) < LEAST_LARGE:
        return
    shape = params.translate(_SHAPE)
    if len(shape) < SHORT and shape.find(EXPONENT) < 0:
        return
    if not _may_be_large(shape):
        return
    plain = outside_strings(params)
    shape = plain.translate(_SHAPE)
    if not _may_be_large(shape):
        return
    if b"0" * MAX_DIGITS in shape and _LONG.search(plain):
        raise _No(
            INVALID_PARAMS, f"an integer has more than {MAX_DIGITS} digits, which no daemon reads; send it as text"
        )
    if shape.count(b"0e") > MAX_EXPONENTS:
        raise _No(INVALID_PARAMS, f"more than {MAX_EXPONENTS} numbers have an exponent; send them as text")
    if any(map(math.isinf, map(float, filter(None, _FLOATS.findall(plain))))):
        raise _No(INVALID_PARAMS, "a number is too large, a daemon reads it as infinity; send it as text")


def _may_be_large(shape: bytes) -> bool:
    exponent, signed, long = _LARGE
    return exponent in shape or signed in shape or long in shape


def _look_into_objects(params: bytes) -> None:
    """Refuse objects in which a name is written twice or runs code, however deep it is and however it is escaped.

    Each object gives the names that it has, each once; there are as many colons as names that were written.
    """
    written = count_names(params)
    if written > MAX_NAMES:
        raise _No(INVALID_PARAMS, f"the parameters have more than {MAX_NAMES} names of members; send fewer")
    names: list[str] = []
    is_collecting = gc.isenabled()
    gc.disable()  # nothing here is garbage, and to look for it again and again takes longer than the reading
    try:
        # numbers are not read: a length is as good, and cheap
        json.loads(params, object_hook=names.extend, parse_int=len, parse_float=len)
    except ValueError as error:
        # text that one reader takes and the other does not is not sent to a third
        raise _No(INVALID_PARAMS, f"the parameters are not JSON ({error})") from None
    finally:
        (gc.enable if is_collecting else gc.disable)()
    if RUNS_CODE in names:
        why = "it lets the daemon build any Python object, and with that run any program"
        raise _No(METHOD_REFUSED, f"a parameter named {RUNS_CODE} is refused to every client, for {why}; leave it out")
    if written > len(names):
        raise _No(INVALID_PARAMS, f"the parameter {_twice(params)[:MOST_SHOWN]} is written twice; write it once")


def _twice(params: bytes) -> str:
    """Return a name that one of the objects has twice."""
    found: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        found.extend(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)

    json.loads(params, object_pairs_hook=look, parse_int=len, parse_float=len)
    return found[0]


def _by_rules(row: Method, params: bytes) -> Granted:
    """Apply the rules about single parameters."""
    if params.startswith(b"["):
        values = _decode_list(params)
        if len(values) > len(row.params):
            raise _No(INVALID_PARAMS, f"{row.name} takes at most {len(row.params)} parameters")
        if len(values) <= row.first_ruled:
            return Granted(row, row.effect, row.bound, params)
        named = dict(zip(row.params, map(bytes, values), strict=False))
    else:
        named = {name: bytes(raw) for name, raw in _decode_object(params).items()}
    for name, why in row.forbidden.items():
        if name in named and is_true(named[name]):
            raise _No(METHOD_REFUSED, f"{name} of {row.name} {why}; it is refused to every client, leave it out")
    bound = row.bound
    for name in row.slow_if:
        if name in named and is_true(named[name]):
            bound = Bound.SERVER
    did_change = False
    for path in row.amounts:
        name, _, place = path.partition(".*.")
        if name in named:
            text = _pairs_as_text(row, name, int(place), named[name]) if place else _quoted(row, name, named[name])
            did_change |= text != named[name]
            named[name] = text
    if not did_change:
        return Granted(row, row.effect, bound, params)
    if params.startswith(b"["):
        return Granted(row, row.effect, bound, b"[%b]" % b", ".join(named.values()))
    members = b", ".join(b"%b: %b" % (msgspec.json.encode(name), value) for name, value in named.items())
    return Granted(row, row.effect, bound, b"{%b}" % members)


def is_true(raw: bytes) -> bool:
    """Whether a raw JSON value counts as true for a daemon written in Python.

    Fails closed: only false, null, zero and the empty string count as false; an empty list or object,
    which Python would take for false as well, has no business there and is refused with the rest.
    """
    if raw in HARMLESS:
        return False
    if raw[:1] in NUMERIC:
        return float(raw) != 0
    return True


def _pairs_as_text(row: Method, name: str, place: int, raw: bytes) -> bytes:
    """Return a list of lists with the amount at `place` of each in quotes; the same bytes where all of them are."""
    pairs = _decode_items(row, name, raw)
    if len(pairs) > MAX_PAIRS:
        raise _No(INVALID_PARAMS, f"{name} of {row.name} has more than {MAX_PAIRS} pairs; make several payments of it")
    rows = [_decode_items(row, name, bytes(pair)) for pair in pairs]
    did_change = False
    for entry in rows:
        if len(entry) > place:
            amount = bytes(entry[place])
            text = _quoted(row, name, amount)
            did_change |= text != amount
            entry[place] = msgspec.Raw(text)
    return b"[%b]" % b", ".join(b"[%b]" % b", ".join(entry) for entry in rows) if did_change else raw


def _decode_items(row: Method, name: str, raw: bytes) -> list[msgspec.Raw]:
    try:
        return _decode_list(raw)
    except msgspec.MsgspecError:
        raise _No(INVALID_PARAMS, f"{name} of {row.name} must be a list of [address, amount] pairs") from None


def _quoted(row: Method, name: str, raw: bytes) -> bytes:
    """Put a JSON number in quotes; strings and null stay as they are; anything else is no amount."""
    if raw[:1] == b'"' or raw == b"null":
        return raw
    if raw[:1] in NUMERIC:
        return b'"%b"' % raw
    raise _No(INVALID_PARAMS, f'{name} of {row.name} must be an amount in coins, written like "0.009"')

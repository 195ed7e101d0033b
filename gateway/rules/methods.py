"""What a call may do, judged from its method and its parameters; everything unknown is refused.

Rule: a rule about a parameter holds by name and by position, a parameter that is written twice is refused
because nobody knows which one counts, and amounts reach the daemon as the text that the client wrote.
"""

import json
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from gateway.base.effects import Bound, Effect
from gateway.base.errors import INVALID_PARAMS, METHOD_REFUSED, Failure, Kind
from gateway.profiles import REFUSED, Method, Profile

HARMLESS = frozenset({b"false", b"null", b"0", b'""'})
"""Values of a forbidden parameter that the daemon takes for "no", as they are usually written."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The call may be made; `params` is raw JSON as the daemon gets it, `bound` how long it may take."""

    method: Method
    effect: Effect
    bound: Bound
    params: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The call is refused; the error says how to allow it, where it can be allowed."""

    failure: Failure


class _No(Exception):  # noqa: N818 - never leaves this room
    """A refusal on its way out."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


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
        if b"{" in params:
            _refuse_duplicates(params)
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


def _refuse_duplicates(params: bytes) -> None:
    """Refuse parameter objects in which a name is written twice, however it is escaped."""
    try:
        json.loads(params, object_pairs_hook=_pairs)
    except ValueError as error:
        # text that one reader takes and the other does not is not sent to a third
        raise _No(INVALID_PARAMS, f"the parameters are not JSON ({error})") from None


def _pairs(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _No(INVALID_PARAMS, f"the parameter {name} is written twice; write it once")


def _by_rules(row: Method, params: bytes) -> Granted:
    """Apply the rules about single parameters."""
    if params.startswith(b"["):
        values = [bytes(raw) for raw in _decode_list(params)]
        if len(values) > len(row.params):
            raise _No(INVALID_PARAMS, f"{row.name} takes at most {len(row.params)} parameters")
        named = dict(zip(row.params, values, strict=False))
    else:
        named = {name: bytes(raw) for name, raw in _decode_object(params).items()}
    for name in row.forbidden:
        if is_true(named.get(name, b"null")):
            _refuse_parameter(row, name)
    bound = Bound.SERVER if any(is_true(named.get(name, b"null")) for name in row.slow_if) else row.bound
    changed = {path: _as_text(row, path, named) for path in row.amounts if path.split(".")[0] in named}
    if not any(changed.values()):
        return Granted(row, row.effect, bound, params)
    named.update({path.split(".")[0]: text for path, text in changed.items() if text})
    if params.startswith(b"["):
        return Granted(row, row.effect, bound, b"[%b]" % b", ".join(named.values()))
    members = b", ".join(b"%b: %b" % (msgspec.json.encode(name), value) for name, value in named.items())
    return Granted(row, row.effect, bound, b"{%b}" % members)


def _refuse_parameter(row: Method, name: str) -> NoReturn:
    raise _No(
        METHOD_REFUSED,
        f"{name} of {row.name} is refused to every client, because it changes or chooses the wallet file of one "
        "daemon alone; leave it out",
    )


def is_true(raw: bytes) -> bool:
    """Whether a raw JSON value counts as true for a daemon written in Python.

    Fails closed: only false, null, zero and the empty string count as false; an empty list or object,
    which Python would take for false as well, has no business there and is refused with the rest.
    """
    text = raw.strip()
    if text in HARMLESS:
        return False
    if text[:1] in b"-0123456789" and text:
        return float(text) != 0
    return True


def _as_text(row: Method, path: str, named: dict[str, bytes]) -> bytes:
    """Return the parameter at `path` with its JSON numbers in quotes, b"" where nothing has to change."""
    name, _, inner = path.partition(".")
    if not inner:
        return _quoted(row, name, named[name])
    # the one nested shape there is: a list of lists, the amount at a fixed place
    place = int(inner.removeprefix("*."))
    rows = [
        [bytes(item) for item in _decode_items(row, name, bytes(entry))]
        for entry in _decode_items(row, name, named[name])
    ]
    did_change = False
    for entry in rows:
        if len(entry) > place:
            text = _quoted(row, name, entry[place])
            entry[place] = text or entry[place]
            did_change |= bool(text)
    if not did_change:
        return b""
    return b"[%b]" % b", ".join(b"[%b]" % b", ".join(entry) for entry in rows)


def _decode_items(row: Method, name: str, raw: bytes) -> list[msgspec.Raw]:
    try:
        return _decode_list(raw)
    except (msgspec.MsgspecError, RecursionError):
        raise _No(INVALID_PARAMS, f"{name} of {row.name} must be a list of [address, amount] pairs") from None


def _quoted(row: Method, name: str, raw: bytes) -> bytes:
    """Put a JSON number in quotes; strings and null pass; anything else is no amount."""
    text = raw.strip()
    if text[:1] == b'"' or text == b"null":
        return b""
    if text[:1] in b"-0123456789":
        return b'"%b"' % text
    raise _No(INVALID_PARAMS, f'{name} of {row.name} must be an amount in coins, written like "0.009"')

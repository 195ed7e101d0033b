"""JSON as clients and daemons write it, good and bad, and a strict reader of it.

Rule: what is good is good by its making, and never by asking what is tested.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.fuzz.dice import Dice

Value = Any

LONE = '"\\ud83d"', '"a\\udc00b"', '"\\ud83d\\ud83d\\ude00"'
"""Halves of surrogate pairs: JSON by its grammar, and no text."""

NUMBERS = (
    "0", "-0", "0.1", "1e5", "1E+400", "-1e-400", "1.7976931348623157e308", "123456789012345678901234567890",
    "0.00000000000000000000000000000000001", "9007199254740993", "1" * 400, "-0.0", "1e-0", "20999999.9769",
)  # fmt: skip

BAD_VALUES = (
    "NaN", "-Infinity", "Infinity", "01", "-01", "1.", ".5", "+1", "0x10", "1e", "1e+", "- 1", "--1", "1_000", "tru",
    "True", "None", "nul", "undefined", "'a'", '"\\x41"', '"\\u12"', '"\\u12g4"', '"a\nb"', '"a\tb"', '"a\x00b"',
    "[1,]",
    "[,1]", "[1 2]", '{"a" 1}', '{"a":1,}', "{a:1}", "{1:1}", '{"a":}', "[1", "{", "]", "}", ",", ":", "// a",
    "/* a */ 1",
    "\u00a01", "\ufeff1", '"', '"\\"', "\x0b1", "1\x0c",
)  # fmt: skip
"""What stands where a value should, and is none."""

LETTERS = (
    "a",
    "b",
    "",
    "0",
    " ",
    "\\n",
    '\\"',
    "\\\\",
    "\\u0041",
    "\\ud83d\\ude00",
    "\u00e9",
    "\U0001f600",
    "method",
    "\\/",
    "\u2028",
    "\x7f",
)
"""What good texts are made of, as it is written."""

WOUNDS = (
    b" ", b"0", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\n", b"\r\n\r\n", b"\xff", b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x00", b"\xef\xbb\xbf", b"\x80", b"\\u0000", b"\\ud800", b"\xc2\xa0",
)  # fmt: skip
"""What is put into a text where it may do harm."""


def text(dice: Dice, most: int = 4) -> str:
    """Return a good JSON string."""
    return '"' + "".join(dice.pick(LETTERS) for _ in range(dice.few(most))) + '"'


def value(dice: Dice, depth: int = 0) -> str:
    """Return a good JSON text."""
    match dice.roll(12 if depth < 4 else 7):
        case 0 | 1 | 2:
            return str(dice.roll(1000))
        case 3 | 4:
            return text(dice)
        case 5:
            return dice.pick(NUMBERS)
        case 6:
            return dice.pick(("null", "true", "false"))
        case 7 | 8:
            return array(dice, depth + 1)
        case 9 | 10:
            return mapping(dice, depth + 1)
        case _:
            levels = dice.roll(80)
            return "[" * levels + "]" * levels if levels else "[]"


def array(dice: Dice, depth: int = 0) -> str:
    """Return a good JSON array."""
    return "[" + space(dice) + ("," + space(dice)).join(value(dice, depth) for _ in range(dice.few(3))) + "]"


def mapping(dice: Dice, depth: int = 0) -> str:
    """Return a good JSON object; it may have a name twice."""
    pairs = [f"{text(dice)}{space(dice)}:{space(dice)}{value(dice, depth)}" for _ in range(dice.few(3))]
    return "{" + ",".join(pairs) + "}"


def space(dice: Dice) -> str:
    """Return what may stand between two tokens, mostly nothing."""
    return dice.pick(("", "", "", "", " ", "\n", "\t\r\n "))


def odd_value(dice: Dice) -> str:
    """Return something that is no value, or hardly one."""
    match dice.roll(6):
        case 0 | 1 | 2:
            return dice.pick(BAD_VALUES)
        case 3:
            return dice.pick(LONE)
        case 4:
            depth = 60 + dice.roll(200)
            return '{"a":' * depth + "1" + "}" * depth
        case _:
            return "[" * (60 + dice.roll(2000))


def harmed(dice: Dice, body: bytes) -> bytes:
    """Return the bytes with one to three small wounds."""
    for _ in range(1 + dice.few(2)):
        at = dice.roll(len(body) + 1)
        match dice.roll(5):
            case 0:
                body = body[:at] + dice.pick(WOUNDS) + body[at:]
            case 1:
                body = body[:at] + body[at + 1 + dice.roll(4) :]
            case 2:
                body = body[:at]
            case 3:
                other = dice.roll(len(body) + 1)
                body = body[:at] + body[min(at, other) : max(at, other)] + body[at:]
            case _:
                body = body[:at] + dice.bytes(3) + body[at + 1 :]
    return body


class NotStrict(ValueError):  # noqa: N818 - a finding about a text
    """A text is not JSON as RFC 8259 has it."""


def _refuse(word: str) -> Value:
    raise NotStrict(word)


class Members(list[tuple[str, Value]]):
    """An object with all of its members, also those that are written twice."""

    def get(self, name: str) -> Value:
        """Return the last of a name, as nearly everybody reads it; `...` where there is none."""
        return next((value for one, value in reversed(self) if one == name), ...)

    def count_of(self, name: str) -> int:
        """Return how often a name is written."""
        return sum(one == name for one, _ in self)


def strict(text: bytes) -> Value:
    """Read a JSON text; objects come as `Members`, numbers as the text that they are.  Raises NotStrict."""
    try:
        return json.loads(
            text.decode(), object_pairs_hook=Members, parse_constant=_refuse, parse_float=_Number, parse_int=_Number
        )
    except (ValueError, RecursionError) as error:
        raise NotStrict(str(error)) from None


class _Number(str):
    """A number as it was written, which is not a text that looks alike."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Number) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(("number", str(self)))


def is_whole(text: bytes) -> bool:
    """Whether it is JSON and no half of a surrogate pair is in any text of it."""
    try:
        "".join(_texts(strict(text))).encode()
    except (NotStrict, UnicodeEncodeError):
        return False
    return True


def _texts(value: Value) -> Iterator[str]:
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list | tuple):
            rest += one

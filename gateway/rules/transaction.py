"""Transactions of Bitcoin Cash as bytes: what they spend, what they make, and the name that follows from them.

Rule: bytes are read to the last one, in the one form in which the network writes them, or they are no transaction.
Whatever is held, limited or broadcast is what stands here, and not what anybody says about it.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass

MAX_BYTES = 1_000_000
"""The largest transaction that a block takes; servers pass on a tenth of it."""

MAX_SATOSHI = 21_000_000 * 100_000_000

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_WIDTHS = {0xFD: 2, 0xFE: 4, 0xFF: 8}
"""Bytes of a count by its first one."""
_FIRST_WIDE = {2: 0xFD, 4: 0x1_0000, 8: 0x1_0000_0000}
"""The least number that needs so many bytes."""


@dataclass(frozen=True, slots=True)
class Output:
    """A coin that a transaction makes: satoshi, and the script that locks it."""

    value: int
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """What bytes say."""

    txid: str
    hex: str
    """In small letters."""
    inputs: tuple[str, ...]
    """Outpoints as `txid:n`; the one of newly made coins is all zeros."""
    outputs: tuple[Output, ...]
    is_signed: bool
    """Every input has something that unlocks it; whether that is right, the chain knows."""


def parse(text: str) -> Transaction:
    """Read a transaction from hexadecimal.

    Raises:
        ValueError: it is none; the text says why.
    """
    if len(text) > 2 * MAX_BYTES:
        raise ValueError(f"{len(text) // 2} bytes are more than a transaction may have ({MAX_BYTES})")
    if not _HEX.fullmatch(text):
        raise ValueError("not hexadecimal")
    data = bytes.fromhex(text)
    reader = _Reader(data)
    reader.take(4)  # the version
    inputs, is_signed = [], True
    for _ in range(reader.count("inputs", 41)):
        source, place = reader.take(32)[::-1].hex(), reader.number(4)
        is_signed &= len(reader.take(reader.count("bytes", 1))) > 0
        reader.take(4)  # the sequence
        inputs.append(f"{source}:{place}")
    outputs = []
    for _ in range(reader.count("outputs", 9)):
        value = reader.number(8)
        outputs.append(Output(value, reader.take(reader.count("bytes", 1))))
    reader.take(4)  # the lock time
    _check(reader, inputs, outputs)
    txid = hashlib.sha256(hashlib.sha256(data).digest()).digest()[::-1].hex()
    return Transaction(txid, data.hex(), tuple(inputs), tuple(outputs), is_signed)


def _check(reader: "_Reader", inputs: list[str], outputs: list[Output]) -> None:
    """Look at what bytes that could be read cannot be.  Raises ValueError."""
    if reader.left:
        raise ValueError(f"{reader.left} bytes too many at the end")
    if not inputs or not outputs:
        raise ValueError(f"it has no {'outputs' if inputs else 'inputs'}")
    if len(set(inputs)) < len(inputs):
        raise ValueError("it spends a coin twice")
    if sum(made.value for made in outputs) > MAX_SATOSHI:
        raise ValueError("it makes more coins than there are")


@dataclass(frozen=True, slots=True)
class Made:
    """The transactions in an answer to a call that signs."""

    signed: tuple[Transaction, ...]
    is_partial: bool
    """Something in it is not complete; it may hold some of the signatures all the same."""
    partial: tuple[Transaction, ...] = ()
    """What of that can be read."""


def made_by(answer: object) -> Made:
    """Return what a daemon made: `{"hex": ..., "complete": true}`, plain hexadecimal, or a list of such.

    Raises:
        ValueError: something is called complete and is not, or cannot be read.
    """
    signed: list[Transaction] = []
    partial: list[Transaction] = []
    is_partial = False
    for one in answer if isinstance(answer, list) else [answer]:
        if isinstance(one, dict) and isinstance(one.get("hex"), str):
            if not one.get("complete", True):
                is_partial = True
                with suppress(ValueError):
                    partial.append(parse(one["hex"]))
                continue
            tx = parse(one["hex"])
            if not tx.is_signed:
                raise ValueError("it is called complete and has inputs without a signature")
            signed.append(tx)
        elif isinstance(one, str) and _may_be_bytes(one):
            tx = parse(one)
            (signed if tx.is_signed else partial).append(tx)
            is_partial |= not tx.is_signed
    return Made(tuple(signed), is_partial, tuple(partial))


def bytes_of(value: object) -> str | None:
    """Return the hexadecimal that a caller of `broadcast` means: text, or what payto answered; None for neither."""
    if isinstance(value, dict):
        value = value.get("hex")
    return value.strip() if isinstance(value, str) else None


def _may_be_bytes(text: str) -> bool:
    """Whether a text is hexadecimal and as long as the smallest transaction; no signature of a message is."""
    return len(text) >= 2 * 60 and _HEX.fullmatch(text) is not None


class _Reader:
    """Takes bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError("it ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def count(self, what: str, least: int) -> int:
        """Take a count of things that have at least so many bytes each; more than there is room for is garbage."""
        first = self.number(1)
        width = _WIDTHS.get(first)
        if width is None:
            found = first
        else:
            found = self.number(width)
            if found < _FIRST_WIDE[width]:
                raise ValueError("a count is written in more bytes than it needs")
        if found * least > self.left:
            raise ValueError(f"it names {found} {what} and ends too early")
        return found

"""Transactions of the sandbox: bytes in the wire format of the chain, read and written.

The rule: the same inputs, outputs and lock time always give the same bytes, and so the same txid; signatures
are digests that prove nothing, for nothing here guards real coins.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Self

from gateway.sandbox import addresses

COIN = 100_000_000
_PREFIXED = {0xFD: "<H", 0xFE: "<I", 0xFF: "<Q"}


class SerializationError(Exception):
    """The text is not a transaction; callers know the real daemon's error by this name."""


@dataclass(frozen=True, slots=True)
class Outpoint:
    """An output of an earlier transaction."""

    txid: str
    index: int

    @property
    def text(self) -> str:
        """As coins are named in calls: ``txid:index``."""
        return f"{self.txid}:{self.index}"


@dataclass(frozen=True, slots=True)
class Input:
    """A spent coin, and the script that unlocks it (hexadecimal, empty while unsigned)."""

    spent: Outpoint
    unlock: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """A new coin: satoshis and the script that locks it (hexadecimal)."""

    value: int
    script: str

    @property
    def address(self) -> str | None:
        """The address it pays to, where it pays to one."""
        found = addresses.from_script(self.script)
        return found.text if found else None


@dataclass(frozen=True, slots=True)
class Transaction:
    """What moves coins."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    locktime: int = 0
    version: int = 1

    @property
    def hex(self) -> str:
        """The bytes as they are broadcast, in hexadecimal."""
        parts = [struct.pack("<i", self.version), _count(len(self.inputs))]
        for spent in self.inputs:
            unlock = bytes.fromhex(spent.unlock)
            parts += [bytes.fromhex(spent.spent.txid)[::-1], struct.pack("<I", spent.spent.index)]
            parts += [_count(len(unlock)), unlock, struct.pack("<I", 0xFFFFFFFE)]
        parts.append(_count(len(self.outputs)))
        for made in self.outputs:
            script = bytes.fromhex(made.script)
            parts += [struct.pack("<q", made.value), _count(len(script)), script]
        parts.append(struct.pack("<I", self.locktime))
        return b"".join(parts).hex()

    @property
    def txid(self) -> str:
        """The name of the transaction: the double SHA-256 of its bytes, reversed."""
        inner = hashlib.sha256(bytes.fromhex(self.hex)).digest()
        return hashlib.sha256(inner).digest()[::-1].hex()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a transaction from hexadecimal; raises SerializationError where the text is anything else."""
        try:
            return cls._read(_Reader(bytes.fromhex(text)))
        except (ValueError, struct.error, IndexError, TypeError) as error:
            raise SerializationError(f"not a transaction: {error}") from None

    @classmethod
    def _read(cls, reader: "_Reader") -> Self:
        version = reader.number("<i")
        inputs = []
        for _ in range(reader.count()):
            spent = Outpoint(reader.take(32)[::-1].hex(), reader.number("<I"))
            inputs.append(Input(spent, reader.take(reader.count()).hex()))
            reader.take(4)
        outputs = []
        for _ in range(reader.count()):
            value = reader.number("<q")
            outputs.append(Output(value, reader.take(reader.count()).hex()))
        locktime = reader.number("<I")
        if reader.rest or not inputs or not outputs:
            raise SerializationError("extra junk at the end" if reader.rest else "no inputs or no outputs")
        return cls(tuple(inputs), tuple(outputs), locktime, version)


class _Reader:
    """Takes a row of bytes apart from the front."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        if size > len(self.rest):
            raise SerializationError("ends too early")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def count(self) -> int:
        first = self.take(1)[0]
        return self.number(_PREFIXED[first]) if first in _PREFIXED else first


def _count(number: int) -> bytes:
    """A number in the format that takes one byte below 253 and three, five or nine above."""
    if number < 0xFD:
        return bytes([number])
    if number <= 0xFFFF:
        return b"\xfd" + struct.pack("<H", number)
    return b"\xfe" + struct.pack("<I", number)

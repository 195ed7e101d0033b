"""Addresses of the sandbox: made from a seed text, a branch and an index, written as CashAddr or in the older form.

The rule: the same seed gives the same addresses on every daemon, and each carries the prefix ``bchreg:``
of the regression test network, so that none can be taken for an address that holds real coins.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

PREFIX = "bchreg"
ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MAX_LENGTH = 100
"""No form of an address is so long; reading megabytes as a number would take the daemon minutes."""

Kind = Literal["p2pkh", "p2sh"]

# The version byte of CashAddr holds the type in bits 3 to 6 and the size in bits 0 to 2; 160 bits are size 0.
_TYPE_BITS: dict[Kind, int] = {"p2pkh": 0, "p2sh": 1}
# The older form has a version byte of its own for each type on test networks.
_LEGACY_VERSIONS: dict[Kind, int] = {"p2pkh": 0x6F, "p2sh": 0xC4}
_HASH_BYTES = 20
_CHECKSUM_SYMBOLS = 8

# The generator of the BCH code over GF(32) of the CashAddr specification, one row for each bit of the carry.
_GENERATOR = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)


class AddressError(Exception):
    """The text is not an address of this network; callers know the real daemon's error by this name."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where coins can be sent: a key hash or a script hash of 20 bytes."""

    kind: Kind
    hash: bytes

    @property
    def text(self) -> str:
        """The CashAddr form with its prefix, as all answers of the sandbox write it."""
        version = _TYPE_BITS[self.kind] << 3
        symbols = _regroup(bytes([version]) + self.hash, 8, 5, pad=True)
        checksum = _polymod([*_prefix_symbols(), *symbols, *[0] * _CHECKSUM_SYMBOLS])
        tail = [(checksum >> 5 * (_CHECKSUM_SYMBOLS - 1 - place)) & 31 for place in range(_CHECKSUM_SYMBOLS)]
        return f"{PREFIX}:" + "".join(ALPHABET[symbol] for symbol in [*symbols, *tail])

    @property
    def legacy(self) -> str:
        """The older form: the only one under which a wallet keeps the label of an address."""
        data = bytes([_LEGACY_VERSIONS[self.kind]]) + self.hash
        number = int.from_bytes(data + _check_bytes(data))
        letters = ""
        while number:
            number, digit = divmod(number, 58)
            letters = BASE58[digit] + letters
        return letters

    @property
    def script(self) -> str:
        """The output script that pays to it, in hexadecimal."""
        if self.kind == "p2pkh":
            return f"76a914{self.hash.hex()}88ac"
        return f"a914{self.hash.hex()}87"


def derive(seed: str, *, change: bool, index: int) -> Address:
    """The address number index (from 0) of the receiving or the change branch of a seed."""
    return of_key(public_key(seed, change=change, index=index))


def of_key(key: bytes) -> Address:
    """The address that belongs to a public key, or to what stands in for one."""
    return Address("p2pkh", hashlib.sha256(key).digest()[:_HASH_BYTES])


def public_key(seed: str, *, change: bool, index: int) -> bytes:
    """What stands in for the public key of an address: 33 bytes that start like a compressed key.

    No elliptic curve here: nothing in the sandbox can sign for real coins.
    """
    branch = "change" if change else "receiving"
    return b"\x02" + hashlib.sha256(f"sandbox/{seed}/{branch}/{index}".encode()).digest()


def parse(text: object) -> Address:
    """The address that a text means, in any of its forms; raises AddressError for anything else."""
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise AddressError(f"invalid address: {text!r:.100}")
    older = _parse_legacy(text)
    if older is not None:
        return older
    prefix, _, payload = text.rpartition(":")
    if prefix not in {"", PREFIX} or not payload or not set(payload) <= set(ALPHABET):
        raise AddressError(f"invalid address: {text}")
    symbols = [ALPHABET.index(letter) for letter in payload]
    if _polymod([*_prefix_symbols(), *symbols]) != 0:
        raise AddressError(f"invalid address: {text}")
    data = bytes(_regroup(bytes(symbols[:-_CHECKSUM_SYMBOLS]), 5, 8, pad=False))
    kinds: dict[int, Kind] = {bits << 3: kind for kind, bits in _TYPE_BITS.items()}
    if len(data) != 1 + _HASH_BYTES or data[0] not in kinds:
        raise AddressError(f"invalid address: {text}")
    return Address(kinds[data[0]], data[1:])


def from_script(script: str) -> Address | None:
    """The address that an output script (hexadecimal) pays to, or None where it pays to no address."""
    if len(script) == 50 and script.startswith("76a914") and script.endswith("88ac"):
        return Address("p2pkh", bytes.fromhex(script[6:46]))
    if len(script) == 46 and script.startswith("a914") and script.endswith("87"):
        return Address("p2sh", bytes.fromhex(script[4:44]))
    return None


def _parse_legacy(text: str) -> Address | None:
    """The address in the older form, or None where the text is not in that form."""
    if not text or not set(text) <= set(BASE58):
        return None
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    try:
        data = number.to_bytes(1 + _HASH_BYTES + 4)
    except OverflowError:
        return None
    kinds = {version: kind for kind, version in _LEGACY_VERSIONS.items()}
    if data[0] not in kinds or _check_bytes(data[:-4]) != data[-4:]:
        return None
    return Address(kinds[data[0]], data[1:-4])


def _check_bytes(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]


def _prefix_symbols() -> list[int]:
    return [ord(letter) & 31 for letter in PREFIX] + [0]


def _polymod(symbols: list[int]) -> int:
    """The remainder of the code word, already combined with 1: zero means that the checksum is right."""
    remainder = 1
    for symbol in symbols:
        carry = remainder >> 35
        remainder = ((remainder & 0x07FFFFFFFF) << 5) ^ symbol
        for bit, row in enumerate(_GENERATOR):
            if carry >> bit & 1:
                remainder ^= row
    return remainder ^ 1


def _regroup(data: bytes, width: int, wanted: int, *, pad: bool) -> list[int]:
    """Split a row of numbers of one bit width into numbers of another; without pad, left-over bits are dropped."""
    groups = []
    store = held = 0
    for number in data:
        store = (store << width) | number
        held += width
        while held >= wanted:
            held -= wanted
            groups.append(store >> held & (1 << wanted) - 1)
    if pad and held:
        groups.append(store << wanted - held & (1 << wanted) - 1)
    return groups

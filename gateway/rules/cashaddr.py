"""Forms of an address: CashAddr with and without the prefix of its network, and the older form (base58).

Rule: an address is known here by its CashAddr without prefix, as the ledger has it; every other form is turned into
that or refused.  The prefix is part of the checksum, so an address without one still tells its network.

The daemon keeps the label of an address under its older form alone, which is why we have to be able to write it.
Addresses for tokens differ in a letter and mean the same place; they are read, and written without the difference.
"""

import hashlib
from dataclasses import dataclass

MAINNET, TESTNET, REGTEST = "bitcoincash", "bchtest", "bchreg"
NETWORKS = (MAINNET, TESTNET, REGTEST)
"""Prefixes; test networks share the second, but for the regression test network."""

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

MAX_LENGTH = 120
"""No form is as long; reading a megabyte as one number would take minutes."""

_VERSIONS = {MAINNET: (0x00, 0x05), TESTNET: (0x6F, 0xC4), REGTEST: (0x6F, 0xC4)}
"""First byte of the older form: of a key hash, of a script hash."""

_SIZES = {0: 20, 3: 32}
"""Bytes of a hash by the lowest three bits of the version of a CashAddr; wallets have no others."""

_CHECKSUM = 8
_DIGITS = {letter: value for value, letter in enumerate(ALPHABET)}
_DIGITS58 = {letter: value for value, letter in enumerate(BASE58)}

# the generator of the specification of CashAddr, one number for each bit that is carried out
_GENERATOR = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)


@dataclass(frozen=True, slots=True)
class Address:
    """Where coins can be sent on a network."""

    network: str
    """One of NETWORKS."""
    is_script: bool
    hash: bytes

    @property
    def bare(self) -> str:
        """CashAddr without prefix."""
        size = next(bits for bits, count in _SIZES.items() if count == len(self.hash))
        payload = _regroup(bytes([self.is_script << 3 | size]) + self.hash, 8, 5)
        left = _remainder([*_prefix(self.network), *payload, *[0] * _CHECKSUM])
        check = [left >> 5 * (_CHECKSUM - 1 - place) & 31 for place in range(_CHECKSUM)]
        return "".join(ALPHABET[one] for one in [*payload, *check])

    @property
    def legacy(self) -> str:
        """The older form, under which daemons keep labels."""
        data = bytes([_VERSIONS[self.network][self.is_script]]) + self.hash
        data += _check58(data)
        number, letters = int.from_bytes(data), ""
        while number:
            number, digit = divmod(number, 58)
            letters = BASE58[digit] + letters
        return BASE58[0] * (len(data) - len(data.lstrip(b"\0"))) + letters


def network_of(address: str) -> str | None:
    """Return the network of a CashAddr, with or without prefix; None when it is none."""
    found = _read_cash(address, NETWORKS)
    return found[0].network if found else None


def legacy(address: str) -> str | None:
    """Return the older form of a CashAddr, with or without prefix; None when it is none."""
    found = _read_cash(address, NETWORKS)
    return found[0].legacy if found else None


def read(text: str, network: str | None = None) -> list[Address]:
    """Return what a text in any form may mean: nothing, one address, or one on each test network.

    Args:
        network: the only one that counts; None for all of them.
    """
    networks = NETWORKS if network is None else tuple(one for one in NETWORKS if one == network)
    return _read_cash(text, networks) or _read_legacy(text, networks)


def _read_cash(text: str, networks: tuple[str, ...]) -> list[Address]:
    if text == text.upper():
        text = text.lower()
    prefix, colon, payload = text.rpartition(":")
    if not _CHECKSUM < len(payload) <= MAX_LENGTH or not set(payload) <= _DIGITS.keys():
        return []
    symbols = [_DIGITS[letter] for letter in payload]
    for network in networks:
        if colon and prefix != network:
            continue
        if _remainder([*_prefix(network), *symbols]) == 0:
            return _unpack(network, symbols[:-_CHECKSUM])
    return []


def _unpack(network: str, symbols: list[int]) -> list[Address]:
    """Return the address in the payload of a CashAddr whose checksum is right."""
    spare = len(symbols) * 5 % 8
    number = 0
    for symbol in symbols:
        number = number << 5 | symbol
    if spare >= 5 or number & (1 << spare) - 1:
        return []
    data = (number >> spare).to_bytes(len(symbols) * 5 // 8)
    version, found = data[0], data[1:]
    # kinds 2 and 3 are those of 0 and 1 for tokens
    kind = version >> 3
    if kind > 3 or _SIZES.get(version & 7) != len(found):
        return []
    is_script = bool(kind & 1)
    return [Address(network, is_script, found)] if is_script or len(found) == _SIZES[0] else []


def _read_legacy(text: str, networks: tuple[str, ...]) -> list[Address]:
    if len(text) > MAX_LENGTH or not set(text) <= _DIGITS58.keys():
        return []
    number = 0
    for letter in text:
        number = number * 58 + _DIGITS58[letter]
    zeros = len(text) - len(text.lstrip(BASE58[0]))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
    body, check = data[:-4], data[-4:]
    if len(body) - 1 not in _SIZES.values() or _check58(body) != check:
        return []
    return [
        Address(network, bool(is_script), body[1:])
        for network in networks
        for is_script, version in enumerate(_VERSIONS[network])
        if body[0] == version and (is_script or len(body) - 1 == _SIZES[0])
    ]


def _check58(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]


def _prefix(network: str) -> list[int]:
    return [ord(letter) & 31 for letter in network] + [0]


def _remainder(symbols: list[int]) -> int:
    """Return the remainder of a word of the code, combined with 1: zero means that its checksum is right."""
    left = 1
    for symbol in symbols:
        carry = left >> 35
        left = (left & 0x07FFFFFFFF) << 5 ^ symbol
        for bit, row in enumerate(_GENERATOR):
            if carry >> bit & 1:
                left ^= row
    return left ^ 1


def _regroup(data: bytes, width: int, wanted: int) -> list[int]:
    """Return bytes as numbers of fewer bits, filled up with zeros."""
    bits = len(data) * width
    spare = -bits % wanted
    number = int.from_bytes(data) << spare
    count = (bits + spare) // wanted
    return [number >> wanted * (count - 1 - place) & (1 << wanted) - 1 for place in range(count)]


def bare(address: str) -> str:
    """Return an address without the prefix of its network, which some answers have and others have not."""
    return address.rpartition(":")[2]

"""Forms of an address: the vectors of the specification, and whatever key hash there may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.cashaddr import MAX_LENGTH, NETWORKS, Address, legacy, network_of, read
from gateway.sandbox import addresses as sandbox

VECTORS = [
    ("1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu", "qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a"),
    ("1KXrWXciRDZUpQwQmuM1DbwsKDLYAYsVLR", "qr95sy3j9xwd2ap32xkykttr4cvcu7as4y0qverfuy"),
    ("16w1D5WRVKJuZUsSRzdLp9w3YGcgoxDXb", "qqq3728yw0y47sqn6l2na30mcw6zm78dzqre909m2r"),
    ("3CWFddi6m4ndiGyKqzYvsFYagqDLPVMTzC", "ppm2qsznhks23z7629mms6s4cwef74vcwvn0h829pq"),
    ("3LDsS579y7sruadqu11beEJoTjdFiFCdX4", "pr95sy3j9xwd2ap32xkykttr4cvcu7as4yc93ky28e"),
    ("31nwvkZwyPdgzjBJZXfDmSWsC4ZLKpYyUw", "pqq3728yw0y47sqn6l2na30mcw6zm78dzq5ucqzc37"),
]
"""Older and newer form of one address each, from the specification of CashAddr."""

REGTEST = "qphv9uzg34sv3clllg6p3nt8rpp0jap2vvkwg2marc"

hashes = st.binary(min_size=20, max_size=20)


@pytest.mark.parametrize(("older", "bare"), VECTORS)
def test_the_vectors_of_the_specification_hold(older: str, bare: str) -> None:
    """Either form leads to the other, with prefix, without it and in capitals."""
    assert legacy(bare) == legacy(f"bitcoincash:{bare}") == older
    for text in (older, bare, f"bitcoincash:{bare}", f"BITCOINCASH:{bare.upper()}", bare.upper()):
        assert [(one.bare, one.network) for one in read(text)] == [(bare, "bitcoincash")]
    assert network_of(bare) == "bitcoincash"


@given(hashes, st.booleans(), st.sampled_from(NETWORKS))
def test_every_address_is_read_back_from_each_of_its_forms(found: bytes, is_script: bool, network: str) -> None:  # noqa: FBT001 - drawn
    """The networks of the two forms are told apart, as far as the form itself tells them apart."""
    address = Address(network, is_script, found)
    assert read(address.bare) == read(f"{network}:{address.bare}") == [address]
    assert network_of(address.bare) == network
    assert read(address.legacy, network) == [address]
    assert address in read(address.legacy)
    assert len(read(address.legacy)) == (1 if network == "bitcoincash" else 2)


@given(hashes, st.sampled_from(["p2pkh", "p2sh"]))
def test_the_older_form_is_the_one_that_the_sandbox_keeps_labels_under(found: bytes, kind: sandbox.Kind) -> None:
    """Two programs, one answer; of zero bytes at the front too."""
    address = sandbox.Address(kind, found)
    assert legacy(address.text) == address.legacy
    assert [one.bare for one in read(address.text)] == [address.text.partition(":")[2]]


def test_a_script_hash_of_32_bytes_is_an_address_and_a_key_hash_of_32_is_not() -> None:
    """Keys hash to 20 bytes, whatever the version byte says."""
    long = Address("bchreg", is_script=True, hash=bytes(range(32)))
    assert read(long.bare) == [long]
    assert read(long.legacy, "bchreg") == [long]
    wrong = Address("bchreg", is_script=False, hash=bytes(range(32)))
    assert read(wrong.bare) == read(wrong.legacy) == []


def test_an_address_for_tokens_means_the_same_place() -> None:
    """The vector of the CHIP: z for q, r for p."""
    assert [one.bare for one in read("bitcoincash:zr6m7j9njldwwzlg9v7v53unlr4jkmx6eycnjehshe")] == [
        "qr6m7j9njldwwzlg9v7v53unlr4jkmx6eylep8ekg2"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "bchreg:", "nope", "qqqqqqqq", "bitcoincash:" + REGTEST, "bchtest:" + REGTEST,
        "bchreg:bchreg:" + REGTEST,
        REGTEST[:-1], REGTEST[:-1] + "q", REGTEST.replace("v", "V", 1), REGTEST + " ", " " + REGTEST, "q" * 5000,
        "1" * 5000, "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggv", "1" * 30, "0BpEi6", "é" * 42, "1" * MAX_LENGTH, "2", "11111",
        # a right checksum over what is no address: a version of an unknown kind, a hash of 24 bytes, set spare bits
        "bitcoincash:qh3krj5607v3qlqh5c3wq3lrw3wnuxw0sp8dv0zugrrt5a3kj6ucysfz8kxwv2k53krr7n933jfsunqex2w82sl",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    """Of another network under a wrong prefix, cut, with a letter changed, in mixed case, endless."""
    assert read(text) == []
    assert legacy(text) is None
    assert network_of(text) is None


def test_an_address_of_another_network_is_none_on_this_one() -> None:
    """In both forms."""
    older, bare = VECTORS[0]
    assert read(bare, "bchreg") == read(older, "bchreg") == read(f"bitcoincash:{bare}", "bchreg") == []
    assert read(REGTEST, "elsewhere") == []
    assert legacy(older) is None, "it is no CashAddr"


def _word(version: int, data: bytes, *, spare: int = 0) -> str:
    """Return a CashAddr of the regression network with a right checksum over anything."""
    from gateway.rules import cashaddr  # noqa: PLC0415 - its inner parts, to make what it must refuse

    symbols = cashaddr._regroup(bytes([version]) + data, 8, 5)
    symbols[-1] |= spare
    left = cashaddr._remainder([*cashaddr._prefix("bchreg"), *symbols, *[0] * 8])
    return "".join(cashaddr.ALPHABET[one] for one in [*symbols, *(left >> 5 * (7 - i) & 31 for i in range(8))])


def test_a_right_checksum_does_not_make_an_address() -> None:
    """An unknown kind, a length that is not the hash's, bits that must be zero, nothing at all."""
    assert [one.bare for one in read(_word(0, bytes(20)))] == [_word(0, bytes(20))]
    for text in (
        _word(4 << 3, bytes(20)), _word(0x80, bytes(20)), _word(1, bytes(20)), _word(0, bytes(21)), _word(3, bytes(20)),
        _word(0, bytes(20), spare=1), _word(0, b"")
    ):  # fmt: skip
        assert read(text) == []

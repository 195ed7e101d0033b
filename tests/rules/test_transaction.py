"""Transactions as bytes: real ones, made ones, and everything that is none."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.transaction import MAX_BYTES, MAX_SATOSHI, bytes_of, made_by, parse

GENESIS = (
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d"
    "65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f7220"
    "62616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f"
    "4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
)
FIRST_PAYMENT = (
    "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961a1"
    "d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901ff"
    "ffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f"
    "142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b148"
    "2ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000"
)


def count(number: int) -> bytes:
    """A count as the network writes it."""
    if number < 0xFD:
        return bytes([number])
    if number <= 0xFFFF:
        return b"\xfd" + struct.pack("<H", number)
    return b"\xfe" + struct.pack("<I", number) if number <= 0xFFFFFFFF else b"\xff" + struct.pack("<Q", number)


Input = tuple[bytes, int, bytes]
Output = tuple[int, bytes]


def write(inputs: list[Input], outputs: list[Output], locktime: int = 0) -> bytes:
    """Bytes of a transaction."""
    parts = [struct.pack("<i", 2), count(len(inputs))]
    for source, place, unlock in inputs:
        parts += [source[::-1], struct.pack("<I", place), count(len(unlock)), unlock, b"\xff\xff\xff\xff"]
    parts.append(count(len(outputs)))
    for value, script in outputs:
        parts += [struct.pack("<Q", value), count(len(script)), script]
    return b"".join(parts) + struct.pack("<I", locktime)


ONE_IN: list[Input] = [(b"\x11" * 32, 0, b"\x01")]
ONE_OUT: list[Output] = [(1, b"\x6a")]

inputs_made = st.lists(
    st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1), st.binary(min_size=1, max_size=300)),
    min_size=1, max_size=5, unique_by=lambda one: one[:2],
)  # fmt: skip
outputs_made = st.lists(st.tuples(st.integers(0, 10**12), st.binary(max_size=300)), min_size=1, max_size=5)


def test_the_first_transactions_of_the_chain_have_their_names() -> None:
    """The one of the first block, which spends nothing, and the first payment from one person to another."""
    genesis = parse(GENESIS)
    assert genesis.txid == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert genesis.inputs == (f"{'00' * 32}:{2**32 - 1}",)
    paid = parse(FIRST_PAYMENT.upper())
    assert paid.txid == "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
    assert paid.hex == FIRST_PAYMENT
    assert paid.inputs == ("0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9:0",)
    assert [made.value for made in paid.outputs] == [1_000_000_000, 4_000_000_000]
    assert paid.is_signed


@given(inputs_made, outputs_made, st.integers(0, 2**32 - 1))
def test_what_was_written_is_what_is_read(inputs: list[Input], outputs: list[Output], locktime: int) -> None:
    """Every input, every output, the very bytes."""
    data = write(inputs, outputs, locktime)
    tx = parse(data.hex())
    assert tx.hex == data.hex()
    assert tx.inputs == tuple(f"{source.hex()}:{place}" for source, place, _ in inputs)
    assert [(made.value, made.script) for made in tx.outputs] == outputs
    assert tx.is_signed


@given(inputs_made, outputs_made, st.data())
def test_bytes_that_are_cut_off_or_go_on_are_no_transaction(
    inputs: list[Input], outputs: list[Output], data: st.DataObject
) -> None:
    """Wherever they end."""
    whole = write(inputs, outputs)
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError):  # noqa: PT011 - the texts have a test of their own
        parse(whole[:end].hex())
    with pytest.raises(ValueError, match="too many at the end"):
        parse(whole.hex() + "00")


@given(st.text(max_size=300) | st.binary(max_size=300).map(bytes.hex))
def test_garbage_is_told_in_words_and_never_by_another_error(text: str) -> None:
    """Any text at all."""
    try:
        parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - a text that is a transaction by chance is no mistake


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not hexadecimal"),
        ("0", "not hexadecimal"),
        ("00 00", "not hexadecimal"),
        ("00" * (MAX_BYTES + 1), "more than a transaction may have"),
        ("01000000", "ends too early"),
        (write([], ONE_OUT).hex(), "has no inputs"),
        (write(ONE_IN, []).hex(), "has no outputs"),
        (write(ONE_IN * 2, ONE_OUT).hex(), "spends a coin twice"),
        (write(ONE_IN, [(MAX_SATOSHI, b""), (1, b"")]).hex(), "more coins than there are"),
        ("01000000fd0100" + "00" * 60, "more bytes than it needs"),
        ("01000000feffff0000" + "00" * 60, "more bytes than it needs"),
        ("01000000ffffffffff00000000" + "00" * 60, "more bytes than it needs"),
        ("01000000fdff00" + "00" * 60, "names 255 inputs"),
        # how Bitcoin marks witnesses: no inputs, then a flag
        ("02000000000101" + "00" * 60, "too many at the end"),
    ],
)
def test_each_way_of_being_none_has_its_words(text: str, why: str) -> None:
    """So that a person can see what it is instead."""
    with pytest.raises(ValueError, match=why):
        parse(text)


def test_a_long_script_has_a_wide_count() -> None:
    """Three bytes from 253 on, five from 65,536 on."""
    for size in (252, 253, 65_535, 65_536):
        assert len(parse(write(ONE_IN, [(1, b"\x00" * size)]).hex()).outputs[0].script) == size


def test_what_a_daemon_made_is_told_from_what_it_did_not() -> None:
    """Signed, partial, unsigned, an error, a signature of a message, a list."""
    signed = write(ONE_IN, ONE_OUT).hex()
    unsigned = write([(b"\x11" * 32, 0, b"")], ONE_OUT).hex()
    txid = parse(signed).txid

    def found(answer: Any) -> tuple[list[str], bool]:
        made = made_by(answer)
        return [tx.txid for tx in made.signed], made.is_partial

    assert found({"hex": signed, "complete": True, "final": True}) == ([txid], False)
    assert found({"hex": signed}) == ([txid], False)
    assert found(signed) == ([txid], False)
    assert found({"hex": "any form of its own", "complete": False}) == ([], True)
    assert found(unsigned) == ([], True)
    assert found([{"hex": signed, "complete": True}, {"hex": "", "complete": False}]) == ([txid], True)
    nothing: Any
    for nothing in ({"error": "no"}, "SGVsbG8=", "ff" * 20, "z" * 200, None, True, 7, {"hex": None}, []):
        assert found(nothing) == ([], False)


@pytest.mark.parametrize(
    "answer",
    [{"hex": "00", "complete": True}, {"hex": write([(b"\x11" * 32, 0, b"")], ONE_OUT).hex()}, "00" * 100],
)
def test_what_is_called_complete_and_is_not_is_an_error(answer: object) -> None:
    """Nobody could say what it takes out."""
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        made_by(answer)


def test_what_a_caller_of_broadcast_may_write() -> None:
    """Text, or the answer of payto as it came."""
    assert bytes_of("  00ff\n") == "00ff"
    assert bytes_of({"hex": "00", "complete": True}) == "00"
    assert bytes_of({"hex": 7}) is None
    assert bytes_of(["00"]) is None

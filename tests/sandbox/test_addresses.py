"""Addresses: the same for the same seed, valid, and never to be taken for real ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox import addresses
from gateway.sandbox.addresses import Address, AddressError


def repr_short(text: object) -> str:
    """A name for a test that fits a line."""
    return repr(text)[:20]


hashes = st.binary(min_size=20, max_size=20)
kinds = st.sampled_from(["p2pkh", "p2sh"])


@given(kinds, hashes)
def test_every_form_of_an_address_means_the_same_address(kind: addresses.Kind, digest: bytes) -> None:
    """With prefix, without, in the older form and as a script."""
    address = Address(kind, digest)
    assert address.text.startswith("bchreg:")
    forms = [address.text, address.text.removeprefix("bchreg:"), address.legacy]
    assert [addresses.parse(form) for form in forms] == [address] * 3
    assert addresses.from_script(address.script) == address


@given(kinds, hashes, st.data())
def test_one_wrong_letter_is_noticed(kind: addresses.Kind, digest: bytes, data: st.DataObject) -> None:
    """The checksum finds every single mistake, in both forms."""
    address = Address(kind, digest)
    for text, alphabet in ((address.text, addresses.ALPHABET), (address.legacy, addresses.BASE58)):
        place = data.draw(st.integers(text.find(":") + 1, len(text) - 1))
        letter = data.draw(st.sampled_from([each for each in alphabet if each != text[place]]))
        with pytest.raises(AddressError):
            addresses.parse(text[:place] + letter + text[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "x",
        "bchreg:",
        "x" * 1_000_000,
        # The address of these twenty bytes on the main network and on the test network: real money, other network.
        "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
        "qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
        "bchtest:qpm2qsznhks23z7629mms6s4cwef74vcwvqcw003ap",
        "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu",
    ],
    ids=repr_short,
)
def test_what_is_no_address_of_this_network_is_refused(text: object) -> None:
    """Above all addresses that could hold real coins."""
    with pytest.raises(AddressError):
        addresses.parse(text)


def test_the_checksum_is_that_of_cashaddr() -> None:
    """A known address of the regression test network, made by a real wallet, is understood and written alike."""
    known = "bchreg:qqyx49mu0kkn9ftfj6hje6g2wfer34yfnq2903p4yq"
    assert addresses.parse(known).text == known
    assert addresses.parse(known).legacy == "mgHTPiJDAkm6zQPxeNDFQZZHJCbGBYdRkC"


@given(st.text(min_size=1), st.booleans(), st.integers(0, 10_000))
def test_an_address_follows_from_seed_branch_and_index_alone(seed: str, change: bool, index: int) -> None:  # noqa: FBT001 - drawn by Hypothesis
    """The same three give the same address, another branch or index another one."""
    made = addresses.derive(seed, change=change, index=index)
    assert addresses.derive(seed, change=change, index=index) == made
    assert made not in {
        addresses.derive(seed, change=not change, index=index),
        addresses.derive(seed, change=change, index=index + 1),
        addresses.derive(seed + "x", change=change, index=index),
    }


def test_the_first_addresses_of_the_usual_seed_stay_what_they_are() -> None:
    """Wallet files of an earlier version must still fit: the derivation is written down here."""
    assert [addresses.derive("sandbox", change=False, index=index).text for index in (0, 1)] == [
        "bchreg:qphv9uzg34sv3clllg6p3nt8rpp0jap2vvkwg2marc",
        "bchreg:qzr4kz3px06ks6rlnva33awk6gv4k0p7ag0rqazvss",
    ]

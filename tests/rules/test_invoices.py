"""Invoices as rules: what may be asked for, how far they are paid, the daemon's words."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.invoices import (
    COIN,
    EXPIRED,
    MAX_EXPIRATION,
    MAX_MEMO,
    MOST_COINS,
    NOT_SERVED,
    PAID,
    PENDING,
    UNCONFIRMED,
    ArgumentError,
    Asked,
    Invoice,
    Receipt,
    State,
    coins_text,
    confirmations,
    furthest,
    label,
    label_key,
    make,
    named,
    read,
    request_id,
    state,
    taken_over,
    told,
    wanted,
)

BARE = "qphv9uzg34sv3clllg6p3nt8rpp0jap2vvkwg2marc"
LEGACY = "mqcc9j8gX2CQ74YzQCD9Yv8QWwspTJqPkT"
NOW = 1_800_000_000.0


def asked(**given_: object) -> Asked:
    """Read arguments that are given as Python values; text that begins with a `=` is raw JSON."""
    raw = {
        name: value[1:].encode() if isinstance(value, str) and value.startswith("=") else json.dumps(value).encode()
        for name, value in given_.items()
    }
    return read(raw)


def invoice(amount: int | None = 100, exp: int | None = None) -> Invoice:
    """An invoice of a thousand seconds ago."""
    return Invoice(BARE, "id", amount, "memo", int(NOW) - 1000, exp)


def paid(*payments: tuple[int, int]) -> list[Receipt]:
    """Payments of a value at a height; their txids are their places."""
    return [Receipt(BARE, str(place), value, height) for place, (value, height) in enumerate(payments)]


# -- what is asked --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "satoshi"),
    [
        ("0.009", 900_000), ("=0.009", 900_000), ("1", COIN), ("=1", COIN), ("1e-3", 100_000), ("=1E-3", 100_000),
        ("0.123456789", 12_345_678), ("0.999999999999", 99_999_999), ("1e-9", 0), ("0", 0), ("-0", 0), (" 1 ", COIN),
        ("1_000", 1000 * COIN), (".5", COIN // 2), ("5.", 5 * COIN), ("21000000", MOST_COINS * COIN), (None, None),
        ("1e-999999", 0), ("= 2 ", 2 * COIN),
    ],
)  # fmt: skip
def test_an_amount_is_cut_off_behind_the_last_satoshi(amount: object, satoshi: int | None) -> None:
    """As text and as the digits of a number; null is any amount."""
    assert asked(amount=amount).amount == satoshi


@pytest.mark.parametrize(
    "amount",
    ["!", "abc", "", "NaN", "sNaN", "Infinity", "-1", "-1e-8", "21000000.00000001", "1e999999", "1,5", "0x10",
     "1" * 101, "1 2", True, False, [], [1], {}, {"a": 1}, "=nul", "=-"],
)  # fmt: skip
def test_an_amount_of_any_other_shape_is_refused_in_words(amount: object) -> None:
    """Below nothing, beyond all coins there are, everything that is no number."""
    with pytest.raises(ArgumentError, match=r"^amount must be (in coins, like|0 to 21,000,000 coins)"):
        asked(amount=amount)


def test_an_amount_must_be_given() -> None:
    """Null says that it is meant."""
    with pytest.raises(ArgumentError, match="amount is missing"):
        read({})


@given(st.integers(0, MOST_COINS * COIN))
def test_an_amount_in_satoshi_is_read_back_from_its_own_words(satoshi: int) -> None:
    """The text of the answer is an amount too, and the shortest one."""
    assert asked(amount=coins_text(satoshi)).amount == satoshi
    assert Decimal(coins_text(satoshi)) * COIN == satoshi


def test_a_memo_is_text() -> None:
    """As long as it is not endless; none is an empty one."""
    for memo, kept in (("", ""), (None, ""), ("é\n\u2028\U0001f600", "é\n\u2028\U0001f600"), ("m" * MAX_MEMO,) * 2):
        assert asked(amount="1", memo=memo).memo == kept
    assert asked(amount="1").memo == ""
    for wrong, words in (
        (5, "text"), (True, "text"), ([], "text"), ({}, "text"), ("m" * (MAX_MEMO + 1), "at most 2,000 characters"),
        ("a\0b", "NUL"), ('="\\ud800"', "is not JSON"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=f"^memo .*{words}"):
            asked(amount="1", memo=wrong)


@pytest.mark.parametrize(
    ("expiration", "seconds"),
    [(None, None), (0, None), (False, None), ("", None), ("=0.0", None), (3600, 3600), ("3600", 3600), (" 60 ", 60),
     ("=3600.0", 3600), ("0", 0), (MAX_EXPIRATION, MAX_EXPIRATION)],
)  # fmt: skip
def test_an_expiration_is_whole_seconds_or_never(expiration: object, seconds: int | None) -> None:
    """What Python takes for false is never, as in the daemon; the text "0" is true in Python, and over at once."""
    assert asked(amount="1", expiration=expiration).expiration == seconds


@pytest.mark.parametrize(
    "expiration", [True, -1, "-1", "soon", "1.5", 1.5, [], [1], {}, MAX_EXPIRATION + 1, "1" * 101, "=1e300", "NaN"]
)
def test_an_expiration_of_any_other_shape_is_refused_in_words(expiration: object) -> None:
    """Before now, in parts of seconds, after the end of the world."""
    with pytest.raises(ArgumentError, match=r"^expiration must be a whole number of seconds"):
        asked(amount="1", expiration=expiration)


def test_force_means_nothing_here_and_must_make_sense_nonetheless() -> None:
    """There is always an address or none at all; lists and objects are somebody's mistake."""
    for force in (True, False, None, 0, 1, "", "yes"):
        assert asked(amount="1", force=force) == Asked(COIN, "", None)
    wrongs: tuple[object, ...] = ([], {}, [True])
    for wrong in wrongs:
        with pytest.raises(ArgumentError, match="force must be true or false"):
            asked(amount="1", force=wrong)


@pytest.mark.parametrize("name", NOT_SERVED)
def test_what_needs_the_daemon_is_refused_unless_it_is_null(name: str) -> None:
    """Also where it counts as false."""
    assert asked(amount="1", **{name: None}) == Asked(COIN, "", None)
    given_values: tuple[object, ...] = ("", False, 0, "https://example.org", [], {})
    for value in given_values:
        with pytest.raises(ArgumentError, match=f"{name} is not served by the gateway"):
            asked(amount="1", **{name: value})


def test_a_list_is_of_the_first_state_that_is_asked_for() -> None:
    """What is true in Python's sense counts."""
    assert wanted({}) is None
    assert wanted({"pending": b"false", "expired": b'""', "paid": b"[]"}) is None
    assert wanted({"pending": b"1", "paid": b"true"}) == PENDING
    assert wanted({"pending": b"null", "expired": b'"no"', "paid": b"true"}) == EXPIRED
    assert wanted({"paid": b"{}", "expired": b"0.0"}) is None
    assert wanted({"paid": b"true"}) == PAID


def test_an_invoice_is_named_by_its_address_in_any_form() -> None:
    """With prefix, without it, in capitals, in the older form, which the test networks share."""
    for text in (BARE, f"bchreg:{BARE}", BARE.upper(), LEGACY):
        assert named("key", {"key": json.dumps(text).encode()}, "bchreg").addresses == (BARE,)
    either = named("key", {"key": json.dumps(LEGACY).encode()}, None)
    assert BARE in either.addresses
    assert len(either.addresses) == 2
    assert either.is_address


def test_what_is_no_address_may_be_what_another_wallet_lists() -> None:
    """It is looked up as it is, cut to a length, and told to be none."""
    found = named("key", {"key": b'"x:address-1' + b"9" * 5000 + b'"'}, "bchreg")
    assert not found.is_address
    assert found.addresses[0].startswith("address-199")
    assert len(found.addresses[0]) < 200
    for raw in (b"5", b"null", b"true", b"[]", b"{}", b'""'):
        with pytest.raises(ArgumentError, match="key must be the address of an invoice"):
            named("key", {"key": raw}, None)
    with pytest.raises(ArgumentError, match="key must be the address"):
        named("key", {}, None)
    with pytest.raises(ArgumentError, match="key is not JSON"):
        named("key", {"key": b'"\\ud800"'}, None)


# -- how far it is paid ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payments", "status", "depth"),
    [
        ([], PENDING, None),
        ([(99, 10)], PENDING, None),
        ([(99, 0)], PENDING, None),
        ([(100, 0)], UNCONFIRMED, 0),
        ([(100, 20)], PAID, 1),
        ([(500, 15)], PAID, 6),
        ([(60, 15), (40, 18)], PAID, 3),
        ([(60, 15), (40, 0)], UNCONFIRMED, 0),
        ([(100, 15), (1, 0)], UNCONFIRMED, 0),
        ([(100, 15), (1, 20)], PAID, 1),
        ([(50, 0), (50, 0)], UNCONFIRMED, 0),
        ([(100, 25)], PAID, 1),
    ],
)
def test_the_state_is_that_of_the_newest_payment_that_counts(
    payments: list[tuple[int, int]], status: str, depth: int | None
) -> None:
    """Part payments add up; more than enough is enough; a late payment unsettles it, as in the daemon."""
    found = state(invoice(), paid(*payments), 20, NOW)
    assert (found.status, found.confirmations, len(found.txids)) == (status, depth, len(payments))


def test_any_payment_reaches_an_amount_that_is_open() -> None:
    """None and nothing are the same here."""
    for amount in (None, 0):
        assert state(invoice(amount), [], 20, NOW).status == PENDING
        assert state(invoice(amount), paid((1, 0)), 20, NOW).status == UNCONFIRMED
        assert furthest(amount, []) == PENDING
        assert furthest(amount, paid((1, 0))) == UNCONFIRMED
        assert furthest(amount, paid((1, 5))) == PAID


def test_an_invoice_expires_a_moment_after_its_last_second() -> None:
    """Only while too little came in."""
    assert state(invoice(exp=1000), [], 20, NOW).status == PENDING
    assert state(invoice(exp=1000), paid((99, 10)), 20, NOW + 0.001).status == EXPIRED
    assert state(invoice(exp=1000), paid((100, 0)), 20, NOW + 1e6).status == UNCONFIRMED
    assert state(invoice(exp=None), [], 20, NOW + 1e9).status == PENDING
    assert state(invoice(exp=0), [], 20, NOW).status == EXPIRED


def test_payments_are_listed_deepest_first() -> None:
    """Then the larger one, then by txid backwards."""
    found = state(invoice(), paid((5, 0), (7, 0), (1, 12), (7, 0), (9, 19)), 20, NOW)
    assert found.txids == ("2", "4", "3", "1", "0")


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30))), st.integers(0, 40), st.floats(0, 2e9))
def test_a_state_is_what_the_daemon_computes(payments: list[tuple[int, int]], tip: int, now: float) -> None:
    """Its own lines, word for word but for names."""
    l = [(max(1, tip - height + 1) if height else 0, value, str(n)) for n, (value, height) in enumerate(payments)]  # noqa: E741 - as there
    vsum, is_paid, result_conf = 0, False, None
    for conf, v, _tx_hash in reversed(sorted(l)):  # noqa: C413 - as there
        vsum += v
        if vsum >= 100:
            is_paid, result_conf = True, conf
    expected = PENDING if not is_paid else UNCONFIRMED if result_conf == 0 else PAID
    one = invoice(exp=500)
    if expected == PENDING and now > one.time + 500:
        expected = EXPIRED
    found = state(one, paid(*payments), tip, now)
    assert (found.status, found.confirmations) == (expected, result_conf)


@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(0, 30)), max_size=6), st.integers(1, 200), st.integers(0, 30)
)
def test_how_far_it_came_only_grows_with_payments_and_blocks(
    payments: list[tuple[int, int]], value: int, height: int
) -> None:
    """One more payment, or one that comes into a block, takes nothing back."""
    order = [PENDING, UNCONFIRMED, PAID]
    before = order.index(furthest(100, paid(*payments)))
    assert order.index(furthest(100, paid(*payments, (value, height)))) >= before
    assert order.index(furthest(100, paid(*((one, at or 7) for one, at in payments)))) >= before


def test_a_block_above_what_is_known_is_one_deep() -> None:
    """A payment and a height need not come in the same moment."""
    assert [confirmations(height, 20) for height in (0, -1, 20, 11, 21)] == [0, 0, 1, 10, 1]
    assert confirmations(5, 0) == 1


# -- the daemon's words ---------------------------------------------------------------------------------------


def test_an_invoice_is_written_as_the_daemon_writes_it() -> None:
    """To the byte; the text was recorded from a sandbox daemon, the id is the real daemon's."""
    one = Invoice(BARE, "fded0deea5", 900_000, 'mé\nmo "q"', 1795568970, 3600)
    written = (
        b'{"time": 1795568970, "amount": 900000, "exp": 3600, "address": "bchreg:%b", "memo": "m\\u00e9\\nmo \\"q\\"", '
        b'"id": "fded0deea5", "tokenreq": null, "category_id": null, "URI": "bchreg:%b?amount=0.009", '
        b'"status": "Pending", "tx_hashes": [], "amount (BCH)": "0.009"}'
    ) % (BARE.encode(), BARE.encode())
    assert told(one, State(PENDING, (), None), "bchreg:", "bchreg") == written
    real = written.replace(b'"address": "bchreg:', b'"address": "')
    assert told(one, State(PENDING, (), None), "", "bchreg") == real


def test_confirmations_stand_before_the_amount() -> None:
    """Where they are told at all."""
    found = json.loads(told(invoice(), State(PAID, ("a", "b"), 3), "", "bchreg"))
    assert list(found)[-4:] == ["status", "tx_hashes", "confirmations", "amount (BCH)"]
    assert (found["tx_hashes"], found["confirmations"]) == (["a", "b"], 3)


@pytest.mark.parametrize(
    ("amount", "words", "query"),
    [(None, "Unknown", ""), (0, "0.", ""), (1, "0.00000001", "?amount=0.00000001"), (3 * COIN, "3.", "?amount=3."),
     (2_099_999_999_999_999, "20999999.99999999", "?amount=20999999.99999999")],
)  # fmt: skip
def test_an_amount_is_told_in_the_daemons_words(amount: int | None, words: str, query: str) -> None:
    """A whole number keeps its point; nothing asked for is no part of the URI."""
    found = json.loads(told(invoice(amount), State(PENDING, (), None), "bchreg:", "bchreg"))
    assert (found["amount"], found["amount (BCH)"], found["URI"]) == (amount, words, f"bchreg:{BARE}{query}")


def test_an_address_without_network_has_a_plain_uri() -> None:
    """Another wallet family's."""
    found = json.loads(told(invoice(None), State(PENDING, (), None), "x:", None))
    assert found["URI"] == found["address"] == f"x:{BARE}"


def test_the_id_is_the_one_that_the_daemon_would_give() -> None:
    """Made of the older form of the address, and of the second."""
    assert label_key(BARE) == label_key(f"bchreg:{BARE}") == LEGACY
    assert request_id(BARE, 1795568970) == "a2146a418b"
    assert make(Asked(5, "m", 9), BARE, 1795568970.9) == Invoice(BARE, "a2146a418b", 5, "m", 1795568970, 9)
    assert label_key("address-7") == "address-7"


def test_a_label_is_one_line() -> None:
    """As the daemon keeps it."""
    assert label("two\nlines\r") == "two lines\r"


# -- what a daemon had before ---------------------------------------------------------------------------------


def test_an_invoice_of_a_daemon_is_taken_over_as_it_is() -> None:
    """Without its prefix; with the id that its customers know."""
    one = Invoice(BARE, "fded0deea5", 900_000, "memo", 1795568970, 3600)
    listed = json.loads(told(one, State(EXPIRED, (), None), "bchreg:", "bchreg"))
    assert taken_over(listed) == one
    assert taken_over(listed | {"amount": None, "exp": None}) == Invoice(BARE, one.id, None, "memo", one.time, None)


def test_what_cannot_be_kept_of_an_old_invoice_is_left_out() -> None:
    """Odd times and texts are mended; without address or amount, or for tokens, it is none."""
    odd = {"address": BARE, "amount": 5, "time": "then", "exp": -1, "memo": None, "id": None}
    assert taken_over(odd) == Invoice(BARE, "", 5, "", 0, None)
    long = {"address": BARE, "amount": 5, "time": 7, "exp": True, "memo": "\0" + "m" * 5000, "id": "i" * 99}
    assert taken_over(long) == Invoice(BARE, "i" * 32, 5, "m" * MAX_MEMO, 7, None)
    wrongs: tuple[object, ...] = (
        [], "x", {}, {"address": 5, "amount": 5}, {"address": BARE, "amount": "!"}, {"address": BARE, "amount": -1},
        {"address": BARE, "amount": 5, "tokenreq": True},
    )  # fmt: skip
    for wrong in wrongs:
        assert taken_over(wrong) is None

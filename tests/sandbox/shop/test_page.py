"""The shop's page."""

import re
from importlib.resources import files

import pytest

from gateway.edge.web.words import words as status_words
from gateway.sandbox.shop import page
from gateway.sandbox.shop.books import GOODS, Books, Call, State
from gateway.sandbox.shop.words import ENGLISH, KOREAN, LANGUAGES, Language, language_of

EVIL = """<script>alert('x')</script>"&"""


def filled() -> Books:
    """Books with an order in each state, and evil words wherever words come from outside."""
    books = Books()
    for state in State:
        order = books.take(GOODS[0], 100.0, is_automatic=False)
        if state not in (State.ASKING, State.REFUSED):
            books.give(order, f"bchreg:{EVIL}{order.number}", 0.5)
        order.state = state
    books.refuse(order, EVIL)
    books.called(Call("addrequest", 101.0, 12.0, EVIL))
    books.balance = EVIL
    return books


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_what_comes_from_outside_is_escaped_wherever_it_is_shown(language: Language) -> None:
    """Addresses, errors and balances may hold anything."""
    text = page.whole(language, filled(), 5, "http://127.0.0.1:7780/", 110.0)
    assert "&lt;script&gt;" in text
    assert re.findall(r"<script[^>]*>", text) == ['<script src="/shop.js" defer>']
    assert "SANDBOX" in text


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_the_page_needs_no_other_host_no_inline_script_and_no_inline_style(language: Language) -> None:
    """As its Content-Security-Policy demands."""
    text = page.whole(language, filled(), 0, "", 110.0)
    assert re.findall(r'(?:src|href|action)="([^"]*)"', text)
    assert all(found.startswith(("/", "data:,")) for found in re.findall(r'(?:src|href|action)="([^"]*)"', text))
    assert not re.search(r"\son\w+=|style=|<style", text)


def test_korean_is_that_of_the_status_page_and_breaks_no_word() -> None:
    """Whoever comes from there finds the same words, and lines that end where words do."""
    assert KOREAN["banner"].endswith(status_words("ko").text("sandbox.why"))
    assert KOREAN["state_seen"] == "결제 감지됨, 미확정"
    style = files("gateway.sandbox.shop").joinpath("shop.css").read_text(encoding="utf-8")
    assert ":lang(ko) { word-break: keep-all; }" in style


def test_each_state_is_said_in_words_and_only_an_open_order_can_be_paid() -> None:
    """One button for the one that waits; once the payment is sent, none."""
    english, books = LANGUAGES["en"], filled()
    text = page.live(english, books, 0, 110.0)
    for state in State:
        assert english(f"state_{state}") in text
    assert text.count('id="pay-') == 1
    for order in books.orders.values():
        order.is_paid_by_customer = True
    assert 'id="pay-' not in page.live(english, books, 0, 110.0)


def test_figures_that_should_be_nought_are_marked_when_they_are_not() -> None:
    """By a sign beside the number, not by colour alone."""
    books = Books()
    assert 'data-figure="twice">0<' in page.live(LANGUAGES["en"], books, 0, 0.0)
    for _ in range(2):
        books.give(books.take(GOODS[0], 0.0, is_automatic=False), "bchreg:q", 0.1)
    assert 'data-figure="twice">1 !<' in page.live(LANGUAGES["en"], books, 0, 0.0)


def test_an_empty_shop_says_so() -> None:
    """No table without rows, no failures, nobody here."""
    text = page.live(LANGUAGES["en"], Books(), 0, 0.0)
    assert ENGLISH["no_orders"] in text
    assert ENGLISH["no_failures"] in text
    assert "<table" not in text


def test_a_full_shop_has_a_page_of_its_own() -> None:
    """With the way back."""
    assert 'href="/"' in page.busy(LANGUAGES["ko"])


def test_both_languages_say_the_same_things() -> None:
    """The same keys, the same values to fill in, and Korean is Korean."""
    assert ENGLISH.keys() == KOREAN.keys()
    for key, words in ENGLISH.items():
        assert sorted(re.findall(r"{\w+}", words)) == sorted(re.findall(r"{\w+}", KOREAN[key])), key
        assert re.search("[\uac00-\ud7a3]", KOREAN[key]), key


@pytest.mark.parametrize(
    ("chosen", "accepted", "code"),
    [
        (None, "", "en"),
        (None, "de-DE,ko;q=0.8,en;q=0.5", "ko"),
        (None, "en-GB, ko", "en"),
        ("ko", "en", "ko"),
        ("<x>", "ko-KR", "ko"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_first_that_the_browser_names(
    chosen: str | None, accepted: str, code: str
) -> None:
    """English where neither is wanted."""
    assert language_of(chosen, accepted).code == code

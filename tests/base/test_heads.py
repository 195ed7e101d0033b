"""Heads that were seen before: kept for their own bytes alone, and not without bound."""

import pytest

from gateway.base.heads import LONGEST, MOST, KnownHeads

HEAD = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"


def test_a_head_means_what_the_parser_said_of_the_same_bytes() -> None:
    """With the body that came behind it, whole and alone."""
    heads: KnownHeads[str] = KnownHeads()
    assert heads.split(HEAD + b"body") is None
    assert heads.learn(HEAD + b"body", "a call", 4)
    assert heads.split(HEAD + b"next") == ("a call", b"next")
    assert heads.split(HEAD + b"more") == ("a call", b"more")
    assert heads.split(HEAD.replace(b"/ ", b"x ") + b"next") is None
    assert heads.split(HEAD.replace(b"/ ", b"/x ") + b"next") is None


@pytest.mark.parametrize("body", [b"", b"bod", b"bodyb", b"bodyPOST / HTTP/1.1\r\n"])
def test_a_body_of_another_length_is_the_parsers(body: bytes) -> None:
    """Some of it is to come, or more than it came; neither is learnt from."""
    heads: KnownHeads[str] = KnownHeads()
    assert not heads.learn(HEAD + body, "a call", 4)
    assert len(heads) == 0
    heads.learn(HEAD + b"body", "a call", 4)
    assert heads.split(HEAD + body) is None


def test_long_heads_are_not_kept_and_many_are_forgotten() -> None:
    """Whoever never sends the same twice fills nothing."""
    heads: KnownHeads[int] = KnownHeads()
    long = b"POST / HTTP/1.1\r\nX: %b\r\n\r\n" % (b"x" * LONGEST)
    assert heads.learn(long, 0, 0)
    assert len(heads) == 0
    for place in range(MOST + 1):
        assert heads.learn(b"POST /%d HTTP/1.1\r\n\r\n" % place, place, 0)
    assert len(heads) == 1
    assert heads.split(b"POST /%d HTTP/1.1\r\n\r\n" % MOST) == (MOST, b"")


def test_what_is_never_sent_twice_is_not_kept() -> None:
    """And the parser stands between two messages all the same."""
    heads: KnownHeads[str] = KnownHeads()
    assert heads.learn(HEAD + b"body", "signed", 4, keep=False)
    assert not heads.learn(HEAD + b"body and more", "signed", 4, keep=False)
    assert len(heads) == 0

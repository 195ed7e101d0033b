"""Bytes are cut into requests, wherever the network cuts them, and wrong ones bring nothing."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.http_head import MAX_FIELDS, MAX_HEAD, NotHttpError
from gateway.edge.http_reader import Incoming, Reader

END = ("Connection: close",)
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")


def post(body: bytes, *headers: str) -> bytes:
    """One request with a length."""
    lines = ["POST /a HTTP/1.1", "Host: x", *headers, f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chunked(*parts: bytes, trailers: bytes = b"", headers: tuple[str, ...] = ()) -> bytes:
    """One request in chunks."""
    lines = ["POST /a HTTP/1.1", "Host: x", *headers, "Transfer-Encoding: chunked"]
    body = b"".join(b"%x;x=y\r\n%b\r\n" % (len(part), part) for part in parts)
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body + b"0\r\n" + trailers + b"\r\n"


def pieces(reader: Reader, data: bytes, size: int) -> list[Incoming]:
    """Feed bytes in pieces of one size."""
    found: list[Incoming] = []
    for at in range(0, len(data), size):
        found += reader.feed(data[at : at + size])
    return found


MANY = [
    post(b"{}"), post(b""), chunked(b"ab", b"c"), chunked(b"abc", trailers=b"X: y\r\nHost: z\r\n"),
    post(b"up", *UPGRADE), chunked(b"u", b"p", headers=UPGRADE), post(b"x" * 5000, "X-A: " + "b" * 3000),
]  # fmt: skip
BODIES = [b"{}", b"", b"abc", b"abc", b"up", b"up", b"x" * 5000]


@given(order=st.lists(st.integers(0, len(MANY) - 1), min_size=1, max_size=6), size=st.integers(1, 700))
def test_requests_are_the_same_however_they_are_cut(order: list[int], size: int) -> None:
    """Lengths, chunks, trailers, and requests that ask for another protocol."""
    reader = Reader()
    found = pieces(reader, b"".join(MANY[number] for number in order), size)
    assert [one.body() for one in found] == [BODIES[number] for number in order]
    assert all(one.is_whole for one in found)
    assert all(one.head.path == "/a" for one in found)
    assert reader.is_between
    assert reader.current is None


def test_a_piece_with_an_error_in_it_is_believed_in_nothing() -> None:
    """Whoever sends one is not understood, so what stands before it may mean something else as well."""
    with pytest.raises(NotHttpError):
        Reader().feed(post(b"{}") + b"GARBAGE\r\n\r\n")


def test_headers_are_counted() -> None:
    """And with them trailers."""
    assert Reader().feed(post(b"", *(f"X{number}: a" for number in range(MAX_FIELDS - 2))))
    with pytest.raises(NotHttpError):
        Reader().feed(post(b"", *(f"X{number}: a" for number in range(MAX_FIELDS - 1))))
    with pytest.raises(NotHttpError):
        Reader().feed(chunked(b"a", trailers=b"X: y\r\n" * MAX_FIELDS))
    with pytest.raises(NotHttpError):
        Reader().feed(post(b"", *(f"X{number}: {'a' * 8000}" for number in range(9))))


ENDLESS = {
    "blank lines": (b"", b"\r\n" * 512),
    "a header": (b"POST / HTTP/1.1\r\nX: ", b"a" * 1024),
    "the name of one": (b"POST / HTTP/1.1\r\n", b"a" * 1024),
    "headers": (b"POST / HTTP/1.1\r\n", b"X: a\r\n" * 170),
    "a target": (b"POST /", b"a" * 1024),
    "an extension of a chunk": (chunked()[:-5] + b"1;", b"a" * 1024),
    "a trailer": (chunked()[:-5] + b"0\r\nX: ", b"a" * 1024),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_whatever_is_no_body_has_an_end(name: str) -> None:
    """Also what the parser gathers, or throws away, without a word."""
    start, more = ENDLESS[name]
    reader = Reader()
    if start:
        reader.feed(start)
    with pytest.raises(NotHttpError):
        pieces(reader, more * (MAX_HEAD // len(more) + 2), len(more))


def test_a_body_is_counted_and_what_is_too_much_is_not_kept() -> None:
    """Nor is anything once nobody wants it."""
    reader = Reader()
    [one] = reader.feed(post(b"x" * 100)[:-100])
    one.most = 10
    reader.feed(b"x" * 8)
    reader.feed(b"x" * 8)
    assert (one.size, one.body()) == (16, b"x" * 8)
    one.drop()
    reader.feed(b"x" * 84)
    assert (one.is_whole, one.size, one.body()) == (True, 100, b"")


def test_nobody_is_let_into_another_protocol() -> None:
    """Neither by CONNECT nor by the preface of HTTP/2."""
    for data in (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with pytest.raises(NotHttpError):
            Reader().feed(data)


def test_a_fault_of_ours_is_not_taken_for_one_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes out as it is."""

    def fail(_incoming: Incoming, _data: bytes) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(Incoming, "take", fail)
    with pytest.raises(RuntimeError, match="ours"):
        Reader().feed(post(b"{}"))


def test_a_body_in_tiny_chunks_takes_no_more_than_its_size() -> None:
    """A list of its parts would take twenty times as much, and a client has the cap of a body for each connection."""
    reader = Reader()
    [one] = reader.feed(chunked()[:-5])
    more = b"2\r\nab\r\n" * 1000
    tracemalloc.start()
    try:
        for _ in range(100):
            reader.feed(more)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    reader.feed(b"0\r\n\r\n")
    assert (one.is_whole, one.body()) == (True, b"ab" * 100_000)
    assert held < 400_000


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DOUBTFUL = {
    "bare LF": b"POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "one bare LF": b"POST / HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n",
    "a bare LF at the end": HEAD + b"Content-Length: 0\r\n\n",
    "a bare CR": HEAD + b"X: a\rContent-Length: 0\r\n\r\n",
    "a folded line": HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a folded length": HEAD + b"Content-Length:\r\n 0\r\n\r\n",
    "a folded first line": b"POST / HTTP/1.1\r\n\tHost: x\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a name": HEAD + b"X\0: a\r\nContent-Length: 0\r\n\r\n",
    "NUL in a target": b"POST /\0 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "a blank before a colon": HEAD + b"Content-Length : 0\r\n\r\n",
    "chunks with a blank before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "no colon": HEAD + b"abc\r\nContent-Length: 0\r\n\r\n",
    "a length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": HEAD + b"Content-Length: 0, 0\r\n\r\n",
    "a length in hex": HEAD + b"Content-Length: 0x1\r\n\r\na",
    "a length beyond 64 bits": HEAD + b"Content-Length: 18446744073709551617\r\n\r\na",
    "a coding that is none": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding in disguise": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks in chunks": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a negative chunk": CHUNKS + b"-1\r\n\r\n",
    "a chunk in 0x": CHUNKS + b"0x1\r\na\r\n0\r\n\r\n",
    "a chunk with a blank": CHUNKS + b"1 \r\na\r\n0\r\n\r\n",
    "chunks with bare LF": CHUNKS + b"1\na\n0\n\n",
    "a chunk that is longer": CHUNKS + b"1\r\nab\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": CHUNKS + b"ffffffffffffffff1\r\na\r\n0\r\n\r\n",
    "an extension with LF": CHUNKS + b"1;a\nb\r\na\r\n0\r\n\r\n",
    "an extension with CR": CHUNKS + b"1;a\rb\r\na\r\n0\r\n\r\n",
    "a length behind chunks": CHUNKS + b"1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n",
    "chunks behind chunks": CHUNKS + b"1\r\na\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "NUL in a trailer": CHUNKS + b"1\r\na\r\n0\r\nX: \0\r\n\r\n",
    "two hosts": b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "a version in two digits": b"POST / HTTP/1.10\r\nHost: x\r\n\r\n",
    "a version in small letters": b"POST / http/1.1\r\nHost: x\r\n\r\n",
    "a verb in small letters": b"post / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab between the words": b"POST\t/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "a body without a length": b"GET / HTTP/1.1\r\nHost: x\r\n\r\nabc",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", DOUBTFUL)
@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_what_two_readers_could_cut_in_two_ways_is_refused(name: str, size: int) -> None:
    """However it comes; this is what smuggling is made of, and a parser that grows laxer is noticed."""
    with pytest.raises(NotHttpError):
        pieces(Reader(), DOUBTFUL[name], size)


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_nothing_is_read_behind_the_last_request(size: int) -> None:
    """Of whatever version, whatever it is; blank lines as some clients send them are nothing either."""
    for one in (post(b"{}", "Connection: close"), post(b"{}").replace(b"1.1", b"1.0", 1), chunked(b"{}", headers=END)):
        for more in (post(b"[]"), b"GARBAGE\r\n\r\n", b"\r\n", b"\0" * (MAX_HEAD + 1)):
            found = pieces(Reader(), post(b"") + one + more, size)
            assert [two.body() for two in found] == [b"", b"{}"]

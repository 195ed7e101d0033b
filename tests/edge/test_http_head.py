"""A head that two readers could read in two ways is refused, and any other says what it said."""

import pytest

from gateway.edge.http_head import MAX_LINE, Head, NotHttpError, read_head
from gateway.edge.http_reader import Reader

HOST = (b"Host", b"x")


def read(
    *fields: tuple[bytes, bytes], method: str = "POST", target: bytes = b"/", version: str = "1.1", host: bool = True
) -> Head:
    """Read a head as the parser would hand it over."""
    return read_head(method, target, version, [*([HOST] if host else []), *fields], is_kept=True)


@pytest.mark.parametrize(
    "fields",
    [
        (HOST,),
        ((b"host", b"y"),),
        ((b"Content-Length", b"1"), (b"content-length", b"1")),
        ((b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")),
        ((b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")),
        ((b"User-Agent", b"a"), (b"User-Agent", b"a")),
        ((b"Content-Type", b"a"), (b"content-type", b"b")),
        ((b"Content-Length", b"+1"),),
        ((b"Content-Length", b"1,1"),),
        ((b"Content-Length", b""),),
        ((b"Content-Length", b"1" * 19),),
        ((b"Content-Length", b"\xd9\xa1"),),
        ((b"X ", b"a"),),
        ((b"", b"a"),),
        ((b"X\x80", b"a"),),
        ((b"X", b"a\x00b"),),
        ((b"X", b"a\rb"),),
        ((b"X", b"a\nb"),),
        ((b"X", b"a\x7f"),),
        ((b"Sec-WebSocket-Key1", b"a"),),
    ],
)
def test_headers_that_can_be_read_in_two_ways_are_refused(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    """Also those that the parser refuses before; nothing depends on its being as strict in its next version."""
    with pytest.raises(NotHttpError):
        read(*fields)


@pytest.mark.parametrize(
    "target",
    [
        b"", b"x", b"?a", b"x:80", b"*", b"http:x/", b"http:///", b"http://", b"http://:80/", b"http://u@x/",
        b"http://x:65536/", b"http://x:a/", b"http://[::1/", b"ftp://x/", b"http://x y/", b"http://x\\y/",
    ],
)  # fmt: skip
def test_a_target_that_is_no_path_and_no_url_is_refused(target: bytes) -> None:
    """As a proxy that looks at the host would do."""
    with pytest.raises(NotHttpError):
        read(target=target)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"), (b"/?a=/b", "/"), (b"/a#b", "/a"), (b"//x/", "//x/"), (b"/wallets/ma%69n", "/wallets/main"),
        (b"/%zz", "/%zz"), (b"http://x", "/"), (b"http://x?a", "/"), (b"HTTP://x:65535/a?b", "/a"),
        (b"https://[::1]:7/a", "/a"), (b"/\xff", "/�"),
    ],
)  # fmt: skip
def test_a_target_says_a_path(target: bytes, path: str) -> None:
    """Of a path as clients send it, or of a URL as they send it to a proxy."""
    assert read(target=target).path == path


def test_versions_and_methods_that_nobody_should_send_are_refused() -> None:
    """HTTP/1.0 needs no host; chunks were not known then."""
    for version in ("0.9", "1.2", "2.0", ""):
        with pytest.raises(NotHttpError):
            read(version=version)
    with pytest.raises(NotHttpError):
        read(method="CONNECT", target=b"x:80")
    with pytest.raises(NotHttpError):
        read(host=False)
    with pytest.raises(NotHttpError):
        read((b"Transfer-Encoding", b"chunked"), version="1.0")
    assert not read(version="1.0", host=False).is_latest
    assert read(method="OPTIONS", target=b"*").path == "*"


def test_a_head_says_what_is_asked_of_it() -> None:
    """Length, chunks, expectation; values are trimmed, and bytes that are no text survive."""
    head = read((b"Content-Length", b" 7\t"), (b"Expect", b"100-Continue"), (b"X-Key", b"\xff \xc3\xa9 "))
    assert (head.length, head.is_chunked, head.expects, head.is_usual) == (7, False, True, True)
    assert head.headers["x-key"] == "\udcff é"
    chunked = read((b"Transfer-Encoding", b"Chunked"))
    assert (chunked.length, chunked.is_chunked, chunked.is_usual) == (None, True, False)
    assert not read((b"Transfer-Encoding", b"gzip, chunked")).is_chunked
    assert not read((b"Expect", b"100-continue"), version="1.0").expects
    assert "x-key" not in repr(head)


@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1])
def test_a_target_has_a_cap(size: int) -> None:
    """To the byte."""
    reader, target = Reader(), b"/" + b"a" * (size - 1)
    data = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % target
    if size <= MAX_LINE:
        assert reader.feed(data)[0].is_whole
    else:
        with pytest.raises(NotHttpError):
            reader.feed(data)

"""HTTP that readers disagree about, as data: what is sent, and what must come of it.

Rule: a refusal is an answer with a 4xx or 5xx or no answer at all, and then the end of the connection; whatever stands
behind what was refused is read by nobody.  Each case for the door carries a call inside that must not be run unless it
says so: `SECRET` is asked for behind the thing in doubt.

What must come:

    refused   no call is run; at most one answer, which is an error; the door ends the connection
    one       exactly one call is run and answered, and the connection ends or goes on
    two       both calls are run and answered, in their order
    second    the first one is refused for what it lacks, the second one is run
    none      no call is run, and the answer is what any broken JSON gets
"""

from typing import NamedTuple

HEAD = b"Host: x\r\nAuthorization: Basic c2hvcDpzaG9w\r\n"
CALL = b'{"id":1,"method":"ismine","params":["alpha",1]}'
SECRET = b'{"id":2,"method":"ismine","params":["alpha",2]}'
LENGTH = b"Content-Length: %d\r\n" % len(CALL)
SECOND = b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % len(SECRET) + SECRET
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ENDED = b"0\r\n\r\n"


class Case(NamedTuple):
    """One case."""

    name: str
    sent: bytes
    must: str


def post(*lines: bytes, body: bytes = CALL, first: bytes = b"POST / HTTP/1.1\r\n") -> bytes:
    """Return a request with these lines beside host and credentials."""
    return first + HEAD + b"".join(lines) + b"\r\n" + body


def chunk(body: bytes = CALL, size: bytes | None = None, end: bytes = b"\r\n") -> bytes:
    """Return one chunk."""
    return (b"%x" % len(body) if size is None else size) + b"\r\n" + body + end


DOOR = (
    # -- where does the body end? ------------------------------------------------------------------------------
    Case(
        "a length and chunks: one reader goes by this, one by that",
        post(LENGTH, CHUNKED, body=ENDED + SECOND),
        "refused",
    ),
    Case("chunks and then a length", post(CHUNKED, LENGTH, body=ENDED + SECOND), "refused"),
    Case("two lengths that differ", post(LENGTH, b"Content-Length: 0\r\n") + SECOND, "refused"),
    Case("two lengths that are alike", post(LENGTH, LENGTH) + SECOND, "refused"),
    Case("two lengths in one line", post(b"Content-Length: %d, %d\r\n" % (len(CALL), len(CALL))) + SECOND, "refused"),
    Case("a length with a plus", post(b"Content-Length: +%d\r\n" % len(CALL)) + SECOND, "refused"),
    Case("a length below nothing", post(b"Content-Length: -1\r\n") + SECOND, "refused"),
    Case("a length in hexadecimal", post(b"Content-Length: 0x2f\r\n") + SECOND, "refused"),
    Case("a length with an underscore, as Python reads it", post(b"Content-Length: 4_7\r\n") + SECOND, "refused"),
    Case("a length in other digits", post("Content-Length: \u0664\u0667\r\n".encode()) + SECOND, "refused"),
    Case("a length beyond 64 bits", post(b"Content-Length: 18446744073709551663\r\n") + SECOND, "refused"),
    Case("a length that is empty", post(b"Content-Length:\r\n") + SECOND, "refused"),
    Case("a length with a space in it", post(b"Content-Length: 4 7\r\n") + SECOND, "refused"),
    Case("a length with a NUL", post(b"Content-Length: 47\x00\r\n") + SECOND, "refused"),
    Case("a space before the colon of a length", post(b"Content-Length : 47\r\n") + SECOND, "refused"),
    Case("a coding nobody knows", post(b"Transfer-Encoding: xchunked\r\n", body=chunk() + ENDED) + SECOND, "refused"),
    Case(
        "chunked, but not last",
        post(b"Transfer-Encoding: chunked, identity\r\n", body=chunk() + ENDED) + SECOND,
        "refused",
    ),
    Case("chunked twice", post(CHUNKED, CHUNKED, body=chunk() + ENDED) + SECOND, "refused"),
    Case(
        "a space before the colon of a coding",
        post(b"Transfer-Encoding : chunked\r\n", body=chunk() + ENDED) + SECOND,
        "refused",
    ),
    Case(
        "a vertical tab before chunked",
        post(b"Transfer-Encoding: \x0bchunked\r\n", body=chunk() + ENDED) + SECOND,
        "refused",
    ),
    Case(
        "chunked in a folded line",
        post(b"Transfer-Encoding:\r\n chunked\r\n", body=chunk() + ENDED) + SECOND,
        "refused",
    ),
    Case(
        "chunked hidden behind a bare line feed",
        post(b"X: y\nTransfer-Encoding: chunked\r\n", LENGTH) + SECOND,
        "refused",
    ),
    Case(
        "chunked hidden behind a bare carriage return",
        post(b"X: y\rTransfer-Encoding: chunked\r\n", LENGTH) + SECOND,
        "refused",
    ),
    Case(
        "chunked in HTTP/1.0, which has no chunks",
        post(CHUNKED, LENGTH, body=ENDED + SECOND, first=b"POST / HTTP/1.0\r\n"),
        "refused",
    ),
    Case("no length at all, which is no body", post(body=b"") + SECOND, "second"),
    Case(
        "HTTP/1.0 that says both keep-alive and close",
        post(LENGTH, b"Connection: keep-alive\r\nConnection: close\r\n", first=b"POST / HTTP/1.0\r\n") + SECOND,
        "at most one",
    ),
    # -- chunks --------------------------------------------------------------------------------------------------
    Case("a good chunk", post(CHUNKED, body=chunk() + ENDED), "one"),
    Case(
        "an extension without a name or a value",
        post(CHUNKED, body=chunk(size=b"%x;=;a=" % len(CALL)) + ENDED) + SECOND,
        "two",
    ),
    Case("a good chunk and a second request", post(CHUNKED, body=chunk() + ENDED) + SECOND, "two"),
    Case("a chunk with a negative size", post(CHUNKED, body=chunk(size=b"-2f") + ENDED) + SECOND, "refused"),
    Case("a chunk with a sign", post(CHUNKED, body=chunk(size=b"+2f") + ENDED) + SECOND, "refused"),
    Case("a chunk size with 0x", post(CHUNKED, body=chunk(size=b"0x2f") + ENDED) + SECOND, "refused"),
    Case("a chunk size that is empty", post(CHUNKED, body=chunk(size=b"") + ENDED) + SECOND, "refused"),
    Case(
        "a chunk size beyond 64 bits", post(CHUNKED, body=chunk(size=b"1000000000000002f") + ENDED) + SECOND, "refused"
    ),
    Case(
        "a chunk size ended by a bare line feed",
        post(CHUNKED, body=b"2f\n" + CALL + b"\r\n" + ENDED) + SECOND,
        "refused",
    ),
    Case("a chunk ended by a bare line feed", post(CHUNKED, body=chunk(end=b"\n") + ENDED) + SECOND, "refused"),
    Case("a chunk longer than its size", post(CHUNKED, body=chunk(size=b"2e") + ENDED) + SECOND, "refused"),
    Case(
        "a bare carriage return in a chunk extension",
        post(CHUNKED, body=chunk(size=b"2f;a\rb") + ENDED) + SECOND,
        "refused",
    ),
    Case(
        "a bare line feed in a chunk extension", post(CHUNKED, body=chunk(size=b"2f;a\nb") + ENDED) + SECOND, "refused"
    ),
    Case(
        "a length among the trailers",
        post(CHUNKED, body=chunk() + b"0\r\nContent-Length: 9\r\n\r\n") + SECOND,
        "refused",
    ),
    Case("trailers without an end", post(CHUNKED, body=chunk() + b"0\r\nX: " + b"a" * 9000), "refused"),
    Case("two hosts", post(LENGTH, b"Host: y\r\n") + SECOND, "refused"),
    # -- lines and names -----------------------------------------------------------------------------------------
    Case("line feeds alone", post(LENGTH).replace(b"\r\n", b"\n") + SECOND, "refused"),
    Case("carriage returns alone", post(LENGTH).replace(b"\r\n", b"\r") + SECOND, "refused"),
    Case("a NUL in a value", post(LENGTH, b"X: a\x00b\r\n") + SECOND, "refused"),
    Case("a NUL in a name", post(LENGTH, b"X\x00: a\r\n") + SECOND, "refused"),
    Case("a name with a space", post(LENGTH, b"X Y: a\r\n") + SECOND, "refused"),
    Case("a name that is empty", post(LENGTH, b": a\r\n") + SECOND, "refused"),
    Case("a line without a colon", post(LENGTH, b"nothing\r\n") + SECOND, "refused"),
    Case("a folded line", post(LENGTH, b"X: a\r\n b\r\n") + SECOND, "refused"),
    Case("a head that begins with a space", post(LENGTH, first=b"POST / HTTP/1.1\r\n X: a\r\n") + SECOND, "refused"),
    Case("a line beyond the cap", post(LENGTH, b"X: " + b"a" * 9000 + b"\r\n") + SECOND, "refused"),
    # -- the first line ------------------------------------------------------------------------------------------
    Case("no version", post(LENGTH, first=b"POST /\r\n") + SECOND, "refused"),
    Case("HTTP/0.9", post(LENGTH, first=b"POST / HTTP/0.9\r\n") + SECOND, "refused"),
    Case("HTTP/2.0 in the clear", post(LENGTH, first=b"POST / HTTP/2.0\r\n") + SECOND, "refused"),
    Case("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECOND, "refused"),
    Case("HTTP/1.2", post(LENGTH, first=b"POST / HTTP/1.2\r\n") + SECOND, "refused"),
    Case("HTTP/11.1", post(LENGTH, first=b"POST / HTTP/11.1\r\n") + SECOND, "refused"),
    Case("a version in small letters", post(LENGTH, first=b"POST / http/1.1\r\n") + SECOND, "refused"),
    Case("a method in small letters", post(LENGTH, first=b"post / HTTP/1.1\r\n") + SECOND, "refused"),
    Case("a space in the path", post(LENGTH, first=b"POST /a b HTTP/1.1\r\n") + SECOND, "refused"),
    Case("a NUL in the path", post(LENGTH, first=b"POST /\x00 HTTP/1.1\r\n") + SECOND, "refused"),
    Case("RTSP, which some parsers take as well", post(LENGTH, first=b"POST / RTSP/1.0\r\n") + SECOND, "refused"),
    Case("ICE, the same", post(LENGTH, first=b"SOURCE / ICE/1.0\r\n") + SECOND, "refused"),
    Case("a tunnel: what follows is no HTTP", post(LENGTH, first=b"CONNECT a:1 HTTP/1.1\r\n") + SECOND, "refused"),
    Case("the first bytes of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 80 + SECOND, "refused"),
    Case("nothing but zeros", b"\x00" * 500 + SECOND, "refused"),
    Case("JSON without HTTP", CALL + b"\r\n\r\n" + SECOND, "refused"),
    Case("an answer instead of a request", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + SECOND, "refused"),
    # -- what is good, and must stay so --------------------------------------------------------------------------
    Case("a plain request", post(LENGTH), "one"),
    Case("two requests in one piece", post(LENGTH) + SECOND, "two"),
    Case("an empty line before a request", b"\r\n" + post(LENGTH), "one"),
    Case("a line feed alone before a request", b"\n" + post(LENGTH), "one"),
    Case("a line feed alone between two requests", post(LENGTH) + b"\n" + SECOND, "two"),
    Case("a whole request inside of a body", post(b"Content-Length: %d\r\n" % len(SECOND), body=SECOND), "none"),
    Case("the last one says that it is, and goes on", post(LENGTH, b"Connection: close\r\n") + SECOND, "at most one"),
    Case("HTTP/1.0 with a length", post(LENGTH, first=b"POST / HTTP/1.0\r\n"), "one"),
    Case("HTTP/1.0, and goes on", post(LENGTH, first=b"POST / HTTP/1.0\r\n") + SECOND, "at most one"),
    Case("names in any letters", post(b"cOnTeNt-LeNgTh: %d\r\n" % len(CALL)), "one"),
    Case(
        "an upgrade that nobody wants here",
        post(LENGTH, b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        "at most one",
    ),
    Case("a length with zeros before it", post(b"Content-Length: 00%d\r\n" % len(CALL)), "at most one"),
)
"""What clients may send to the JSON-RPC door, in one piece and byte by byte."""


OURS = b'{"result": true, "id": "c1-1", "jsonrpc": "2.0"}'
THEIRS = b'{"result": "evil", "id": "c1-1", "jsonrpc": "2.0"}'
SAYS = b"Content-Length: %d\r\n" % len(OURS)
"""How long OURS is."""


class Answer(NamedTuple):
    """What a daemon may answer; `is_taken` says whether OURS is the answer, or the call ends without one."""

    name: str
    sent: bytes
    is_taken: bool
    is_over: bool = False
    """The daemon hangs up behind it."""


def answer(*lines: bytes, body: bytes = OURS, first: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    """Return an answer with these lines."""
    return first + b"".join(lines) + b"\r\n" + body


SECOND_ANSWER = answer(b"Content-Length: %d\r\n" % len(THEIRS), body=THEIRS)

ANSWERS = (
    # -- what is good, and must stay so --------------------------------------------------------------------------
    Answer("a length", answer(SAYS), is_taken=True),
    Answer("chunks", answer(CHUNKED, body=chunk(OURS) + ENDED), is_taken=True),
    Answer(
        "chunks with an extension and a trailer",
        answer(CHUNKED, body=chunk(OURS, b"30;a=b") + b"0\r\nX: y\r\n\r\n"), is_taken=True,
    ),
    Answer("neither, and an end", answer(), is_taken=True, is_over=True),
    Answer("HTTP/1.0 with a length", answer(SAYS, first=b"HTTP/1.0 200 OK\r\n"), is_taken=True),
    Answer("an interim answer before it", b"HTTP/1.1 100 Continue\r\n\r\n" + answer(SAYS), is_taken=True),
    Answer(
        "two interim answers before it",
        b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" * 2 + answer(SAYS), is_taken=True,
    ),
    Answer("no reason", answer(SAYS, first=b"HTTP/1.1 200\r\n"), is_taken=True),
    Answer("another answer behind it, which is nobody's", answer(SAYS) + SECOND_ANSWER, is_taken=True),
    Answer("garbage behind it", answer(SAYS) + b"\x00\xffnonsense", is_taken=True),
    # -- what is not whole ---------------------------------------------------------------------------------------
    Answer("nothing", b"", is_taken=False, is_over=True),
    Answer("half a head", answer(SAYS)[:20], is_taken=False, is_over=True),
    Answer("a head alone", answer(SAYS, body=b""), is_taken=False, is_over=True),
    Answer("a body that lacks its last byte", answer(SAYS, body=OURS[:-1]), is_taken=False, is_over=True),
    Answer("chunks without a last one", answer(CHUNKED, body=chunk(OURS)), is_taken=False, is_over=True),
    Answer(
        "chunks that end amid the last line",
        answer(CHUNKED, body=chunk(OURS) + b"0\r\n"), is_taken=False, is_over=True,
    ),
    Answer("an interim answer alone", b"HTTP/1.1 100 Continue\r\n\r\n", is_taken=False, is_over=True),
    Answer("silence", b"", is_taken=False),
    Answer("a body without a length that goes on", answer(), is_taken=False),
    # -- where does the body end? --------------------------------------------------------------------------------
    Answer("a length and chunks", answer(SAYS, CHUNKED, body=chunk(OURS) + ENDED), is_taken=False),
    Answer("chunks and a length", answer(CHUNKED, SAYS, body=chunk(OURS) + ENDED), is_taken=False),
    Answer("two lengths that differ", answer(SAYS, b"Content-Length: 4\r\n"), is_taken=False),
    Answer("two lengths in one line", answer(b"Content-Length: 48, 48\r\n"), is_taken=False),
    Answer("a length with a plus", answer(b"Content-Length: +48\r\n"), is_taken=False),
    Answer("a length below nothing", answer(b"Content-Length: -1\r\n"), is_taken=False),
    Answer("a length in hexadecimal", answer(b"Content-Length: 0x30\r\n"), is_taken=False),
    Answer("a length beyond 64 bits", answer(b"Content-Length: 18446744073709551664\r\n"), is_taken=False),
    Answer("a length that is empty", answer(b"Content-Length:\r\n"), is_taken=False),
    Answer("a space before the colon of a length", answer(b"Content-Length : 48\r\n"), is_taken=False),
    Answer("a chunk with a negative size", answer(CHUNKED, body=chunk(OURS, b"-30") + ENDED), is_taken=False),
    Answer("a chunk size with 0x", answer(CHUNKED, body=chunk(OURS, b"0x30") + ENDED), is_taken=False),
    Answer(
        "a chunk size beyond 64 bits",
        answer(CHUNKED, body=chunk(OURS, b"10000000000000030") + ENDED), is_taken=False,
    ),
    Answer("a chunk longer than its size", answer(CHUNKED, body=chunk(OURS, b"2f") + ENDED), is_taken=False),
    Answer("a chunk ended by a bare line feed", answer(CHUNKED, body=chunk(OURS, end=b"\n") + ENDED), is_taken=False),
    # -- the head ------------------------------------------------------------------------------------------------
    Answer("no HTTP", OURS, is_taken=False, is_over=True),
    Answer("the first bytes of TLS", b"\x15\x03\x01\x00\x02\x02\x46", is_taken=False, is_over=True),
    Answer("a request instead", post(LENGTH), is_taken=False),
    Answer("another protocol", answer(SAYS, first=b"ICY 200 OK\r\n"), is_taken=False),
    Answer("HTTP/9.9", answer(SAYS, first=b"HTTP/9.9 200 OK\r\n"), is_taken=False),
    Answer("a status of two digits", answer(SAYS, first=b"HTTP/1.1 20 OK\r\n"), is_taken=False),
    Answer("a status of four digits", answer(SAYS, first=b"HTTP/1.1 2000 OK\r\n"), is_taken=False),
    Answer("a status below nothing", answer(SAYS, first=b"HTTP/1.1 -200 OK\r\n"), is_taken=False),
    Answer(
        "another protocol from here on",
        answer(b"Upgrade: h2c\r\nConnection: Upgrade\r\n", first=b"HTTP/1.1 101 X\r\n"), is_taken=False,
    ),
    Answer("a NUL in a value", answer(SAYS, b"X: a\x00b\r\n"), is_taken=False),
    Answer("a name that is empty", answer(SAYS, b": a\r\n"), is_taken=False),
    Answer("a line without a colon", answer(SAYS, b"nothing\r\n"), is_taken=False),
    Answer("a length behind a bare carriage return", answer(b"X: y\rContent-Length: 48\r\n"), is_taken=False),
    Answer("a head beyond its cap", answer(SAYS, b"X: " + b"a" * 4096 + b"\r\n"), is_taken=False),
    Answer("a head that never ends", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000, is_taken=False),
    Answer("interim answers that never end", b"HTTP/1.1 100 Continue\r\n\r\n" * 400, is_taken=False),
    Answer("a body beyond its cap", answer(b"Content-Length: 20000\r\n", body=b"1" * 20000), is_taken=False),
    Answer("chunks beyond the cap", answer(CHUNKED, body=chunk(b"1" * 500) * 40 + ENDED), is_taken=False),
)  # fmt: skip
"""What daemons may answer, in one piece and byte by byte; the caps are those of the wires of `test_wire.py`."""

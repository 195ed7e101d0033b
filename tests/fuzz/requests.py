"""HTTP requests as clients write them, good and bad, and the pieces in which they come.

Rule: every call carries a word that no other caller has, so that whatever becomes of it can be told from the outside.
"""

import base64
from itertools import pairwise

from tests.fuzz.dice import Dice
from tests.fuzz.jsontexts import harmed, odd_value, value

WORDS = ("alpha", "bravo", "carol")
"""One for each caller of a case."""

METHODS = (
    "getbalance", "history", "ismine", "setlabel", "createnewaddress", "payto", "validateaddress", "gateway.status",
    "nope", "stop",
)  # fmt: skip

LINES = (
    "X-A: b", "Accept: */*", "Connection: keep-alive", "Connection: close", "Content-Type: application/json", "Host: y",
    "User-Agent: a/1.0 (b; c)", "X-Request-Timeout: 2", "Idempotency-Key: k",
    "traceparent: 00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    "Cookie: a=b; c=d", "X-Empty:", "X-Spaces:  \t a \t ", "Accept-Encoding: gzip", "Via: 1.1 a",
    "X-Forwarded-For: 1.2.3.4",
)  # fmt: skip
"""Header lines that change nothing about where a request ends."""

ODD_LINES = (
    "Transfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity", "Transfer-Encoding:\tchunked", "Transfer-Encoding:\x0bchunked",
    "Transfer-Encoding: chunked\r\n chunked",
    "transfer-encoding: CHUNKED", "Transfer_Encoding: chunked", "Transfer-Encoding: gzip, chunked",
    "Content-Length: 5", "Content-Length: 0",
    "Content-Length: -1", "Content-Length: +5", "Content-Length: 5, 5", "Content-Length: 0x5", "Content-Length: 5 5",
    "Content-Length: 1e1",
    "Content-Length: 00005", "Content-Length: 99999999999999999999999", "Content-Length:", "Content-Length : 5",
    "Content_Length: 5",
    "Content-Length: \u0665", "Content-Length: 5\x00", "Expect: 100-continue", "Expect: 200-ok", "Upgrade: websocket",
    "Upgrade: h2c",
    "Connection: Upgrade, HTTP2-Settings", "Connection: content-length", "Connection: close, keep-alive", "X: a\nY: b",
    "X: a\rY: b",
    "X: a\x00b", "X\x00: a", ": a", "noColon", " X: folded", "X Y: a", "X: " + "a" * 9000, "\t", "X: \x7f",
    "X: \x80\xff", "Trailer: X",
    "X-Request-Timeout: nan", "X-Request-Timeout: -1", "X-Request-Timeout: 1e309", "Idempotency-Key: ", "TE: trailers",
    "Keep-Alive: max=0",
    "ecgw-forwarded: a", "Authorization: Basic !!!", "Authorization: Bearer x", "Proxy-Connection: close",
    "Content-Encoding: gzip",
)  # fmt: skip
"""Header lines that readers disagree about, or that ask for something."""

FIRST = (
    "POST {path} HTTP/1.1", "POST {path} HTTP/1.1", "POST {path} HTTP/1.1", "GET {path} HTTP/1.1",
    "HEAD {path} HTTP/1.1",
    "POST {path} HTTP/1.0", "PUT {path} HTTP/1.1", "OPTIONS * HTTP/1.1", "DELETE {path} HTTP/1.1",
    "POST http://a{path} HTTP/1.1",
    "POST {path}?a=b HTTP/1.1", "CONNECT a:1 HTTP/1.1", "TRACE {path} HTTP/1.1", "PATCH {path} HTTP/1.1",
)  # fmt: skip
ODD_FIRST = (
    "POST {path} HTTP/2.0", "POST {path}  HTTP/1.1", "POST {path}", "post {path} HTTP/1.1", "POST  {path} HTTP/1.1",
    "{path} HTTP/1.1",
    "POST {path} HTTP/1.1 ", "POST {path} HTTP/1.2", "POST {path} HTTP/11.1", "POST {path} http/1.1",
    "POST {path}\x00 HTTP/1.1",
    "POST {path}\x80 HTTP/1.1", "POST {path} {path} HTTP/1.1", "P\x00ST {path} HTTP/1.1", " POST {path} HTTP/1.1", "",
    "\x16\x03\x01",
    "PRI * HTTP/2.0", "POST {path} HTTP/1.1\r", "POST\t{path}\tHTTP/1.1", "M-SEARCH {path} HTTP/1.1",
    "SOURCE {path} ICE/1.0", "POST {path} RTSP/1.0",
    "POST /%00 HTTP/1.1", "POST /%zz HTTP/1.1", "POST //[ HTTP/1.1", "POST http://[::1 HTTP/1.1",
    "POST /" + "a" * 9000 + " HTTP/1.1",
)  # fmt: skip

CHUNKS = ("{size:x}", "{size:X}", "{size:x};a=b", "0{size:x}", "{size:x};a", "00000000{size:x}")
ODD_CHUNKS = (
    "{size}", "-{size:x}", "0x{size:x}", "+{size:x}", "{size:x}\n", "{size:x};", "{size:x} ;a", " {size:x}",
    "{more:x}", "{less:x}", "fffffffffffffffff", "", "{size:x}\x00",
    "{size:x}\rX", "80000000", "{size:x}g", "7fffffffffffffff",
)  # fmt: skip


def credentials(user: str) -> str:
    """Return the header line that says who calls."""
    return "Authorization: Basic " + base64.b64encode(f"{user}:{user}".encode()).decode()


def call(dice: Dice, word: str) -> bytes:
    """Return the body of a call or a batch, mostly a good one; `word` is in the parameters of each."""
    if dice.seldom(8):
        entries = [one_call(dice, word) for _ in range(dice.roll(7))]
        return f"[{', '.join(entries)}]".encode(errors="surrogatepass")
    body = one_call(dice, word).encode(errors="surrogatepass")
    return harmed(dice, body) if dice.seldom(8) else body


def one_call(dice: Dice, word: str) -> str:
    """Return one call."""
    second = odd_value(dice) if dice.seldom(24) else value(dice, 2)
    parts = [f'"id":{dice.roll(1000)}', f'"method":"{dice.pick(METHODS)}"', f'"params":["{word}", {second}]']
    if dice.roll(2):
        parts.append('"jsonrpc":"2.0"')
    if dice.seldom(12):
        parts.pop(0)
    return "{" + ",".join(parts) + "}"


def decoy(word: str) -> bytes:
    """Return a whole request that stands where a body is meant to be."""
    body = b'{"id":66,"method":"setlabel","params":["%b","smuggled"]}' % word.encode()
    head = f"POST / HTTP/1.1\r\nHost: x\r\n{credentials('shop')}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chunked(dice: Dice, body: bytes, *, is_odd: bool) -> bytes:
    """Return a body in chunks, all of them good unless it is odd."""
    parts, at = bytearray(), 0
    while at < len(body):
        # what is long comes in longer chunks
        size = min(len(body) - at, 1 + dice.roll(60) + at // 4)
        form = dice.pick(ODD_CHUNKS) if is_odd and dice.seldom(3) else dice.pick(CHUNKS)
        parts += form.format(size=size, more=size + 1, less=size - 1).encode() + b"\r\n" + body[at : at + size]
        parts += b"\n" if is_odd and dice.seldom(6) else b"\r\n"
        at += size
    trailers = dice.pick((b"", b"", b"X: y\r\n", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"))
    return bytes(parts) + dice.pick((b"0\r\n", b"0\r\n", b"00\r\n", b"0;a\r\n")) + trailers + b"\r\n"


def request(
    dice: Dice, word: str, *, paths: tuple[str, ...], users: tuple[str, ...], body: bytes | None = None
) -> bytes:
    """Return one request: most are good, and the odd ones are odd in one place or two."""
    oddity = dice.roll(12)  # 0 to 6: none
    body = call(dice, word) if body is None else body
    if dice.seldom(10):
        body = decoy(word)
    path, user = dice.pick(paths), dice.pick(users)
    first = dice.pick(ODD_FIRST if oddity == 7 else FIRST if dice.seldom(5) else FIRST[:1]).format(path=path)
    lines = ["Host: x", *([credentials(user)] if user else [])]
    lines += [dice.pick(LINES) for _ in range(dice.few(3))]
    if dice.seldom(5):
        lines.append("Transfer-Encoding: chunked")
        body = chunked(dice, body, is_odd=oddity == 8)
    elif oddity == 9:
        length = len(body) + dice.pick((1, -1, 10, -10, 1000, -5))
        lines.append(f"Content-Length: {length}")
    elif dice.often(20):
        lines.append(f"Content-Length: {len(body)}")
    if oddity in (10, 11):
        lines += [dice.pick(ODD_LINES) for _ in range(1 + dice.few(1))]
    lines = dice.shuffled(lines)
    end = dice.pick(("\n", "\r", "\r\r\n", "\n\r")) if oddity == 11 and dice.roll(2) else "\r\n"
    return (end.join([first, *lines]) + end + end).encode("utf-8", errors="surrogateescape") + body


def pieces(dice: Dice, stream: bytes, ends: list[int]) -> list[bytes]:
    """Return a stream in pieces: whole, by requests, cut at some places, or byte by byte."""
    match dice.roll(8):
        case 0 | 1:
            marks: set[int] = set(ends)
        case 2:
            marks = set()
        case 3 if len(stream) < 700:
            marks = set(range(len(stream)))
        case _:
            marks = {dice.roll(len(stream) + 1) for _ in range(1 + dice.roll(6))}
            if dice.roll(2):
                marks |= set(ends)
    edges = [0, *sorted(marks - {0, len(stream)}), len(stream)]
    return [stream[one:other] for one, other in pairwise(edges)]

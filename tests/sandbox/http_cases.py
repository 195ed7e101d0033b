"""The raw HTTP and JSON-RPC cases put to a wallet daemon, and a form of its answers that can be compared.

Run with a port, a user and a password it records the answers of any daemon as YAML; that is how
http_facts.yaml was made from a real one with a fresh wallet.  What differs between two daemons by nature
(version, dates, addresses, files and lines in error texts) is replaced by a word in capitals.
"""

import base64
import contextlib
import json
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

USER = "user"
STAY_OPEN = 0.3
"""Seconds after which a connection without an answer counts as left open."""


@dataclass(frozen=True)
class Ask:
    """Sends raw requests to one daemon."""

    port: int
    password: str
    own: str = ""
    """An address of the daemon's wallet, without its prefix."""

    def raw(self, data: bytes, wait: float = 5.0) -> tuple[bytes, bool]:
        """Send bytes; return what came and whether the daemon closed the connection."""
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            line.settimeout(wait)
            received = b""
            # A head that is too long is answered and cut off before it was read.
            with contextlib.suppress(ConnectionError):
                line.sendall(data)
            try:
                while piece := line.recv(65536):
                    received += piece
            except TimeoutError:
                return received, False
            except ConnectionError:
                return received, True
            return received, True

    def credentials(self, password: str | None = None) -> str:
        """The Authorization header."""
        pair = f"{USER}:{password or self.password}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def post(
        self,
        body: object,
        *headers: str,
        path: str = "/",
        auth: str | None = "",
        method: str = "POST",
        length: bool = True,
        wait: float = 5.0,
    ) -> tuple[bytes, bool]:
        """Send one HTTP request; a body that is no text is written as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: x"]
        if auth is not None:
            lines.append(f"Authorization: {auth or self.credentials()}")
        if length:
            lines.append(f"Content-Length: {len(text)}")
        return self.raw("\r\n".join([*lines, *headers, "", text]).encode(), wait)


def call(method: str, *params: object, **members: object) -> dict[str, object]:
    """A JSON-RPC call with id 1, with members added or replaced; a member ... is left out."""
    whole = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **members}
    return {name: value for name, value in whole.items() if value is not ...}


BALANCE = call("getbalance")
VERSION = call("version")
CHUNKED = f"{len(json.dumps(BALANCE)):x}\r\n{json.dumps(BALANCE)}\r\n0\r\n\r\n"

Case = Callable[[Ask], tuple[bytes, bool]]
CASES: dict[str, Case] = {
    "HTTP/1.1 request": lambda ask: ask.post(BALANCE),
    "keep-alive asked for": lambda ask: ask.post(BALANCE, "Connection: keep-alive"),
    "two pipelined requests": lambda ask: ask.raw(
        2
        * (
            f"POST / HTTP/1.1\r\nAuthorization: {ask.credentials()}\r\n"
            f"Content-Length: {len(json.dumps(BALANCE))}\r\n\r\n{json.dumps(BALANCE)}"
        ).encode()
    ),
    "no content type": lambda ask: ask.post(BALANCE, "Accept: application/json"),
    "content type text/plain": lambda ask: ask.post(BALANCE, "Content-Type: text/plain"),
    "path /RPC2": lambda ask: ask.post(BALANCE, path="/RPC2"),
    "path /foo": lambda ask: ask.post(BALANCE, path="/foo"),
    "path with a query": lambda ask: ask.post(BALANCE, path="/?x=1"),
    "no credentials": lambda ask: ask.post(BALANCE, auth=None),
    "wrong password": lambda ask: ask.post(BALANCE, auth=ask.credentials("bad")),
    "bearer": lambda ask: ask.post(BALANCE, auth="Bearer x"),
    "credentials that decode to nothing": lambda ask: ask.post(BALANCE, auth="Basic !!!"),
    "credentials cut short": lambda ask: ask.post(BALANCE, auth="Basic dXNlcg"),
    "credentials that are no text": lambda ask: ask.post(BALANCE, auth="Basic /w=="),
    "scheme in small letters": lambda ask: ask.post(BALANCE, auth=ask.credentials().replace("Basic", "basic")),
    "GET": lambda ask: ask.post("", method="GET"),
    "HEAD": lambda ask: ask.post("", method="HEAD"),
    "OPTIONS": lambda ask: ask.post("", method="OPTIONS"),
    "PUT": lambda ask: ask.post(BALANCE, method="PUT"),
    "GET without credentials": lambda ask: ask.post("", method="GET", auth=None),
    "malformed JSON": lambda ask: ask.post("{bad"),
    "empty body": lambda ask: ask.post(""),
    "null": lambda ask: ask.post("null"),
    "a string": lambda ask: ask.post('"x"'),
    "empty batch": lambda ask: ask.post([]),
    "batch": lambda ask: ask.post(
        [BALANCE, call("version", id=2), call("nope", id=3, params=...), call("version", id=...)]
    ),
    "batch of notifications": lambda ask: ask.post([call("version", id=...)]),
    "notification": lambda ask: ask.post(call("version", id=...)),
    "id null": lambda ask: ask.post(call("version", id=None)),
    "id empty": lambda ask: ask.post(call("version", id="")),
    "id 0": lambda ask: ask.post(call("version", id=0)),
    "id text": lambda ask: ask.post(call("version", id="abc")),
    "id object": lambda ask: ask.post(call("version", id={"a": 1})),
    "1.0 style": lambda ask: ask.post(call("version", jsonrpc=...)),
    "neither id nor version": lambda ask: ask.post(call("version", jsonrpc=..., id=...)),
    "no params": lambda ask: ask.post(call("version", params=...)),
    "params null": lambda ask: ask.post(call("version", params=None)),
    "named params": lambda ask: ask.post(call("validateaddress", params={"address": ask.own})),
    "positional params": lambda ask: ask.post(call("validateaddress", ask.own)),
    "wrong name of a param": lambda ask: ask.post(call("validateaddress", params={"addr": "x"})),
    "too many params": lambda ask: ask.post(call("version", 1)),
    "unknown method": lambda ask: ask.post(call("nope")),
    "dotted method": lambda ask: ask.post(call("system.listMethods")),
    "no method": lambda ask: ask.post({"jsonrpc": "2.0", "id": 1}),
    "exception in a command": lambda ask: ask.post(call("getpubkeys", "garbage")),
    "payto without funds": lambda ask: ask.post(call("payto", ask.own, "5")),
    "ismine": lambda ask: ask.post(call("ismine", ask.own)),
    "no content length": lambda ask: ask.post(BALANCE, length=False),
    "content length that is no number": lambda ask: ask.post(BALANCE, "Content-Length: abc", length=False),
    "negative content length": lambda ask: ask.post(BALANCE, "Content-Length: -1", length=False, wait=STAY_OPEN),
    "chunked": lambda ask: ask.post(CHUNKED, "Transfer-Encoding: chunked", length=False),
    "Expect: 100-continue": lambda ask: ask.post(BALANCE, "Expect: 100-continue"),
    "gzip accepted": lambda ask: ask.post(call("listaddresses", params=...), "Accept-Encoding: gzip"),
    "body of 3 MB": lambda ask: ask.post(json.dumps(VERSION) + " " * 3_000_000),
    "header of 70 kB": lambda ask: ask.post(BALANCE, "X-A: " + "a" * 70_000),
    "101 headers": lambda ask: ask.post(BALANCE, *[f"X-{number}: a" for number in range(101)]),
    "deep JSON": lambda ask: ask.post("[" * 100_000),
    "fine after all that": lambda ask: ask.post(BALANCE),
}


def normalise(received: bytes, closed: bool, own: str) -> dict[str, Any]:  # noqa: FBT001 - as raw returns it
    """An answer in the form of http_facts.yaml."""
    if not received:
        return {"closed": closed, "answer": None}
    head, _, body = received.decode().partition("\r\n\r\n")
    status, *headers = head.split("\r\n")
    names = [line.partition(":")[0] for line in headers]
    values = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in headers}
    return {
        "closed": closed,
        "status": status,
        "headers": names,
        "type": values.get("content-type"),
        "length is right": values.get("content-length") == str(len(body)),
        "body": _body(body, own),
    }


def _body(body: str, own: str) -> Any:
    if body.startswith("<!DOCTYPE HTML>"):
        return "HTML"
    try:
        return _plain(json.loads(body), own)
    except ValueError:
        return body


def _plain(value: Any, own: str) -> Any:
    """A JSON value without what differs by nature."""
    if isinstance(value, dict):
        return {name: _plain(member, own) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member, own) for member in value]
    return _text(value, own) if isinstance(value, str) else value


def _text(text: str, own: str) -> str:
    text = re.sub(r"(bchreg:)?" + re.escape(own), "OWN", text)
    text = re.sub(r"\b(bchreg:)?q[a-z0-9]{41}\b", "ADDRESS", text)
    text = re.sub(r"\b4\.4\.5(-SANDBOX)?\b", "VERSION", text)
    text = re.sub(r'File ".*", line \d+, in \w+', "PLACE", text)
    # The module of an exception, and what it says in brackets about the encoding of an address.
    text = re.sub(r"\| (\w+\.)+(?=\w+\b)", "| ", text)
    text = re.sub(r" \(address payload .*\)", "", text)
    return text if len(text) < 400 else f"{text[:60]}...{text[-60:]}"


def ask_all(ask: Ask) -> dict[str, dict[str, Any]]:
    """Put all cases to a daemon, in order."""
    return {name: normalise(*case(ask), ask.own) for name, case in CASES.items()}


def find_own(port: int, password: str) -> Ask:
    """A way to ask the daemon, with the first of its own addresses."""
    ask = Ask(port, password)
    body = ask.post(call("listaddresses"))[0].partition(b"\r\n\r\n")[2]
    return Ask(port, password, json.loads(body)["result"][0].rpartition(":")[2])


if __name__ == "__main__":
    facts = ask_all(find_own(int(sys.argv[1]), sys.argv[2]))
    yaml.safe_dump(facts, sys.stdout, sort_keys=False, width=110, allow_unicode=True)

"""Where a backend listens: what goes to it, and what is never shown."""

import base64
from pathlib import Path

import pytest

from gateway.upstream.target import Target


def head(target: Target) -> list[str]:
    """The lines of the head of a request."""
    return target.request(b"{}", keep=False).decode().partition("\r\n\r\n")[0].split("\r\n")


def make(url: str, username: str = "", password: str = "") -> Target:
    """A target without keep-alive."""
    return Target.make(url, username, password, keep_alive=False)


@pytest.mark.parametrize(
    ("url", "host", "port", "is_name", "shown"),
    [
        ("http://127.0.0.1:7777", "127.0.0.1", 7777, False, "127.0.0.1:7777"),
        ("http://127.0.0.1", "127.0.0.1", 80, False, "127.0.0.1:80"),
        ("http://[::1]:7777/", "::1", 7777, False, "[::1]:7777"),
        ("http://[fe80::1%lo]:1/", "fe80::1%lo", 1, False, "[fe80::1%lo]:1"),
        ("http://Wallet.Internal:1", "wallet.internal", 1, True, "wallet.internal:1"),
        ("https://wallet", "wallet", 443, True, "wallet:443"),
        ("https://10.0.0.1:8", "10.0.0.1", 8, False, "10.0.0.1:8"),
    ],
)
def test_host_and_port_come_from_the_url(*, url: str, host: str, port: int, is_name: bool, shown: str) -> None:
    """Names are told from addresses, default ports are filled in, IPv6 is bracketed only where HTTP wants it."""
    target = make(url)
    assert (target.host, target.port, target.is_name) == (host, port, is_name)
    assert f"Host: {shown}" in head(target)
    assert (target.tls is not None) == url.startswith("https")


@pytest.mark.parametrize(("url", "path"), [("http://a", "/"), ("http://a/", "/"), ("http://a/rpc/x", "/rpc/x")])
def test_the_path_is_kept(url: str, path: str) -> None:
    """A daemon behind a proxy may live under one."""
    assert head(make(url))[0] == f"POST {path} HTTP/1.1"


@pytest.mark.parametrize(("username", "password"), [("user", "p:a:s:s"), ("", "only"), ("only", ""), ("ü", "£")])
def test_credentials_are_basic_and_utf_8(username: str, password: str) -> None:
    """Spelt `Basic`, because a real daemon compares it letter by letter."""
    [line] = [line for line in head(make("http://a", username, password)) if line.startswith("Authorization")]
    scheme, _, token = line.removeprefix("Authorization: ").partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(token).decode() == f"{username}:{password}"


def test_no_credentials_no_header() -> None:
    """A daemon without a password gets none."""
    assert not any(line.startswith("Authorization") for line in head(make("http://a")))


def test_credentials_are_in_no_repr() -> None:
    """Neither as they are nor as they are sent."""
    target = make("http://a", "shopkeeper", "correct horse")
    shown = repr(target)
    token = base64.b64encode(b"shopkeeper:correct horse").decode()
    assert "shopkeeper" not in shown
    assert "horse" not in shown
    assert token not in shown
    assert "host='a'" in shown


def test_the_length_is_the_bodys_and_the_connection_is_said() -> None:
    """Close for a call of its own, keep-alive where a read may leave it open."""
    target = make("http://a")
    assert "Content-Length: 2" in head(target)
    assert "Connection: close" in head(target)
    assert target.request(b"", keep=True).endswith(b"Content-Length: 0\r\nConnection: keep-alive\r\n\r\n")


def test_targets_are_equal_when_nothing_differs() -> None:
    """Kept connections are found by target, so another password must be another target."""
    assert make("http://a", "u", "p") == make("http://a", "u", "p")
    assert make("http://a", "u", "p") != make("http://a", "u", "q")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_an_os_error(tmp_path: Path, content: str | None) -> None:
    """So that the configuration can be refused with its place."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(OSError, match=r"No such file|NO_CERTIFICATE|no start line|\[X509"):
        Target.make("https://a", "", "", keep_alive=False, ca_file=str(path))


def test_header_lines_of_one_call_stand_before_the_end_of_the_head() -> None:
    """And cost no second write: it is one piece with the body."""
    target = Target.make("http://127.0.0.1:7777", "user", "pass", keep_alive=False)
    plain = target.request(b"{}", keep=False)
    told = target.request(b"{}", keep=False, more=b"\r\ntraceparent: 00-aa-bb-00")
    assert told == plain.replace(b"Content-Length: 2", b"Content-Length: 2\r\ntraceparent: 00-aa-bb-00")

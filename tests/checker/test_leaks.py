"""What is taken for a secret that got out, in which files, and what is said of it."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.checker import leaks as room
from tests.checker.leaks import HOLDERS, LOOKS, Secrets, leaks

KNOWN = Secrets()
PASSWORD = KNOWN.of("client shop")


def told(folder: Path) -> list[str]:
    """Return what is said of a folder."""
    found = list(leaks(folder, KNOWN))
    assert {one.invariant for one in found} <= {"8"}
    assert not [one for one in found if PASSWORD in one.text], "a violation tells no secret itself"
    return [one.text for one in found]


def test_each_secret_of_each_run_is_another_one_and_stays() -> None:
    """A hit is one, and not a word that was there by chance."""
    one, other = Secrets(), Secrets()
    assert one.of("client shop") == one.of("client shop")
    assert len({one.of("client shop"), one.of("client web"), other.of("client shop")}) == 3
    assert one.client("shop") == f"shop:{one.of('client shop')}"
    assert one.of("client shop") not in repr(one)


@pytest.mark.parametrize(
    "form",
    [
        PASSWORD,
        f'"password": "{PASSWORD}"',
        PASSWORD.encode().hex(),
        *(f"Basic {base64.b64encode(f'{name}:{PASSWORD}'.encode()).decode()}" for name in ("ab", "abc", "abcd", "")),
        *(base64.urlsafe_b64encode(f"{name}{PASSWORD}\xff\xff".encode()).decode() for name in ("", "a", "\xff")),
    ],
    ids=["plain", "quoted", "hex", "after-3", "after-4", "after-5", "after-1", "url-0", "url-1", "url-2"],
)
@pytest.mark.parametrize("name", ["gateway.log", "gateway.stderr", "client-shop.jsonl", "metrics.txt", "ledger/l.db"])
def test_a_secret_is_found_in_each_form_and_each_file(form: str, name: str, tmp_path: Path) -> None:
    """As it is, in hex, and amid base64 whatever stands before it; the file is named, and the place."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"12345 {form} and more", encoding="utf-8")
    [said] = told(tmp_path)
    assert said.startswith(f"{name} has the secret of client shop, at byte ")


def test_a_key_file_is_a_secret_of_the_run(tmp_path: Path) -> None:
    """The key of the ledger's marks must not be in the ledger."""
    key = bytes(range(200, 232))
    (tmp_path / "ledger.db.key").write_bytes(key)
    assert told(tmp_path) == []
    (tmp_path / "ledger.db").write_bytes(b"page" + key)
    assert told(tmp_path) == ["ledger.db has the secret of file ledger.db.key, at byte 4"]


def test_what_holds_secrets_by_its_purpose_is_no_leak(tmp_path: Path) -> None:
    """The configuration, and what a command reads its token from."""
    for name in HOLDERS:
        (tmp_path / name).write_text(PASSWORD, encoding="utf-8")
    assert told(tmp_path) == []


@pytest.mark.parametrize("before", [0, 1, 7, 20, 40])
def test_a_secret_between_two_pieces_of_a_file_is_found(
    before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is read piece by piece."""
    monkeypatch.setattr(room, "BLOCK", 16)
    (tmp_path / "gateway.log").write_text(f"{'x' * before}{PASSWORD}{'y' * 50}", encoding="utf-8")
    assert told(tmp_path) == [f"gateway.log has the secret of client shop, at byte {before}"]


def test_a_look_that_was_not_had_is_told(tmp_path: Path) -> None:
    """What was not searched is not clean."""
    wanted = [tmp_path / name for name in LOOKS]
    assert [one.text.split()[0] for one in leaks(tmp_path, KNOWN, wanted)] == list(LOOKS)
    for path in wanted:
        path.write_text("well", encoding="utf-8")
    assert list(leaks(tmp_path, KNOWN, wanted)) == []


def test_a_door_that_does_not_answer_leaves_no_file(tmp_path: Path) -> None:
    """Port 1 refuses."""
    assert room.look(1, "token", tmp_path) == [tmp_path / name for name in LOOKS]
    assert list(tmp_path.iterdir()) == []


def test_the_operators_door_is_asked_with_the_token_and_each_answer_is_a_file(tmp_path: Path) -> None:
    """As an operator asks; the token goes past the command line, which all on a machine can read."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Authorization"] == "Bearer my token" else 401)
            self.end_headers()
            self.wfile.write(f"of {self.path}".encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Door) as door:
        thread = threading.Thread(target=door.serve_forever)
        thread.start()
        try:
            files = room.look(door.server_port, "my token", tmp_path, ["env", "INSIDE=1"])
        finally:
            door.shutdown()
            thread.join()
    assert {one.name: one.read_text(encoding="utf-8") for one in files} == {
        name: f"of {path}" for name, path in LOOKS.items()
    }

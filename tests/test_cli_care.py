"""The commands for the daemons of a running gateway: what they ask of it, what they say, and how they end."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway import cli_care, cli_door, cli_status
from gateway.cli import main
from gateway.cli_door import RefusedError, UnreachableError

TOKEN = "secret-of-the-operators-32-letters"
CONFIG = """
admin: {host: "%s", port: %d, token: "%s"}
clients: [{name: shop, username: shop, password: secret-of-the-shop}]
wallets: {main: {backends: [{name: ec-1, url: "http://127.0.0.1:17771", password: secret-of-the-daemon}]}}
"""
ORDERS = ("drain", "undrain", "restart", "hold", "release")


def backend(name: str, **changes: Any) -> dict[str, Any]:
    """One backend as the gateway tells of it."""
    well = {"phase": "READY", "kind": "ok", "reason": "", "for_seconds": 7300.0, "aligned": True, "primary": False}
    return {"name": name, **well, **changes}


def standing(*backends: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What /api/v1/status answers, for one wallet."""
    ledger = {"state": "adopted", "pool": 29, "pool_size": 30, "error": ""}
    main_wallet = {"wallet": "main", "profile": "electron-cash", "in_flight": 1, "waiting": 0, "ledger": ledger}
    return {
        "version": "1.2.3", "draining": False,
        "wallets": {"main": {**main_wallet, "backends": list(backends) or [backend("ec-1", primary=True)], **changes}},
    }  # fmt: skip


@dataclass
class FakeGateway:
    """An operators' door that says what a test wants, and remembers what it was asked."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    wants: str = ""
    """A token without which nothing under /api/ is shown."""
    asked: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return what is answered to a path."""
        for beginning, (code, said) in self.answers.items():
            if path.startswith(beginning):
                return code, said if isinstance(said, bytes) else json.dumps(said).encode()
        return 404, json.dumps({"detail": f"there is no {path}"}).encode()


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    """A door with one wallet behind it."""
    fake = FakeGateway(
        {
            "/api/v1/status": (200, standing()),
            "/readyz": (200, {"ready": True, "draining": False, "wallets": {"main": []}, "ailing": {"main": []}}),
            "/api/v1/wallets/": (200, {"wallet": "main", "backend": "ec-1", "order": "?", "answer": "it is done"}),
        }
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
            code, said = fake.answer(self.path)
            if fake.wants and self.path.startswith("/api/") and self.headers.get("Authorization") != fake.wants:
                code, said = 401, json.dumps({"detail": "sign in"}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET  # noqa: N815 - the name is the library's

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake
        server.shutdown()
        thread.join()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with the token."""
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a gateway of his own."""
    monkeypatch.delenv("ECGW_ADMIN_URL", raising=False)
    monkeypatch.delenv("ECGW_TOKEN_FILE", raising=False)


def ec_gateway(*words: str | Path, code: int = 0) -> Result:
    """Run a command, which never shows a traceback or a secret."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    assert "secret-of" not in done.output
    assert done.exit_code == code, done.output
    return done


# -- orders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ORDERS)
def test_an_order_goes_to_the_only_wallet_with_the_token(gateway: FakeGateway, token: Path, verb: str) -> None:
    """And its answer is told."""
    done = ec_gateway(verb, "ec-1", "--url", gateway.url, "--token-file", token)
    assert done.stdout == "it is done\n"
    assert gateway.asked == [
        ("GET", "/api/v1/status", None, b""),
        ("POST", f"/api/v1/wallets/main/backends/ec-1/{verb}", f"Bearer {TOKEN}", b""),
    ]


def test_wallet_and_reason_are_handed_on(gateway: FakeGateway, token: Path) -> None:
    """Whatever they are; a name is no path."""
    ec_gateway(
        "restart", "a/b", "--wallet", "../x", "--reason", "new disk", "--url", gateway.url + "/", "--token-file", token,
    )  # fmt: skip
    assert [(path, json.loads(body)) for _, path, _, body in gateway.asked] == [
        ("/api/v1/wallets/..%2Fx/backends/a%2Fb/restart", {"reason": "new disk"})
    ]


def test_a_wallet_is_handed_over(gateway: FakeGateway, token: Path) -> None:
    """The only one there is, or the one that is named."""
    done = ec_gateway("handover", "--url", gateway.url, "--token-file", token)
    assert done.stdout == "it is done\n"
    ec_gateway("handover", "--wallet", "../x", "--reason", "upgrade", "--url", gateway.url, "--token-file", token)
    assert [(verb, path) for verb, path, _, _ in gateway.asked] == [
        ("GET", "/api/v1/status"),
        ("POST", "/api/v1/wallets/main/handover"),
        ("POST", "/api/v1/wallets/..%2Fx/handover"),
    ]
    gateway.answers["/api/v1/wallets/"] = (409, {"detail": "this gateway does not hold main; gw-2 does"})
    done = ec_gateway("handover", "--url", gateway.url, "--token-file", token, code=1)
    assert done.stderr == "this gateway does not hold main; gw-2 does\n"


def test_who_holds_a_wallet_is_shown() -> None:
    """In words, with its term and how fresh that is; the daemons of one that is held elsewhere are not known here."""
    lease = {"held": True, "holder": "gw-1", "address": "http://gw-1:7777", "term": 7, "answered_ago": 0.4}
    lines = cli_status.table(standing(lease=lease))
    assert lines[3] == "   held by this gateway (term 7); the database was heard of 0 s ago"
    assert any("ec-1" in line for line in lines)
    bare: dict[str, Any] = {"version": "1", "wallets": {"main": {"wallet": "main", "lease": {**lease, "held": False}}}}
    told = "   held by gw-1 at http://gw-1:7777 (term 7); calls are sent there; the database was heard of 0 s ago"
    assert cli_status.table(bare)[2:4] == ["wallet main", told]
    bare["wallets"]["main"]["lease"] = {"held": False, "holder": None, "term": 0, "answered_ago": None}
    assert cli_status.table(bare)[3] == ("   held by no gateway that is known here; the database was never heard of")
    bare["wallets"]["main"]["lease"]["closed"] = "the key is another one; copy it"
    assert cli_status.table(bare)[4] == "   this gateway cannot take it over: the key is another one; copy it"


def test_how_the_ledger_answers_and_what_is_sent_to_other_gateways_is_shown() -> None:
    """At every gateway, also where it holds nothing; one of before says nothing of it."""
    assert [line for line in cli_status.table(standing()) if "ledger:" in line or "calls from" in line] == []
    times = {"count": 240, "failed": 1, "usual_ms": 2.14, "slowest_ms": 2310.0, "waiting": 0, "waits_ms": 0.0}
    outcomes = {"answered": 5, "unknown": 1, "something new": 2}
    lease = {
        "held": False, "holder": "gw-1", "address": "http://gw-1:7777", "term": 7, "answered_ago": 0.4,
        "forwarding": 3, "forwarded": {"calls": 8, "outcomes": outcomes, "repeats": 4},
    }  # fmt: skip
    found = {
        **standing(lease=lease),
        "ledger": {"error": "", "transactions": times},
        "peer_calls": {"taken": 9, "not_holder": 1, "refused": 0},
    }
    lines = cli_status.table(found)
    assert lines[1:3] == [
        "ledger: 240 transactions in the last minute, 2.1 ms each, 2.3 s the slowest, 1 failed",
        "calls from other gateways: 9 taken, 1 for a wallet held elsewhere, 0 refused",
    ]
    assert lines[6] == (
        "   8 calls sent to other gateways so far, 5 answered, 1 with an unknown outcome, 2 something new; "
        "4 sent again, 3 under way"
    )
    found["ledger"] = {"error": "it is \033silent", "transactions": {**times, "waiting": 2, "waits_ms": 36.4}}
    assert cli_status.table(found)[1].endswith("1 failed; one has waited for 36 ms")
    assert cli_status.table(found)[2] == "ledger error: it is ?silent"
    found["ledger"] = {"error": "", "transactions": {**times, "count": 0, "failed": 0, "usual_ms": None}}
    assert cli_status.table(found)[1] == "ledger: 0 transactions in the last minute, 0 failed"
    found["ledger"] = {"error": "not open", "transactions": None}
    assert cli_status.table(found)[1] == "ledger error: not open"
    # whoever holds it and never sent anything on
    nothing = {**lease, "held": True, "forwarding": 0, "forwarded": {"calls": 0, "outcomes": {}, "repeats": 0}}
    assert not any("so far" in line for line in cli_status.table(standing(lease=nothing)))


def test_the_answer_can_be_had_as_json(gateway: FakeGateway, token: Path) -> None:
    """For programs."""
    done = ec_gateway("hold", "ec-1", "--json", "--url", gateway.url, "--token-file", token)
    assert json.loads(done.stdout)["answer"] == "it is done"


def test_a_refusal_is_told_in_one_line(gateway: FakeGateway, token: Path) -> None:
    """With code 1, and nothing in it steers the terminal."""
    gateway.answers["/api/v1/wallets/"] = (409, {"detail": "ec-1 has no \033[2Jlauncher; name one"})
    done = ec_gateway("restart", "ec-1", "--url", gateway.url, "--token-file", token, code=1)
    assert (done.stdout, done.stderr) == ("", "ec-1 has no ?[2Jlauncher; name one\n")


def test_several_wallets_want_a_name(gateway: FakeGateway, token: Path) -> None:
    """Which there are is told."""
    found = standing()
    found["wallets"]["savings"] = found["wallets"]["main"]
    gateway.answers["/api/v1/status"] = (200, found)
    done = ec_gateway("drain", "ec-1", "--url", gateway.url, "--token-file", token, code=2)
    assert "name the wallet by --wallet; there are main, savings" in done.stderr
    assert [verb for verb, *_ in gateway.asked] == ["GET"]


# -- which gateway, which token -----------------------------------------------------------------------------------


def test_address_and_token_come_from_the_environment(
    gateway: FakeGateway, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the command line says otherwise."""
    monkeypatch.setenv("ECGW_ADMIN_URL", gateway.url)
    monkeypatch.setenv("ECGW_TOKEN_FILE", str(token))
    assert ec_gateway("hold", "ec-1").stdout == "it is done\n"
    monkeypatch.setenv("ECGW_ADMIN_URL", "http://127.0.0.1:1")
    ec_gateway("hold", "ec-1", "--url", gateway.url)
    assert {header for verb, _, header, _ in gateway.asked if verb == "POST"} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_address_and_token_come_from_the_configuration(
    gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Also where the door is open to all interfaces; the environment counts less than a file that was named."""
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG % (host, gateway.port, TOKEN), encoding="utf-8")
    monkeypatch.setenv("ECGW_ADMIN_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ECGW_TOKEN_FILE", "/nowhere")
    assert ec_gateway("hold", "ec-1", "-c", config).stdout == "it is done\n"
    assert ec_gateway("status", "--ready", "-c", config).stdout == "ready\n"
    config.write_text(CONFIG % (host, gateway.port, ""), encoding="utf-8")
    assert "admin.token is not set" in ec_gateway("hold", "ec-1", "-c", config, code=2).stderr
    config.write_text("admin: {prot: 1}", encoding="utf-8")
    assert "gateway.yaml:1: admin.prot" in ec_gateway("hold", "ec-1", "-c", config, code=2).stderr


def test_a_token_is_shown_for_a_look_where_it_is_asked_for(gateway: FakeGateway, token: Path) -> None:
    """And not before; without one it is told how to name it."""
    ec_gateway("status", "--url", gateway.url, "--token-file", token)
    gateway.wants = f"Bearer {TOKEN}"
    assert "ec-1" in ec_gateway("status", "--url", gateway.url, "--token-file", token).stdout
    assert [header for _, _, header, _ in gateway.asked] == [None, None, f"Bearer {TOKEN}"]
    assert ec_gateway("hold", "ec-1", "--url", gateway.url, "--token-file", token).stdout == "it is done\n"
    assert "--token-file or $ECGW_TOKEN_FILE" in ec_gateway("status", "--url", gateway.url, code=1).stderr
    gateway.wants = "Bearer another"
    assert ec_gateway("status", "--url", gateway.url, "--token-file", token, code=1).stderr == "sign in\n"


def test_a_token_in_the_environment_is_no_trouble_where_none_is_needed(
    gateway: FakeGateway, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look goes without one that cannot be read."""
    monkeypatch.setenv("ECGW_TOKEN_FILE", "/nowhere/token")
    assert "ec-1" in ec_gateway("status", "--url", gateway.url).stdout
    monkeypatch.setenv("ECGW_TOKEN_FILE", str(token))
    gateway.wants = f"Bearer {TOKEN}"
    assert "ec-1" in ec_gateway("status", "--url", gateway.url).stdout


@pytest.mark.parametrize(
    ("admin", "order", "look"),
    [
        ("token: own-token", "own-token", "own-token"),
        ("tokens: [{name: a, token: a-token}, {name: b, role: operator, token: b-token}]", "b-token", "a-token"),
        ("token: own-token, tokens: [{name: b, role: operator, token: b-token}]", "own-token", "b-token"),
        ("open: true", "", ""),
        ("tokens: [{name: a, token: a-token}]", None, "a-token"),
    ],
)
def test_of_the_tokens_in_a_configuration_one_is_taken_that_may_do_it_and_no_more(
    tmp_path: Path, admin: str, order: str | None, look: str
) -> None:
    """An order by an operator's, a look by a viewer's where there is one; at an open door by none."""
    config = tmp_path / "gateway.yaml"
    config.write_text((CONFIG % ("127.0.0.1", 7780, "")).replace('token: ""', admin), encoding="utf-8")
    assert cli_door.door_of((config,), None, None, for_order=False).token == look
    if order is not None:
        assert cli_door.door_of((config,), None, None, for_order=True).token == order
    else:
        assert "operator among admin.tokens" in ec_gateway("hold", "ec-1", "-c", config, code=2).stderr


def test_a_door_with_tls_is_known_by_the_certificate_in_its_configuration(tmp_path: Path, token: Path) -> None:
    """Unless another one is named, which is checked as any other."""
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("x")
    config = tmp_path / "gateway.yaml"
    tls = 'token: "x", tls: {certificate: c.pem, key: k.pem}'
    config.write_text((CONFIG % ("0.0.0.0", 7780, "")).replace('token: ""', tls), encoding="utf-8")
    door = cli_door.door_of((config,), None, token, for_order=True)
    assert (door.url, door.certificate) == ("https://127.0.0.1:7780", str(tmp_path / "c.pem"))
    assert cli_door.door_of((config,), "https://gw:1", None, for_order=True).certificate == ""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    assert f"no gateway answers at {url}" in ec_gateway("status", "--url", url, code=3).stderr
    (tmp_path / "c.pem").unlink()
    with pytest.raises(UnreachableError, match="No such file"):
        door.status()


def test_where_a_configuration_listens_is_where_it_is_looked_for(tmp_path: Path) -> None:
    """An address of the next version of IP stands in brackets."""
    config = tmp_path / "gateway.yaml"
    for host, url in (("::", "http://[::1]:7780"), ("fd00::1", "http://[fd00::1]:7780"), ("gw", "http://gw:7780")):
        config.write_text(CONFIG % (host, 7780, TOKEN), encoding="utf-8")
        door = cli_door.door_of((config,), None, None, for_order=True)
        assert (door.url, door.token) == (url, TOKEN)
        assert TOKEN not in repr(door)


@pytest.mark.parametrize(
    ("content", "told"), [(None, "cannot be read (No such file"), (b"\xff", "it is no text"), (b"\n", "is empty"),
                          (b"a\nb", "one line of plain letters"), ("ü".encode(), "one line of plain letters")],
)  # fmt: skip
def test_a_file_without_a_token_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    """Before anybody is asked."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    assert told in ec_gateway("hold", "ec-1", "--token-file", path, code=2).stderr


def test_an_order_without_a_token_is_given_and_where_one_is_asked_for_says_how_to_name_it(gateway: FakeGateway) -> None:
    """The door of the sandbox is open to who reaches it."""
    assert ec_gateway("hold", "ec-1", "--url", gateway.url).stdout == "it is done\n"
    gateway.wants = f"Bearer {TOKEN}"
    words = "--token-file or $ECGW_TOKEN_FILE, or use -c"
    assert words in ec_gateway("restart", "ec-1", "--url", gateway.url, code=1).stderr


@pytest.mark.parametrize("url", ["127.0.0.1:7780", "ftp://x", "http://", "http://u:p@x", "http://x:0", "http://[x",
                                 "http://x/?y", "http://x:y"])  # fmt: skip
def test_an_address_that_is_none_is_told(url: str) -> None:
    """With one that would do."""
    assert "write it like http://127.0.0.1:7780" in ec_gateway("status", "--url", url, code=2).stderr


def test_a_gateway_that_is_not_there_has_a_code_of_its_own(token: Path) -> None:
    """3, for whatever was asked."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for words in (["status"], ["status", "--ready"], ["hold", "ec-1", "--token-file", str(token)]):
        done = ec_gateway(*words, "--url", url, code=3)
        assert f"no gateway answers at {url} (Connection refused); start it" in done.stderr


def test_a_gateway_that_does_not_answer_is_given_up(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order may have been taken all the same, and that is said."""
    monkeypatch.setattr(cli_door, "LOOK_TIMEOUT", 0.1)
    monkeypatch.setattr(cli_door, "ORDER_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = ec_gateway("status", "--ready", "--url", url, code=3)
        assert "does not answer within 0.1 s; see whether" in done.stderr
        done = ec_gateway("hold", "ec-1", "--wallet", "main", "--url", url, "--token-file", token, code=3)
        assert "the order may have been taken" in done.stderr


@pytest.mark.parametrize("said", [(200, b"<html>"), (200, b"[]"), (404, b"no"), (401, {"error": {}}), (200, b"\xff")])
def test_what_is_no_gateway_is_told(gateway: FakeGateway, said: tuple[int, Any]) -> None:
    """Such as the port for calls."""
    gateway.answers = {"/": said}
    for words in (["status"], ["status", "--ready"]):
        assert gateway.url in ec_gateway(*words, "--url", gateway.url, code=3).stderr


# -- status -------------------------------------------------------------------------------------------------------


def test_how_the_wallets_stand_is_a_table(gateway: FakeGateway) -> None:
    """In words; the token is not sent where it is not needed."""
    gateway.answers["/api/v1/status"] = (
        200,
        standing(
            backend("ec-1", primary=True, restarts=2, memory={"used": 100 << 20, "limit": 400 << 20}),
            backend("ec-2", phase="EJECTED", kind="wedged", reason="silent for 3 s", for_seconds=3.0, aligned=False),
            backend(
                "ec-3",
                phase="RESTARTING",
                kind="starting",
                step="stop",
                held=True,
                next_try=90.0,
                ordered="new disk",
                care="10 s of back-off are left",
                launcher_error="no such container",
            ),
        ),
    )
    done = ec_gateway("status", "--url", gateway.url)
    assert done.stdout == (
        "ec-gateway 1.2.3: serving\n"
        "\n"
        "wallet main (electron-cash): calls: 1 under way, 0 waiting, addresses ahead: 29 of 30\n"
        "   BACKEND  STATE                         CONDITION                        FOR  ALIGNED  RESTARTS/H"
        "  MEMORY         NEXT TRY\n"
        "*  ec-1     in service                    well                             2 h  yes      2         "
        "  100 MiB (25%)\n"
        "   ec-2     out of service                does not answer: silent for 3 s  3 s  no\n"
        "   ec-3     being restarted (stop), held  not ready yet                    2 h  yes                "
        "                 in 90 s\n"
        "   ec-3: a restart is ordered: new disk\n"
        "   ec-3: 10 s of back-off are left\n"
        "   ec-3: its launcher: no such container\n"
        "\n"
        "* the primary: it alone gives out addresses and signs\n"
    )
    assert json.loads(ec_gateway("status", "--json", "--url", gateway.url).stdout)["version"] == "1.2.3"
    assert {header for _, _, header, _ in gateway.asked} == {None}


def test_whether_it_is_ready_is_the_exit_code(gateway: FakeGateway) -> None:
    """With the reasons, and as JSON."""
    ready: dict[str, Any] = {"ready": True, "draining": False, "wallets": {"main": []}}
    gateway.answers["/readyz"] = (200, {**ready, "ailing": {"main": ["ec-2: wedged: silent"]}})
    assert ec_gateway("status", "--ready", "--url", gateway.url).stdout == "ready\nmain: ec-2: wedged: silent\n"
    not_ready = {
        "ready": False,
        "draining": True,
        "wallets": {"main": ["ec-1: dead"]},
        "ailing": {"main": ["ec-1: dead"]},
    }
    gateway.answers["/readyz"] = (503, not_ready)
    done = ec_gateway("status", "--ready", "--url", gateway.url, code=1)
    assert done.stdout == "not ready\nthe gateway is on its way out\nmain: ec-1: dead\n"
    done = ec_gateway("status", "--ready", "--json", "--url", gateway.url, code=1)
    assert json.loads(done.stdout) == not_ready


def test_a_health_check_is_light(gateway: FakeGateway) -> None:
    """It runs every few seconds: none of the gateway's rooms and no third-party package but click is loaded."""
    program = (
        "import sys; from gateway.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "status", "--ready", "--url", gateway.url],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == "ready\n"
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert not loaded & {"pydantic", "yaml", "aiohttp", "msgspec", "sqlalchemy", "structlog", "asyncio", "uvloop"}


def test_watching_shows_it_again_and_again(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the gateway cannot be reached; Ctrl-C ends it, and that is no failure."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        gateway.answers["/api/v1/status"] = (500, {"detail": "the gateway failed"})
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    done = ec_gateway("status", "--watch", "--interval", "3", "--url", gateway.url)
    assert pauses == [3.0, 3.0]
    assert done.stdout.count("BACKEND") == 1
    assert "the gateway failed" in done.stdout
    assert cli_care.CLEAR not in done.stdout, "not where it is no terminal"


def test_what_is_not_known_here_is_shown_as_it_came() -> None:
    """A newer gateway may say more; nothing it says steers the terminal."""
    lines = cli_status.table(standing(backend("\033ec", phase="DANCING", kind="odd", reason="", for_seconds=None)))
    assert any("?ec" in line and "dancing" in line and "odd" in line for line in lines)
    assert cli_status.table({}) == [
        "ec-gateway ?: serving",
        "",
        "* the primary: it alone gives out addresses and signs",
    ]
    about = {"state": "unadopted", "error": "disk full"}
    lines = cli_status.table(standing(panic=True, ledger=about) | {"draining": True})
    assert lines[0] == "ec-gateway 1.2.3: draining, takes no new calls"
    assert "ec-gateway ledger adopt" in lines[2]
    assert "ledger error: disk full, fewer than half of the backends are well" in lines[2]
    assert "no ledger" in cli_status.table(standing(ledger=None))[2]


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "0 s"), (119.4, "119 s"), (120.0, "2 min"), (7200.0, "2 h"), (200_000.0, "2 d")]
)
def test_a_time_has_the_unit_a_person_would_take(seconds: float, told: str) -> None:
    """Rounded."""
    assert cli_status.duration(seconds) == told


# -- following a restart ------------------------------------------------------------------------------------------


def followed(looks: list[Any], timeout: float = 900.0) -> tuple[list[str], str]:
    """Follow a restart of ec-1 that was ordered at 100.0; return its lines and how it failed, if it did."""
    clock = [100.0]
    seen = iter(looks)

    def look() -> dict[str, Any]:
        found = next(seen)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, dict)
        return found

    def sleep(seconds: float) -> None:
        clock[0] += max(seconds, 10.0)

    lines: list[str] = []
    following: Callable[..., Iterator[str]] = cli_care.follow
    try:
        for line in following(look, "main", "ec-1", began=100.0, timeout=timeout, now=lambda: clock[0], sleep=sleep):
            lines.append(line)  # noqa: PERF402 - those before a failure count
    except RefusedError as error:
        return lines, str(error)
    return lines, ""


def test_a_restart_is_followed_until_it_is_ready_again() -> None:
    """The state from before the restart is not taken for its end; each change is one line."""
    lines, failure = followed(
        [
            standing(backend("ec-1", for_seconds=7300.0)),
            standing(backend("ec-1", for_seconds=7310.0)),
            standing(backend("ec-1", for_seconds=1.0, ordered="an operator's order")),
            standing(backend("ec-1", phase="RESTARTING", kind="dead", reason="refuses", for_seconds=1.0)),
            UnreachableError("the gateway went, too"),
            standing(backend("ec-1", phase="WARMING", for_seconds=1.0)),
            standing(backend("ec-1", for_seconds=2.0)),
        ]
    )
    assert failure == ""
    assert lines == [
        "0 s: in service; well",
        "30 s: being restarted; nobody listens there: refuses",
        "40 s: the gateway does not answer",
        "50 s: back, with a small share; well",
        "ec-1 is READY again after 60 s",
    ]


def test_a_restart_that_does_not_end_well_is_told() -> None:
    """FAILED, gone from the settings, or late."""
    begun = standing(backend("ec-1", phase="RESTARTING", kind="starting", for_seconds=1.0))
    lines, failure = followed([begun, standing(backend("ec-1", phase="FAILED", kind="dead", for_seconds=1.0))])
    assert len(lines) == 1
    assert "ec-1 has FAILED: restarted too often; nobody listens there" in failure
    assert "docs/operating.md" in failure
    assert "main has no ec-1 any more" in followed([begun, standing(backend("ec-2"))])[1]
    lines, failure = followed([begun] * 5, timeout=20.0)
    assert "not READY after 20 s: being restarted" in failure


def test_a_restart_that_failed_before_anything_was_stopped_is_not_waited_for() -> None:
    """The daemon serves on and the order is over; what failed before the order is no answer to it."""
    failure = {"seconds_ago": 5.0, "step": "look", "reason": "no such container\x1b[31m"}
    old = {**failure, "seconds_ago": 500.0}
    looks = [standing(backend("ec-1", failure=old))] * 2 + [standing(backend("ec-1", failure=failure))]
    lines, told = followed(looks)
    assert lines == ["0 s: in service; well"]
    assert told == "ec-1 could not be restarted, and serves on: no such container?[31m"
    # one that came round by itself meanwhile was restarted by nobody
    again = standing(backend("ec-1", failure=failure, for_seconds=1.0))
    assert followed([standing(backend("ec-1", phase="EJECTED", for_seconds=1.0)), again, again])[1] == told
    # one that is out of service, or that waits for its turn, is tried again
    for more in ({"phase": "EJECTED"}, {"ordered": "please"}, {"step": "drain", "phase": "READY"}):
        busy = standing(backend("ec-1", failure=failure, **more))
        assert followed([busy] * 2 + [standing(backend("ec-1", for_seconds=1.0))])[1] == ""


def test_a_restart_that_is_waited_for_ends_with_its_code(gateway: FakeGateway, token: Path) -> None:
    """0 when READY again, 1 when not; with --json the lines go beside it."""
    gateway.answers["/api/v1/status"] = (200, standing(backend("ec-1", for_seconds=0.0)))
    words = ["restart", "ec-1", "--wait", "--url", gateway.url, "--token-file", str(token)]
    assert ec_gateway(*words).stdout.startswith("it is done\nec-1 is READY again after")
    done = ec_gateway(*words, "--json")
    assert json.loads(done.stdout)["answer"] == "it is done"
    assert "READY again" in done.stderr
    gateway.answers["/api/v1/status"] = (200, standing(backend("ec-1", phase="FAILED")))
    assert "FAILED" in ec_gateway(*words, code=1).stderr

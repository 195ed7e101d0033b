"""People and scripts at the operators' door of a real gateway with TLS: commands, signing in, reload."""

import http.client
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.integration.gateway_process import PATIENCE, ROOT, Answer, Gateway, Settings, settings_for, wait_until

PASSWORD = "correct horse battery staple"
OPERATOR, VIEWER = "a-token-of-an-operator-of-32-letters", "a-token-of-a-viewer-with-32-letters-"


def ec_gateway(*words: str | Path, code: int = 0, said: str = "", trust: Path | None = None) -> str:
    """Run a command as a person does, who types `said`; return what it printed on either output."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=PATIENCE, input=said,
        env={**os.environ, **({} if trust is None else {"SSL_CERT_FILE": str(trust)})},
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode == code, told
    assert not [secret for secret in (OPERATOR, VIEWER, PASSWORD) if secret in told]
    assert "Traceback" not in told
    return told


def make_certificate(folder: Path, name: str) -> None:
    """Make a certificate and its key, or replace them, each whole at once."""
    new = [folder / "new.pem", folder / "new.key"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", new[1], "-out", new[0], "-days", "2", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    for path in new:
        path.replace(path.with_stem("door"))


class TlsGateway(Gateway):
    """One whose operators' door speaks TLS."""

    def ask(self, verb: str, path: str, body: str = "", **headers: str) -> Answer:
        """Ask the operators' door, whatever certificate it shows."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        line = http.client.HTTPSConnection("127.0.0.1", self.admin_port, timeout=PATIENCE, context=context)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            line.request(verb, path, body or None, sent)
            response = line.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            line.close()

    def admin(self, path: str) -> Answer:
        """Look."""
        return self.ask("GET", path)

    def sign_in(self, password: str) -> Answer:
        """Send the form."""
        form = urlencode({"name": "kim", "password": password, "next": "/"})
        return self.ask("POST", "/sign-in", form, Content_Type="application/x-www-form-urlencoded")

    @property
    def shown(self) -> str:
        """The certificate that the door shows."""
        return ssl.get_server_certificate(("127.0.0.1", self.admin_port), timeout=PATIENCE)


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    """A gateway that nobody's daemon is behind, with a user, two scripts and TLS."""
    for name, text in (
        ("kim", ec_gateway("hash-password", said=PASSWORD + "\n")), ("cron", OPERATOR), ("stats", VIEWER),
    ):  # fmt: skip
        (folder / name).write_text(text + "\n")
    make_certificate(folder, "first")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    admin: dict[str, Any] = {
        "port": port,
        "tls": {"certificate": str(folder / "door.pem"), "key": str(folder / "door.key")},
        "users": [{"name": "kim", "role": "operator", "password_hash_file": str(folder / "kim")}],
        "tokens": [
            {"name": "stats", "token_file": str(folder / "stats")},
            {"name": "cron", "role": "operator", "token_file": str(folder / "cron")},
        ],
    }
    backends = [{"name": "ec-1", "url": "http://127.0.0.1:1", "password": "x"}]
    return settings_for(backends, admin=admin, listen={"port": 0, "tls": admin["tls"]})


@pytest.fixture(scope="module")
def gateway(folder: Path, settings: Settings) -> Iterator[TlsGateway]:
    """It runs."""
    with TlsGateway(folder / "people", settings) as one:
        yield one


def test_commands_find_the_door_and_their_token_in_the_configuration(gateway: TlsGateway) -> None:
    """The certificate is the one that stands there, whatever it is called; an order is its token's."""
    assert "not ready" in ec_gateway("status", "--ready", "-c", gateway.file, code=1)
    assert "held" in ec_gateway("hold", "ec-1", "-c", gateway.file, "--reason", "new disk")
    assert "held" in ec_gateway("status", "-c", gateway.file)
    (given,) = gateway.events("order.given", verb="hold")
    assert (given["who"], given["by"], given["reason"]) == ("cron", "token", "new disk")


def test_commands_check_the_certificate_and_show_a_token_to_no_other(gateway: TlsGateway, folder: Path) -> None:
    """By who signed it; a viewer's token looks and orders nothing."""
    url = f"https://localhost:{gateway.admin_port}"
    how = ("--url", url, "--token-file", folder / "stats")
    told = ec_gateway("status", *how, code=3)
    assert "$SSL_CERT_FILE" in told
    trust = folder / "door.pem"
    assert "ec-1" in ec_gateway("status", *how, trust=trust)
    assert "may look and gives no orders" in ec_gateway("hold", "ec-1", *how, code=1, trust=trust)
    assert "--token-file" in ec_gateway("status", "--url", url, code=1, trust=trust)


def test_a_person_signs_in_and_a_reload_ends_that(gateway: TlsGateway, settings: Settings) -> None:
    """Over TLS alone; what shows how the daemons stand asks who it is, and what Prometheus reads does not."""
    assert gateway.ask("GET", "/api/v1/status").status == 401
    assert gateway.ask("GET", "/metrics").status == 200
    assert gateway.sign_in("wrong").status == 403
    entered = gateway.sign_in(PASSWORD)
    assert entered.status == 303
    cookie = entered.headers["Set-Cookie"]
    assert cookie.startswith("__Host-ecgw_session=")
    assert "Secure" in cookie
    mine = {"Cookie": cookie.partition(";")[0]}
    assert gateway.ask("GET", "/api/v1/status", **mine).status == 200
    (signed_in,) = gateway.events("operator.signed_in")
    assert signed_in["who"] == "kim"
    changed = {**settings, "admin": {**settings["admin"], "users": []}}
    gateway.write(changed)
    wait_until(lambda: gateway.events("operator.signed_out", who="kim"), "the session ends with its user")
    assert gateway.ask("GET", "/api/v1/status", **mine).status == 401
    assert [one["need_a_restart"] for one in gateway.events("config.reloaded")] == [[]]
    gateway.write(settings)
    wait_until(lambda: len(gateway.events("config.reloaded")) == 2, "the user is back")
    assert gateway.ask("GET", "/api/v1/status", **mine).status == 401
    told = gateway.log_path.read_text()
    assert not [secret for secret in (PASSWORD, OPERATOR, VIEWER, "$argon2id") if secret in told]


def test_a_renewed_certificate_is_shown_without_a_restart(gateway: TlsGateway, folder: Path) -> None:
    """One that does not fit its key is refused, and the old one goes on being shown."""
    before = gateway.shown
    (folder / "bad.pem").write_text("no certificate\n")
    whole = (folder / "door.pem").read_bytes()
    (folder / "bad.pem").replace(folder / "door.pem")
    wait_until(lambda: [one for one in gateway.events("config.refused") if "admin.tls" in one["problem"]], "refused")
    assert gateway.shown == before
    (folder / "door.pem").write_bytes(whole)
    make_certificate(folder, "second")
    wait_until(lambda: gateway.events("certificate.renewed", door="admin"), "the new one is taken")
    wait_until(lambda: gateway.events("certificate.renewed", door="listen"), "and at the door for clients")
    assert gateway.shown != before
    assert ssl.get_server_certificate(("127.0.0.1", gateway.port), timeout=PATIENCE) == gateway.shown
    assert gateway.admin("/livez").status == 200

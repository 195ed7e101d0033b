"""The command line: mistakes are told in lines with a remedy and an exit code."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway import __version__, app, demo
from gateway.cli import main

GOOD = """
clients:
  - {name: shop, username: shop, password: "${SHOP_PASSWORD:-secret-of-the-shop}"}
wallets:
  main:
    backends:
      - {name: ec-1, url: "http://127.0.0.1:17771", username: user, password: secret-of-the-daemon}
      - {name: ec-2, url: "http://127.0.0.1:17772", username: user, password: secret-of-the-daemon}
"""


def ec_gateway(*words: str | Path) -> Result:
    """Run the command line."""
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file that can be used."""
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def test_a_good_file_is_told_back(good: Path) -> None:
    """Its wallets, backends and primaries, and no secret."""
    done = ec_gateway("check", good)
    assert done.exit_code == 0
    assert done.stdout == "wallet main (electron-cash): ec-1, ec-2; primary ec-1\nok\n"
    assert "secret-of" not in done.output


def test_files_merge_and_later_ones_win(good: Path, tmp_path: Path) -> None:
    """As they do for run."""
    later = tmp_path / "production.yaml"
    later.write_text("wallets: {main: {primary: ec-2}}\nlisten: {host: 0.0.0.0}\n", encoding="utf-8")
    done = ec_gateway("check", good, later)
    assert done.exit_code == 0
    assert "primary ec-2" in done.stdout
    assert "warning: listen.host 0.0.0.0 takes passwords without TLS" in done.stderr


def test_every_mistake_is_told_in_one_run(good: Path) -> None:
    """With file, line, key and what would be right; code 1."""
    text = GOOD.replace("ec-2, url", "ec-1, url") + "listen: {port: 70000, hots: x}\nhealth: {probe_interval: 0}\n"
    good.write_text(text, encoding="utf-8")
    done = ec_gateway("check", good)
    assert done.exit_code == 1
    told = done.stderr.splitlines()
    assert told[-1] == f"{len(told) - 1} problems"
    for key in ("listen.port", "listen.hots", "health.probe_interval", "wallets.main.backends[1].name"):
        assert any(f": {key}: " in line and line.startswith(f"{good}:") for line in told), key
    assert "did you mean host" in done.stderr
    assert "secret-of" not in done.output
    assert not done.stdout


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("listen: {tls: {certificate: /no/cert.pem, key: /no/key.pem}}", ("listen.tls", "PEM")),
        ("", ("nofile.yaml",)),
    ],
    ids=["a certificate", "a file"],
)
def test_files_that_are_not_there_are_told(extra: str, words: tuple[str, ...], good: Path) -> None:
    """Before the gateway is restarted with them."""
    good.write_text(GOOD + extra, encoding="utf-8")
    done = ec_gateway("check", good) if extra else ec_gateway("check", good.with_name("nofile.yaml"))
    assert done.exit_code == 1
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.output


def test_a_certificate_authority_that_is_not_there_is_told(good: Path) -> None:
    """By the backend that needs it."""
    good.write_text(
        GOOD.replace('{name: ec-2, url: "http:', '{name: ec-2, tls: {ca_file: /no/ca.pem}, url: "https:'),
        encoding="utf-8",
    )
    done = ec_gateway("check", good)
    assert done.exit_code == 1
    assert "wallets.main.backends[1].tls.ca_file: /no/ca.pem cannot be read" in done.stderr


def test_launchers_and_times_that_cannot_be_used_are_told(good: Path) -> None:
    """All of them, each with its key."""
    good.write_text(
        GOOD.replace("{name: ec-1, ", "{name: ec-1, launcher: {kind: dokcer}, ")
        + "    preventive: {cron: 4 in the morning, time_zone: Mars/Olympus}\n",
        encoding="utf-8",
    )
    done = ec_gateway("check", good)
    assert done.exit_code == 1
    assert "wallets.main.backends.ec-1.launcher.kind: is no kind of launcher" in done.stderr
    assert "did you mean docker" in done.stderr
    assert "wallets.main.preventive.cron: " in done.stderr
    assert "wallets.main.preventive.time_zone: " in done.stderr
    assert "Traceback" not in done.output


def test_what_the_launchers_lack_here_is_told(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By check as a mistake; and two backends for one daemon by the start as well."""
    monkeypatch.setattr("gateway.app.run_settings", lambda _settings, _paths: 0)
    launcher = f"launcher: {{kind: docker, host: 'unix://{good.parent}/none', container: w}}, "
    good.write_text(GOOD.replace("{name: ec-1, ", "{name: ec-1, " + launcher), encoding="utf-8")
    done = ec_gateway("check", good)
    assert done.exit_code == 1
    assert "wallets.main.backends.ec-1.launcher.host: names " in done.stderr
    good.write_text(GOOD.replace(", url: ", ", " + launcher + "url: "), encoding="utf-8")
    done = ec_gateway("run", "-c", good)
    assert done.exit_code == 1
    assert "launcher: is for the same daemon as wallets.main.backends.ec-1.launcher; give" in done.stderr


def test_a_socket_that_is_not_there_yet_keeps_no_gateway_from_starting(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and the other daemons go on."""
    launcher = f"launcher: {{kind: docker, host: 'unix://{good.parent}/none', container: w}}, "
    good.write_text(GOOD.replace("{name: ec-1, ", "{name: ec-1, " + launcher), encoding="utf-8")
    monkeypatch.setattr("gateway.app.run_settings", lambda _settings, _paths: 0)
    done = ec_gateway("run", "-c", good)
    assert done.exit_code == 0
    assert "launcher.host: names " in done.stderr


def test_a_certificate_that_is_none_is_told(good: Path) -> None:
    """It can be read, and holds something else."""
    good.with_name("x.pem").write_text("no certificate", encoding="utf-8")
    tls = "listen: {tls: {certificate: x.pem, key: x.pem}}\n"
    good.write_text(
        GOOD.replace('{name: ec-2, url: "http:', '{name: ec-2, tls: {ca_file: x.pem}, url: "https:') + tls,
        encoding="utf-8",
    )
    done = ec_gateway("check", good)
    assert done.exit_code == 1
    assert "wallets.main.backends.ec-2.tls.ca_file" in done.stderr
    assert "listen.tls: cannot be used" in done.stderr


def test_a_log_that_can_never_be_written_is_told_by_check_and_borne_by_run(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, line, key and remedy; run says that line on standard error and goes on."""
    good.write_text(GOOD + f"log: {{file: {{path: {good.parent}}}}}\n", encoding="utf-8")
    line = f"log.file.path: {good.parent} cannot be written (Is a directory); name a file in a folder"
    done = ec_gateway("check", good)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{good}:{len(good.read_text().splitlines())}: {line}")
    ran: list[object] = []

    def serve(settings: object, _paths: object) -> int:
        ran.append(settings)
        return 0

    monkeypatch.setattr(app, "run_settings", serve)
    done = ec_gateway("run", "-c", good)
    assert (done.exit_code, len(ran)) == (0, 1)
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_sandbox_shows_how_to_throw_its_switches() -> None:
    """With the port of each wallet; and its first line shows the head in which SANDBOX stands."""

    class TwoWallets:
        def __len__(self) -> int:
            return 2

        def pid(self, index: int) -> int:
            return 100 + index

        def url(self, index: int) -> str:
            return f"http://127.0.0.1:{200 + index}"

        def control_port(self, index: int) -> int:
            return 300 + index

    text = demo._welcome(TwoWallets(), 7777, 7780, 7781)  # type: ignore[arg-type]  # it asks a fleet for these alone
    lines = [line.strip() for line in text.splitlines()]
    curls = [line for line in lines if line.startswith("curl ")]
    assert curls[0].startswith("curl -si ")
    tells = [line for line in lines if " -m gateway.sandbox tell 300 " in line]
    assert [line.split(" tell 300 ")[1] for line in tells] == ["slow value=3", "heal"]
    assert "switches at port 301" in text
    for switch in ("behind", "lose_chain", "silent_chain", "wrong_balance", "unload", "leak", "freeze", "wedge"):
        assert switch in text
    for door in ("shop           http://127.0.0.1:7781/", "status page    http://127.0.0.1:7780/"):
        assert door in text


def test_the_schema_is_for_editors() -> None:
    """JSON, and it names the keys."""
    done = ec_gateway("check", "--schema")
    assert done.exit_code == 0
    assert {"listen", "wallets", "clients"} <= set(json.loads(done.stdout)["properties"])


def test_a_wrong_command_line_is_told_with_code_2() -> None:
    """What is missing is named."""
    done = ec_gateway("run")
    assert done.exit_code == 2
    assert "'-c'" in done.stderr
    done = ec_gateway("check")
    assert done.exit_code == 2
    assert "--schema" in done.stderr
    assert ec_gateway("sandbox", "--wallets", "0").exit_code == 2
    assert ec_gateway("nonsense").exit_code == 2


def test_the_version_is_told() -> None:
    """For bug reports."""
    assert __version__ in ec_gateway("--version").stdout


def test_run_tells_mistakes_as_check_does(good: Path) -> None:
    """Code 1, and nothing was started."""
    good.write_text("wallets: {main: {backends: []}}", encoding="utf-8")
    done = ec_gateway("run", "-c", good)
    assert done.exit_code == 1
    assert f"{good}:1: wallets.main.backends: " in done.stderr


def test_what_keeps_it_from_starting_is_told(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By run and by sandbox, each with its own way out."""

    def fail(*_args: object, **_more: object) -> int:
        raise app.StartError("listen: taken")

    monkeypatch.setattr(app, "run", fail)
    monkeypatch.setattr(demo, "run", fail)
    done = ec_gateway("run", "-c", good)
    assert (done.exit_code, done.stderr) == (1, "listen: taken\n")
    done = ec_gateway("sandbox")
    assert done.exit_code == 1
    assert "--port" in done.stderr

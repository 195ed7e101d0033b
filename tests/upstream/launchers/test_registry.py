"""Which kinds there are, and what is found wrong before anything is started."""

import asyncio
import socket
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from gateway.base import care
from gateway.base.section import Section
from gateway.upstream.launchers import LauncherError, registry
from gateway.upstream.launchers.common import Common
from gateway.upstream.launchers.registry import check, clashes, look, make

GOOD: dict[str, dict[str, Any]] = {
    "docker": {"container": "wallet"},
    "process": {"command": ["electron-cash", "daemon"], "output": "/var/log/ec-1.log"},
    "supervisor": {"url": "unix:///run/supervisor.sock", "program": "ec-1"},
    "command": {"restart": "systemctl restart ec-1"},
}


def settings(kind: str, **own: Any) -> care.Launcher:
    """Return settings of a launcher; a None takes a key out of the good ones."""
    keys = {"kind": kind, **GOOD.get(kind, {}), **own}
    return care.Launcher.model_validate({key: value for key, value in keys.items() if value is not None})


@pytest.mark.parametrize("kind", registry.KINDS)
async def test_every_kind_can_be_made_of_good_settings(kind: str) -> None:
    """And says what it is; nothing is connected, started or read."""
    assert check(settings(kind)) == []
    launcher = make(settings(kind), "ec-1", asyncio.get_running_loop())
    assert launcher.kind == kind
    await launcher.close()


@pytest.mark.parametrize(
    ("kind", "own", "key", "message", "remedy"),
    [
        ("dokcer", {}, "kind", "is no kind of launcher that is known here", "did you mean docker?"),
        ("xyzzy", {}, "kind", "is no kind of launcher", "take one of command, docker, process, supervisor"),
        ("docker", {"contianer": "x"}, "contianer", "is not a key of this kind", "did you mean container?"),
        ("docker", {"zzz": 1}, "zzz", "is not a key of this kind", "take one of ca_file, "),
        ("docker", {"container": None}, "container", "is missing", "add `container: ...`"),
        ("docker", {"container": 7}, "container", "must be text", "quotes"),
        ("docker", {"host": "tcp://engine:2375"}, "host", "is no address", "write unix:///PATH"),
        ("docker", {"ca_file": "/ca.pem"}, "kind", "ca_file is for https", "write https://"),
        ("docker", {"host": "https://e", "cert_file": "/c"}, "kind", "cert_file and key_file go together", "name both"),
        ("docker", {"host": "https://e", "ca_file": "ca.pem"}, "ca_file", "is no absolute path", "begin it with /"),
        ("process", {"output": "log"}, "output", "is no absolute path", "begin it with /"),
        ("process", {"command": []}, "command", "must", ""),
        ("process", {"stop_signal": "SIGNAL"}, "stop_signal", "is no signal", "write TERM"),
        ("process", {"output_max_bytes": 5}, "output_max_bytes", "must be greater than or equal to 1024", "docs"),
        ("process", {"die_with_gateway": "yes"}, "die_with_gateway", "must be true or false", "without quotes"),
        ("supervisor", {"url": "localhost:9001"}, "url", "is no address", "write unix:///PATH"),
        ("supervisor", {"program": "group:*"}, "kind", "program must be one program", "write GROUP:NAME"),
        ("command", {"restart": None, "start": "x"}, "kind", "needs restart, or start with stop or kill", "add one"),
        ("command", {"instance": "x"}, "kind", "instance goes with status", "add status"),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(
    kind: str, own: dict[str, Any], key: str, message: str, remedy: str
) -> None:
    """One finding for one mistake, at its key, and no launcher is made of it."""
    found = check(settings(kind, **own))
    assert len(found) == 1
    assert found[0][0] == key
    assert message in found[0][1]
    assert remedy in found[0][2]
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(LauncherError, match=f"launcher.{key} .*backend ec-1") as caught:
            make(settings(kind, **own), "ec-1", loop)
    finally:
        loop.close()
    assert not caught.value.may_pass


def test_findings_show_no_value() -> None:
    """A password that was written where a container belongs stays out of the log."""
    found = check(settings("docker", container="user:hunter2@engine", pasword="hunter2"))
    assert len(found) == 2
    assert "hunter2" not in str(found)


class Own(Section):
    """Keys of a kind that a package brings."""

    lamp: str


class Lamp:
    """A launcher that a package brings; `make` asks nothing of it but this."""

    kind = "lamp"
    takes_along = False

    def __init__(self, own: Own, common: Common) -> None:
        """Keep both."""
        self.own = own
        self.common = common


def test_a_package_brings_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point; ours keep their names, and one that cannot be loaded says so."""
    points = [
        EntryPoint("lamp", f"{__name__}:Lamp", registry.GROUP),
        EntryPoint("docker", f"{__name__}:Lamp", registry.GROUP),
        EntryPoint("broken", "no_such_module_of_anybody:Lamp", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: [one for one in points if one.group == group])
    loop = asyncio.new_event_loop()
    try:
        lamp = make(settings("lamp", lamp="red", password="secret"), "ec-1", loop)
        assert isinstance(lamp, Lamp)
        assert (lamp.own.lamp, lamp.common.name, lamp.common.password) == ("red", "ec-1", "secret")
        assert "secret" not in repr(lamp.common)
    finally:
        loop.close()
    assert check(settings("lamp")) == [("lamp", "is missing", "add `lamp: ...`")]
    assert check(settings("docker")) == []
    [(key, message, remedy)] = check(settings("broken"))
    assert (key, "no_such_module_of_anybody" in message) == ("kind", True)
    assert "install" in remedy


class Cracked(Lamp):
    """One that its package cannot make."""

    def __init__(self, own: Own, common: Common) -> None:
        """Raise."""
        super().__init__(own, common)
        raise ZeroDivisionError("of theirs")


async def test_one_that_its_package_cannot_make_fails_at_its_orders_and_takes_no_wallet_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each order says why; to hear of deaths and to let go is borne."""
    point = EntryPoint("cracked", f"{__name__}:Cracked", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])
    launcher = make(settings("cracked", lamp="red"), "ec-1", asyncio.get_running_loop())
    launcher.watch(lambda _death: None)
    for order in (
        launcher.status, launcher.start, launcher.kill, launcher.memory, lambda: launcher.stop(1.0),
        lambda: launcher.read_wallet("w"), lambda: launcher.write_wallet("w", b""),
    ):  # fmt: skip
        with pytest.raises(
            LauncherError, match=r"launcher cracked cannot be made \(ZeroDivisionError: of theirs\)"
        ) as told:
            await order()
        assert not told.value.may_pass
    assert (launcher.kind, launcher.takes_along) == ("cracked", False)
    await launcher.close()


def test_no_kind_is_loaded_before_it_is_named(tmp_path: Path) -> None:
    """A gateway without launchers pays for none of them."""
    import subprocess  # noqa: PLC0415 - one test of many

    program = (
        "import sys; from gateway.upstream.launchers import registry; "
        "sys.exit(any(path.partition(':')[0] in sys.modules for path in registry.KINDS.values()))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("kind", registry.KINDS)
def test_two_backends_are_not_for_one_daemon(kind: str) -> None:
    """They would stop each other's; one that cannot be made is told by `check` alone."""
    other = {"docker": {"container": "b"}, "process": {"output": "/b"}, "supervisor": {"program": "b"}}
    named = [("a", settings(kind)), ("b", settings(kind, **other.get(kind, {"restart": "b"}))), ("c", settings(kind))]
    assert [(name, message) for name, message, _ in clashes(named)] == [("c", "is for the same daemon as a")]
    assert list(clashes([("a", settings("docker", host="x")), ("b", settings("docker", host="x"))])) == []
    paths = ("/var/log/ec-1.log", "/var/log/../log//ec-1.log")
    twice = [(f"{n}", settings("process", output=path)) for n, path in enumerate(paths)]
    assert [name for name, _, _ in clashes(twice)] == ["1"], "one pid file for two daemons"
    assert list(clashes([("a", settings("lamp")), ("b", settings("lamp"))])) == []


@pytest.mark.parametrize(
    ("kind", "own", "key", "message"),
    [
        ("docker", {"host": "unix://@/none"}, "host", "no socket is there"),
        ("docker", {"host": "unix://@/file"}, "host", "no socket is there"),
        ("supervisor", {"url": "unix://@/none"}, "url", "no socket is there"),
        ("process", {"command": ["no-such-program-here"], "output": "@/out"}, "command", "no such program"),
        ("process", {"command": ["true"], "cwd": "@/none", "output": "@/out"}, "cwd", "no folder"),
        ("process", {"command": ["true"], "output": "@/none/out"}, "output", "no folder"),
        ("command", {"restart": "systemctl restart (x"}, "restart", "no line that a shell understands"),
        ("command", {"restart": "no-such-program-here x"}, "restart", "no such program"),
        ("command", {"restart": "true", "status": "test -n 'x"}, "status", "no line that a shell understands"),
    ],
)
def test_what_this_machine_lacks_is_found(
    tmp_path: Path, kind: str, own: dict[str, Any], key: str, message: str
) -> None:
    """Before the first order, each with its key; `check` looks at nothing."""
    (tmp_path / "file").write_text("")
    here = {name: word.replace("@", str(tmp_path)) if isinstance(word, str) else word for name, word in own.items()}
    launcher = settings(kind, **here)
    assert check(launcher) == []
    [(found, what, _)] = look(launcher)
    assert found == key
    assert message in what


def test_what_is_there_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what cannot be seen from here, nor what `check` has told; a right that is missing is."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{tmp_path}/s")
        good = [
            settings("docker", host=f"unix://{tmp_path}/s"),
            settings("docker", host="http://engine:2375"),
            settings("supervisor", url=f"unix://{tmp_path}/s"),
            settings("process", command=["true"], output=f"{tmp_path}/out", cwd=str(tmp_path)),
            settings("command"),
            settings("docker", host="x"),
        ]
        assert [look(one) for one in good] == [[]] * len(good)
        monkeypatch.setattr("os.access", lambda path, _mode: not str(path).startswith(str(tmp_path)))
        assert ["may not" in str(look(one)) for one in good] == [True, False, True, True, False, False]


@pytest.mark.parametrize(
    "line", ["exec true", "[ -e / ]", "X=1 no-such-program", "cd / && true", "/bin/true", "  true"]
)
def test_a_line_that_a_shell_may_understand_is_believed(line: str) -> None:
    """Builtins, variables, paths; what stands behind the first word is run and not guessed at."""
    assert look(settings("command", restart=line)) == []

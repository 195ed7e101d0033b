"""Files into settings: everything that is wrong in one run, with its place, its remedy and no secret."""

import os
import re
from pathlib import Path

import pytest

from gateway.base.effects import OPEN_BY_DEFAULT, Effect
from gateway.base.errors import ConfigError, Problem
from gateway.base.loader import load, secret_files, warnings

from .conftest import Folder

SECRET = "Hunter2Secret"


def test_a_short_file_is_enough(folder: Folder, good: str) -> None:
    """Everything that is not written has a default."""
    settings = folder.load(good)
    client = settings.clients[0]
    assert client.password.get_secret_value() == "correct horse"
    assert (client.wallets, client.effects, client.deadline) == (("main",), OPEN_BY_DEFAULT, 9.0)
    assert (settings.listen.port, settings.admin.port, settings.admin.host) == (7777, 7780, "127.0.0.1")
    assert settings.wallets["main"].primary_name == "ec-1"


def test_every_mistake_is_told_in_one_run_with_its_place(folder: Folder) -> None:
    """Unknown and doubled keys, wrong types, bad URLs, missing secrets, clashes, YAML's own surprises."""
    text = """\
lisen: {}
listen: {port: high}
listen: {port: 70000, max_depth: true}
drain_timeout: 1:30
clients:
  - name: shop
    username: user
    pasword: x
  - name: shop
    username: a:b
    password_file: gone
    wallets: [main, other]
    effects: [read, control]
wallets:
  main:
    primary: ec-9
    backends:
      - {name: ec-1, url: ftp://h}
      - {name: ec-2, url: http://127.0.0.1:1, slots: "two"}
      - {name: ec-1, url: "${EC_URL}"}
log: {level: loud, file: {}}
anonymous: yes
"""
    assert folder.told(text) == [
        ("0.yaml", 1, "lisen"),
        ("0.yaml", 3, "listen"),
        ("0.yaml", 3, "listen.max_depth"),
        ("0.yaml", 3, "listen.port"),
        ("0.yaml", 4, "drain_timeout"),
        ("0.yaml", 6, "clients[0].password"),
        ("0.yaml", 8, "clients[0].pasword"),
        ("0.yaml", 9, "clients[1].name"),
        ("0.yaml", 10, "clients[1].username"),
        ("0.yaml", 11, "clients[1].password_file"),
        ("0.yaml", 12, "clients[1].wallets[1]"),
        ("0.yaml", 13, "clients[1].effects"),
        ("0.yaml", 16, "wallets.main.primary"),
        ("0.yaml", 18, "wallets.main.backends[0].url"),
        ("0.yaml", 19, "wallets.main.backends[1].slots"),
        ("0.yaml", 20, "wallets.main.backends[2].name"),
        ("0.yaml", 20, "wallets.main.backends[2].url"),
        ("0.yaml", 21, "log.file.path"),
        ("0.yaml", 21, "log.level"),
        ("0.yaml", 22, "anonymous"),
    ]


def test_no_file_and_files_that_are_not_there_are_told(folder: Folder, good: str) -> None:
    """All of them, before anything else is looked at."""
    with pytest.raises(ConfigError) as caught:
        load([], {})
    assert "name one by -c FILE" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        load([folder.path / "a.yaml", folder.write("good.yaml", good), folder.path / "b.yaml"], {})
    assert [Path(one.file).name for one in caught.value.problems] == ["a.yaml", "b.yaml"]


def test_later_files_win_and_named_lists_merge(folder: Folder, good: str) -> None:
    """An environment says only what differs there."""
    site = """\
listen: {port: 8888}
clients: [{name: shop, deadline: 5}, {name: admin, username: root, password: x}]
wallets:
  main:
    backends:
      - {name: ec-2, url: "http://10.0.0.2:1"}
      - {name: ec-3, url: "http://10.0.0.3:1"}
"""
    settings = folder.load(good, "listen: {port: 1, host: 0.0.0.0}\n", site)
    assert (settings.listen.port, settings.listen.host) == (8888, "0.0.0.0")
    assert [(one.name, one.username, one.deadline) for one in settings.clients] == [
        ("shop", "user", 5.0), ("admin", "root", 9.0),
    ]  # fmt: skip
    assert [(one.name, one.url) for one in settings.wallets["main"].backends] == [
        ("ec-1", "http://127.0.0.1:17771"), ("ec-2", "http://10.0.0.2:1"), ("ec-3", "http://10.0.0.3:1"),
    ]  # fmt: skip


def test_a_mistake_is_told_where_it_was_written_last(folder: Folder, good: str) -> None:
    """In the file that it came from."""
    site = "wallets: {main: {backends: [{name: ec-2, url: nowhere}]}}\nlisten: {port: x}\n"
    assert folder.told(good, site) == [("1.yaml", 1, "wallets.main.backends[1].url"), ("1.yaml", 2, "listen.port")]


@pytest.mark.parametrize(
    ("base", "site"), [("password: old", "password_file: secret"), ("password_file: gone", "password: fresh")]
)
def test_a_later_file_may_say_the_secret_the_other_way(folder: Folder, base: str, site: str) -> None:
    """The earlier way is replaced, not contradicted."""
    folder.write("secret", "fresh\n")
    wallets = "wallets: {main: {backends: [{name: a, url: http://h:1}]}}\n"
    settings = folder.load(
        f"{wallets}clients: [{{name: shop, username: u, {base}}}]\n", f"clients: [{{name: shop, {site}}}]\n"
    )
    assert settings.clients[0].password.get_secret_value() == "fresh"


# -- environment --------------------------------------------------------------------------------------------


def test_variables_are_filled_in_wherever_a_single_value_stands(folder: Folder) -> None:
    """Within texts, for numbers and truth values, in lists; an empty variable counts as absent."""
    settings = folder.load(
        """\
listen: {host: "${HOST:-127.0.0.1}", port: "${PORT}"}
anonymous: ${ANON:-false}
hedge: {enabled: "${HEDGE}", factor: "${FACTOR:-2.5}"}
clients: [{name: "${NAME}-1", username: u, password: "${A}${B:-}${C:-x y}", effects: ["${EFFECT}"]}]
wallets: {main: {backends: [{name: a, url: "http://${WALLET:-ec}:${WALLET_PORT:-1}"}]}}
""",
        PORT="8080", HEDGE="off", NAME="shop", A="$ecret}", C="", EFFECT="read", HOST="",
    )  # fmt: skip
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 8080)
    assert (settings.anonymous, settings.hedge.enabled, settings.hedge.factor) == (False, False, 2.5)
    assert settings.clients[0].name == "shop-1"
    assert settings.clients[0].effects == {Effect.READ}
    assert settings.clients[0].password.get_secret_value() == "$ecret}x y"
    assert settings.wallets["main"].backends[0].url == "http://ec:1"


def test_a_variable_that_is_not_set_is_told_once(folder: Folder, good: str) -> None:
    """With the way to give it a default, and without the mistakes that follow from it."""
    (problem,) = folder.problems(good.replace("http://127.0.0.1:17771", "${EC_URL}"))
    assert (problem.line, problem.key) == (9, "wallets.main.backends[0].url")
    assert problem.message == "the variable EC_URL is not set"
    assert problem.remedy == "set EC_URL, or write ${EC_URL:-default}"
    assert folder.told(good + "    primary: ${NO}\n") == [("0.yaml", 12, "wallets.main.primary")]


@pytest.mark.parametrize("text", ["${", "a${1X}", "${X", "${X:default}", "${X-y}", "${HOME}${ }"])
def test_what_only_looks_like_a_variable_is_not_taken_literally(folder: Folder, good: str, text: str) -> None:
    """A forgotten bracket would be a password that nobody has; a secret that needs such signs goes in a file."""
    (problem,) = folder.problems(good.replace("correct horse", f"'{text}'"), HOME="x")
    assert (problem.line, problem.message) == (4, "holds a ${ that names no variable")
    folder.write("secret", text)
    settings = folder.load(good.replace("password: correct horse", "password_file: secret"))
    assert settings.clients[0].password.get_secret_value() == text


def test_a_number_from_the_environment_must_be_one(folder: Folder, good: str) -> None:
    """It is text there, and it is checked like any other."""
    assert folder.told(good + "listen: {port: '${PORT}'}\n", PORT="http") == [("0.yaml", 12, "listen.port")]


# -- secrets ------------------------------------------------------------------------------------------------


def test_a_secret_comes_from_a_file_beside_the_one_that_names_it(folder: Folder, good: str) -> None:
    """Its last line break is not part of it, inner ones and spaces are."""
    path = folder.write("deep/site.yaml", good.replace("password: correct horse", "password_file: ../keys/shop"))
    secret = folder.write("keys/shop", " a b\nc \r\n")
    assert load([path], {}).clients[0].password.get_secret_value() == " a b\nc "
    assert [one.resolve() for one in secret_files([path])] == [secret]
    absolute = folder.write("abs.yaml", good.replace("password: correct horse", f"password_file: {secret}"))
    assert load([absolute], {}).clients[0].password.get_secret_value() == " a b\nc "


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("password_file: gone", "gone cannot be read (No such file or directory)"),
        ("password_file: .", ". cannot be read (Is a directory)"),
        ("password_file: empty", "empty is empty"),
        ("password_file: binary", "binary cannot be read (it is no text)"),
        ('password_file: "a\\0b"', "cannot be read (it is no text)"),
        ("password_file:", "must be the path of a file"),
        ("password_file: ''", "must be the path of a file"),
        ("password_file: [a]", "must be the path of a file"),
        ("password_file: 5", "must be the path of a file"),
        ("password_file: good\n    password: x", "stands beside password"),
    ],
)
def test_a_secret_that_cannot_be_had_is_told_once(folder: Folder, good: str, named: str, says: str) -> None:
    """Under the key that the person wrote."""
    folder.write("empty", "\n")
    folder.write("good", "x")
    (folder.path / "binary").write_bytes(b"\xff\xfe")
    (problem,) = folder.problems(good.replace("password: correct horse", named))
    assert (problem.line, problem.key) == (4, "clients[0].password_file")
    assert says in problem.message


def test_a_secret_file_whose_variable_is_not_set_is_told_once(folder: Folder, good: str) -> None:
    """The variable is the mistake."""
    (problem,) = folder.problems(good.replace("password: correct horse", "password_file: ${KEYS}"))
    assert problem.message == "the variable KEYS is not set"


def test_a_file_for_a_secret_that_is_none_is_an_unknown_key(folder: Folder, good: str) -> None:
    """It is neither read nor watched."""
    assert folder.told(good + "listen: {password_file: x}\n") == [("0.yaml", 12, "listen.password_file")]
    assert secret_files([folder.write("a.yaml", good + "listen: {password_file: x}\n")]) == []


def test_files_that_cannot_be_read_name_no_secret_files(folder: Folder) -> None:
    """The loader tells what is wrong with them."""
    texts = [
        "clients: [{password_file: 5}, {password_file: one}]\n",
        "wallets: {m: {backends: [{password_file: two}]}}\n",
    ]
    paths = [folder.write(f"{place}.yaml", text) for place, text in enumerate(texts)]
    assert [one.name for one in secret_files([*paths, folder.path / "gone.yaml"])] == ["one", "two"]


PLACES = [
    "clients: [{name: shop, username: u, password: %s}]",
    "clients: [{name: shop, username: u, password: %s x}]",
    "clients: [{name: shop, username: u, password: 'x' %s}]",
    "clients: [{name: shop, username: u, pasword: %s}]",
    'clients: ["u:%s"]',
    'clients: "u:%s"',
    "clients: [{name: shop, username: u, password: {a: %s}}]",
    "clients: [{name: shop, username: u, password: [%s]}]",
    "clients: [{name: shop, username: u, password: x, password_file: 5, deadline: {p: %s}}]",
    'wallets: {main: {backends: ["http://u:%s@h:1"]}}',
    'wallets: {main: "http://u:%s@h:1"}',
    'wallets: {main: {backends: [{name: a, url: "http://u:%s@h:1"}]}}',
    'wallets: {main: {backends: [{name: a, url: "ftp://u:%s@h:1"}]}}',
    'wallets: {main: {backends: [{name: "http://u:%s@h:1", url: 5}]}}',
    'wallets: {main: {backends: [{name: a, url: "http://u:%s@h:x"}]}}',
    'listen: "u:%s"',
    "? {a: %s}\n: b",
    "a: %s: b: c",
]
WRITTEN = ["", "*", "!", "!!int ", "&", "%", "@", "`", "|", ">", '"\\q', "'", "&a &", "*a *", "{", "[", "? ", "- "]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("before", WRITTEN)
def test_no_message_ever_holds_a_secret(folder: Folder, good: str, place: str, before: str) -> None:
    """Wherever a person wrote it, and whatever YAML makes of its first sign."""
    text = place % f"{before}{SECRET}"
    key = text.partition(":")[0]
    path = folder.write("a.yaml", re.sub(rf"^{re.escape(key)}:(\n .*)*\n", "", good, flags=re.MULTILINE) + text)
    try:
        said = repr(load([path], {}))
    except ConfigError as error:
        said = f"{error} {error.problems!r}"
    assert said
    assert SECRET not in said


@pytest.mark.parametrize("digits", ["01234567", "12:34:56", "1_0:30", "0123.5", "31337" * 1000, "31337"])
def test_no_message_holds_a_secret_of_digits(folder: Folder, good: str, digits: str) -> None:
    """YAML takes them for numbers; the remedy is quotes."""
    (problem,) = folder.problems(good.replace("correct horse", digits))
    assert digits not in str(problem)
    assert "in quotes" in problem.remedy


def test_settings_can_be_shown_without_their_secrets(folder: Folder, good: str) -> None:
    """In a traceback or a log."""
    settings = folder.load(good.replace("correct horse", SECRET))
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


# -- certificates, and the log ------------------------------------------------------------------------------

TLS = """\
      - name: ec-3
        url: https://127.0.0.1:17773
        tls: {ca_file: %s}
listen: {tls: {certificate: %s, key: %s}}
"""


def test_the_paths_of_certificates_start_where_they_are_named(
    folder: Folder, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of secrets do; in the settings they are absolute, wherever the gateway was started."""
    for name in ("ca.pem", "crt.pem", "key.pem"):
        folder.write(f"etc/{name}", "x")
    path = folder.write("etc/a.yaml", good + TLS % ("ca.pem", f"{folder.path}/etc/crt.pem", "../etc/key.pem"))
    monkeypatch.chdir(folder.path)
    for named in (path, Path("etc/a.yaml")):
        settings = load([named], {})
        assert settings.listen.tls is not None
        paths = [
            settings.wallets["main"].backends[2].tls.ca_file,
            settings.listen.tls.certificate,
            settings.listen.tls.key,
        ]
        assert all(one is not None and Path(one).is_absolute() for one in paths)
        assert [Path(str(one)).resolve() for one in paths] == [
            folder.path / "etc" / name for name in ("ca.pem", "crt.pem", "key.pem")
        ]


def test_certificates_that_cannot_be_read_are_told_with_all_else(folder: Folder, good: str) -> None:
    """Line, key and path of each, in the same run as other mistakes; a value of another kind is told once."""
    folder.write("ca.pem", "x")
    text = good + TLS % ("gone.pem", "''", '"a\\0b"') + "drain_timeout: soon\n"
    problems = folder.problems(text)
    assert [(one.line, one.key) for one in problems] == [
        (14, "wallets.main.backends[2].tls.ca_file"),
        (15, "listen.tls.certificate"),
        (15, "listen.tls.key"),
        (16, "drain_timeout"),
    ]
    assert f"{folder.path}/gone.pem cannot be read (No such file or directory)" in problems[0].message
    assert problems[1].message == "must be the path of a file"
    assert "it is no path" in problems[2].message
    assert all("PEM" in one.remedy for one in problems[:3])
    assert folder.told(good + TLS % ("ca.pem", "[a]", "'${KEY}'")) == [
        ("0.yaml", 15, "listen.tls.certificate"), ("0.yaml", 15, "listen.tls.key"),
    ]  # fmt: skip
    assert load([folder.write("b.yaml", good + "listen: {tls: }\n")], {}).listen.tls is None


LASTING = """\
ledger:
  path: %s
  key_file: %s
"""


def test_the_paths_of_ledger_key_and_wallet_files_start_where_they_are_named(folder: Folder, good: str) -> None:
    """The gateway may be started anywhere; none of them has to be there yet."""
    site = folder.write("etc/site.yaml", LASTING % ("../var/ledger.db", "${SECRETS:-secrets}/ledger.key"))
    base = folder.write("etc/base/gateway.yaml", good + "        wallet_file: wallets/ec-2\n")
    settings = load([base, site], {})
    assert settings.ledger is not None
    assert settings.ledger.path == str(folder.path / "etc/../var/ledger.db")
    assert settings.ledger.key_file == str(folder.path / "etc/secrets/ledger.key")
    assert settings.wallets["main"].backends[0].wallet_file is None
    assert settings.wallets["main"].backends[1].wallet_file == str(folder.path / "etc/base/wallets/ec-2")
    there = folder.load(good + LASTING % ("/var/lib/ledger.db", "~"))
    assert there.ledger is not None
    assert (there.ledger.path, there.ledger.key_file) == ("/var/lib/ledger.db", None)
    assert folder.told(good + LASTING % ("''", "5")) == [
        ("0.yaml", 13, "ledger.path"), ("0.yaml", 14, "ledger.key_file"),
    ]  # fmt: skip
    assert folder.told(good + LASTING % ("${NOT_SET}", "[a]")) == [
        ("0.yaml", 13, "ledger.path"), ("0.yaml", 14, "ledger.key_file"),
    ]  # fmt: skip


def log_to(path: object) -> str:
    """A section that logs to a file."""
    return f"log:\n  file:\n    path: {path}\n"


def test_a_log_that_can_never_be_written_is_told(folder: Folder, good: str) -> None:
    """A folder, something in a file, a pipe that nobody reads, what is no path at all."""
    folder.write("file", "x")
    os.mkfifo(folder.path / "pipe")
    (folder.path / "link").symlink_to("file/in-it")
    for path, why in (
        (folder.path, "Is a directory"),
        (folder.path / "file" / "log", "Not a directory"),
        (folder.path / "link", "Not a directory"),
        (folder.path / "pipe", "No such device or address"),
        ("/proc/none/log", "No such file or directory"),
        ('"a\\0b"', "it is no path"),
    ):
        (problem,) = folder.problems(good + log_to(path))
        assert (problem.line, problem.key) == (14, "log.file.path")
        assert f"cannot be written ({why})" in problem.message
        bearable: list[Problem] = []
        settings = load([folder.path / "0.yaml"], {}, bearable)
        assert settings.log.file is not None
        assert bearable == [problem], "who can live with it is told as well"


def test_a_log_that_could_be_written_is_not_made_by_looking(folder: Folder, good: str) -> None:
    """Whoever checks may be another user; a file that is there keeps what it holds."""
    there = folder.write("there.log", "before\n")
    (folder.path / "link.log").symlink_to("logs/linked.log")
    for name in ("there.log", "new.log", "logs/of/ec.log", "link.log"):
        assert folder.load(good + log_to(folder.path / name)).log.file is not None
    assert there.read_text() == "before\n"
    assert {one.name for one in folder.path.iterdir()} == {"0.yaml", "there.log", "link.log"}
    assert folder.told(good + log_to("''")) == folder.told(good + log_to("[a]")) == [("0.yaml", 14, "log.file.path")]
    assert folder.told(good + log_to("${LOG}")) == [("0.yaml", 14, "log.file.path")]


# -- profiles -----------------------------------------------------------------------------------------------


def test_the_path_of_a_profile_starts_where_it_is_named(folder: Folder, good: str) -> None:
    """A name stays a name; a file is found wherever the gateway was started."""
    more = good + "  two:\n    profile: profiles/mine.yaml\n    backends: [{name: a, url: http://h:3}]\n"
    path = folder.write(
        "etc/gateway.yaml", more + "  three: {profile: electrum, backends: [{name: a, url: http://h:2}]}\n"
    )
    wallets = load([path], {}).wallets
    assert wallets["main"].profile == "electron-cash"
    assert wallets["two"].profile == str(folder.path / "etc/profiles/mine.yaml")
    assert wallets["three"].profile == "electrum"
    assert folder.told(good + "    profile: 5\n") == [("0.yaml", 12, "wallets.main.profile")]


# -- warnings -----------------------------------------------------------------------------------------------


def test_what_is_legal_and_risky_is_said(folder: Folder) -> None:
    """Open doors, rights that move money, empty passwords."""
    settings = folder.load(
        """\
listen: {host: 0.0.0.0}
admin: {host: 10.0.0.1, token: short}
anonymous: true
clients: [{name: shop, username: u, password: "", effects: [sign, publish]}]
wallets: {main: {backends: [{name: a, url: http://h:1}]}}
"""
    )
    said = warnings(settings)
    for part in (
        "listen.host 0.0.0.0 takes passwords without TLS",
        "lets anybody call without credentials",
        "admin.host 10.0.0.1 takes passwords and tokens without TLS",
        "admin.host 10.0.0.1 shows the state",
        "admin.token has fewer than 16 characters",
        "client shop may do whatever sign does",
        "client shop may do whatever publish does",
        "client shop has an empty password",
        "backend a of main is called without a password",
    ):
        assert [one for one in said if part in one], part
    assert len(said) == 9


def test_nothing_is_said_where_nothing_is_risky(folder: Folder, good: str) -> None:
    """On loopback, or with TLS."""
    assert warnings(folder.load(re.sub(r"(url: .*)", r"\1\n        password: x", good))) == []
    folder.write("c", "x")
    folder.write("k", "x")
    tls = "listen: {host: 0.0.0.0, tls: {certificate: c, key: k}}\n"
    assert warnings(folder.load(re.sub(r"(url: .*)", r"\1\n        password: x", good) + tls)) == []

"""The example files stay true: they load, gateway.yaml names every key, and what it shows is the default.

A setting that is switched off stands behind a `#` without a space; `switched_on` takes these away.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.app import check_profiles
from gateway.base.config import Settings
from gateway.base.loader import load, warnings

EXAMPLES = Path(__file__).parents[2] / "config"
FULL = EXAMPLES / "gateway.yaml"
ONE_DAEMON = EXAMPLES / "gateway.one-daemon.yaml"

SECRETS = {"SHOP_PASSWORD": "shop", "EC_PASSWORD": "daemons"}
SWITCHED_OFF_SECRETS = dict.fromkeys(
    ("ECGW_TOKEN", "WALLET_PASSWORD", "LAUNCHER_PASSWORD", "PAGER_SECRET", "DATABASE_PASSWORD", "CLUSTER_SECRET"),
    "a secret that is long enough",
) | {
    "CRON_TOKEN": "another that is long enough",
    "KIM_HASH": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
}
ONE_DAEMON_SECRETS = {"RPC_USER": "user", "RPC_PASSWORD": "old"}

SWITCHED_OFF = re.compile(r"^( *)#((?: {2,})?(?:- )?[a-z_]+:.*)$")
"""Prose has one space behind its #, a setting none, and one inside of another setting two or more."""

INSTEAD = re.compile(r"^  path: \$\{ECGW_LEDGER.*$", re.MULTILINE)
"""The one setting that must go when all others are switched on."""

KEY = re.compile(r"^ *#?(?: {2,})?(?:- )?([a-z_]+): *(.*)$")


def switched_on(text: str) -> str:
    """The same file with every setting in force."""
    text = INSTEAD.sub("", text)
    return "\n".join(SWITCHED_OFF.sub(r"\1\2", line) for line in text.splitlines()) + "\n"


def models_in(value: object, key: str) -> Iterator[tuple[str, BaseModel]]:
    """Every section of loaded settings, with the key that leads there."""
    if isinstance(value, BaseModel):
        yield key, value
        for name in type(value).model_fields:
            yield from models_in(getattr(value, name), f"{key}.{name}" if key else name)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from models_in(inner, f"{key}.{name}")
    elif isinstance(value, tuple):
        for place, inner in enumerate(value):
            yield from models_in(inner, f"{key}[{place}]")


@pytest.fixture
def everything(tmp_path: Path) -> Settings:
    """The full example with every setting switched on."""
    path = tmp_path / "gateway.yaml"
    text = with_certificates(switched_on(FULL.read_text(encoding="utf-8")), tmp_path)
    path.write_text(text, encoding="utf-8")
    return load([path], SECRETS | SWITCHED_OFF_SECRETS)


def with_certificates(text: str, folder: Path) -> str:
    """The same file with its certificates in a folder where they are."""
    for name in re.findall(r"/etc/ec-gateway/(\S+\.(?:crt|key|pem))", text):
        (folder / name).touch()
    return re.sub(r"/etc/ec-gateway/(?=\S+\.(?:crt|key|pem))", f"{folder}/", text)


def test_the_full_example_runs_as_it_stands_once_the_secrets_are_set() -> None:
    """Three daemons, one client, no warning but what the operator asked for."""
    settings = load([FULL], SECRETS)
    check_profiles(settings)
    assert [backend.name for backend in settings.wallets["main"].backends] == ["ec-1", "ec-2", "ec-3"]
    assert settings.wallets["main"].primary_name == "ec-1"
    assert warnings(settings) == []


def test_the_one_daemon_example_runs_as_it_stands_once_the_secrets_are_set() -> None:
    """A shop's old user and password open both the gateway and its daemon."""
    settings = load([ONE_DAEMON], ONE_DAEMON_SECRETS)
    check_profiles(settings)
    (backend,) = settings.wallets["main"].backends
    assert (backend.username, backend.password.get_secret_value()) == ("user", "old")
    assert settings.wallets["main"].expect_return > 0


def test_the_one_daemon_example_has_at_most_ten_lines_of_settings() -> None:
    """What a shop with one daemon has to write stays small."""
    lines = [line.strip() for line in ONE_DAEMON.read_text(encoding="utf-8").splitlines()]
    assert len([line for line in lines if line and not line.startswith("#")]) <= 10


def test_the_full_example_names_every_key(everything: Settings) -> None:
    """A key that is added to a model has to be explained here; in a list its first entry shows them all."""
    missing = [
        f"{key}.{name}".lstrip(".")
        for key, model in models_in(everything, "")
        if not re.search(r"\[[1-9]", key)
        for name in type(model).model_fields
        if name not in model.model_fields_set
    ]
    # which of the two a ledger is has been said already: the file has a path as it stands
    assert missing == ["ledger.path"]
    assert len(INSTEAD.findall(FULL.read_text(encoding="utf-8"))) == 1


def test_nothing_in_the_full_example_is_hidden_from_these_tests() -> None:
    """A setting that is switched off in any other way than `#key:` would escape them."""
    text = FULL.read_text(encoding="utf-8")
    for line in switched_on(text).splitlines():
        assert not re.match(r" *#[^ ]", line), line


def test_a_value_that_is_shown_is_the_default_or_is_called_an_example(tmp_path: Path) -> None:
    """Nobody may take a value of the file for the default where it is none, or for an example where it is one."""
    path = tmp_path / "gateway.yaml"
    lines = switched_on(FULL.read_text(encoding="utf-8")).splitlines()
    path.write_text(with_certificates("\n".join(lines), tmp_path), encoding="utf-8")
    settings = load([path], SECRETS | SWITCHED_OFF_SECRETS)
    wrong = []
    for line, place in leaves(path):
        value, default = value_and_default(settings, place)
        _, _, comment = lines[line].partition(" # ")
        if (value == default) == comment.strip().startswith("example"):
            wrong.append(f"{'.'.join(map(str, place))} is {value}, its default is {default}: {lines[line].strip()}")
    assert wrong == []


def test_every_setting_of_the_full_example_says_what_it_is_for() -> None:
    """A comment beside each key, or above it."""
    lines = FULL.read_text(encoding="utf-8").splitlines()
    bare = [
        line.strip()
        for number, line in enumerate(lines)
        if (found := KEY.match(line))
        and " # " not in line
        and not re.match(r" *# ", lines[number - 1])
        # these two only lead to what is explained below them
        and found[1] not in {"main", "backends"}
    ]
    assert bare == []


def leaves(path: Path) -> list[tuple[int, tuple[str | int, ...]]]:
    """Line (from 0) and place of every single value; a list of words is one value."""
    found: list[tuple[int, tuple[str | int, ...]]] = []

    def walk(node: yaml.Node, place: tuple[str | int, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                walk(value, (*place, name.value))
        elif isinstance(node, yaml.SequenceNode) and any(isinstance(item, yaml.MappingNode) for item in node.value):
            for number, item in enumerate(node.value):
                walk(item, (*place, number))
        else:
            found.append((node.start_mark.line, place))

    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    assert root is not None
    walk(root, ())
    return found


def value_and_default(settings: Settings, place: tuple[str | int, ...]) -> tuple[Any, Any]:
    """The value at a place of the settings, and what it would be if it were not written."""
    value: Any = settings
    default: Any = None
    for part in place:
        if isinstance(value, BaseModel):
            known = type(value).model_fields.get(str(part))
            # a key that a launcher or a sink alone knows has no default here
            default = PydanticUndefined if known is None else known.get_default(call_default_factory=False)
            value = getattr(value, str(part))
        else:
            default = PydanticUndefined
            value = value[part]
    return value, default

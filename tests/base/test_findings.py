"""Findings in words: what is wanted, what was written, what would be right."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.base.config import Backend, BackendTls, Client, Listen, RateLimit, Settings, Tls, Wallet
from gateway.base.findings import join, model_at, problems
from gateway.base.yaml_nodes import Located

from .conftest import Folder

PORT, MAP = "listen.port", "write `key: value` lines under it, or take the line out"
WHOLE, NUMBER = "write digits without quotes", "write digits without quotes, like 2 or 0.5"
LIST = "write one `- ` line for each entry, or [one, other]"
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
KNOWN = "is not a key that is known here"


@pytest.mark.parametrize(
    ("written", "key", "message", "remedy"),
    [
        ("lisen: {}", "lisen", KNOWN, "did you mean listen?"),
        ("listen: {prot: 1}", "listen.prot", KNOWN, "did you mean port?"),
        ("admin: {wat: 1}", "admin.wat", KNOWN,
         "take one of host, names, open, port, session_idle, session_life, tls, token, token_file, tokens, users"),
        ("admin: {users: [{name: kim}]}", "admin.users[0].password_hash", "is missing",
         "add `password_hash_file: PATH` or `password_hash: ...`"),
        ("admin: {users: [{name: kim, role: boss, password_hash: '" + HASH + "'}]}", "admin.users[0].role",
         "must be 'viewer' or 'operator', got boss", "write one of them"),
        ("admin: {tokens: [{name: cron, token: ''}]}", "admin.tokens[0].token", "must be at least 1 long",
         "write something there"),
        ("listen: 7777", "listen", "must be a mapping", MAP),
        ("listen:", "listen", "must be a mapping", MAP),
        ("listen: {tls: {key: /dev/null}}", "listen.tls.certificate", "is missing", "add `certificate: ...`"),
        ("listen: {port: high}", PORT, "must be a whole number, got high", WHOLE),
        ("listen: {port: '80'}", PORT, "must be a whole number, got 80", WHOLE),
        ("listen: {port: true}", PORT, "must be a whole number, got true", WHOLE),
        ("listen: {port: 80.5}", PORT, "must be a whole number, got 80.5", WHOLE),
        ("listen: {port: 70000}", PORT, "must be at most 65535, got 70000", "write a smaller number"),
        ("listen: {port: -1}", PORT, "must be at least 0, got -1", "write a larger number"),
        ("listen: {port: }", PORT, "must be a whole number, got nothing", WHOLE),
        ("listen: {port: [1]}", PORT, "must be a whole number, got a list", WHOLE),
        ("listen: {port: {a: 1}}", PORT, "must be a whole number, got a mapping", WHOLE),
        ("listen: {host: 5}", "listen.host", "must be text, got 5", "put it in quotes"),
        ("drain_timeout: soon", "drain_timeout", "must be a number, got soon", NUMBER),
        ("drain_timeout: 0", "drain_timeout", "must be greater than 0.0, got 0", "write a larger number"),
        ("drain_timeout: .inf", "drain_timeout", "must be a number, got inf", NUMBER),
        ("hedge: {quantile: 1}", "hedge.quantile", "must be less than 1.0, got 1", "write a smaller number"),
        ("hedge: {enabled: 2}", "hedge.enabled", "must be true or false, got 2", "write one of them without quotes"),
        ("log: {format: xml}", "log.format", "must be 'json' or 'console', got xml", "write one of them"),
        ("log: {format: ''}", "log.format", "must be 'json' or 'console', got an empty text", "write one of them"),
        ("log: {format: 'a@b'}", "log.format", "must be 'json' or 'console', got another text", "write one of them"),
        ("wallets: {'a b': {backends: [{name: a, url: http://h}]}}", "wallets.a b",
         "must be a name of letters, digits, dots, dashes and underscores, 63 at most, got a b", "rename it"),
        ("wallets: {two: {backends: []}}", "wallets.two.backends", "must be at least 1 long, got a list",
         "write something there"),
        ("wallets: {two: {backends: {}}}", "wallets.two.backends", "must be a list", LIST),
        ("wallets: {two: {}}", "wallets.two.backends", "is missing", "add `backends: ...`"),
        ("wallets: {two: {profile: '', backends: [{name: a, url: http://h}]}}", "wallets.two.profile",
         "must be at least 1 long, got an empty text", "write something there"),
    ],
)  # fmt: skip
def test_each_kind_of_mistake_has_its_own_words(
    folder: Folder, good: str, written: str, key: str, message: str, remedy: str
) -> None:
    """At the line where it stands."""
    (problem,) = folder.problems(good, written)
    assert (problem.key, problem.message, problem.remedy, problem.line) == (key, message, remedy, 1)


@pytest.mark.parametrize(
    ("client", "key", "message", "remedy"),
    [
        ("{name: b, username: v}", "clients[1].password", "is missing", "add `password_file: PATH` or `password: ...`"),
        ("{name: b, username: v, password: 5}", "clients[1].password", "must be text", "put it in quotes"),
        ("{name: b, username: v, password_fil: x, password: y}", "clients[1].password_fil",
         KNOWN, "did you mean password_file?"),
        ("{name: b, username: '', password: y}", "clients[1].username", "must be at least 1 long, got an empty text",
         "write something there"),
        ("{name: b, username: v, password: y, effects: read}", "clients[1].effects", "must be a list",
         LIST),
        ("{name: b, username: v, password: y, effects: [sign, secret]}", "clients[1].effects",
         "secret cannot be given to a client", "take it out of the list"),
    ],
)  # fmt: skip
def test_mistakes_about_clients_say_the_way_out(
    folder: Folder, good: str, client: str, key: str, message: str, remedy: str
) -> None:
    """A secret is never shown."""
    (problem,) = folder.problems(good.replace("wallets:", f"  - {client}\nwallets:", 1))
    assert (problem.key, problem.message, problem.remedy, problem.line) == (key, message, remedy, 5)


def test_an_effect_that_there_is_not_is_told_with_those_there_are(folder: Folder, good: str) -> None:
    """At its place in the list."""
    (problem,) = folder.problems(good.replace("password:", "effects: [reed]\n    password:"))
    assert problem.key == "clients[0].effects[0]"
    assert "'read', 'wallet_read'" in problem.message


def test_what_no_words_were_found_for_still_has_a_place_and_a_way_out() -> None:
    """A limit that a later model may have."""

    class Later(BaseModel):
        model_config = ConfigDict(extra="forbid")
        port: bytes

    with pytest.raises(ValidationError) as caught:
        Later.model_validate({"port": 5})
    tree = Located({"port": Located(5, "a.yaml", 3)}, "a.yaml", 1)
    (problem,) = problems(tree, caught.value)
    assert str(problem) == "a.yaml:3: port: must be something else, got 5; see docs or config/gateway.yaml"


@pytest.mark.parametrize(
    ("place", "model"),
    [
        ((), Settings),
        (("listen",), Listen),
        (("listen", "tls"), Tls),
        (("listen", "port"), None),
        (("listen", "port", "x"), None),
        (("clients",), None),
        (("clients", 0), Client),
        (("clients", 0, "rate_limit"), RateLimit),
        (("wallets",), None),
        (("wallets", "main"), Wallet),
        (("wallets", "backends"), Wallet),
        (("wallets", "mirror", "backends", 3), Backend),
        (("wallets", "mirror", "backends", 3, "tls"), BackendTls),
        (("nothing",), None),
        (("nothing", "x", 0), None),
    ],
)
def test_each_place_knows_its_model(place: tuple[str | int, ...], model: type | None) -> None:
    """Also where a wallet is called like one of its keys."""
    assert model_at(place) is model


def test_places_read_as_people_write_them() -> None:
    """Dots for names, brackets for entries of lists."""
    assert join(("wallets", "main", "backends", 0, "url")) == "wallets.main.backends[0].url"
    assert join(()) == ""

"""Clashes: found in good settings and in broken ones, each at its place."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.base.clashes import clashes

from .conftest import Folder

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["main", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "wallets",
                    "clients",
                    "main",
                    "name",
                    "username",
                    "backends",
                    "primary",
                    "anonymous",
                    "admin",
                    "users",
                    "tokens",
                    "token",
                    "open",
                    "host",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def found(settings: object) -> list[tuple[object, ...]]:
    """Return the places of the clashes."""
    return [clash.place for clash in clashes(settings)]


def test_settings_that_fit_have_none() -> None:
    """As little as there can be."""
    assert found({"anonymous": True, "wallets": {"main": {"backends": [{"name": "a"}]}}}) == []


def test_names_that_are_there_twice_are_told_at_the_second() -> None:
    """Backends of one wallet, clients, and their user names."""
    settings = {
        "wallets": {
            "main": {"backends": [{"name": "a"}, {"name": "b"}, {"name": "a"}, {"name": "a"}]},
            "other": {"backends": [{"name": "a"}]},
        },
        "clients": [{"name": "x", "username": "u"}, {"name": "y", "username": "u"}, {"name": "x", "username": "v"}],
    }
    assert found(settings) == [
        ("wallets", "main", "backends", 2, "name"),
        ("wallets", "main", "backends", 3, "name"),
        ("clients", 2, "name"),
        ("clients", 1, "username"),
    ]


def test_a_ledger_wants_its_standbys_mirrored() -> None:
    """A standby that does not list what was given out would be blind to its payments."""
    wallets = {"main": {"mirror": False, "backends": [{"name": "a"}]}, "other": {"backends": [{"name": "a"}]}}
    assert found({"anonymous": True, "wallets": wallets}) == []
    assert found({"anonymous": True, "wallets": wallets, "ledger": {"path": "x"}}) == [("wallets", "main", "mirror")]


def test_names_that_name_nothing_are_told_with_what_there_is() -> None:
    """A primary that is no backend, a wallet that is none, and the default wallet where it is not there."""
    settings = {
        "wallets": {"cold": {"primary": "z", "backends": [{"name": "a"}, {"name": "b"}]}},
        "clients": [{"wallets": ["cold", "main"]}, {}, {"wallets": ["cold"]}],
    }
    told = {clash.place: (clash.message, clash.remedy) for clash in clashes(settings)}
    assert told == {
        ("wallets", "cold", "primary"): ("z is not one of the backends", "name one of a, b"),
        ("clients", 0, "wallets", 1): (
            "may call the wallet main, and there is none of that name",
            "name some of cold in its `wallets:`",
        ),
        ("clients", 1): (
            "may call the wallet main, and there is none of that name",
            "name some of cold in its `wallets:`",
        ),
    }


def test_a_door_that_nobody_may_use_is_a_clash() -> None:
    """There must be a client, or anybody must be let in."""
    shapes: list[object] = [{}, {"clients": []}, {"anonymous": False}, {"clients": None}, 5]
    for nobody in shapes:
        assert found(nobody) == [()]


@given(anything)
def test_no_shape_of_settings_makes_the_search_raise(settings: object) -> None:
    """What is wrong in itself is passed over; others tell it."""
    assert all(clash.message and clash.remedy for clash in clashes(settings))


def test_the_loader_tells_them_beside_other_mistakes(folder: Folder, good: str) -> None:
    """At the line of the second name."""
    text = good.replace("ec-2", "ec-1").replace("url: http://127.0.0.1:17771", "url: x")
    assert folder.told(text) == [
        ("0.yaml", 9, "wallets.main.backends[0].url"),
        ("0.yaml", 10, "wallets.main.backends[1].name"),
    ]


def admin(**settings: Any) -> list[tuple[object, ...]]:
    """Return the places of what clashes in a section `admin`, for plain values and for models alike."""
    return found({"anonymous": True, "admin": settings})


def test_somebody_at_the_operators_door_is_one_person_with_one_role() -> None:
    """By name, and by token, of which nobody could say whose it is."""
    kim, lee = {"name": "kim"}, {"name": "lee"}
    assert admin(users=[kim, lee, kim]) == [("admin", "users", 2, "name")]
    cron, stats = {"name": "cron", "token": "x"}, {"name": "stats", "token": SecretStr(" x ")}
    assert admin(tokens=[cron, {**cron, "token": "y"}]) == [("admin", "tokens", 1, "name")]
    assert admin(tokens=[cron, stats]) == [("admin", "tokens", 1, "token")]
    assert admin(token=SecretStr("x"), tokens=[cron]) == [("admin", "tokens", 0, "token")]
    assert admin(tokens=[{"name": "token", "token": "x"}]) == []
    assert admin(token="y", tokens=[{"name": "token", "token": "x"}]) == [("admin", "tokens", 0, "name")]
    assert admin(users=[kim], tokens=[{**cron, "name": "kim"}], token="y") == []
    assert admin(tokens=[{"name": "a", "token": ""}, {"name": "b", "token": 5}, {"name": ["c"]}], token=7) == []


def test_a_door_that_asks_nobody_is_on_this_machine_alone() -> None:
    """And has no users whom it would not ask."""
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST", 5):
        assert admin(open=True, host=host) == []
    for host in ("0.0.0.0", "::", "10.0.0.1", "gw", ""):
        assert admin(open=True, host=host) == [("admin", "open")]
        assert admin(open=False, host=host) == admin(open="x", host=host) == []
    assert admin(open=True) == []
    assert admin(open=True, users=[{"name": "kim"}]) == [("admin", "open")]


def url(address: str) -> dict[str, Any]:
    """One backend at an address."""
    return {"name": "a", "url": address}


def test_one_daemon_is_one_backend_of_one_wallet() -> None:
    """However its address is written: two slots for a serial daemon would be two calls of ours in it."""
    settings = {
        "anonymous": True,
        "wallets": {
            "main": {"backends": [url("http://127.0.0.1:17771"), url("http://LOCALHOST:17771/RPC2")]},
            "cold": {"backends": [url("http://[::1]:17771/"), url("http://127.0.0.1:17771/other")]},
            "web": {
                "backends": [url("https://wallet"), url("https://wallet:443"), url("http://wallet:443x"), url("?")]
            },
        },
    }
    assert [place for place in found(settings) if place[-1] == "url"] == [
        ("wallets", "main", "backends", 1, "url"),
        ("wallets", "cold", "backends", 0, "url"),
        ("wallets", "web", "backends", 1, "url"),
    ]


def test_a_door_is_no_backend_and_has_its_own_port() -> None:
    """A gateway that calls itself would do so for ever; port 0 is any free one."""
    wallets = {"main": {"backends": [url("http://127.0.0.1:7777")]}}
    settings = {"anonymous": True, "wallets": wallets, "listen": {"host": "0.0.0.0"}, "admin": {"port": 7777}}
    assert found(settings) == [("admin", "port"), ("wallets", "main", "backends", 0, "url")]
    free = {"anonymous": True, "wallets": {}, "listen": {"port": 0}, "admin": {"port": 0}}
    assert found(free) == []

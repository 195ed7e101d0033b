"""Each switch of a daemon: what it does, and that heal undoes it."""

import threading
import time
from pathlib import Path

import pytest

from gateway.sandbox.control import SWITCHES, WITH_VALUE
from gateway.sandbox.fleet import Fleet, RpcError, tell
from gateway.sandbox.node import MEBIBYTE
from tests.sandbox.conftest import eventually, fund, is_wedged, receiving

pytestmark = pytest.mark.integration


def resident(fleet: Fleet) -> int:
    """The resident memory of daemon 0, in bytes."""
    fields = Path(f"/proc/{fleet.pid(0)}/statm").read_text().split()
    return int(fields[1]) * 4096


def test_every_switch_has_its_test_here_or_in_the_tests_of_the_chain_server() -> None:
    """A new switch without a test shows here."""
    texts = "".join(Path(__file__).with_name(name).read_text() for name in ("test_switches.py", "test_chain_server.py"))
    assert [name for name in SWITCHES if f'control(0, "{name}"' not in texts] == []


def test_freeze_serves_nobody_until_heal_and_then_everybody(one: Fleet) -> None:
    """Callers wait although the process runs; what they asked is done after heal, also if they have gone."""
    one.control(0, "freeze")
    assert is_wedged(one)
    assert is_wedged(one)
    assert one.journal(0) == []
    one.control(0, "heal")
    assert one.rpc(0, "ping") is True
    assert [entry["method"] for entry in one.journal(0)] == ["ping"] * 3


def test_freeze_counts_also_in_the_middle_of_a_call(one: Fleet) -> None:
    """A switch never waits for the call that runs: a slow one can be frozen, and heal lets it end."""
    one.control(0, "slow", 0.3)
    answers: list[object] = []
    caller = threading.Thread(target=lambda: answers.append(one.rpc(0, "ping")))
    caller.start()
    one.control(0, "freeze")
    one.control(0, "heal")
    caller.join()
    assert answers == [True]


def test_leak_keeps_memory_with_each_call(one: Fleet) -> None:
    """Two mebibytes a call, really resident; heal gives them up."""
    before = resident(one)
    one.control(0, "leak", 2)
    for _ in range(20):
        one.rpc(0, "ping")
    leaked = resident(one)
    assert leaked > before + 35 * MEBIBYTE
    one.control(0, "heal")
    one.rpc(0, "ping")
    assert resident(one) < leaked - 20 * MEBIBYTE


def test_behind_shows_an_older_chain_with_nothing_else_wrong(two: Fleet) -> None:
    """Height, balance and history are those of some blocks ago, and stay so far behind as new blocks come."""
    for address in receiving(two)[:3]:
        fund(two, address)
    two.control(0, "behind", 2)
    info = two.rpc(0, "getinfo")
    assert (info["blockchain_height"], info["server_height"], info["connected"]) == (121, 121, True)
    assert two.rpc(0, "is_synchronized") is True
    assert [two.rpc(index, "getbalance")["confirmed"] for index in (0, 1)] == ["1", "3"]
    two.chain("mine")
    assert [two.rpc(index, "getinfo")["blockchain_height"] for index in (0, 1)] == [122, 124]
    two.control(0, "heal")
    assert two.rpc(0, "getbalance") == {"confirmed": "3"}
    assert two.rpc(0, "getinfo")["blockchain_height"] == 124


def test_slow_makes_each_call_take_longer(one: Fleet) -> None:
    """At least so many seconds a call, one after the other; heal ends it."""
    one.control(0, "slow", 0.2)
    begun = time.monotonic()
    one.rpc(0, "ping")
    one.rpc(0, "ping")
    # A lower bound holds on any machine.
    assert time.monotonic() - begun >= 0.4
    one.control(0, "heal")
    assert not is_wedged(one)


def test_unload_takes_the_wallet_away_unsaved(one: Fleet) -> None:
    """As after a start: calls that need the wallet fail; what was not saved is lost, and heal does not load it."""
    given = one.rpc(0, "createnewaddress")
    one.control(0, "unload")
    one.control(0, "heal")
    assert one.rpc(0, "list_wallets") == []
    with pytest.raises(RpcError, match="Wallet not loaded"):
        one.rpc(0, "getbalance")
    assert one.rpc(0, "load_wallet") is True
    assert one.rpc(0, "createnewaddress") == given


def test_heal_undoes_what_was_missed(one: Fleet) -> None:
    """A wrong balance is right again without a reload, and the chain is back."""
    fund(one, receiving(one)[0])
    one.control(0, "wrong_balance")
    one.control(0, "lose_chain")
    assert one.rpc(0, "getbalance") == {"confirmed": "0"}
    one.control(0, "heal")
    assert one.rpc(0, "getbalance") == {"confirmed": "1"}
    assert one.rpc(0, "getinfo")["connected"] is True


def test_a_restart_forgets_all_switches(one: Fleet) -> None:
    """Switches live in the process: a killed daemon comes back sound, on the same ports."""
    one.control(0, "freeze")
    one.control(0, "lose_chain")
    one.kill(0)
    one.start(0)
    assert one.rpc(0, "getinfo")["connected"] is True


@pytest.mark.parametrize("asked", [{"cmd": "explode"}, {}, *({"cmd": name} for name in sorted(WITH_VALUE))])
def test_a_wrong_switch_is_refused_and_does_nothing(shop: Fleet, asked: dict[str, object]) -> None:
    """Unknown names and missing values are answered with an error; the daemon goes on."""
    with pytest.raises(RuntimeError):
        tell(shop.control_port(0), asked)
    assert shop.rpc(0, "ping") is True


def test_a_silent_server_is_noticed_by_itself_in_the_end(one: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five minutes of silence show as height 0; here the minutes are made short, inside this process."""
    from gateway.sandbox import link  # noqa: PLC0415 - its constant is what the test changes

    line = link.ChainLink("127.0.0.1", one.chain_port)
    line.look()
    line.fall_silent()
    assert (line.connected, line.server_height) == (True, 120)
    monkeypatch.setattr(link, "PING_TIMEOUT", 0.0)
    assert eventually(lambda: line.server_height == 0)
    assert line.connected
    line.heal()
    assert line.server_height == 120
    line._hang_up()

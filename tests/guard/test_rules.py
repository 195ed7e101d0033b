"""What the socket guard lets through."""

import json
import re
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.rules import LONGEST_TARGET, VERBS, Allowed, Asked, Kind, Label, Refused, decide
from tests.guard.conftest import LABEL

ID = "c" * 64


def refused(method: str, target: str, **more: bool) -> int:
    """The status of a request that is not let through; fails where it is."""
    decision = decide(Asked(method, target, **more), LABEL)
    assert isinstance(decision, Refused), f"{method} {target} was let through"
    return decision.status


def passed(method: str, target: str, label: Label = LABEL) -> str:
    """What the engine is asked for a request; fails where nothing is."""
    decision = decide(Asked(method, target), label)
    assert isinstance(decision, Allowed), decision
    return decision.target(ID)


@pytest.mark.parametrize(
    ("method", "target", "asked"),
    [
        ("GET", "/_ping", "/_ping"),
        ("HEAD", "/_ping", "/_ping"),
        ("GET", "/v1.41/_ping", "/v1.41/_ping"),
        ("GET", "/containers/wallet-1/json", f"/containers/{ID}/json"),
        ("GET", "/v1.41/containers/wallet-1/json", f"/v1.41/containers/{ID}/json"),
        ("GET", "/v1.52/containers/w/stats?stream=false", f"/v1.52/containers/{ID}/stats?stream=false"),
        (
            "GET",
            "/containers/w/stats?stream=0&one-shot=true",
            f"/containers/{ID}/stats?one-shot=true&stream=0",
        ),
        ("POST", "/v1.41/containers/w/start", f"/v1.41/containers/{ID}/start"),
        ("POST", "/v1.41/containers/w/stop?t=15", f"/v1.41/containers/{ID}/stop?t=15"),
        ("POST", "/v1.41/containers/w/restart?t=0", f"/v1.41/containers/{ID}/restart?t=0"),
        ("POST", "/v1.41/containers/w/kill", f"/v1.41/containers/{ID}/kill"),
        ("POST", "/v1.41/containers/w/kill?signal=SIGKILL", f"/v1.41/containers/{ID}/kill?signal=SIGKILL"),
        ("POST", "/v1.41/containers/w/unpause", f"/v1.41/containers/{ID}/unpause"),
    ],
)
def test_what_a_gateway_needs_is_asked_anew_about_the_full_id(method: str, target: str, asked: str) -> None:
    """The name that the caller gave is not in it."""
    assert passed(method, target) == asked


def test_a_stop_that_may_take_long_is_waited_for() -> None:
    """The grace comes on top of the usual patience."""
    decision = decide(Asked("POST", "/containers/w/stop?t=120"), LABEL)
    assert isinstance(decision, Allowed)
    assert decision.patience == 120.0


@pytest.mark.parametrize(
    "target",
    [
        # what a Docker socket is worth to an attacker
        "/containers/create",
        "/containers/json",
        "/containers/w/exec",
        "/containers/w/attach?stream=1",
        "/containers/w/attach/ws",
        "/containers/w/archive?path=/",
        "/containers/w/export",
        "/containers/w/logs?stdout=1",
        "/containers/w/top",
        "/containers/w/changes",
        "/containers/w/update",
        "/containers/w/rename?name=x",
        "/containers/w/copy",
        "/containers/w/resize",
        "/containers/w/wait",
        "/containers/prune",
        "/containers/w",
        "/exec/x/start",
        "/images/json",
        "/build",
        "/commit",
        "/info",
        "/version",
        "/system/df",
        "/auth",
        "/session",
        "/grpc",
        "/networks",
        "/volumes",
        "/plugins",
        "/swarm",
        "/services",
        "/secrets",
        "/configs",
        "/nodes",
        "/tasks",
        "/distribution/x/json",
        "/",
        "",
        "*",
        # tricks with paths
        "/containers/../info",
        "/containers/../../etc/json",
        "/containers/./json",
        "/containers/.../json",
        "/containers/..%2f..%2finfo/json",
        "/containers/%2e%2e/json",
        "/containers/w%2fexec/json",
        "/containers/w%00/json",
        "/containers/w/%6ason",
        "/containers/w/json/",
        "/containers/w/json/../exec",
        "/containers/w//json",
        "//containers/w/json",
        "/containers//json",
        "/containers/w/json#x",
        "/containers/w/json;x",
        "/containers/w\\..\\x/json",
        "/containers/w json",
        "/containers/w/json\r\nX: y",
        "/containers/w/JSON",
        "/Containers/w/json",
        "/CONTAINERS/w/json",
        "/containers/\uff57/json",
        "/containers/-w/json",
        "/containers/_w/json",
        f"/containers/{'w' * 256}/json",
        "http://engine/containers/w/json",
        "engine:443",
        "containers/w/json",
        # versions
        "/v1.23/containers/w/json",
        "/v1.12/containers/w/json",
        "/v1.100/containers/w/json",
        "/v2.0/containers/w/json",
        "/v1.41/v1.41/containers/w/json",
        "/v1.4x/containers/w/json",
        "/V1.41/containers/w/json",
        "/v1.41/libpod/containers/w/json",
        "/libpod/containers/w/json",
        "/_ping/",
        "/_pingx",
        "/events/x",
        # queries
        "/containers/w/json?size=true",
        "/containers/w/json?x",
        "/containers/w/json?x=y",
        "/containers/w/json?%73ize=1",
        "/containers/w/json?a;b",
        "/containers/w/stats",
        "/containers/w/stats?stream=true",
        "/containers/w/stats?stream=false&stream=true",
        "/containers/w/stats?stream=false&%73tream=true",
        "/containers/w/stats?stream=",
        "/containers/w/stats?stream=FALSE",
        "/containers/w/stats?stream=false&one-shot=",
        "/_ping?x=1",
    ],
)
def test_nothing_else_can_be_read(target: str) -> None:
    """Nor asked for in a way that this and the engine could understand differently."""
    assert refused("GET", target) in {400, 403}


@pytest.mark.parametrize("verb", ["start", "stop", "kill", "restart", "unpause"])
def test_an_order_is_no_question_and_a_question_no_order(verb: str) -> None:
    """Whoever may only look may not do, and the other way round."""
    assert refused("GET", f"/containers/w/{verb}") == 405
    assert refused("PUT", f"/containers/w/{verb}") == 405
    assert refused("HEAD", f"/containers/w/{verb}") == 405
    assert refused("post", f"/containers/w/{verb}") == 405


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PROPFIND"]
)
def test_what_is_looked_at_cannot_be_changed(method: str) -> None:
    """DELETE of a container is not in the table either."""
    assert refused(method, "/containers/w/json") == 405
    assert refused(method, "/containers/w/stats?stream=false") == 405
    assert refused(method, "/containers/w?force=1") == 403
    if method != "HEAD":
        assert refused(method, "/_ping") == 405
    assert refused(method, "/events") == 405


@pytest.mark.parametrize(
    "target",
    [
        "/containers/w/stop?t=-1",
        "/containers/w/stop?t=601",
        "/containers/w/stop?t=9999",
        "/containers/w/stop?t=1e2",
        "/containers/w/stop?t=%D9%A1",  # a digit, in Arabic
        "/containers/w/stop?t=",
        "/containers/w/stop?t=1&t=2",
        "/containers/w/stop?signal=SIGSEGV",
        "/containers/w/kill?signal=SIGSTOP",
        "/containers/w/kill?signal=TERM%20",
        "/containers/w/start?detachKeys=x",
        "/containers/w/start?checkpoint=x",
        "/containers/w/start?a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9",
    ],
)
def test_an_order_takes_no_more_than_its_own_parameter(target: str) -> None:
    """And that within bounds."""
    assert refused("POST", target) in {400, 403}


def test_a_body_and_another_protocol_are_refused_before_all_else() -> None:
    """An order brings neither; exec and attach take the connection over."""
    assert refused("POST", "/containers/w/start", has_body=True) == 413
    assert refused("POST", "/containers/w/start", upgrades=True) == 403
    assert refused("GET", "/containers/w/json", has_body=True) == 413


def test_a_very_long_target_is_refused() -> None:
    """Without being looked at."""
    assert refused("GET", "/containers/w/json?" + "x=1&" * LONGEST_TARGET) == 403


# -- events


def events(filters: object, more: str = "", label: Label = LABEL) -> dict[str, Any]:
    """The filters that the engine is given; fails where the stream is refused."""
    asked = passed("GET", f"/v1.41/events?filters={quote(json.dumps(filters), safe='')}{more}", label)
    assert asked.startswith("/v1.41/events?")
    found: dict[str, Any] = json.loads(parse_qs(asked.partition("?")[2])["filters"][0])
    return found


NARROWEST = {"type": ["container"], "event": ["die", "oom"], "label": ["ecgw.wallet"]}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"type": ["container"]},
        {"event": ["die", "oom"]},
        {"type": ["container"], "event": ["oom", "die"], "label": ["ecgw.wallet"]},
        {"type": {"container": True}, "event": {"die": True, "oom": True}},
        {"event": []},
    ],
)
def test_whatever_events_are_asked_for_only_deaths_of_ours_are_told(asked: object) -> None:
    """The label and the types are added where they were left out."""
    assert events(asked) == NARROWEST


def test_events_without_filters_are_the_same() -> None:
    """The engine's default would be all events of all things."""
    asked = passed("GET", "/events")
    assert json.loads(parse_qs(asked.partition("?")[2])["filters"][0]) == NARROWEST


def test_events_are_understood_as_the_launcher_asks_for_them() -> None:
    """Word for word, as its HTTP client writes it."""
    asked = passed(
        "GET",
        "/v1.41/events?filters=%7B%22type%22:+%5B%22container%22%5D,+%22container%22:+%5B%22ecgw-ec-2-1%22%5D,"
        "+%22event%22:+%5B%22die%22,+%22oom%22%5D%7D",
    )
    found = json.loads(parse_qs(asked.partition("?")[2])["filters"][0])
    assert found == {**NARROWEST, "container": ["ecgw-ec-2-1"]}


def test_events_can_be_narrowed_further() -> None:
    """To one container, one event and a time."""
    assert events({"event": ["oom"], "container": ["wallet-1"]}) == {
        "type": ["container"],
        "event": ["oom"],
        "label": ["ecgw.wallet"],
        "container": ["wallet-1"],
    }
    assert "since=1795878706.123456789" in passed("GET", "/events?since=1795878706.123456789&until=1795878707")


def test_a_label_with_a_value_narrows_events_too() -> None:
    """Two projects on one machine do not hear of each other."""
    ours = Label("ecgw.wallet", "shop")
    assert events({"label": ["ecgw.wallet"]}, label=ours)["label"] == ["ecgw.wallet=shop"]
    assert events({"label": ["ecgw.wallet=shop"]}, label=ours)["label"] == ["ecgw.wallet=shop"]


@pytest.mark.parametrize(
    "filters",
    [
        {"event": ["exec_create"]},
        {"event": ["die", "start"]},
        {"event": {"die": True, "create": True}},
        {"type": ["image"]},
        {"type": ["container", "network"]},
        {"label": ["com.example"]},
        {"label": ["ecgw.wallet=other"]},
        {"container": ["../x"]},
        {"container": [""]},
        {"image": ["x"]},
        {"event": "die"},
        {"event": [1]},
        {"event": None},
        [],
        "die",
        1,
        None,
    ],
)
def test_other_events_are_refused(filters: object) -> None:
    """Starts of execs show commands, images show what else runs."""
    assert refused("GET", f"/events?filters={quote(json.dumps(filters), safe='')}") == 403


@pytest.mark.parametrize("text", ["", "%7B", "[" * 2000, "%7B%22event%22%3A%5B%22die%22%5D%7D%7D"])
def test_filters_that_are_no_json_are_refused(text: str) -> None:
    """However deep."""
    assert refused("GET", f"/events?filters={quote(text, safe='%')}") == 403


@pytest.mark.parametrize("more", ["since=x", "until=1h", "since=-1", "since=1&since=2", "x=1"])
def test_times_of_events_are_numbers(more: str) -> None:
    """The engine also takes words here, which nobody needs."""
    assert refused("GET", f"/events?{more}") in {400, 403}


# -- the label


def test_a_label_is_read_from_the_command_line() -> None:
    """With or without a value."""
    assert Label.parse("ecgw.wallet") == Label("ecgw.wallet")
    assert Label.parse("ecgw.wallet=shop") == Label("ecgw.wallet", "shop")
    assert str(Label.parse("ecgw.wallet=shop")) == "ecgw.wallet=shop"


@pytest.mark.parametrize("text", ["", "=", "=x", "a=", "a b", "a=b=c", "a=b c", "é"])
def test_a_label_that_is_none_is_refused(text: str) -> None:
    """An empty one would be on every container."""
    with pytest.raises(ValueError, match="a label is"):
        Label.parse(text)


# -- for any request at all

CANONICAL = re.compile(
    rf"(/v1\.[2-9][0-9])?/(_ping|events\?[a-z0-9A-Z_=&%.-]+|containers/{ID}/({'|'.join(VERBS)})(\?[a-zA-Z0-9=&-]+)?)"
)
PATHS = ("..", "containers", "w", "json", "exec", "start", "stop", "stats", "v1.41", "_ping", "events", "create")
PIECES = st.sampled_from(
    [*"/?&=#;\\ \r\n\0+\uff57", "%2e", "%2f", "%00", "t=1", "stream=false", "filters={}", *PATHS],
)


@pytest.mark.long
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "CONNECT"]),
    target=st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=60)),
)
def test_what_is_asked_of_the_engine_is_always_one_of_a_few(method: str, target: str) -> None:
    """Whatever came, and the method fits."""
    decision = decide(Asked(method, target), LABEL)
    if isinstance(decision, Allowed):
        assert CANONICAL.fullmatch(decision.target(ID)), decision.target(ID)
        assert (method == "POST") == (decision.kind is Kind.ORDER)


WORDS = st.sampled_from(["container", "image", "die", "oom", "start", "ecgw.wallet", "ecgw.wallet=x", "w", "..", ""])
KEYS = st.sampled_from(["type", "event", "container", "label", "image"])


@given(st.dictionaries(KEYS, st.lists(WORDS, max_size=3) | st.dictionaries(WORDS, st.booleans(), max_size=3)))
def test_no_filters_bring_the_events_of_others(filters: dict[str, object]) -> None:
    """Refused, or narrowed."""
    decision = decide(Asked("GET", f"/events?filters={quote(json.dumps(filters), safe='')}"), LABEL)
    if isinstance(decision, Allowed):
        asked = json.loads(dict(decision.query)["filters"])
        assert asked["label"] == ["ecgw.wallet"]
        assert asked["type"] == ["container"]
        assert set(asked["event"]) <= {"die", "oom"}

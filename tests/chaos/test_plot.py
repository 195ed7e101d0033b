"""What a picture of a run shows."""

import re
from xml.etree import ElementTree as ET

import pytest

from chaos.plot import SHAPES, SINGLE, patterns, plot, style_sheet, time
from chaos.result import Result
from tests.chaos.made_results import BEGAN, WICKED, gateway_run, peer_run

SVG = "{http://www.w3.org/2000/svg}"


def parsed(result: Result) -> ET.Element:
    """Return the picture as a tree, which only sound XML gives."""
    return ET.fromstring(plot(result))  # noqa: S314 - our own text


def texts(result: Result) -> list[str]:
    """Return every word in it."""
    return [one.text or "" for one in parsed(result).iter(f"{SVG}text")]


def test_a_picture_shows_faults_phases_and_calls() -> None:
    """Each by a word or a shape, and not by a colour alone."""
    words = texts(gateway_run())
    assert {"freeze: ec-1", "ec-1", "ec-2", "READY", "EJECTED", "read answered"} <= set(words)
    assert "address, payment, batch answered" in words
    assert "promised: no read above 50 ms" in words


def test_a_fault_begins_and_ends_where_it_did() -> None:
    """On the same axis as the calls."""
    [bar] = [one for one in parsed(gateway_run()).iter(f"{SVG}rect") if one.get("class") == "fault"]
    left, width = float(bar.get("x", "")), float(bar.get("width", ""))
    assert left == pytest.approx(84 + 0.3 * 864, abs=0.1)
    assert width == pytest.approx(0.2 * 864, abs=0.2)


def test_each_call_that_was_not_answered_says_when_and_how() -> None:
    """By its shape, and in words for whoever points at it."""
    [cross] = [one for one in parsed(peer_run()).iter(f"{SVG}path") if one.get("class") == "call error" and len(one)]
    assert cross[0].text == "read at 3.20 s: error, after 3 s"


def test_very_many_errors_are_drawn_as_one() -> None:
    """So that the picture of a bad day can be opened."""
    run = peer_run(calls=[(BEGAN + 60 + n / 100, BEGAN + 61, "read", "refused") for n in range(SINGLE + 1)])
    found = [one for one in parsed(run).iter(f"{SVG}path") if one.get("class") == "call refused"]
    assert len(found) == 2, "all of them, and the legend"
    assert (found[0].get("d") or "").count("M") == SINGLE + 1


def test_a_door_that_tells_no_phases_has_no_lanes() -> None:
    """A balancer says nothing of its wallets, and nothing is made up."""
    assert not {"READY", "unknown", "ec-1"} & set(texts(peer_run()))


def test_whatever_a_run_says_is_escaped() -> None:
    """In words, in titles and in attributes."""
    run = gateway_run(
        phases=[{"at": BEGAN, "backend": WICKED, "phase": WICKED}],
        calls=[(BEGAN, BEGAN + 1, WICKED, WICKED)],
        faults=[{**gateway_run().faults[0], "name": WICKED}],
    )
    run.scenario = run.door = WICKED
    text = plot(run)
    assert "<script" not in text
    ET.fromstring(text)  # noqa: S314 - our own text
    assert WICKED in texts(run)


def test_a_run_in_which_nobody_called_is_a_picture_too() -> None:
    """Without faults and phases as well."""
    parsed(Result("none", "gateway", 1, "", began=BEGAN))


def test_a_picture_alone_has_its_style_and_one_in_a_page_has_not() -> None:
    """A page has it once."""
    assert "<style>" in plot(gateway_run())
    assert "<defs>" in plot(gateway_run())
    inside = plot(gateway_run(), is_alone=False)
    assert "<style>" not in inside
    assert "<defs>" not in inside


def test_every_class_and_every_pattern_that_is_used_exists() -> None:
    """A shape without a style would not be seen."""
    used = set(re.findall(r'class="call (\w+)"', plot(gateway_run()) + plot(peer_run()))) | set(SHAPES)
    assert used <= set(re.findall(r"\.plot \.(\w+)", style_sheet()))
    assert set(re.findall(r"url\(#([\w-]+)\)", plot(gateway_run()))) <= set(re.findall(r'id="([\w-]+)"', patterns()))


def test_nothing_in_it_comes_from_outside() -> None:
    """No address but the name of the format."""
    assert re.findall(r"https?://[^\"]*", plot(gateway_run())) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.001, "1 ms"),
        (0.0426, "43 ms"),
        (0.1445, "144 ms"),
        (0.9999, "1 s"),
        (1.04, "1 s"),
        (3.74, "3.7 s"),
        (45.2, "45 s"),
    ],
)
def test_times_are_told_with_two_or_three_figures(seconds: float, said: str) -> None:
    """Nobody reads more."""
    assert time(seconds) == said

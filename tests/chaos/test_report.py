"""The pages of a report: what is in them, and that nothing else gets in."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chaos import machine, report_html, report_md
from chaos.columns import COLUMNS
from chaos.findings import made
from chaos.machine import Machine
from chaos.pages import results_in
from chaos.report import table, write
from chaos.result import Result
from tests.chaos.made_results import WICKED, failed_start, gateway_run, peer_run, red_run, skipped_run

ABOUT = Machine("29 November 2026", 2, 0.5, "Linux 6", {"HAProxy": "2.6.12"})
ALL = [gateway_run(), peer_run(), red_run(), skipped_run(), failed_start()]


class Reader(HTMLParser):
    """Keeps tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.texts.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(filter(None, self.texts))


@pytest.fixture(scope="module")
def reader() -> Reader:
    """Return the page of all kinds of runs, read."""
    return Reader(report_html.page(made(ALL, ABOUT)))


def test_the_page_has_everything_that_was_run(reader: Reader) -> None:
    """Each with its door, its verdict and the command that makes it again; what was not made with its reason."""
    for run in ALL:
        assert run.scenario in reader.text
        assert run.repeat in reader.text
    for words in (
        "slowest read 40 ms, at most 50 ms promised",
        "4 runs of 3 scenarios",
        "HAProxy",
        "2.6.12",
        "VIOLATED",
        "compared",
        "no faketime",
        "12 of 28",
        "The primary stands still.",
    ):
        assert words in reader.text
    assert reader.tags.count("svg") >= 4
    assert [text for text in reader.texts if text.startswith("[1]")], "violations in words"


def test_the_page_explains_each_column(reader: Reader) -> None:
    """Somebody reads it who was not there."""
    for column in COLUMNS:
        assert column.explained in reader.text


def test_words_of_a_daemon_stay_words(reader: Reader) -> None:
    """No tag, no script, no attribute comes out of a run."""
    assert "script" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert WICKED in reader.text


def test_the_page_asks_nobody_for_anything(reader: Reader) -> None:
    """One file, which can be sent by mail; its own policy forbids the rest."""
    page = report_html.page(made(ALL, ABOUT))
    assert "http" not in re.sub(r'http-equiv="[\w-]+"', "", page)
    assert not {"link", "img", "iframe", "object"} & set(reader.tags)
    assert not [value for name, value in reader.attributes if name in {"src", "href"} and not value.startswith("#")]
    assert "default-src 'none'" in page


def test_links_in_the_page_lead_somewhere_and_no_name_is_given_twice(reader: Reader) -> None:
    """From the table to the pictures."""
    names = [value for name, value in reader.attributes if name == "id"]
    assert len(names) == len(set(names))
    assert {value[1:] for name, value in reader.attributes if name == "href"} <= set(names)


def test_a_busy_machine_is_told_above_the_figures() -> None:
    """Times of such a run mean little."""
    busy = Machine("now", 2, 9.5, "Linux 6")
    assert "Others were at work" in report_html.page(made(ALL, busy))
    assert "Others were at work" in report_md.tables(made(ALL, busy))
    assert "Others were at work" not in report_html.page(made(ALL, ABOUT))


def test_the_tables_of_the_documentation_have_all_doors_and_reasons() -> None:
    """Side by side what was compared; below what did not hold and what was left out."""
    text = report_md.tables(made(ALL, ABOUT))
    [ours] = [line for line in text.splitlines() if line.startswith("| **freeze** | ec-gateway")]
    assert "| 0 of 400 | 40 ms (2 ms) | 0 | 0 of 30 | 0 of 30 | 0 | 500 ms | held |" in ours
    assert "|  | HAProxy | **2 of 400** | 3 s (2 ms) | 3.2 s | **12 of 28** |" in text
    assert "`make chaos SCENARIO=freeze SEED=7`" in text
    assert "| clock\\_jump | ec-gateway | no faketime" in text


def test_a_fault_that_was_not_done_and_what_liveness_rests_on_are_told(tmp_path: Path) -> None:
    """On both pages, so that a run which did nothing is seen."""
    run = gateway_run(left_out=["kill of 1 at 3 s: nobody was there"])
    run.figures |= {"allocations_after_fault": 50.0, "allocations_counted": 28.0}
    _, markdown = write([run], tmp_path)
    pages = [markdown.read_text(encoding="utf-8"), Reader(report_html.page(made([run], ABOUT))).text]
    for page in pages:
        assert "28 of 50 allocations after the first fault counted" in page
        assert "kill of 1 at 3 s: nobody was there" in page
    assert "planned and not done" not in report_md.tables(made([gateway_run()], ABOUT))


def test_markdown_keeps_words_in_their_cells() -> None:
    """A bar does not end a cell, a bracket begins no tag."""
    found = report_md.text(WICKED + "\nnext")
    assert found == '\\<script\\>alert("x")\\</script\\> \\| & \\`code\\` next'
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in _left_out(report_md.tables(made(ALL, ABOUT))))


def _left_out(text: str) -> list[str]:
    return [line for line in text.partition("### Left out")[2].splitlines() if line.startswith("|")]


def test_a_report_is_written_with_a_picture_of_each_run_and_can_be_told_again(tmp_path: Path) -> None:
    """Page, Markdown, pictures, and the machine it was made on."""
    files = write(ALL, tmp_path)
    assert [one.name for one in files] == ["report.html", "report.md"]
    pictures = {one.name for one in (tmp_path / "plots").iterdir()}
    assert pictures == {"freeze-1-gateway.svg", "freeze-1-haproxy.svg", "freeze-7-gateway.svg"}
    text = files[1].read_text(encoding="utf-8")
    assert set(re.findall(r"\(plots/([\w.-]+)\)", text)) == pictures
    machine.save(ABOUT, tmp_path)
    told = table([gateway_run(folder=str(tmp_path / "freeze-1-gateway"))])
    assert told.startswith("Made on 29 November 2026: 2 cores, Linux 6")
    assert "no faketime" in table(results_in(tmp_path)), "what was not made is told again too"


@pytest.mark.parametrize(("runs", "sign"), [([gateway_run()], "✓"), ([peer_run()], "!"), ([red_run()], "✗")])
def test_the_page_shows_a_check_only_where_ours_was_run_and_held(runs: list[Result], sign: str) -> None:
    """Through other doors alone there is no success to show."""
    page = report_html.page(made(runs, ABOUT))
    assert [one for one in "✓!✗" if f'aria-hidden="true">{one}</span>' in page] == [sign]


def test_a_report_of_nothing_is_a_report() -> None:
    """Where every run was left out."""
    report = made([skipped_run()], ABOUT)
    assert "No run was made" in report_html.page(report)
    assert "Left out" in report_md.tables(report)


def test_a_machine_tells_its_versions_and_no_name(tmp_path: Path) -> None:
    """What somebody else needs to compare with; read again as it was written."""
    found = machine.look()
    assert found.cores >= 1
    assert {"ec-gateway", "Python"} <= set(found.versions)
    machine.save(found, tmp_path)
    assert machine.load(tmp_path) == found
    assert machine.load(tmp_path / "elsewhere") is None

"""What is written for operators stays true where a machine can tell: links, commands, options, the two READMEs.

A document is every Markdown file at the top and in docs/.  Code is what is indented or fenced, and what stands in
backquotes; links are looked for everywhere else.
"""

import re
import sqlite3
from pathlib import Path

import click
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from gateway.cli import main
from gateway.ledger.migrations import versions
from gateway.ledger.schema import metadata
from gateway.rules.kinds import ROWS, Kind

ROOT = Path(__file__).parents[2]

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"

FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)

INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?: {4}.*\n(?:\n+(?= {4}))?)+)", re.MULTILINE)
"""A block of code; paragraphs of lists that are indented as far are taken along, which only leaves their links out."""

SPAN = re.compile(r"`([^`]+)`")

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)

COMMENT = re.compile(r"(?:^|\s+)#.*$")

PATH = re.compile(r"(?<![\w/.-])((?:docs|config|scripts|bench|tests|gateway)/[\w./-]+\w)", re.ASCII)

COMMAND = re.compile(r"(?:^|bin/|-- |gateway(?:-[12])? )ec-gateway (.+)$")
"""Alone, by its path, or in a container."""

ELSEWHERE = ("http://", "https://")


def text_of(path: Path) -> str:
    """A document."""
    return path.read_text(encoding="utf-8")


def prose_of(path: Path) -> str:
    """The same without code."""
    return SPAN.sub("", re.sub(r"^ {4,}.*$", "", FENCED.sub("", text_of(path)), flags=re.MULTILINE))


def chapters_of(path: Path) -> set[str]:
    """Its headings as links name them."""
    titles = [SPAN.sub(r"\1", title).lower() for _, title in HEADING.findall(FENCED.sub("", text_of(path)))]
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


def code_of(text: str) -> list[str]:
    """Lines of code without comments and without drawings, whose words are in the reader's language."""
    blocks = [block for block in INDENTED.findall(text) if "--->" not in block]
    lines = [COMMENT.sub("", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def parts_of(path: Path) -> list[tuple[str, str]]:
    """Level and text of each section, the part before the first heading left out."""
    found = re.split(r"^(#+) .*\n", text_of(path), flags=re.MULTILINE)
    return list(zip(found[1::2], found[2::2], strict=True))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_chapter(path: Path) -> None:
    """Of this project; what lies elsewhere nobody here can promise."""
    lost = []
    for link in LINK.findall(prose_of(path)):
        name, _, chapter = link.partition("#")
        goal = path.parent / name if name else path
        if link.startswith(ELSEWHERE):
            continue
        if not goal.exists() or (chapter and chapter not in chapters_of(goal)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    """By its path from the top."""
    lost = {name for name in PATH.findall(text_of(path)) if "NAME" not in name and not (ROOT / name).exists()}
    assert lost == set()


def test_both_readmes_have_the_same_sections_commands_and_links() -> None:
    """So that who reads Korean is told no less, and nothing else."""
    english, korean = parts_of(ENGLISH), parts_of(KOREAN)
    assert [level for level, _ in english] == [level for level, _ in korean]
    for (_, one), (_, other) in zip(english, korean, strict=True):
        assert code_of(one) == code_of(other)
        links = sorted(LINK.findall(one)), sorted(LINK.findall(other.replace(f"({ENGLISH.name})", f"({KOREAN.name})")))
        assert links[0] == links[1]
        spans = [set(SPAN.findall(re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE))) for text in (one, other)]
        assert spans[0] == spans[1]


def test_readme_begins_with_the_two_commands() -> None:
    """Who has never seen the project needs no other."""
    for path in (ENGLISH, KOREAN):
        assert code_of(text_of(path))[:2] == ["make sandbox", "make test"]


def test_the_picture_in_readme_is_one() -> None:
    """A PNG that is shown at the width of a page."""
    head = (ROOT / "docs" / "status-page.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert 600 <= int.from_bytes(head[16:20], "big") <= 2400


def commands_in(path: Path) -> list[str]:
    """What follows `ec-gateway` wherever a command is written down."""
    prose = re.sub(r"^ {4,}.*$", "", FENCED.sub("", text_of(path)), flags=re.MULTILINE)
    lines = [COMMENT.sub("", line) for line in re.findall(r"^ {4,}(.+)$", text_of(path), re.MULTILINE)]
    found = [
        *(
            one.removeprefix("ec-gateway ")
            for one in SPAN.findall(" ".join(prose.split()))
            if one.startswith("ec-gateway ")
        ),
        *(there[1] for line in lines if (there := COMMAND.search(line))),
    ]
    return [one for one in found if re.match(r"[a-z]", one)]


def wrong_in(words: str) -> str:
    """What a command line asks of `ec-gateway` that it does not know; "" for nothing."""
    command: click.Command = main
    parts = words.split()
    while parts and isinstance(command, click.Group):
        group, context = command, click.Context(command)
        names = parts.pop(0).replace("\\", "").split("|")
        for one in names:
            if (found := group.get_command(context, one)) is None:
                return one
            command = found
    known = {one for option in command.params for one in (*option.opts, *option.secondary_opts)}
    asked = [part.strip("[],.;").partition("=")[0] for part in parts if part.lstrip("[").startswith("-")]
    return next((one for one in asked if one not in known | {"-h", "--help"}), "")


def test_every_command_that_is_written_down_exists_with_its_options() -> None:
    """Nobody finds out at three in the morning that there is no such option."""
    found = {(path.name, words) for path in DOCUMENTS for words in commands_in(path)}
    assert {one for one in found if wrong_in(one[1])} == set()
    assert len(found) > 60


def test_a_command_that_does_not_exist_is_found() -> None:
    """The test above is not blind."""
    assert wrong_in("check -c FILE") == "-c"
    assert wrong_in("ledger burn") == "burn"
    assert wrong_in("drain|undo ec-1") == "undo"
    assert wrong_in("drain|undrain ec-1 --reason TEXT") == ""


def test_what_make_is_told_to_do_it_knows() -> None:
    """In every document."""
    rules = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for path in DOCUMENTS:
        asked = set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", text_of(path), re.MULTILINE))
        assert asked <= rules, path.name


def test_the_table_for_the_night_has_every_alert_at_its_severity() -> None:
    """docs/operating.md says the first thing to do about each, and docs/alerts.md the rest."""
    operating = text_of(ROOT / "docs" / "operating.md")
    table = operating[operating.index("### When an alert comes") : operating.index("### With several gateways")]
    said: dict[str, str] = {}
    severity = ""
    for line in table.splitlines():
        if head := re.match(r"\| \*\*(\w+)", line):
            severity = {"news": "info"}.get(head[1], head[1])
        # what stands below the table is told by Prometheus alone
        if line.startswith("|"):
            said |= dict.fromkeys(re.findall(r"\]\(alerts\.md#(\w+)\)", line), severity)
    assert said == {kind.value: ROWS[kind].severity.value for kind in Kind}


def test_the_way_back_to_an_older_ledger_leads_there() -> None:
    """The lines of docs/operating.md take out all that the newest step brought, and nothing else."""
    operating = text_of(ROOT / "docs" / "operating.md")
    lines = re.search(r"^ {4}BEGIN;\n(?: {4}.*\n)+", operating, re.MULTILINE)
    assert lines is not None
    database = sqlite3.connect(":memory:", isolation_level=None)
    engine = create_engine("sqlite://", creator=lambda: database, poolclass=StaticPool)
    metadata.create_all(engine)
    database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
    database.execute("INSERT INTO alembic_version VALUES (?)", (versions()[-1],))
    database.executescript(lines[0])
    step = next((ROOT / "gateway" / "ledger" / "migrations" / "versions").glob(f"{versions()[-1]}_*.py"))
    brought = set(re.findall(r'create_table\(\s*"(\w+)"', text_of(step)))
    left = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert left == (set(metadata.tables) | {"alembic_version"}) - brought
    eased = set(re.findall(r'create_index\(\s*"(\w+)"', text_of(step)))
    kept = {str(one.name) for table in metadata.tables.values() if table.name not in brought for one in table.indexes}
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql != ''")}
    assert there == kept - eased
    assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(versions()[-2],)]
    assert not re.search(r"op\.(?!create_table|create_index|f\b)\w+", text_of(step))
    database.close()

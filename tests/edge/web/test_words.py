"""The languages of the page."""

import re
from string import Formatter

import pytest

from gateway.base import standing
from gateway.base.events import Event
from gateway.edge.web.assets import Assets
from gateway.edge.web.drawing import Drawing
from gateway.edge.web.words import CLOSE, LANGUAGES, OPEN, choose, words
from gateway.ledger.files import BACK, SHRUNK
from gateway.ledger.remedies import REMEDIES
from gateway.rules.health import _MISSING
from gateway.rules.health import Kind as Illness
from gateway.rules.kinds import ROWS
from gateway.rules.lifecycle import Phase
from gateway.rules.story_lines import LINES, ODD, line_of

TABLES = ("texts", "phases", "kinds", "ledgers", "alerts", "orders", "switches")


def holes(text: str) -> set[str]:
    """What is put into a text."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_says_everything(lang: str) -> None:
    """The same keys, with the same things put in, and nothing left empty."""
    first, other = words("en"), words(lang)
    for table in TABLES:
        mine, theirs = getattr(first, table), getattr(other, table)
        assert mine.keys() == theirs.keys(), table
        for key in mine:
            pairs = zip(*([one] if isinstance(one, str) else one for one in (mine[key], theirs[key])), strict=True)
            assert all(holes(one) == holes(two) for one, two in pairs), key
    assert other.phases.keys() == {phase.value for phase in Phase}
    assert other.kinds.keys() == {kind.value for kind in Illness}
    assert other.alerts.keys() == {kind.value for kind in ROWS}
    assert len(other.units) == 5


def test_english_is_that_of_the_command_line_and_of_the_alerts() -> None:
    """Who knows `ec-gateway status` and the messages finds the same words here."""
    english = words("en")
    assert english.phases == standing.PHASES
    assert english.kinds == standing.KINDS
    assert standing.LEDGERS.items() <= english.ledgers.items()
    titles = {kind.value: english.alerts[kind.value][0].format(daemon="a daemon") for kind in ROWS}
    assert titles == {kind.value: row.title for kind, row in ROWS.items()}


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("silent", "응답 없음"),
        ("refuses connections, expected back", "연결 거부, 곧 복귀할 예정"),
        ("silent without an excuse; ec-2 is being restarted", "이유 없이 응답하지 않음; ec-2 재시작 중이므로 대기"),
        (
            "main answers nothing (ec-1: silent; ec-2: drained by order)",
            "main: 아무 응답도 하지 않습니다(ec-1: 응답 없음; ec-2: 명령으로 차단됨)",
        ),
        ("restart begun (wedged): silent without an excuse", "재시작 시작(이유 없이 응답하지 않음)"),
        ("restart begun (order)", "재시작 시작"),
        ("restart ordered by anna: new {disk}", "anna 님의 명령: 재시작(new {disk})"),
        (
            "ec-2 could not be restarted (at: load): nobody knows {0}",
            "ec-2: 재시작하지 못했습니다(지갑 열기 단계: nobody knows {0})",
        ),
        (
            "nothing is given out and no key is taken: database is locked",
            "주소를 발급하지 않고 새 키를 받지 않습니다: 데이터베이스가 잠겨 있음",
        ),
        ("switch freeze ordered by open", "인증 없는 접속자의 명령: 정지"),
        ("switch freeze ordered by anna", "anna 님의 명령: 정지"),
        ("switch freeze: ec-2 goes on (SIGCONT)", "정지: ec-2: 다시 진행합니다(SIGCONT)"),
        ("something that nobody has translated", "something that nobody has translated"),
    ],
)  # fmt: skip
def test_what_the_gateway_says_is_said_in_korean_as_far_as_it_is_known(english: str, korean: str) -> None:
    """Clause by clause; what is not known stays as it was, and is marked as English."""
    assert words("ko").say(english) == korean
    assert words("ko").knows(english) == ("nobody" not in english)
    assert words("en").say(english) == english
    assert words("en").knows(english)


@pytest.mark.parametrize("remedy", [*REMEDIES.values(), BACK, SHRUNK])
def test_what_helps_against_a_ledger_is_said_in_korean(remedy: str) -> None:
    """All of it, with what SQLite says; a remedy that is new is missed here."""
    text = f"nothing is given out and no key is taken: /data/ledger.db cannot be used (database is locked); {remedy}"
    assert words("ko").knows(text), words("ko").mark(text)


ANSWERS = (
    "ec-1 is restarted now",
    "ec-1 will be restarted as soon as that is possible (an operator's order; ec-2 is being restarted)",
    "ec-1 will be restarted as soon as that is possible (an operator's order; ec-2 goes first), as was ordered before",
    "ec-1 is being restarted already (load)",
    "ec-1 is being restarted already (it is about to begin)",
    "ec-1 is held: nothing restarts it until it is released",
    "ec-1 is held: nothing restarts it after the one under way until it is released",
    "ec-1 gets calls again; without a ledger that is forgotten when the gateway restarts",
    "ec-1 is released: it is restarted when it must be",
    "ec-1 gets calls again; it could not be written down (silent) and is forgotten when the gateway restarts",
    "ec-1 is drained: it gets no more calls; 2 are under way there",
    "2 are under way there; no daemon serves now, and clients are answered errors or wait",
    "ec-1 gets calls again",
    "ec-1 is held; release it first",
    "ec-1 has no launcher; give it one (wallets.main.backends.ec-1.launcher)",
    "restart.enforce is false, so that nothing is restarted; set it true",
    "there is no backend ec-9; there are ec-1, ec-2",
    "ec-1 is primary already",
    "ec-2 is primary now, epoch 3",
    "ec-2 is not in service (no wallet is loaded)",
    "ec-2 does not list every address that was given out yet; try again in a second",
    "ec-2 was taken out of the configuration meanwhile",
    "the ledger could not write it down (another epoch)",
    "without a ledger the primary is the one of the configuration; change wallets.main.primary there",
    "main was given up; any other gateway may take it at once",
    "main was given up; the database was not reached: it runs out by itself",
    "main was given up; gw-2 has it now",
    "main was given up; no gateway has taken it yet",
    "main was given up; no other gateway took it, so that this one has it again: see whether another one is up",
    "this gateway does not hold main; no gateway is known to",
    "this gateway does not hold main; gw-2 does",
    "the database was not reached yet, so that this gateway holds nothing",
    "call 17 of main is closed as executed",
    "call 17 of main is closed as not executed",
    "a key of shop is given up; 3 coins are released, and it never signs again",
)
"""What orders are answered."""


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_an_order_is_answered_is_said_in_korean(answer: str) -> None:
    """Whoever gave it reads whether it was done."""
    assert words("ko").knows(answer), words("ko").mark(answer)
    assert "()" not in words("ko").say(answer)


def test_that_a_restart_begins_and_that_one_waits_for_it_are_said_apart() -> None:
    """The same English words would have one meaning in Korean."""
    begun, waits = words("ko").say("ec-3 is restarted now"), words("ko").say("ec-3 is being restarted")
    assert ("시작" in begun, "대기" in begun) == (True, False)
    assert "대기" in waits


def test_what_stays_english_is_marked_and_nothing_else() -> None:
    """Inside of what is known as well; a text that holds the marks itself marks nothing."""
    korean = words("ko")
    told = korean.mark("ec-1: silent; ec-2: a <new> trouble")
    assert told == f"ec-1: 응답 없음; ec-2: {OPEN}a <new> trouble{CLOSE}"
    assert korean.say(told) == "ec-1: 응답 없음; ec-2: a <new> trouble"
    assert words("en").mark(f"a{CLOSE} new{OPEN} trouble") == "a new trouble"
    assert korean.foreign("새 디스크 sda") == "새 디스크 sda", "what a person typed in his own language"
    shown = Drawing(Assets())._engine.from_string("<p>{{ told }}</p>").render(told=told)
    assert shown == '<p>ec-1: 응답 없음; ec-2: <span lang="en">a &lt;new&gt; trouble</span></p>'


@pytest.mark.parametrize("reason", _MISSING.values())
def test_what_a_daemon_lacks_is_said_in_korean(reason: str) -> None:
    """A row that is new in `rules/health.py` is missed here."""
    assert words("ko").knows(reason)


@pytest.mark.parametrize("name", [*LINES, *ODD])
def test_what_was_done_is_said_in_korean(name: str) -> None:
    """A row that is new in `rules/story_lines.py` is missed here."""
    fields: dict[str, object] = {"cause": "wedged", "took": 1.5, "step": "load", "verb": "drain", "who": "anna"}
    answer = "ec-1 is drained: it gets no more calls"
    for reason in ({}, {"reason": "silent"}):
        line = line_of(Event(name, "main", "ec-1", {**fields, **reason, "before": "ec-2", "answer": answer}))
        assert not line or words("ko").knows(line), line
        assert not line or "()" not in words("ko").say(line)


@pytest.mark.parametrize(
    ("chosen", "accepted", "lang"),
    [
        ("ko", "en", "ko"),
        ("xx", "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("", "de, en;q=0.5, ko;q=0.7", "ko"),
        ("", "ko;q=0, en;q=0.1", "en"),
        ("", "fr", "en"),
        ("", "", "en"),
        ("", ",;q=9,ko;q=x" + "," * 5000, "ko"),
    ],
)
def test_the_language_is_the_readers(chosen: str, accepted: str, lang: str) -> None:
    """What was chosen, else what the browser likes best of what there is."""
    assert choose(chosen, accepted) == lang


@pytest.mark.parametrize(
    ("verb", "english", "korean"),
    [
        ("switch freeze", "Freeze", "정지"), ("switch freeze off", "Freeze off", "정지 끔"),
        ("drain", "Drain", "호출 차단"), ("switch new off", "switch new off", "switch new off"),
    ],
)  # fmt: skip
def test_a_switch_that_was_taken_back_is_called_so(verb: str, english: str, korean: str) -> None:
    """As its button, and that it is off; one that is not known keeps its own words."""
    assert (words("en").verb(verb), words("ko").verb(verb)) == (english, korean)


def test_a_count_of_one_is_said_as_one() -> None:
    """And any other number as several."""
    assert words("en").count("head.more", 1) == "and 1 more"
    assert words("en").count("head.more", 2) == "and 2 more"


def test_every_pattern_can_be_found_and_put() -> None:
    """What a sentence puts in is what its pattern finds."""
    for pattern, put in words("ko").said:
        assert holes(put) <= set(re.compile(pattern).groupindex), pattern

"""What the page says, in the languages it can say it in.

Rule: a word stands in the file of its language and nowhere else; every language has every word.  What the gateway and
its daemons say in English goes through `mark`, and comes back as it was where a language has no words for it, between
two marks of which `drawing.py` makes `lang="en"`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module

LANGUAGES = {"en": "English", "ko": "한국어"}
"""The languages, each by its own name; the first is for whoever asks for another one."""

REMEMBERED = 2048
"""Clauses whose words are remembered."""

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""Marks around what stayed English: no characters, so that no text has them."""

LATIN = "\u024f"
"""The last letter of those that English may be written with."""

MARKED = re.compile(f"{OPEN}(.*?){CLOSE}", re.DOTALL)
CLAUSES = re.compile(r"; (?![^()]*\))")
"""What parts clauses; one inside of brackets parts the reason that stands there."""

MARKS = str.maketrans("", "", OPEN + CLOSE)

SHARES = 16
"""Preferences of a browser that are looked at."""


@dataclass(frozen=True, slots=True)
class Words:
    """One language.

    Args:
        lang: its tag, for the browser.
        units: second, minute, hour, day, as they stand right behind a number; and what less than a second is called.
        texts: by key, with {names} for what is put in.
        phases, kinds, steps, ledgers: what the gateway calls them: how a person says it.
        alerts: of each kind: what it is, and what is left to do.
        orders: of each verb: its button, the question before it, and what it does.
        switches: of each one: its button, and what it does.
        said: patterns of what the gateway says in English, and how it is said here.
    """

    lang: str
    units: tuple[str, str, str, str, str]
    texts: Mapping[str, str]
    phases: Mapping[str, str]
    kinds: Mapping[str, str]
    steps: Mapping[str, str]
    ledgers: Mapping[str, str]
    alerts: Mapping[str, tuple[str, str]]
    orders: Mapping[str, tuple[str, str, str]]
    switches: Mapping[str, tuple[str, str]]
    said: Sequence[tuple[str, str]] = ()
    _patterns: list[tuple[re.Pattern[str], str]] = field(default_factory=list, compare=False)
    _found: dict[str, str | None] = field(default_factory=dict, compare=False)

    def text(self, key: str, /, **named: object) -> str:
        """Return a text with what is named put in."""
        return self.texts[key].format(**named)

    def count(self, key: str, number: int, /, **named: object) -> str:
        """Return a text about a number of things: `KEY.one` for one of them, `KEY.many` for others."""
        return self.text(f"{key}.{'one' if number == 1 else 'many'}", n=number, **named)

    def say(self, english: str) -> str:
        """Return what the gateway said in English in this language, clause by clause, as far as it is known here."""
        return self.mark(english).translate(MARKS)

    def mark(self, english: str) -> str:
        """Return the same with marks around what stays English; for pages."""
        english = english.translate(MARKS)
        if not self.said:
            return english
        return self._find(english) or self._clauses(english)

    def foreign(self, english: str) -> str:
        """Return with marks what is English in every language: the words of a program that is not ours."""
        english = english.translate(MARKS)
        # a reason that a person typed may be in the language of the page
        is_other = any(one.isalpha() and one > LATIN for one in english)
        return f"{OPEN}{english}{CLOSE}" if self.said and english and not is_other else english

    def knows(self, english: str) -> bool:
        """Return whether all of it can be said here."""
        return OPEN not in self.mark(english)

    def _clauses(self, english: str) -> str:
        return "; ".join(self._find(clause) or self.foreign(clause) for clause in CLAUSES.split(english))

    def _find(self, clause: str) -> str | None:
        """Look a clause up; a page has hundreds, and most of them are those of the page before."""
        if clause not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[clause] = self._match(clause)
        return self._found[clause]

    def _match(self, clause: str) -> str | None:
        if not self._patterns:
            self._patterns.extend((re.compile(pattern, re.DOTALL), put) for pattern, put in self.said)
        for pattern, put in self._patterns:
            match = pattern.fullmatch(clause)
            if match is not None:
                parts = {name: self._part(name, part or "") for name, part in match.groupdict().items()}
                # a reason that was not told leaves no brackets behind
                return put.format(**parts).replace(": )", ")").replace("()", "")
        return None

    def verb(self, verb: str) -> str:
        """Return what an order is called; switches of the sandbox are ordered as `switch NAME` or `switch NAME off`."""
        if verb in self.orders:
            return self.orders[verb][0]
        switch = verb.removeprefix("switch ")
        name = switch.removesuffix(" off")
        if name not in self.switches:
            return verb
        label = self.switches[name][0]
        return label if name == switch else self.text("switch.off", switch=label)

    def _part(self, name: str, part: str) -> str:
        """Return what was found inside: a clause again where its name says so."""
        if name == "why":
            return self._clauses(part)
        if name == "verb":
            return self.verb(part)
        if name == "who" and part == "open":
            return self.text("audit.open")
        return self.steps.get(part, part) if name == "step" else part


@lru_cache(maxsize=len(LANGUAGES))
def words(lang: str) -> Words:
    """Return a language by its tag."""
    found = import_module(f"{__name__}.{lang}").WORDS
    assert isinstance(found, Words)  # noqa: S101 - our own file
    return found


def choose(chosen: str, accepted: str) -> str:
    """Return the tag of the language to speak: what was chosen, else what the browser likes best, else the first."""
    if chosen in LANGUAGES:
        return chosen
    liked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accepted.split(",")[:SHARES]):
        tag, _, quality = part.partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", quality) if quality else None
        liked.append((-(float(weight[1]) if weight else 1.0), place, tag.strip().lower().split("-")[0]))
    return next((tag for weight, _, tag in sorted(liked) if tag in LANGUAGES and weight < 0), next(iter(LANGUAGES)))

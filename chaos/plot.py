"""Draws a run as one picture: what was done, how the gateway took its wallets, and how each call ended.

Rule: a state is a word or a shape and then a colour, so that it is read in print and by those who see no colours;
every text is escaped; the picture needs nothing from outside.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

from chaos import axes
from chaos.axes import Axes, Span
from chaos.result import Result

PAGE = Path(__file__).parent / "page"

WIDTH, LEFT, RIGHT = 960.0, 84.0, 948.0
ROW = 20.0
"""The height of a row of bars."""
CALLS = 170.0
"""The height of the part with the calls."""
GAP = 8.0

LETTER = 6.1
"""How wide a letter is, on the average of a bar's text."""

SINGLE = 250
"""Calls without an answer that are drawn one by one, each with its words; more are drawn as one."""

WOVEN = ("WARMING", "STARTING", "RESTARTING", "DRAINING", "EJECTED", "FAILED")
"""Phases with a pattern; the others are plain."""

KINDS = {"read": "read", "batch": "batch", "allocate": "allocation", "pay": "payment", "write": "other write"}


def _dot(x: float, y: float) -> str:
    return f"M{x:g} {y:g}h0"


def _ring(x: float, y: float) -> str:
    return f"M{x - 3:g} {y:g}a3 3 0 1 0 6 0a3 3 0 1 0-6 0"


def _cross(x: float, y: float) -> str:
    return f"M{x - 4:g} {y - 4:g}l8 8m0-8l-8 8"


def _triangle(x: float, y: float) -> str:
    return f"M{x:g} {y - 5:g}l5 9h-10z"


def _square(x: float, y: float) -> str:
    return f"M{x - 3.5:g} {y - 3.5:g}h7v7h-7z"


def _diamond(x: float, y: float) -> str:
    return f"M{x:g} {y - 4.5:g}l4.5 4.5l-4.5 4.5l-4.5-4.5z"


Shape = Callable[[float, float], str]

SHAPES: dict[str, tuple[str, Shape]] = {
    "read": ("read answered", _dot),
    "write": ("address, payment, batch answered", _ring),
    "error": ("error", _cross),
    "timeout": ("no answer in time", _triangle),
    "refused": ("nobody let it in", _square),
    "left": ("its client hung up", _diamond),
}
"""How a call is drawn, and what that means: the first two are answers."""


def plot(result: Result, *, is_alone: bool = True) -> str:
    """Return the picture of a run as SVG.

    Args:
        is_alone: with its own style and patterns; in a page these are there once for all.
    """
    seconds = axes.length(result)
    scale = (RIGHT - LEFT) / seconds
    faults = _rows_of_faults(axes.faults(result), scale, seconds)
    lanes = axes.phases(result, seconds)
    top = 6 + ROW * len(faults) + (GAP + ROW * len(lanes) if lanes else 0) + GAP
    frame = Axes(LEFT, RIGHT, top, top + CALLS, seconds, axes.slowest(result))
    woven = [name for name in WOVEN if any(one.text == name for spans in lanes.values() for one in spans)]
    height = frame.bottom + (62 if woven else 44)
    inside = [
        *_shades(result, frame),
        *_faults(faults, frame),
        *_lanes(lanes, frame, 6 + ROW * len(faults) + GAP),
        *_grid(frame, result),
        *_calls(result, frame),
        *_legend(result, frame.bottom + 36),
        *_legend_of_phases(woven, frame.bottom + 54),
    ]
    style = f"<style>{style_sheet()}</style>{patterns()}" if is_alone else ""
    outside = ' xmlns="http://www.w3.org/2000/svg"' if is_alone else ""
    head = f'<svg{outside} class="plot" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{_told(result)}">'
    return f"{head}{style}{''.join(inside)}</svg>\n"


def style_sheet() -> str:
    """Return the style of pictures, for light, dark and paper."""
    return (PAGE / "plot.css").read_text(encoding="utf-8")


def patterns() -> str:
    """Return the patterns of phases and faults, of which a page has one set."""
    found = []
    for name, size, lines in (
        ("fault", 6, "M0 6L6 0M-1 1L1-1M5 7L7 5"),
        ("WARMING", 8, "M2 2h0M6 6h0"),
        ("STARTING", 8, "M0 0L8 8M-1 7L1 9M7-1L9 1"),
        ("RESTARTING", 8, "M0 8L8 0M-1 1L1-1M7 9L9 7"),
        ("DRAINING", 5, "M2.5 0V5"),
        ("EJECTED", 7, "M0 7L7 0M0 0L7 7"),
        ("FAILED", 4, "M0 2H4"),
    ):
        body = f'<path class="weave weave-{name}" d="{lines}"/>'
        found.append(
            f'<pattern id="p-{name}" width="{size}" height="{size}" patternUnits="userSpaceOnUse">{body}</pattern>'
        )
    return f"<defs>{''.join(found)}</defs>"


# -- the parts, from the top ----------------------------------------------------------------------------------


def _told(result: Result) -> str:
    """Return what somebody who does not see the picture is told; the figures stand beside it."""
    done = "; ".join(f"{one.text} from {one.begin:.1f} to {one.end:.1f} s" for one in axes.faults(result)) or "no fault"
    wrong = sum(one[3] != "ok" for one in result.calls)
    asked = f"{len(result.calls)} calls, {wrong} of them not answered"
    return escape(f"Time line of {result.scenario} through {result.door}: {done}; {asked}", quote=True)


def _rows_of_faults(spans: Sequence[Span], scale: float, seconds: float) -> list[list[Span]]:
    """Return bars in rows, with room for the words of each."""
    by_room = {}
    for one in spans:
        words = (len(one.text) * LETTER + 12) / scale
        is_inside = words <= one.end - one.begin
        end = one.end if is_inside or one.end + words > seconds else one.end + words
        by_room[Span(one.begin, end, one.text)] = one
    return [[by_room[one] for one in row] for row in axes.rows(list(by_room), 4 / scale)]


def _shades(result: Result, frame: Axes) -> Iterator[str]:
    """Yield how long each fault lasted, behind everything."""
    for one in axes.faults(result):
        left, right = frame.x(one.begin), frame.x(one.end)
        width = max(1.0, right - left)
        yield f'<rect class="shade" x="{left:g}" y="2" width="{width:g}" height="{frame.bottom - 2:g}"/>'
    if frame.seconds > result.seconds + 0.05:
        x = frame.x(result.seconds)
        yield f'<path class="stop" d="M{x:g} {frame.top:g}V{frame.bottom:g}"/>'
        if RIGHT - x > 80:
            yield _text(x + 4, frame.top + 10, "clients stop", "dim")


def _faults(rows: Sequence[Sequence[Span]], frame: Axes) -> Iterator[str]:
    if not rows:
        return
    yield _text(LEFT - 8, 6 + 14, "faults", "label", "end")
    for number, row in enumerate(rows):
        top = 6 + number * ROW
        for one in row:
            left, right = frame.x(one.begin), frame.x(one.end)
            width = max(2.0, right - left)
            yield f'<rect class="fault" x="{left:g}" y="{top + 2:g}" width="{width:g}" height="{ROW - 4:g}"/>'
            words = len(one.text) * LETTER + 12
            if words <= width:
                yield _plate(left + 3, top + 3.5, words - 6, ROW - 7)
                yield _text(left + 6, top + 14, one.text, "what")
            elif left + width + words <= RIGHT:
                yield _text(left + width + 5, top + 14, one.text, "what")
            else:
                yield _text(left - 5, top + 14, one.text, "what", "end")


def _lanes(lanes: dict[str, list[Span]], frame: Axes, top: float) -> Iterator[str]:
    for number, (backend, spans) in enumerate(lanes.items()):
        y = top + number * ROW
        yield _text(LEFT - 8, y + 14, backend, "label", "end")
        for one in spans:
            left, right = frame.x(one.begin), frame.x(one.end)
            width = max(1.0, right - left)
            box = f'x="{left:g}" y="{y + 1:g}" width="{width:g}" height="{ROW - 2:g}"'
            phase = escape(one.text, quote=True)
            title = f"<title>{phase}, {one.begin:.2f} to {one.end:.2f} s</title>"
            yield f'<g>{title}<rect class="phase phase-{phase}" {box}/>'
            if one.text in WOVEN:
                yield f'<rect class="woven" fill="url(#p-{phase})" {box}/>'
            yield "</g>"
            words = len(one.text) * LETTER + 10
            if words <= width:
                if one.text in WOVEN:
                    yield _plate(left + 3, y + 3.5, words - 4, ROW - 7)
                yield _text(left + 6, y + 14, one.text, "word")


def _grid(frame: Axes, result: Result) -> Iterator[str]:
    for seconds in frame.heights():
        y = frame.y(seconds)
        yield f'<path class="grid" d="M{LEFT:g} {y:g}H{RIGHT:g}"/>'
        yield _text(LEFT - 8, y + 4, time(seconds), "label", "end")
    for one in result.promises:
        if one["figure"] == "slowest_read_ms":
            y = frame.y(one["most"] / 1000)
            yield f'<path class="limit" d="M{LEFT:g} {y:g}H{RIGHT:g}"/>'
            yield _text(RIGHT - 2, y - 3, f"promised: no read above {one['most']:g} ms", "dim", "end")
    yield f'<path class="axis" d="M{LEFT:g} {frame.top:g}V{frame.bottom:g}H{RIGHT:g}"/>'
    for seconds in frame.marks():
        x = frame.x(seconds)
        yield f'<path class="axis" d="M{x:g} {frame.bottom:g}v4"/>'
        yield _text(x, frame.bottom + 15, f"{seconds:g} s", "label", "middle")


def _calls(result: Result, frame: Axes) -> Iterator[str]:
    """Yield the calls by how long they took; what was not answered lies above the rest."""
    answered: dict[str, list[str]] = {"write": [], "read": []}
    others: dict[str, list[tuple[str, str]]] = {}
    for begin, end, kind, outcome in result.calls:
        x, y = frame.x(begin - result.began), frame.y(end - begin)
        shape = ("read" if kind == "read" else "write") if outcome == "ok" else outcome
        drawn = SHAPES.get(shape, SHAPES["error"])[1](x, y)
        if shape in answered:
            answered[shape].append(drawn)
        else:
            words = f"{KINDS.get(kind, kind)} at {begin - result.began:.2f} s: {SHAPES.get(shape, (shape,))[0]}"
            others.setdefault(shape, []).append((drawn, f"{words}, after {time(end - begin)}"))
    for shape, found in answered.items():
        if found:
            # many lie in one place, and are drawn once
            yield f'<path class="call {shape}" d="{"".join(dict.fromkeys(found))}"/>'
    for shape, told in others.items():
        name = escape(shape, quote=True)
        if len(told) > SINGLE:
            yield f'<path class="call {name}" d="{"".join(one for one, _ in told)}"/>'
        else:
            yield from (
                f'<path class="call {name}" d="{one}"><title>{escape(said)}</title></path>' for one, said in told
            )


def _legend(result: Result, y: float) -> Iterator[str]:
    """Yield the shapes that occur, with their meanings."""
    seen = {
        ("read" if kind == "read" else "write") if outcome == "ok" else outcome for *_, kind, outcome in result.calls
    }
    x = LEFT
    for shape, (words, draw) in SHAPES.items():
        if shape in seen:
            yield f'<path class="call {shape}" d="{draw(x + 5, y - 4)}"/>'
            yield _text(x + 15, y, words, "dim")
            x += 15 + len(words) * 5.6 + 22


def _legend_of_phases(woven: Sequence[str], y: float) -> Iterator[str]:
    """Yield the patterns that occur, for bands that are too short for their words."""
    x = LEFT
    for phase in woven:
        box = f'x="{x:g}" y="{y - 10:g}" width="20" height="12"'
        yield f'<rect class="phase phase-{phase}" {box}/><rect fill="url(#p-{phase})" {box}/>'
        yield _text(x + 26, y, phase, "dim")
        x += 26 + len(phase) * 7.4 + 18


def time(seconds: float) -> str:
    """Return a time with about two figures, as "40 ms" or "1.2 s"."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"


def _plate(x: float, y: float, width: float, height: float) -> str:
    """Return what lies under words on a pattern."""
    return f'<rect class="plate" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "") -> str:
    where = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{where}>{escape(text)}</text>'


def signs() -> list[tuple[str, str]]:
    """Return each shape as a small picture with its meaning, for a page."""
    head = '<svg class="plot key" viewBox="0 0 12 12" aria-hidden="true">'
    return [
        (f'{head}<path class="call {shape}" d="{draw(6, 6)}"/></svg>', words) for shape, (words, draw) in SHAPES.items()
    ]

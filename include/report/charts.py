"""Draws bar charts as inline SVG, without a library or a script; the page's style sheet has the colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from markupsafe import Markup, escape

from include.logs import counted

MOST_BARS = 120

FEWEST_STEPS = 12
"""Minimum length of an axis, so that a few bars are not as wide as the page."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart with title, key and labels."""

    title: str
    key: Sequence[tuple[str, str]]
    """Class and meaning of each colour."""
    svg: Markup
    top: str
    """The value at the upper edge."""
    first: str
    last: str
    """Of the axis."""


def strip(parts: Mapping[str, int]) -> Markup:
    """Draw one bar with a piece for each number, by class; an empty one if all are 0."""
    total = sum(parts.values())
    pieces, at = [], 0.0
    for name, value in parts.items():
        width = 1000 * value / total if value else 0
        if width:
            pieces.append(_rect(at, 0, max(width, 1.5), 10, name, f"{value:,} {name.replace('_', ' ')}"))
        at += width
    return Markup('<svg class="strip" viewBox="0 0 1000 10" preserveAspectRatio="none">%s</svg>') % Markup().join(
        pieces
    )


def days_chart(days: Sequence[Sequence[str | int]], *, dry_run: bool) -> Chart | None:
    """
    Draw messages over time; ``None`` for a single day.

    :param days: ``messages_by_day`` of a report.
    """
    if len(days) < 2:
        return None
    dates = [date.fromisoformat(str(day)) for day, *_ in days]
    width = -(-((dates[-1] - dates[0]).days + 1) // MOST_BARS)
    bars = [[0, 0] for _ in range((dates[-1] - dates[0]).days // width + 1)]
    for day, (_, exported, planned) in zip(dates, days, strict=True):
        bar = bars[(day - dates[0]).days // width]
        bar[0] += int(planned)
        bar[1] += max(int(exported) - int(planned), 0)
    words = [_days(dates[0] + timedelta(width * at), width) for at in range(len(bars))]
    names = [
        ("loaded", "to load by this run" if dry_run else "for this run to load"),
        ("other", "others in the exports"),
    ]
    return Chart(
        title="Messages per day" if width == 1 else f"Messages per {width} days",
        key=names if any(other for _, other in bars) else names[:1],
        svg=_bars(bars, [name for name, _ in names], words),
        top=f"{max(map(sum, bars)):,}",
        first=dates[0].isoformat(),
        last=max(dates[-1], dates[0] + timedelta(FEWEST_STEPS - 1)).isoformat(),
    )


def speed_chart(series: Sequence[Sequence[int]], step_s: int | None) -> Chart | None:
    """
    Draw the messages that landed over time; ``None`` for fewer than three steps.

    :param series: ``loading.series`` of a report: Unix time (s) and messages.
    :param step_s: Length of a step in seconds.
    """
    if not step_s or len(series) < 3:
        return None
    start, end = series[0][0], series[-1][0]
    bars = [[0] for _ in range((end - start) // step_s + 1)]
    for second, count in series:
        bars[(second - start) // step_s][0] += count
    words = [f"{_clock(start + at * step_s)}: {counted(bar[0], 'message')}" for at, bar in enumerate(bars)]
    return Chart(
        title="Messages landed per second" if step_s == 1 else f"Messages landed per {step_s} s",
        key=[],
        svg=_bars(bars, ["speed"], words),
        top=f"{max(bar[0] for bar in bars):,}",
        first=_clock(start),
        last=_clock(max(end, start + (FEWEST_STEPS - 1) * step_s)),
    )


def _bars(bars: Sequence[Sequence[int]], names: Sequence[str], words: Sequence[str]) -> Markup:
    """Draw bars; the first number of each is at the bottom."""
    top = max(*map(sum, bars), 1)
    rects = []
    for at, (bar, word) in enumerate(zip(bars, words, strict=True)):
        below = 0.0
        for name, value in zip(names, bar, strict=True):
            height = 100 * value / top
            if value:
                rects.append(_rect(at + 0.08, 100 - below - height, 0.84, height, name, f"{word} {value:,}"))
            below += height
    drawing = Markup().join(rects)
    steps = max(len(bars), FEWEST_STEPS)
    return Markup('<svg viewBox="0 0 %s 100" preserveAspectRatio="none">%s</svg>') % (steps, drawing)


def _rect(x: float, y: float, width: float, height: float, name: str, words: str) -> Markup:
    return Markup('<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"><title>%s</title></rect>') % (
        *(escape(name), x, y, width, height),
        words,
    )


def _days(first: date, width: int) -> str:
    return f"{first}:" if width == 1 else f"{first} to {first + timedelta(width - 1)}:"


def _clock(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%H:%M:%S}"

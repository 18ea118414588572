"""A plot of one answer: a bar for each median, a dot for each sample. SVG is written directly, without a library."""

from __future__ import annotations

from html import escape
from typing import Final

from benchmarks.model import OURS, Answer

WIDTH: Final = 720
LEFT: Final = 150
RIGHT: Final = 100
TOP: Final = 56
ROW: Final = 36
_TEXT: Final = 'font-family="sans-serif" font-size="13" fill="#222"'
_BLUE: Final = "#2a78b5"
_GREY: Final = "#b9bec4"


def plot(answer: Answer) -> str:
    """Return an SVG document for `answer`."""
    figure = answer.figure
    bars = {OURS: answer.ours, **answer.peers}
    longest = max(max(values) for values in answer.values.values()) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / longest
    height = TOP + ROW * len(bars) + 12
    title = f"{figure.name}: {figure.unit}, {figure.better} is better"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="16" y="28" {_TEXT} font-weight="bold">{escape(title)}</text>',
    ]
    for row, (name, value) in enumerate(bars.items()):
        top = TOP + ROW * row
        middle = top + ROW // 2
        colour = _BLUE if name == OURS else _GREY
        parts += [
            f'<text x="{LEFT - 10}" y="{middle + 4}" text-anchor="end" {_TEXT}>{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top + 6}" width="{value * scale:.1f}" height="{ROW - 12}" fill="{colour}"/>',
            *(
                f'<circle cx="{LEFT + sample * scale:.1f}" cy="{middle}" r="2.5" fill="#222"/>'
                for sample in answer.values[name]
            ),
            f'<text x="{LEFT + max(answer.values[name]) * scale + 8:.1f}" y="{middle + 4}" {_TEXT}>{value:,.4g}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])

"""Draw the speed-ups as bars on one logarithmic scale, in SVG that is readable on light and on dark pages."""

from __future__ import annotations

from html import escape
from math import log

from cases import Case, rounded

ROW, LEFT, WIDTH, RIGHT, TOP = 26, 260, 760, 60, 44
LOWEST, HIGHEST = 0.5, 500.0
MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

STYLE = """\
text { font: 13px sans-serif; fill: #24292f } .page { fill: #f6f8fa } .grid { stroke: #d0d7de }
.bar { fill: #3b78c4 } .slower { fill: #b3261e } .one { stroke: #57606a; stroke-width: 1.5 } .quiet { fill: #57606a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .page { fill: #1c2128 } .grid { stroke: #373e47 }
  .bar { fill: #4d8ce0 } .slower { fill: #ff8a80 } .one { stroke: #9aa4af } .quiet { fill: #9aa4af }
}"""


def position(ratio: float) -> float:
    """Return the horizontal position of a ratio."""
    inside = min(max(ratio, LOWEST), HIGHEST)
    return LEFT + (WIDTH - LEFT - RIGHT) * log(inside / LOWEST) / log(HIGHEST / LOWEST)


def draw(cases: list[Case]) -> str:
    """Return the picture: how many times as fast as the released package each case is.

    It follows the colour scheme of the reader, and has a background, since the page may use another scheme. Its
    description has the same figures as text.
    """
    shown = [(case, case.ratio) for case in cases if case.ratio is not None]
    height = TOP + ROW * len(shown) + 8
    figures = '; '.join(f'{case.title} {rounded(ratio)}' for case, ratio in shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" aria-labelledby="title desc">',
        '<title id="title">Speed relative to the released package, logarithmic scale</title>',
        f'<desc id="desc">{escape(figures)}</desc>',
        f'<style>{STYLE}</style>',
        '<rect class="page" width="100%" height="100%" rx="6"/>',
        f'<text class="quiet" x="{LEFT - 8}" y="18" text-anchor="end">times as fast, log scale</text>',
    ]
    for mark in MARKS:
        x = f'{position(mark):.0f}'
        kind = 'one' if mark == 1 else 'grid'
        parts += [
            f'<text class="quiet" x="{x}" y="18" text-anchor="middle">{mark}</text>',
            f'<line class="{kind}" x1="{x}" x2="{x}" y1="26" y2="{height - 8}"/>',
        ]
    for number, (case, ratio) in enumerate(shown):
        y = TOP - 8 + number * ROW
        start, end = sorted((position(1), position(ratio)))
        kind = 'slower' if ratio < 1 else 'bar'
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(case.title)}</text>',
            f'<rect class="{kind}" x="{start:.0f}" y="{y}" width="{end - start:.0f}" height="18" rx="2"/>',
            f'<text x="{end + 6:.0f}" y="{y + 14}">{rounded(ratio)}×</text>',
        ]
    return '\n'.join([*parts, '</svg>', ''])

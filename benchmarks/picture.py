"""Draw the ratios as bars, in SVG that is readable on light and on dark pages."""

from __future__ import annotations

from html import escape

from cases import Case

ROW, LEFT, WIDTH, RIGHT = 26, 250, 760, 90
# Longer bars are cut: nobody compares forty with sixty.
MOST = 12.0

STYLE = """\
text { font: 13px sans-serif; fill: #24292f } .page { fill: #f6f8fa }
.bar { fill: #3b78c4 } .one { stroke: #b3261e; stroke-width: 1.5 } .quiet { fill: #57606a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .page { fill: #1c2128 }
  .bar { fill: #4d8ce0 } .one { stroke: #ff8a80 } .quiet { fill: #9aa4af }
}"""


def draw(cases: list[Case]) -> str:
    """Return the picture: how many times as fast as the released package each case is.

    It follows the colour scheme of the reader, and brings its background, since a page may have chosen another one. It
    says in words what it shows.
    """
    shown = [(case, case.ratio) for case in cases if case.ratio is not None]
    height = 40 + ROW * len(shown)
    scale = (WIDTH - LEFT - RIGHT) / MOST
    told = '; '.join(f'{case.title} {ratio:.1f}' for case, ratio in shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" aria-labelledby="title desc">',
        '<title id="title">How many times as fast as the released package</title>',
        f'<desc id="desc">{escape(told)}</desc>',
        f'<style>{STYLE}</style>',
        '<rect class="page" width="100%" height="100%" rx="6"/>',
        f'<text class="quiet" x="{LEFT}" y="18">times the speed of the released package; the line is 1</text>',
    ]
    for number, (case, ratio) in enumerate(shown):
        y = 30 + number * ROW
        length = min(ratio, MOST) * scale
        cut = ' …' if ratio > MOST else ''
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(case.title)}</text>',
            f'<rect class="bar" x="{LEFT}" y="{y}" width="{length:.0f}" height="18" rx="2"/>',
            f'<text x="{LEFT + length + 6:.0f}" y="{y + 14}">{ratio:.1f} times{cut}</text>',
        ]
    parts.append(f'<line class="one" x1="{LEFT + scale:.0f}" x2="{LEFT + scale:.0f}" y1="26" y2="{height - 8}"/>')
    return '\n'.join([*parts, '</svg>', ''])

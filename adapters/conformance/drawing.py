"""The drawings of the report page, as SVG: how |error| / bound is distributed, and where in an array it exceeds 1."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isinf

from adapters.conformance.heat import Heat
from adapters.conformance.result import BINS, HIGHEST, LOWEST

# Up to these ratios an element has the first, second ... tint; beyond the last and for infinity come two more.
TINTS = (0.1, 1.0, 10.0, 1000.0)
TINT_NAMES = ("up to 0.1", "up to 1: inside", "up to 10: outside", "up to 1000", "more", "infinite, or NaN")
# A map of no more rows and columns shows its numbers.
NUMBERED = (16, 8)
BAR, TALLEST = 20, 64  # width of a bar, height of the highest


def spell_ratio(ratio: float) -> str:
    """Return a ratio in few characters; two decimals where they say something."""
    if isinf(ratio):
        return "\N{INFINITY}"
    if ratio == 0:
        return "0"
    return (
        f"{ratio:.2f}"
        if 0.005 <= ratio < 100
        else f"{ratio:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    )


def histogram(counts: Sequence[int]) -> str:
    """Return the distribution of the cases by their largest |error| / bound, the bound itself marked."""
    width, floor = BAR * BINS, TALLEST + 16
    bound = -LOWEST * BINS // (HIGHEST - LOWEST)
    outside = sum(counts[bound:])
    told = f"{sum(counts):,} case{'s' * (sum(counts) != 1)} by largest error in parts of its bound; {outside:,} outside"
    parts = [f'<svg class="histogram" viewBox="-14 0 {width + 28} {floor + 18}" role="img"><title>{told}</title>']
    for i, count in enumerate(counts):
        if count:
            # A single case has to be seen beside a thousand.
            height = max(2, round(TALLEST * count / max(counts)))
            kind = "out" if i >= bound else "in"
            place = f'x="{i * BAR + 1}" y="{floor - height}" width="{BAR - 2}" height="{height}"'
            parts.append(f'<rect class="{kind}" {place}/>')
    parts.append(f'<path class="axis" d="M0 {floor}h{width}"/>')
    parts.append(f'<path class="bound" d="M{bound * BAR} 12V{floor + 4}"/>')
    parts.append(f'<text x="{bound * BAR}" y="9" text-anchor="middle">the bound</text>')
    step = BINS // (HIGHEST - LOWEST)
    for decade in range(LOWEST, HIGHEST + 1):
        label = f"{10.0**decade:g}".replace("e-0", "e-")
        text = {LOWEST: f"\N{LESS-THAN OR EQUAL TO} {label}", HIGHEST: f"\N{GREATER-THAN OR EQUAL TO} {label}"}
        x = (decade - LOWEST) * step * BAR
        parts.append(f'<text x="{x}" y="{floor + 14}" text-anchor="middle">{text.get(decade, label)}</text>')
    return "".join([*parts, "</svg>"])


def tint(ratio: float) -> int:
    """Return the number of a ratio's tint, from 0 on."""
    return 5 if isinf(ratio) else sum(ratio > limit for limit in TINTS)


def heat_map(heat: Heat) -> str:
    """Return the map of a failure: a tint and, outside the bound, a stroke across; the first one outside in a frame."""
    rows, columns = len(heat.ratios), len(heat.ratios[0])
    numbered = rows <= NUMBERED[0] and columns <= NUMBERED[1]
    wide, high = (52, 24) if numbered else (10, 10)
    told = escape(f"{heat.quantity} by element; the first outside its bound is {list(heat.first)}")
    width, height = columns * wide, rows * high
    parts = [
        f'<svg class="heat" viewBox="-2 -2 {width + 4} {height + 4}" width="{width + 4}" role="img">'
        f"<title>{told}</title>"
    ]
    for level in range(len(TINT_NAMES)):
        path = "".join(_runs(heat, level, wide, high))
        parts.append(f'<path class="t{level}" d="{path}"/>' if path else "")
    where = [(i, j) for i, line in enumerate(heat.ratios) for j, ratio in enumerate(line) if ratio > 1]
    # In the corner where numbers stand, across where none do.
    side = 8 if numbered else high
    strokes = "".join(f"M{j * wide} {i * high + side}l{side} {-side}" for i, j in where)
    parts.append(f'<path class="stroke" d="{strokes}"/>')
    row, column = heat.mark
    parts.append(f'<rect class="first" x="{column * wide}" y="{row * high}" width="{wide}" height="{high}"/>')
    if numbered:
        parts += [
            f'<text class="n{tint(ratio)}" x="{j * wide + wide // 2}" y="{i * high + 16}" text-anchor="middle">'
            f"{spell_ratio(ratio)}</text>"
            for i, line in enumerate(heat.ratios)
            for j, ratio in enumerate(line)
        ]
    return "".join([*parts, "</svg>"])


def _runs(heat: Heat, level: int, wide: int, high: int) -> list[str]:
    """Return the neighbours of one tint in each row as rectangles: a map of one tint is short."""
    found = []
    for i, line in enumerate(heat.ratios):
        levels, j = [tint(ratio) for ratio in line], 0
        while j < len(levels):
            end = j
            while end < len(levels) and levels[end] == levels[j]:
                end += 1
            if levels[j] == level:
                found.append(f"M{j * wide} {i * high}h{(end - j) * wide}v{high}h{(j - end) * wide}z")
            j = end
    return found

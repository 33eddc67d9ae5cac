"""Two plots as plain SVG text for pages and documents: points joined to curves, and bars with their intervals. Pure.

May import nothing of mimamori. Drawn so that they read in light and dark, without a script, and without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 60, 170, 20, 46
COLOURS = ("#0b6bcb", "#c0392b", "#2e7d32", "#8e44ad", "#b9770e", "#00838f", "#6d4c41", "#455a64")
DASHES = ("", "7 3", "2 3", "9 3 2 3")
STYLE = (
    "text{font:12px sans-serif;fill:#222}.grid{stroke:#d5d5d5}.axis{stroke:#555}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.grid{stroke:#444}.axis{stroke:#aaa}}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A named curve; `points` are (x, y, word at the point or "")."""

    name: str
    points: tuple[tuple[float, float, str], ...]


def curves(series: Sequence[Series], *, title: str, x: str, y: str) -> str:
    """An SVG element; both axes from zero. A series of one point is a point."""
    high_x = _nice(max((p[0] for s in series for p in s.points), default=1.0))
    high_y = _nice(max((p[1] for s in series for p in s.points), default=1.0))
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(px: float, py: float) -> tuple[float, float]:
        return round(LEFT + px / high_x * wide, 1), round(HEIGHT - BOTTOM - py / high_y * tall, 1)

    parts = [_open(title, HEIGHT)]
    for i in range(6):
        (gx, gy), base = place(high_x * i / 5, high_y * i / 5), HEIGHT - BOTTOM
        parts += [
            f'<line class="grid" x1="{gx}" y1="{TOP}" x2="{gx}" y2="{base}"/>',
            f'<line class="grid" x1="{LEFT}" y1="{gy}" x2="{WIDTH - RIGHT}" y2="{gy}"/>',
            f'<text x="{gx}" y="{base + 16}" text-anchor="middle">{high_x * i / 5:.3g}</text>',
            f'<text x="{LEFT - 6}" y="{gy + 4}" text-anchor="end">{high_y * i / 5:.3g}</text>',
        ]
    parts.append(f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>')
    parts.append(
        f'<text transform="translate(14 {TOP + tall / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text>'
    )
    for n, one in enumerate(series):
        colour, dash = COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)]
        spots = [(*place(px, py), word) for px, py, word in one.points]
        line = " ".join(f"{sx},{sy}" for sx, sy, _ in spots)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        for sx, sy, word in spots:
            told = f"<title>{escape(f'{one.name} {word}')}</title>"
            parts.append(f'<circle cx="{sx}" cy="{sy}" r="4" fill="{colour}">{told}</circle>')
            parts.append(f'<text x="{sx + 6}" y="{sy - 6}" font-size="10">{escape(word)}</text>' if word else "")
        key = TOP + 12 + 18 * n
        parts.append(f'<circle cx="{WIDTH - RIGHT + 16}" cy="{key - 4}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 26}" y="{key}">{escape(one.name)}</text>')
    return "".join(parts) + "</svg>"


def bars(rows: Sequence[tuple[str, float, float, float]], *, title: str, x: str) -> str:
    """An SVG element: one bar a row of (name, value, low, high), the interval as a whisker."""
    left, step = 190, 24
    high = _nice(max((row[3] for row in rows), default=1.0))
    tall = TOP + step * len(rows) + BOTTOM
    wide = WIDTH - left - 40
    parts = [_open(title, tall)]
    for i in range(6):
        gx = round(left + wide * i / 5, 1)
        parts.append(f'<line class="grid" x1="{gx}" y1="{TOP}" x2="{gx}" y2="{tall - BOTTOM}"/>')
        parts.append(f'<text x="{gx}" y="{tall - BOTTOM + 16}" text-anchor="middle">{high * i / 5:.3g}</text>')
    for n, (name, value, low, top) in enumerate(rows):
        y, mid = TOP + step * n + 5, TOP + step * n + 12
        long = round(wide * value / high, 1)
        a, b = round(left + wide * low / high, 1), round(left + wide * top / high, 1)
        parts += [
            f'<text x="{left - 8}" y="{mid + 4}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{left}" y="{y}" width="{long}" height="14" fill="{COLOURS[0]}" opacity="0.6"/>',
            f'<line class="axis" stroke-width="2" x1="{a}" y1="{mid}" x2="{b}" y2="{mid}"/>',
        ]
    parts.append(f'<text x="{left + wide / 2}" y="{tall - 8}" text-anchor="middle">{escape(x)}</text>')
    return "".join(parts) + "</svg>"


def _open(title: str, tall: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" width="{WIDTH}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title><style>{STYLE}</style>'
    )


def _nice(high: float) -> float:
    """The next number of the kind 1, 2, 2.5, 5 times a power of ten that is not below; 1 for 0."""
    if high <= 0:
        return 1.0
    unit = 1.0
    while unit < high:
        unit *= 10
    while unit / 10 >= high:
        unit /= 10
    return next(unit / d for d in (10, 5, 4, 2, 1) if unit / d >= high)

"""Figures as a picture: how far each is from its bar and its aim."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, ROW, LEFT, RIGHT = 860, 30, 270, 120


def drawn(figures: Sequence[dict[str, Any]]) -> str:
    """An SVG: a row for each figure that has a bar, drawn so that all bars stand under each other."""
    shown = [one for one in figures if one["bar"]]
    height = ROW * len(shown) + 50
    rows = "".join(_row(one, 34 + ROW * number) for number, one in enumerate(shown))
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    font = 'font-family="sans-serif" font-size="13"'
    line = f'x1="{middle}" y1="26" x2="{middle}" y2="{height - 12}" stroke="#999" stroke-dasharray="3 3"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {font}>'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="{middle}" y="20" text-anchor="middle" fill="#555">the bar</text><line {line}/>{rows}</svg>\n'
    )


def _row(one: dict[str, Any], y: int) -> str:
    """Its length is 1 at the bar; of what should be small, the bar divided by it."""
    small = one["aim"] is not None and one["aim"] < one["bar"]
    ratio = one["bar"] / one["median"] if small else one["median"] / one["bar"]
    length = min(ratio, 2.0) * (WIDTH - LEFT - RIGHT) / 2
    colour = "#2a7f62" if ratio >= 1 else "#c0553a"
    said = f"{one['median']:g} {one['unit']} (bar {'≤' if small else '≥'} {one['bar']:g})"
    return (
        f'<text x="{LEFT - 10}" y="{y + 14}" text-anchor="end" fill="#222">{escape(one["id"])}</text>'
        f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="16" rx="2" fill="{colour}"/>'
        f'<text x="{min(LEFT + length, WIDTH - RIGHT - 60) + 6:.1f}" y="{y + 14}" fill="#222">{escape(said)}</text>'
    )

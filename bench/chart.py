"""Figures as a picture: how far each is from its bar; ratios that have none, how far from the peer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, ROW, LEFT, RIGHT = 900, 30, 270, 190
REACHED, MISSED, PLAIN = "#2a7f62", "#c0553a", "#6b7f99"


def drawn(figures: Sequence[dict[str, Any]]) -> str:
    """An SVG: a row for each figure that has a bar, then for each other ratio; all bars stand under each other, and
    where there is none, being as fast as the peer stands there."""
    shown = [one for one in figures if one["bar"]]
    shown += [one for one in figures if not one["bar"] and one["unit"] == "×"]
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
    label = f'<text x="{LEFT - 10}" y="{y + 14}" text-anchor="end" fill="#222">{escape(one["id"])}</text>'
    if one["median"] is None:
        return f'{label}<text x="{LEFT + 6}" y="{y + 14}" fill="#888">not measured</text>'
    small = one["aim"] is not None and one["aim"] < one["bar"]
    bar = one["bar"] or 1.0
    ratio = bar / one["median"] if small else one["median"] / bar
    length = min(ratio, 2.0) * (WIDTH - LEFT - RIGHT) / 2
    colour = PLAIN if not one["bar"] else REACHED if ratio >= 1 else MISSED
    said = f"{one['median']:,.10g} {one['unit']}"
    if one["bar"]:
        said += f" (bar {'≤' if small else '≥'} {one['bar']:,g})"
    return (
        f"{label}"
        f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="16" rx="2" fill="{colour}"/>'
        f'<text x="{min(LEFT + length, WIDTH - RIGHT) + 6:.1f}" y="{y + 14}" fill="#222">{escape(said)}</text>'
    )

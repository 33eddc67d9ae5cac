"""What each part of the event stream tells: a change as JSON for programs, or as HTML by the pages' own templates.

May import the desk, drawing, shapes and web.records. Reads no clock.
"""

from __future__ import annotations

import json
from typing import Any

from mimamori.web.desk import Change, Desk, Tile, View, queue_order, rank, worst_first
from mimamori.web.drawing import Drawing, cards, sounding
from mimamori.web.records import Records
from mimamori.web.shapes import change_shape


async def as_json(change: Change) -> str:
    """A ChangeShape."""
    return change_shape(change).model_dump_json()


class Wall:
    """The tiles. Each is drawn once for all consoles: after an outage they all come back at once and ask for all.

    A drawn tile grows old only in its ages, which the browser counts by itself.
    """

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self._drawn: dict[str, tuple[Tile, str]] = {}
        self._placed: dict[str, tuple[Any, ...]] = {}  # what each tile's place hangs on, as of the last order told
        self._told = -1

    async def __call__(self, change: Change) -> str:
        """The event's JSON."""
        order = self._order(change)
        return _event(change, self.drawing, order, {t.household: self._tile(t, change.view) for t in change.tiles})

    def _order(self, change: Change) -> list[str] | None:
        """None where all who follow have it: with 2,000 households it is long, and takes time to find."""
        tiles, follows = change.view.tiles, bool(change.since) and change.since == self._told
        ranks = {t.household: rank(t) for t in change.tiles}
        same = follows and len(tiles) == len(self._placed) and all(self._placed.get(h) == r for h, r in ranks.items())
        self._told = change.seq
        if same:
            return None
        self._placed = {t.household: rank(t) for t in tiles}
        return [t.household for t in worst_first(tiles)]

    def _tile(self, tile: Tile, view: View) -> str:
        held = self._drawn.get(tile.household)
        if held is None or held[0] is not tile:
            if len(self._drawn) > 2 * len(view.tiles) + 100:  # households that are gone
                self._drawn.clear()
            held = self._drawn[tile.household] = (tile, self.drawing.tile(tile, view))
        return held[1]


class Queue:
    """The cards of the alerts, with who was told."""

    def __init__(self, drawing: Drawing, desk: Desk, records: Records) -> None:
        self.drawing, self._desk, self._records = drawing, desk, records

    async def __call__(self, change: Change) -> str:
        """The event's JSON. Raises OSError while the ledger is away."""
        order = [a.id for a in queue_order(change.view.alerts)]
        drawn = await cards(self._desk, self._records, change.alerts)
        return _event(change, self.drawing, order, {c.alert.id: self.drawing.card(c, change.view) for c in drawn})


class Bar:
    """The head of every page."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing

    async def __call__(self, change: Change) -> str:
        """The event's JSON."""
        return _event(change, self.drawing, [], {})


def _event(change: Change, drawing: Drawing, order: list[str] | None, items: dict[str, str]) -> str:
    view = change.view
    event: dict[str, Any] = {
        "now": view.now // 1_000_000, "speed": view.speed, "order": order, "items": items,
        "changed": [a.id for a in change.alerts], "homes": [t.household for t in change.tiles],
        "bar": drawing.bar(view), "sound": sounding(view),
    }  # fmt: skip
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))

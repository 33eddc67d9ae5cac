"""Declared absences on their way from the ledger to the engines, and the journal of what these were told.

May import model, rules and the ledger's records. Reads no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mimamori.model.declared import Declaration, Spans
from mimamori.model.homes import Homes
from mimamori.model.times import NEVER
from mimamori.rules.told import Steps
from mimamori.service.board import NOBODY, OpenEnded
from mimamori.store.records import Absence


@dataclass(slots=True)
class Away:
    """homes: the loop's own registry. told: as the journal has it, by household. fresh: not in the journal yet."""

    homes: Homes
    told: dict[str, Spans] = field(default_factory=dict)
    fresh: list[Declaration] = field(default_factory=list)
    open_ended: OpenEnded = NOBODY
    _said: dict[str, Spans] = field(default_factory=dict)
    _rows: int = -1  # households that there were when the engines were told; -1: they are to be told anew

    def take(self, absences: Iterable[Absence]) -> None:
        """All absences of the ledger, as they stand now; the engines hear of them with the next tick."""
        said: dict[str, list[tuple[int, int]]] = {}
        for absence in absences:
            said.setdefault(absence.household, []).append((absence.start, absence.end))
        fresh = {household: tuple(sorted(spans)) for household, spans in said.items()}
        if fresh != self._said:
            self._said, self._rows = fresh, -1

    def declare(self, engines: Sequence[Steps], now: int) -> None:
        """After the step of the tick `now` (ns): tells them what is new. A household without a row is told of later."""
        if self._rows == len(self.homes):
            return
        self._rows = len(self.homes)
        rows = {self.homes.find(household): spans for household, spans in self._said.items()}
        rows.pop(-1, None)
        for engine in engines:
            engine.declare(rows)
        open_ended = [(row, begin) for row, spans in rows.items() for begin, end in spans if end == NEVER]
        self.open_ended = (
            np.array([row for row, _ in open_ended], np.intp), np.array([begin for _, begin in open_ended], np.int64)
        )  # fmt: skip
        here = {self.homes.ids[row]: spans for row, spans in rows.items()}
        changed = [h for h in sorted(here.keys() | self.told.keys()) if here.get(h, ()) != self.told.get(h, ())]
        self.fresh += [Declaration(at=now, household=h, spans=here.get(h, ())) for h in changed]
        self.told = here

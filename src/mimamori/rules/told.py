"""Readings together with what was said of absences, in the order of a running service: step, then declare.

May import model only. Cuts a stream where something was said; how it is cut otherwise changes nothing (rules.engine).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from mimamori.model.declared import Declaration, Span, as_of
from mimamori.model.findings import FindingBatch, concat_findings
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, no_readings
from mimamori.model.times import NEVER


class Steps(Protocol):
    """An engine, or what is driven like one."""

    def step(self, batch: ReadingBatch, now: int) -> FindingBatch | None:
        """As Engine.step."""
        ...

    def resume(self, now: int) -> FindingBatch | None:
        """As Engine.resume."""
        ...

    def declare(self, absences: Mapping[int, Sequence[Span]]) -> None:
        """As Engine.declare."""
        ...


class Told:
    """An engine that is stepped like any, and is told of each absence when the service was told.

    at: ns, up to when it has been stepped.
    declarations: any order. since: ns; what was said up to then is the engine's already, NEVER: nothing is. Households
    that `homes` does not know yet are declared once it does.
    """

    def __init__(self, engine: Steps, homes: Homes, declarations: Iterable[Declaration], *, since: int = NEVER) -> None:
        self._engine, self._homes = engine, homes
        self._known = as_of(declarations, since)
        self._later = sorted((d for d in declarations if d.at > since), key=lambda d: -d.at)
        self._rows = 0
        self.at = since
        if since == NEVER:
            self._declare()

    def step(self, batch: ReadingBatch, now: int) -> FindingBatch:
        """As Engine.step, and what was said up to `now` is declared at its time."""
        found = []
        if self._rows < len(self._homes):
            self._declare()
        while self._later and self._later[-1].at <= now:
            at = self._later[-1].at
            early = batch.got <= at
            found.append(self._engine.step(batch.take(early), at))
            batch = batch.take(~early)
            while self._later and self._later[-1].at == at:
                said = self._later.pop()
                self._known[said.household] = said.spans
            self._declare()
        found.append(self._engine.step(batch, now))
        self.at = now
        return concat_findings([f for f in found if f is not None])

    def resume(self, now: int) -> FindingBatch:
        """As Engine.resume, after what was said before `now`: somebody watched when it was."""
        said = [d.at for d in self._later if d.at < now]
        found = [self.step(no_readings(), max(said)) if said else None, self._engine.resume(now)]
        return concat_findings([f for f in found if f is not None])

    def _declare(self) -> None:
        self._rows = len(self._homes)
        if self._known:
            rows = {self._homes.find(household): spans for household, spans in self._known.items()}
            self._engine.declare({row: spans for row, spans in rows.items() if row >= 0})

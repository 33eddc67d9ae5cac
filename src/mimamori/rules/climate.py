"""A room that is too hot or too cold for somebody who cannot leave it.

May import model and rules. Heat is judged by the wet-bulb globe temperature that air and humidity make indoors, without
sun or wind (Ono and Tonouchi, 2014). A room changes slowly: a value holds until the next one, and time
counts, not readings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level
from mimamori.model.times import MINUTE, NEVER, Nanos
from mimamori.rules.changes import LEVELS, NOT_DUE, changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Climate, Condition, Rule

FACTS = ("value", "limit", "minutes", "temperature", "humidity", "own")
ORDER = ("low", "medium", "high")


def wbgt(temperature: NDArray[np.float64], humidity: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) degrees Celsius indoors, from air temperature (degrees Celsius) and relative humidity (%); NaN if one is.

    The regression of Ono and Tonouchi (Nihon Seikishogaku Zasshi 50(4), 2014) with no sunshine and no wind.
    """
    return 0.735 * temperature + 0.0374 * humidity + 0.00292 * temperature * humidity - 4.064


class ClimateDetector:
    """`kind = "climate"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Climate)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._latest = shared.columns, shared.latest
        self.metric: int | None = shared.metrics.index("temperature")
        self._humidity = shared.metrics.index("humidity")
        # One sense for both: how far above the limit, where a cold limit is a limit of minus the temperature.
        self._sign = 1.0 if condition.high else -1.0
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive([condition])
        self._holds = [condition.hold.get(p, NOT_DUE) for p in ORDER]  # type: ignore[call-overload]

    def _derive(self, sets: Sequence[Condition]) -> None:
        each = [c.high or c.low for c in sets]  # type: ignore[union-attr]
        self._limits = np.array([[self._sign * at[p] if p in at else np.inf for p in ORDER] for at in each])  # type: ignore[index]

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("value", "f8", np.nan, "degrees Celsius, signed so that more is worse"),
            Column("since", "i8", NEVER, "ns, beyond the limit of each priority", (len(ORDER),)),
            Column("good_since", "i8", NEVER, "ns, well inside all limits"),
            Column("told_at", "i8", NEVER, "ns, last minute with a value"),
            Column("due", "i8", NOT_DUE, "ns, when the verdict may change with nothing new"),
            Column("began", "i8", NEVER, "ns, as told"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        c, name = self._columns, self._rule.name
        self._take(at)
        due = c[f"{name}.due"]
        rows = np.flatnonzero(due <= at)
        since, good, told = c[f"{name}.since"][:, rows], c[f"{name}.good_since"][rows], c[f"{name}.told_at"][rows]
        known = at - told <= self._spec.unknown_after
        firing = c[f"{name}.level"][rows]
        firing[(good != NEVER) & (_age(good, at) >= self._spec.clear_after)] = Level.NONE
        for i, priority in enumerate(ORDER):
            reached = (since[i] != NEVER) & (_age(since[i], at) >= self._holds[i])
            firing[reached] = np.maximum(firing[reached], LEVELS[priority])
        firing[~known] = Level.NONE
        beyond = (since != NEVER).any(0)
        began = c[f"{name}.began"]
        first = np.where(since == NEVER, NOT_DUE, since).min(0)
        starts = beyond & (began[rows] == NEVER)
        began[rows[starts]] = first[starts]
        began[rows[~beyond & (firing == Level.NONE)]] = NEVER
        due[rows] = np.where(known, self._next(since, good, told, firing, at), NOT_DUE)
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]),
            verdict=judged(firing=firing > 0, pending=beyond, known=known), level=firing, since=began[rows],
            score=np.nan_to_num(c[f"{name}.value"][rows]), facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _take(self, at: int) -> None:
        """The values of the minute, in households whose room told its temperature, and its humidity where it counts."""
        c, name = self._columns, self._rule.name
        total, count = self._latest.minute(self.metric)
        rows = np.flatnonzero(count)
        temperature = total[rows] / count[rows]
        if self._spec.measure == "wbgt":
            told = c["taken"][self._humidity, rows]
            fresh = (told != NEVER) & (_age(told, at) <= self._spec.unknown_after)
            rows, temperature = rows[fresh], temperature[fresh]
            value = wbgt(temperature, c["value"][self._humidity, rows])
        else:
            value = self._sign * temperature
        c[f"{name}.value"][rows] = value
        c[f"{name}.told_at"][rows] = at
        c[f"{name}.due"][rows] = at
        limits = self._limits[self.own.sets(rows)]
        for i, limit in enumerate(limits.T):
            since = c[f"{name}.since"][i]
            since[rows] = np.where(value < limit, NEVER, np.where(since[rows] == NEVER, at, since[rows]))
        good, inside = c[f"{name}.good_since"], value < limits.min(1) - self._spec.clear_margin
        good[rows] = np.where(inside, np.where(good[rows] == NEVER, at, good[rows]), NEVER)

    def _next(
        self, since: NDArray[np.int64], good: Nanos, told: Nanos, firing: NDArray[np.int8], at: int
    ) -> NDArray[np.int64]:
        """(r,) ns: the next limit of time that these rows run into if nothing is heard."""
        soon = told + self._spec.unknown_after + 1
        for i in range(len(ORDER)):
            ends = np.where(since[i] == NEVER, NOT_DUE, np.where(since[i] == NEVER, 0, since[i]) + self._holds[i])
            soon = np.where(ends > at, np.minimum(soon, ends), soon)
        ends = np.where((good == NEVER) | (firing == Level.NONE), NOT_DUE, np.where(good == NEVER, 0, good))
        ends = np.where(ends == NOT_DUE, NOT_DUE, ends + self._spec.clear_after)
        return np.where(ends > at, np.minimum(soon, ends), soon)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        began, level = c[f"{name}.began"][rows], c[f"{name}.level"][rows]
        minutes = np.where(began == NEVER, 0, _age(began, at)) / MINUTE
        each = self._limits[self.own.sets(rows)]
        limits, row = np.column_stack([each.min(1), each]), np.arange(len(rows))
        limit = limits[row, np.where(np.isfinite(limits[row, level]), level, 0)] * self._sign
        humidity = c["value"][self._humidity, rows]
        return np.column_stack([c[f"{name}.value"][rows] * self._sign, limit, minutes, c["value"][self.metric, rows],
                                humidity, self.own.apart(rows)])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=c[f"{name}.began"], score=np.nan_to_num(c[f"{name}.value"]),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip


def _age(then: Nanos, at: int) -> Nanos:
    """(n,) ns since `then`; 0 where that is NEVER."""
    age: Nanos = np.where(then == NEVER, 0, at - np.where(then == NEVER, at, then))
    return age

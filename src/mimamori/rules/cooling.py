"""A room that cools as it never does while somebody lives there: the heating has failed, or was not lit.

May import model and rules. Two levels are learned once a day, as means and variances: the coldest of the day, and how
warm the room is while somebody is up and about in it. Falling well below either is told, hours before the room is cold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level
from mimamori.model.times import HOUR, MINUTE, NEVER, Nanos
from mimamori.rules.changes import LEVELS, changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Cooling, Rule

CELL = 10 * MINUTE
FACTS = ("temperature", "usual", "limit", "while_up", "hours_to_10", "watts", "usual_watts")
COLDEST, UP = range(2)  # the two levels
ABOVE = 3.0  # standard deviations, and how many of them one day can count for
PRIOR_COUNT, PRIOR_SPREAD = 2.0, 2.0  # days; Celsius, before own days are known
LEAST_SPREAD = 0.5  # Celsius: weather alone moves a room by as much
RATE = 0.1  # weight of a new day once the first ones are in: seasons are slow, weeks are not
LEARN_AT = 12 * HOUR  # at noon: no night is cut
SEEN_UP = 6  # cells up and about, that a day may tell how warm it is then
LAST_SIGN = 20 * MINUTE  # whoever gave one since is up, unless in bed or out
WARM_AFTER = 9  # cells up on end: by then a room that is heated for people is warm
POWER_TOLD, HOURLY = 30 * MINUTE, 1 / 6  # a power told so long ago counts; weight of a cell in an hour's mean
POWER_GONE = 0.5  # of the usual power while up, and the heating is not on
SLOPE, RISES = 0.3, 0.5  # weight of a cell in the fall an hour; Celsius an hour, and the room is being warmed
AT_HOME = 3 * HOUR  # somebody who gave a sign of life since, and did not go out
ENDS_ABOVE = 1.0  # Celsius over the limit
TOWARDS, SOON = 10.0, 3.0  # Celsius, and hours: the danger that makes it high
NEVER_SO = 99.0  # hours


class CoolingDetector:
    """`kind = "cooling"`."""

    every = CELL
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Cooling)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._zone = shared.columns, shared.zone
        self.metric: int | None = shared.metrics.index("temperature")
        self._start = np.array([[condition.start_coldest], [condition.start_up]])
        self._bed, self._power = shared.metrics.index("in_bed"), shared.metrics.index("power")

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("mean", "f2", 0, "Celsius, departures from the start: coldest of the day, and while up", (2,)),
            Column("spread", "f2", PRIOR_SPREAD**2, "their variances", (2,)),
            Column("days", "u1", 0, "learned from, at most 255", (2,)),
            Column("coldest", "f2", np.nan, "Celsius, since noon"),
            Column("up_sum", "f4", 0, "Celsius, while up, since noon"),
            Column("up_watts", "f4", 0, "W, likewise"),
            Column("up_cells", "u1", 0, "how many"),
            Column("up_run", "u1", 0, "cells up on end"),
            Column("watts", "f2", 0, "W, of about the last hour"),
            Column("usual_watts", "f2", 0, "W, while up"),
            Column("before", "f2", np.nan, "Celsius, a cell ago; NaN: not told"),
            Column("fall", "f2", 0, "Celsius an hour, of late"),
            Column("held", "u1", 0, "cells on end below a limit, at most 255"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the ten minutes that end at `at` (ns)."""
        rows = np.flatnonzero(self._columns["taken"][self.metric] != NEVER)
        warmth = self._columns["value"][self.metric, rows]
        known = at - self._columns["taken"][self.metric, rows] <= self._spec.unknown_after
        self._take(rows, np.where(known, warmth, np.nan), at)
        level = self._judge(rows, warmth, known, at)
        if self._zone.time_of_day(at) // CELL == LEARN_AT // CELL:
            self._learn(rows)
        return changed(
            rows, rule=self._index, old=(self._c("verdict"), self._c("level")),
            verdict=judged(firing=level > 0, pending=self._c("held")[rows] > 0, known=known), level=level,
            since=self._since(rows, at), score=np.maximum(-self._c("fall")[rows], 0).astype(np.float64),
            facts=self._facts, home=None, at=at,
        )  # fmt: skip

    def _take(self, rows: NDArray[np.intp], warmth: NDArray[np.float64], at: int) -> None:
        """What this cell tells: the coldest, the fall, the power, and how warm it is while somebody is up."""
        c = self._columns
        told, power = c["taken"][self._power, rows], c["value"][self._power, rows]
        drawn = rows[(told != NEVER) & (told > at - POWER_TOLD)]
        watts = self._c("watts")
        watts[drawn] += HOURLY * (c["value"][self._power, drawn] - watts[drawn])
        watts[rows[np.isnan(power)]] = 0
        sign = c["last_sign"][rows]
        up = (sign != NEVER) & (sign > at - LAST_SIGN) & ~(c["value"][self._bed, rows] > 0) & ~c["out"][rows]
        run = np.where(up, np.minimum(self._c("up_run")[rows], 254) + 1, 0)
        self._c("up_run")[rows] = run
        heard = ~np.isnan(warmth)
        self._c("coldest")[rows[heard]] = np.fmin(self._c("coldest")[rows[heard]], warmth[heard])
        before, fall = self._c("before"), self._c("fall")
        change = (warmth - before[rows]) * (HOUR / CELL)
        fall[rows] = np.where(np.isnan(change), 0, fall[rows] + SLOPE * (change - fall[rows]))
        before[rows] = warmth
        warm = rows[heard & (run >= WARM_AFTER) & (self._c("level")[rows] == Level.NONE)]
        self._c("up_sum")[warm] += self._c("before")[warm]
        self._c("up_watts")[warm] += watts[warm]
        self._c("up_cells")[warm] += self._c("up_cells")[warm] < np.iinfo(np.uint8).max

    def _judge(
        self, rows: NDArray[np.intp], warmth: NDArray[np.float64], known: NDArray[np.bool_], at: int
    ) -> NDArray[np.int8]:
        """(r,) the level. It lasts until the room is a little warmer than the limit that holds then."""
        old, held = self._c("level")[rows], self._c("held")
        low, warm = self._limits(rows)
        warm = np.where(self._c("up_run")[rows] >= WARM_AFTER, warm, -np.inf)
        limit = np.maximum(low, warm)
        below = (warmth <= self._spec.only_below) & (warmth <= limit) & (self._c("fall")[rows] <= RISES)
        below &= self._at_home(rows, at)
        held[rows] = np.where(below | ((old > 0) & (warmth < limit + ENDS_ABOVE)), np.minimum(held[rows], 254) + 1, 0)
        firing = (held[rows] > 0) & ((old > 0) | (held[rows] >= self._spec.hold // CELL))
        priority = np.int8(LEVELS[self._rule.priority])
        level = np.where(firing, np.maximum(old, priority), np.int8(Level.NONE)).astype(np.int8)
        level[firing & ((warmth <= self._spec.high_below) | (self._hours_left(rows) <= SOON))] = Level.HIGH
        return np.where(known, level, old)

    def _at_home(self, rows: NDArray[np.intp], at: int) -> NDArray[np.bool_]:
        """(r,) somebody lies in bed, or gave a sign of life of late: an empty home may be as cold as it likes."""
        c = self._columns
        sign = c["last_sign"][rows]
        seen = (c["value"][self._bed, rows] > 0) | ((sign != NEVER) & (sign > at - AT_HOME))
        at_home: NDArray[np.bool_] = seen & ~c["out"][rows]
        return at_home

    def _limits(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(2, r) Celsius."""
        spread = self._c("spread")[:, rows].astype(np.float64)
        usual = self._c("usual_watts")[rows].astype(np.float64)
        gone = (usual > 0) & (self._c("watts")[rows] < POWER_GONE * usual)
        least = np.array([np.full(len(rows), self._spec.below_coldest),
                          np.where(gone, self._spec.drop_unheated, self._spec.drop)])  # fmt: skip
        limits: NDArray[np.float64] = self._usual(rows) - np.maximum(least, ABOVE * np.sqrt(spread))
        return limits

    def _usual(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(2, r) Celsius."""
        usual: NDArray[np.float64] = self._start + self._c("mean")[:, rows].astype(np.float64)
        return usual

    def _learn(self, rows: NDArray[np.intp]) -> None:
        """Noon: both levels of the day that ends, at most three standard deviations off."""
        coldest, cells = self._c("coldest")[rows].astype(np.float64), self._c("up_cells")[rows]
        told = np.array([np.isfinite(coldest), cells >= SEEN_UP])
        value = np.array([np.where(told[COLDEST], coldest, 0), self._c("up_sum")[rows] / np.maximum(cells, 1)])
        days, mean, spread = (self._c(n)[:, rows].astype(np.float64) for n in ("days", "mean", "spread"))
        rate = np.where(told, np.maximum(RATE, 1 / (PRIOR_COUNT + days)), 0)
        furthest = ABOVE * np.maximum(np.sqrt(spread), LEAST_SPREAD)
        off = np.clip(value - self._start - mean, -furthest, furthest)
        self._c("mean")[:, rows] = mean + rate * off
        self._c("spread")[:, rows] = np.where(told, (1 - rate) * (spread + rate * off**2), spread)
        self._c("days")[:, rows] = np.minimum(days + told, 255)
        watts = self._c("usual_watts")
        seen, mine = told[UP], rows[told[UP]]
        drawn = self._c("up_watts")[mine] / cells[seen]
        watts[mine] = np.where(days[UP, seen] == 0, drawn, watts[mine] + rate[UP, seen] * (drawn - watts[mine]))
        for name, fill in (("coldest", np.nan), ("up_sum", 0), ("up_watts", 0), ("up_cells", 0)):
            self._c(name)[rows] = fill

    def _hours_left(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(r,) hours until the room has TOWARDS, if it goes on falling as of late."""
        fall, warmth = self._c("fall")[rows].astype(np.float64), self._c("before")[rows].astype(np.float64)
        hours = np.where(fall < 0, (warmth - TOWARDS) / np.maximum(-fall, 1e-3), NEVER_SO)
        left: NDArray[np.float64] = np.where(np.isnan(hours), NEVER_SO, np.clip(hours, 0, NEVER_SO))
        return left

    def _since(self, rows: NDArray[np.intp], at: int) -> Nanos:
        """(r,) ns: since when it is below a limit; NEVER if it is not."""
        held = self._c("held")[rows].astype(np.int64)
        return np.where(held > 0, at - held * CELL, NEVER)

    def _facts(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        limits, warmth = self._limits(rows), self._columns["value"][self.metric, rows]
        up = (self._c("up_run")[rows] >= WARM_AFTER) & (warmth < limits[UP] + ENDS_ABOVE)
        by, each = np.where(up, UP, COLDEST), np.arange(len(rows))
        usual, limit = self._usual(rows)[by, each], limits[by, each]
        told = [self._c(name)[rows].astype(np.float64) for name in ("watts", "usual_watts")]
        return np.column_stack([warmth, usual, limit, up, self._hours_left(rows), *told])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        verdict = self._c("verdict")
        rows = np.arange(len(verdict))
        return findings_of(
            rows, rule=self._index, verdict=verdict, level=self._c("level"), since=self._since(rows, max(at, 0)),
            score=np.zeros(len(verdict)), facts=self._facts, home=None, at=at,
        )  # fmt: skip

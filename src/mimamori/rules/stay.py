"""In bed for much longer than this household's own days: by day, or in the last 24 hours in all.

May import model and rules. A day is 144 bits, one for each ten minutes of the clock, set while somebody lies in bed.
What is usual are means and variances of both sums, learned once a day, each day for at most three deviations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, Nanos
from mimamori.rules.changes import LEVELS, changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import BED, Shared
from mimamori.rules.spec import Rule, Stay

CELL = 10 * MINUTE
SLOTS = DAY // CELL
FACTS = ("day_hours", "usual_day_hours", "all_hours", "usual_all_hours", "more_hours")
PRIOR_COUNT, PRIOR_SPREAD = 4.0, 1.0  # days, and hours, before own days are known
RATE = 0.06  # weight of a new day once the first ones are in
FURTHEST = 3.0  # standard deviations that one day can count for
LEAST_SPREAD = 0.5  # hours: nobody lives by the minute
SLEPT_HERE = 2.0  # hours in bed in 24: with fewer, the night was spent elsewhere
SEEN = 0.8  # of a day, that it may be learned from
ENDS_BELOW = 0.5  # hours under the limit


class StayDetector:
    """`kind = "stay"`."""

    every = CELL
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Stay)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._zone = shared.columns, shared.zone
        self.metric: int | None = shared.metrics.index("in_bed")
        slots = np.array([condition.by_day.holds(int(slot) * CELL) for slot in range(SLOTS)])
        self._by_day = np.packbits(slots, bitorder="little")[:, None]
        self._learn_at = condition.by_day.end % DAY
        self._prior = np.array([[condition.start_by_day / HOUR], [condition.start_in_all / HOUR]])
        self._hold = condition.hold // CELL
        self._levels = [(LEVELS[p], condition.more_by_day[p] / HOUR, condition.more_in_all[p] / HOUR)
                        for p in ("low", "medium", "high") if p in condition.more_by_day]  # fmt: skip

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("slots", "u1", 0, "bits: in bed, ten minutes of the clock each", (SLOTS // 8,)),
            Column("seen", "u1", 0, "slots with a bed sensor that talks, since the day was learned"),
            Column("usual", "f2", 0, "hours by day, and in 24: means, departures from the prior", (2,)),
            Column("spread", "f2", PRIOR_SPREAD**2, "their variances", (2,)),
            Column("days", "u1", 0, "learned from, at most 255"),
            Column("beyond", "u1", 0, "slots on end over each level's limit", (3,)),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the ten minutes that end at `at` (ns)."""
        c, slots, seen = self._columns, self._c("slots"), self._c("seen")
        bed = c["value"][self.metric]
        known = (bed == bed) & ~self._silent()  # noqa: PLR0124 - NaN: never told
        time_of_day = self._zone.time_of_day(at - 1)
        byte, bit = divmod(time_of_day // CELL, 8)
        mask = np.uint8(1 << bit)
        slots[byte] = np.where(known & (bed > 0), slots[byte] | mask, slots[byte] & ~mask)
        seen += known & (seen < SLOTS)
        hours = self._hours(slice(None))
        level = self._judge(hours, bed > 0, known, by_day=self._spec.by_day.holds(time_of_day))
        if self._zone.time_of_day(at) // CELL == self._learn_at // CELL:
            self._learn(hours)
        rows = np.arange(len(bed))
        return changed(
            rows, rule=self._index, old=(self._c("verdict"), self._c("level")),
            verdict=judged(firing=level > 0, pending=np.zeros(len(bed), bool), known=known), level=level,
            since=self._since(rows, level, at), score=np.maximum(hours - self._usual(slice(None)), 0).max(0),
            facts=self._facts, home=None, at=at,
        )  # fmt: skip

    def _judge(
        self, hours: NDArray[np.float64], bed: NDArray[np.bool_], known: NDArray[np.bool_], *, by_day: bool
    ) -> NDArray[np.int8]:
        """(n,) the level. It begins and worsens in bed alone, and never ends while the sensor is silent."""
        old, beyond = self._c("level"), self._c("beyond")
        more = hours - self._usual(slice(None))
        least = self._spec.deviations * self._spread(slice(None))
        level = np.zeros(len(old), np.int8)
        for k, (value, day, in_all) in enumerate(self._levels):
            margin = np.where(old >= value, ENDS_BELOW, 0.0)
            over = more[1] >= np.maximum(in_all, least[1]) - margin
            if by_day:
                over |= more[0] >= np.maximum(day, least[0]) - margin
            beyond[k] = np.where(over, np.minimum(beyond[k], 254) + 1, 0)
            level[over & ((old >= value) | (bed & (beyond[k] >= self._hold)))] = value
        return np.where(known, level, old)

    def _learn(self, hours: NDArray[np.float64]) -> None:
        """The end of a day: both sums, at most three standard deviations off, and what was seen begins anew."""
        days, seen = self._c("days"), self._c("seen")
        rows = np.flatnonzero((seen >= SEEN * SLOTS) & (hours[1] >= SLEPT_HERE))
        mean, spread = (self._c(n)[:, rows].astype(np.float64) for n in ("usual", "spread"))
        rate = np.maximum(RATE, 1 / (PRIOR_COUNT + days[rows]))
        furthest = FURTHEST * self._spread(rows)
        off = np.clip(hours[:, rows] - self._prior - mean, -furthest, furthest)
        self._c("usual")[:, rows] = mean + rate * off
        self._c("spread")[:, rows] = (1 - rate) * (spread + rate * off**2)
        days[rows] += days[rows] < np.iinfo(np.uint8).max
        seen[:] = 0

    def _hours(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        """(2, n) hours in bed: by day, as far as it has come or as it was yesterday, and in the last 24."""
        slots = self._c("slots")[:, rows]
        counts = (np.bitwise_count(slots & self._by_day).sum(0), np.bitwise_count(slots).sum(0))
        hours: NDArray[np.float64] = np.array(counts) * (CELL / HOUR)
        return hours

    def _usual(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        usual: NDArray[np.float64] = np.maximum(self._prior + self._c("usual")[:, rows].astype(np.float64), 0)
        return usual

    def _spread(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        """(2, n) standard deviations, in hours."""
        spread: NDArray[np.float64] = np.sqrt(self._c("spread")[:, rows].astype(np.float64))
        return np.maximum(spread, LEAST_SPREAD)

    def _silent(self) -> NDArray[np.bool_]:
        c = self._columns
        home = c["device_home"][c["silent"] & (c["channel"] == BED)]
        out: NDArray[np.bool_] = np.bincount(home, minlength=len(c["out"])) > 0
        return out

    def _since(self, rows: NDArray[np.intp], level: NDArray[np.int8], at: int) -> Nanos:
        """(n,) ns: the beginning of the present stay in bed, of those over a limit; NEVER of all others, or if up."""
        since = np.full(len(rows), NEVER)
        some = np.flatnonzero(level > 0)
        if not len(some) or at == NEVER:  # nothing was ever judged
            return since
        bits = np.unpackbits(self._c("slots")[:, rows[some]], axis=0, bitorder="little")
        now = int(self._zone.time_of_day(at - 1) // CELL)
        back = bits[(now - np.arange(SLOTS)) % SLOTS]  # from this slot on backwards
        run = np.where(back.all(0), SLOTS, np.argmin(back, axis=0))
        since[some] = np.where(run > 0, at - run * CELL, NEVER)
        return since

    def _facts(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        hours, usual = self._hours(rows), self._usual(rows)
        more = np.maximum(hours - usual, 0).max(0)
        return np.column_stack([hours[0], usual[0], hours[1], usual[1], more])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        verdict, level = self._c("verdict"), self._c("level")
        rows = np.arange(len(verdict))
        return findings_of(
            rows, rule=self._index, verdict=verdict, level=level, since=self._since(rows, level, at),
            score=np.zeros(len(verdict)), facts=self._facts, home=None, at=at,
        )  # fmt: skip

"""A device that says nothing for longer than its own cadence explains. A technical state, never the resident's.

May import model and rules. Writes the shared column `silent`, which tells every other detector whom not to believe.
In a home that is cut off (rules.cause) nothing is known of its sensors: only what was late before stays so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.cause import NOTHING
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, NOT_DUE, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, lean
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Rule, Silent

FACTS = ("minutes", "limit_minutes", "period_minutes", "offline")


class Devices(NamedTuple):
    """The shared columns that are looked at, whole; the last three are of the household."""

    device_home: NDArray[np.int32]
    spoke: NDArray[np.bool_]
    heard: NDArray[np.int64]
    period: NDArray[np.int64]
    offline: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    late: NDArray[np.bool_]
    late_from: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    cause: NDArray[np.int8]
    gone: NDArray[np.bool_]


class Awaited(NamedTuple):
    """The rule's columns, whole."""

    due: NDArray[np.int64]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule, spans in ns."""

    periods: float
    at_least: float
    at_most: float
    priority: int


@lean
def _judge(at: int, c: Devices, kept: Awaited, limits: Limits, found: Rows) -> int:
    """The minute that ends at `at`, of all devices; how many of them, in `found`, changed verdict or level."""
    spoke, due, verdicts, levels, n = c.spoke, kept.due, kept.verdict, kept.level, 0
    for d in range(len(found)):
        if not spoke[d] and due[d] > at:
            continue
        h, heard = c.device_home[d], c.heard[d]
        since, known, cut = max(heard, c.late_from[d]), heard != NEVER, c.cause[h] != NOTHING
        limit = min(max(c.period[d] * limits.periods, limits.at_least), limits.at_most)
        late = known and (at - since > limit or (c.offline[d] and not c.gone[h])) and (c.late[d] or not cut)
        silent = known and (late or cut)
        if silent != c.silent[d]:
            c.fresh[h] = True  # others ask whom not to believe
        c.silent[d], c.late[d] = silent, late
        due[d] = since + np.int64(limit) if known and not silent else NOT_DUE
        level = limits.priority if late else 0
        verdict = FIRING if late else UNKNOWN if cut or not known else CLEAR
        if verdict != verdicts[d] or level != levels[d]:
            verdicts[d], levels[d], found[n] = verdict, level, d
            n += 1
    return n


class SilentDetector:
    """`kind = "silent"`: one row a device."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Silent)
        self._rule, self._index, self._spec, self._columns = rule, index, condition, shared.columns
        self._ready = Once(shared.columns, self._prepare)
        self._limits = Limits(
            float(condition.periods), float(condition.at_least), float(condition.at_most), int(LEVELS[rule.priority])
        )

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each device."""
        own = [
            Column("due", "i8", NEVER, "ns, when it is late if nothing more is heard"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape, "device") for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge at `at` (ns, whole minute) every device that has spoken, or is late now."""
        judge, arrays = self._ready()
        changed = judge(at, *arrays)
        return self._findings(arrays[-1][:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., int], tuple[Devices, Awaited, Limits, Rows]]:
        """The loop, and all that it is given at each minute."""
        c = self._columns
        devices, kept = Devices(*c.bundle(Devices._fields)), Awaited(*c.bundle(Awaited._fields, f"{self._rule.name}."))
        arrays = devices, kept, self._limits, c.room("device")
        return bound(_judge, 0, *arrays), arrays

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        c, name = self._columns, self._rule.name
        heard = c["heard"][rows]
        quiet = at - np.where(heard == NEVER, at, np.maximum(heard, c["late_from"][rows]))
        return findings_of(
            rows, rule=self._index, verdict=c[f"{name}.verdict"][rows], level=c[f"{name}.level"][rows], since=heard,
            score=quiet / MINUTE, facts=lambda rows: self._facts(rows, at), home=c["device_home"], at=at,
        )  # fmt: skip

    def _limit(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(d,) ns: some of its own longest recent pauses, within bounds."""
        return np.clip(self._columns["period"][rows] * self._spec.periods, self._spec.at_least, self._spec.at_most)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c = self._columns
        heard = c["heard"][rows]
        minutes = np.where(heard == NEVER, 0, at - np.where(heard == NEVER, at, heard)) / MINUTE
        return np.column_stack([minutes, self._limit(rows) / MINUTE, c["period"][rows] / MINUTE, c["offline"][rows]])

    def current(self, at: int) -> FindingBatch:
        """Every device's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["device"]), at)

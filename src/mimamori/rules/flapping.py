"""What turns on and off over and over: one technical state, instead of an alert each time.

May import model and rules. Time is cut into looks; in each, what is watched turned or did not. The share of the last 21
looks in which it did, newer ones weighing more, begins and ends the state at two limits (as Nagios does). A look in
which nothing turned counts only while something is heard: silence is no steadiness.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import HOUR, MINUTE, Nanos
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, NO_MINUTE, PENDING, UNKNOWN, findings_of, instant
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bits_of, bound, inlined, lean
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Flapping, Rule

FACTS = ("turns", "looks", "share", "hours", "which")
LOOKS = 21
NEWEST, OLDEST = 1.2, 0.8  # weights; those between lie on a line
WEIGHTS = np.array([NEWEST - (NEWEST - OLDEST) * k / (LOOKS - 1) for k in range(LOOKS)])
ALL = (1 << LOOKS) - 1


class Kept(NamedTuple):
    """The rule's columns, whole. The first three have a row for each rule that is watched."""

    on: NDArray[np.bool_]
    turned: NDArray[np.bool_]
    looks: NDArray[np.uint32]
    known: NDArray[np.bool_]
    heard: NDArray[np.bool_]
    since: NDArray[np.int32]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule; look in minutes."""

    begins: float
    ends: float
    look: int
    priority: int


@lean
def _watch(k: int, watched: NDArray[np.int8], kept: Kept, rows: int) -> None:
    """One minute of the k-th rule that is watched: who turned. Unknown is no turn."""
    for h in range(rows):
        verdict = watched[h]
        if verdict != UNKNOWN:
            kept.known[h] = True
            if (verdict == FIRING) != kept.on[k, h]:
                kept.on[k, h] = verdict == FIRING
                kept.turned[k, h] = True


@lean
def _hear(fresh: NDArray[np.bool_], heard: NDArray[np.bool_], rows: int) -> None:
    for h in range(rows):
        heard[h] = heard[h] or fresh[h]


@lean
def _end_look(kept: Kept, busy: NDArray[np.bool_]) -> None:
    """A look is over, of all that is watched. Sets `busy` (rows,): whether anything turned in any look that counts.

    One rule after the other, since the rows of one lie together: hardly any has ever turned.
    """
    for h in range(len(busy)):
        busy[h] = False
    for k in range(len(kept.looks)):
        for h in range(len(busy)):
            word, turned = np.int64(kept.looks[k, h]), kept.turned[k, h]
            word = (word << 1 | turned) & ALL if turned or kept.heard[h] else word
            kept.looks[k, h] = np.uint32(word)
            kept.turned[k, h] = False
            busy[h] |= word != 0


@lean
def _judge(now: int, kept: Kept, limits: Limits, busy: NDArray[np.bool_], found: Rows) -> int:
    """After `_end_look`: how many, in `found`, changed verdict or level. now: minutes since 1970."""
    n = 0
    for h in range(len(found)):
        kept.heard[h] = False
        most = 0.0
        looks: Any = np.int64(0)
        if busy[h]:
            for k in range(len(kept.looks)):
                share = _share(kept.looks[k, h])
                if share > most:
                    most, looks = share, np.int64(kept.looks[k, h])
        was = kept.level[h] > 0
        firing = most >= limits.begins or (was and most >= limits.ends)
        if firing and not was:
            kept.since[h] = now - limits.look * _oldest(looks)
        elif not firing:
            kept.since[h] = NO_MINUTE
        level = limits.priority if firing else 0
        verdict = FIRING if firing else PENDING if most >= limits.ends else CLEAR
        if not kept.known[h]:
            verdict = UNKNOWN
        if verdict != kept.verdict[h] or level != kept.level[h]:
            kept.verdict[h], kept.level[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _share(looks: int) -> float:
    """Of the looks, those with a turn, weighed."""
    word, share = np.int64(looks), 0.0
    while word != 0:  # mostly a bit or none
        below = (word & -word) - 1
        share += WEIGHTS[bits_of(below)]
        word &= word - 1
    return share / LOOKS


@inlined
def _oldest(looks: int) -> int:
    """How many looks ago the oldest turn lies, that of the last look one ago."""
    word, oldest = np.int64(looks), 0
    for k in range(LOOKS):
        if word >> k & 1:
            oldest = k + 1
    return oldest


@lean
def _tell(rows: Rows, kept: Kept, table: NDArray[np.float64]) -> None:
    """turns, share and which of those rows: (r, 3)."""
    for i in range(len(rows)):
        for k in range(len(kept.looks)):
            share = _share(kept.looks[k, rows[i]])
            if share > table[i, 1] or k == 0:
                table[i, 0], table[i, 1], table[i, 2] = bits_of(np.int64(kept.looks[k, rows[i]])), share, k


class FlappingDetector:
    """`kind = "flapping"`: one row a device, or a household."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        spec = rule.condition
        assert isinstance(spec, Flapping)
        self._rule, self._index, self._spec, self._columns = rule, index, spec, shared.columns
        self._ready = Once(shared.columns, self._prepare)
        self._limits = Limits(
            float(spec.begins_at), float(spec.ends_below), spec.look // MINUTE, int(LEVELS[rule.priority])
        )
        # A rule that is not at work here has nothing to say.
        self._watched = [(k, f"{name}.verdict") for k, name in enumerate(spec.of)
                         if f"{name}.verdict" in shared.columns.declared]  # fmt: skip
        self._findings(self._end_look(0, 0), 0)  # machine code is fetched now, not in the middle of a day

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each device or household."""
        spec = rule.condition
        assert isinstance(spec, Flapping)
        shape = (len(spec.of),)
        own = [
            Column("on", "?", 0, "fires, as last known", shape),
            Column("turned", "?", 0, "since this look began", shape),
            Column("looks", "u4", 0, "a bit a look, newest lowest: it turned", shape),
            Column("known", "?", 0, "a verdict was known"),
            Column("heard", "?", 0, "since this look began"),
            Column("since", "i4", NO_MINUTE, "minutes since 1970, the first turn that counted"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape, _axis(spec)) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Watch the minute that ends at `at` (ns, whole minute), and judge a look that ends with it."""
        watch, hear, watched, spoke, kept, rows = self._ready()
        for k, verdict in watched:
            watch(k, verdict, kept, rows)
        hear(spoke, kept.heard, rows)
        if at % self._spec.look:
            return no_findings()
        changed = self._end_look(rows, at)
        return self._findings(changed, at) if len(changed) else no_findings()

    def _prepare(self) -> tuple[
        Callable[..., None], Callable[..., None], list[tuple[int, NDArray[np.int8]]], NDArray[np.bool_], Kept, int
    ]:  # fmt: skip
        """The two loops, and all that they are given at each minute."""
        c, kept, rows = self._columns, self._kept(), self._columns.rows[_axis(self._spec)]
        watched = [(k, c.whole(verdict)) for k, verdict in self._watched]
        spoke = c.whole("spoke" if self._spec.each == "device" else "fresh")
        watch = bound(_watch, 0, watched[0][1], kept, rows) if watched else _watch
        return watch, bound(_hear, spoke, kept.heard, rows), watched, spoke, kept, rows

    def _end_look(self, rows: int, at: int) -> Rows:
        """Which of the first `rows` rows changed verdict or level."""
        kept, found, busy = self._kept(), np.empty(rows, np.intp), np.empty(rows, np.bool_)
        _end_look(kept, busy)
        return found[: _judge(at // MINUTE, kept, self._limits, busy, found)]

    def _kept(self) -> Kept:
        return Kept(*self._columns.bundle(Kept._fields, f"{self._rule.name}."))

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        table = np.zeros((len(rows), 3))
        _tell(rows, self._kept(), table)
        since: Nanos = instant(self._c("since")[rows])
        hours = np.full(len(rows), LOOKS * self._spec.look / HOUR)
        facts = np.column_stack([table[:, 0], np.full(len(rows), float(LOOKS)), table[:, 1], hours, table[:, 2]])
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows], since=since,
            score=table[:, 1], facts=lambda _: facts, at=at,
            home=self._columns["device_home"] if self._spec.each == "device" else None,
        )  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every device's or household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows[_axis(self._spec)]), at)


def _axis(spec: Flapping) -> Any:
    return "device" if spec.each == "device" else "home"

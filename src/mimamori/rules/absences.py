"""Declared absences: who is away until when, and who should be back by now and has not been seen.

May import model, rules.columns, rules.latest and rules.spec. While somebody is away the rules that wait for a sign of
them are held still: what they know stays as it was to the bit, and at the return they begin anew (FLEETING).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.declared import Span
from mimamori.model.times import DAY, HOUR, NEVER
from mimamori.rules.changes import CLEAR
from mimamori.rules.columns import Column, Columns
from mimamori.rules.kernel import lean
from mimamori.rules.latest import POWER
from mimamori.rules.spec import (
    Absent,
    Away,
    Band,
    Climate,
    Condition,
    Cooling,
    Count,
    Drift,
    Evidence,
    Overdue,
    Rise,
    Rule,
    Stay,
    Usual,
)

HOME, AWAY, AWAITED = range(3)
LONGEST, EARLY = 30 * DAY, 2 * HOUR  # where no rule says otherwise
ABSENCE_COLUMNS = (
    Column("absence", "i1", HOME, "0 at home, 1 declared away, 2 awaited"),
    Column("absent_from", "i8", NEVER, "ns, of the absence that holds or held last"),
    Column("absent_until", "i8", NEVER, "ns, likewise, as it was declared"),
)
FLEETING: Mapping[type, tuple[str, ...]] = {
    Evidence: ("nats", "expected", "run", "was_out", "left_at", "firing", "level_sum", "level_run", "level"),
    Band: ("bad", "good", "firing", "since", "due", "level"),
    Usual: ("odd", "since", "due", "level"),
    Away: ("bed", "left", "level"),
    Absent: ("firing", "watched", "since", "missed", "gone", "level"),
    Rise: ("left", "level"),
    Climate: ("since", "good_since", "told_at", "due", "began", "level"),
    Cooling: ("coldest", "up_sum", "up_watts", "up_cells", "up_run", "before", "fall", "held", "level"),
    Count: ("minutes", "settled", "peak", "run", "longest", "level"),
    Drift: ("sum", "seen", "level"),
    Stay: ("slots", "sums", "seen", "beyond", "level"),
}
"""By condition, of the rules that may be held: the columns that begin anew when somebody comes home."""

Rows = NDArray[np.intp]


def holds(condition: Condition) -> bool:
    """Whether a rule is held while the resident is declared away."""
    return type(condition) in FLEETING and getattr(condition, "while_absent", "hold") == "hold"


@lean
def concerned(state: int, absence: NDArray[np.int8], verdict: NDArray[np.int8], found: Rows) -> int:
    """How many households, in `found`, a rule has to look at: those in that state, and whom it told of as not clear."""
    n = 0
    for h in range(len(found)):
        if absence[h] == state or verdict[h] != CLEAR:
            found[n] = h
            n += 1
    return n


class Absences:
    """Who is away: the spans that were declared, and the columns that follow from them and from signs of life."""

    def __init__(self, columns: Columns, rules: Sequence[Rule]) -> None:
        self._c = columns
        overdue = [r.condition for r in rules if isinstance(r.condition, Overdue)]
        self._awaits = bool(overdue)  # nobody is awaited where no rule would call
        self._longest = min((int(c.longest) for c in overdue), default=LONGEST)
        self._early = max((int(c.early) for c in overdue), default=EARLY)
        self._spans: dict[int, tuple[Span, ...]] = {}
        self._turns: list[tuple[int, int]] = []  # (ns, row): beginnings and ends to come
        self._look: set[int] = set()  # rows that may be others at the next turn
        self.held: Rows = np.empty(0, np.intp)

    def declare(self, absences: Mapping[int, Iterable[Span]]) -> None:
        """All absences that are known, by row: (from, until) in ns, until NEVER for until further notice."""
        spans = {row: tuple(sorted({self._capped(s) for s in some})) for row, some in absences.items()}
        for row in spans.keys() | self._spans.keys():
            if spans.get(row) != self._spans.get(row):
                self._look.add(row)
        self._spans = spans
        self._turns = [(at, row) for row, some in spans.items() for span in some for at in span]
        heapify(self._turns)

    def _capped(self, span: Span) -> Span:
        begin, end = span
        return begin, begin + self._longest if end == NEVER else min(end, begin + self._longest)

    def turn(self, at: int) -> tuple[Rows, Rows]:
        """Who is away from the grid point `at` on, and who is home from then on: rows that were not before."""
        while self._turns and self._turns[0][0] <= at:
            self._look.add(heappop(self._turns)[1])
        if not self._look and not len(self.held):
            return self.held, self.held
        state = self._c["absence"]
        rows = np.array(sorted(self._look | set(self.held.tolist())), np.intp)
        before = state[rows]
        for row in sorted(self._look):
            state[row] = self._moved(row, int(state[row]), at)
        self._look = set()
        away = rows[state[rows] != HOME]
        state[away[self._arrived(away)]] = HOME
        now = state[rows]
        self.held = rows[now != HOME]
        return rows[(before == HOME) & (now != HOME)], rows[(before != HOME) & (now == HOME)]

    def _moved(self, row: int, state: int, at: int) -> int:
        """What the absences of one household say at `at`. One that was cut short by hand ends with a return."""
        begin, end, mine = self._c["absent_from"], self._c["absent_until"], self._spans.get(row, ())
        holding = [(until, since) for since, until in mine if since <= at < until]
        known = (int(end[row]), int(begin[row]))
        if holding and max(holding) != known:
            end[row], begin[row] = max(holding)
            return AWAY
        if holding or state == HOME:
            return state
        same = [until for since, until in mine if since == known[1]]
        by_hand = known[0] not in same if same else known[0] > at
        if by_hand or not (self._awaits and self._shows_signs(row)):
            return HOME
        return AWAITED

    def _shows_signs(self, row: int) -> bool:
        """Whether a return would be seen: the level of power alone does not tell one."""
        has = self._c["has"][:, row].copy()
        has[POWER] = False
        return bool(has.any())

    def _arrived(self, rows: Rows) -> NDArray[np.bool_]:
        """(r,) whether a sign of life was seen about the end that was declared, or after it."""
        begin, end = self._c["absent_from"][rows], self._c["absent_until"][rows]
        window = np.maximum(end - self._early, begin + (end - begin) // 2)
        arrived: NDArray[np.bool_] = self._c["last_sign"][rows] > window
        return arrived

    def come_home(self, rows: Rows, rules: Sequence[Rule], at: int) -> None:
        """The rules that were held begin anew there: nothing of before, or of the time between, is held against it."""
        self._c["out"][rows] = False
        self._c["lone"][rows] = NEVER
        for rule in rules:
            for name in FLEETING[type(rule.condition)]:
                column = f"{rule.name}.{name}"
                self._c[column][..., rows] = self._c.declared[column].fill
            if isinstance(rule.condition, Evidence):
                since = self._c[f"{rule.name}.since"]
                since[rows] = np.where(since[rows] == NEVER, NEVER, at)
            if isinstance(rule.condition, Rise):
                self._c[f"{rule.name}.up"][rows] = at  # whoever comes home has risen today

    def snapshot(self) -> NDArray[np.int64]:
        """(spans, 3): row, from, until."""
        rows = [(row, *span) for row, some in sorted(self._spans.items()) for span in some]
        return np.array(rows, np.int64).reshape(-1, 3)

    def restore(self, saved: NDArray[np.int64] | None) -> None:
        """Take over what `snapshot` told; the columns are restored before. None: of before there were absences."""
        spans: dict[int, list[Span]] = {}
        for row, begin, end in [] if saved is None else saved.tolist():
            spans.setdefault(row, []).append((begin, end))
        self._spans = {}
        self.declare(spans)
        self.held = np.flatnonzero(self._c["absence"] != HOME)
        self._look |= set(self.held.tolist())  # also those of whom nothing is declared any more


class Still:
    """Rows of some columns as they were, to be put back: a rule that is held has looked, and learned nothing."""

    def __init__(self, columns: Columns, names: Sequence[str], rows: Rows) -> None:
        self._rows = rows
        self._kept: list[tuple[NDArray[Any], NDArray[Any]]] = [
            (columns[name], columns[name][..., rows].copy()) for name in names
        ]

    def put_back(self) -> None:
        """Everything as it was."""
        for column, kept in self._kept:
            column[..., self._rows] = kept

"""Twins of what has to do with declared absences: who is away, and the kinds about it, overdue and unexpected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mimamori.model.declared import Span
from mimamori.model.findings import Verdict
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.absences import AWAITED, AWAY, EARLY, HOME, LONGEST, holds
from mimamori.rules.cell import CELL
from mimamori.rules.changes import LEVELS
from mimamori.rules.spec import Evidence, Overdue, Rule, Unexpected
from mimamori.twin.vitals import Judged

if TYPE_CHECKING:
    from mimamori.twin.home import HomeTwin, Line


@runtime_checkable
class HeldTwin(Protocol):
    """A rule that may be held while the resident is declared away."""

    def begin_anew(self, at: int, /) -> None:
        """Somebody came home at `at`: nothing of before their absence, or of the time between, counts any more."""
        ...


class AbsenceTwin:
    """Whether the resident is at home, declared away or awaited, and the absence that holds or held last."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        overdue = [r.condition for r in rules if isinstance(r.condition, Overdue)]
        self.awaits = bool(overdue)
        self.longest = min((int(c.longest) for c in overdue), default=LONGEST)
        self.early = max((int(c.early) for c in overdue), default=EARLY)
        self.held = [index for index, rule in enumerate(rules) if holds(rule.condition)]
        self.by_themselves = [index for index, rule in enumerate(rules) if isinstance(rule.condition, Evidence)]
        self.spans: list[Span] = []
        self.state, self.begin, self.end = HOME, NEVER, NEVER

    def declare(self, spans: Iterable[Span]) -> None:
        """All absences that are known, until NEVER for until further notice."""
        lasts = [(begin, self.longest if end == NEVER else min(end - begin, self.longest)) for begin, end in spans]
        self.spans = [(begin, begin + span) for begin, span in lasts]

    def stills(self, index: int) -> bool:
        """Whether a rule is not asked now; evidence passes over who is away by itself, and goes on forgetting."""
        return self.state != HOME and index in self.held and index not in self.by_themselves

    def turn(self, home: HomeTwin, at: int) -> list[Line]:
        """Somebody leaves, and what is held says once that nothing is known; or comes home, and it begins anew."""
        was, found = self.state != HOME, []
        self.move(home, at)
        away = self.state != HOME
        if away == was:
            return []
        for index in self.held:
            verdict, level = home.told.get((index, -1), (Verdict.UNKNOWN, 0))
            if away and verdict != Verdict.UNKNOWN:
                found.append((at, index, int(Verdict.UNKNOWN), level, self.begin))
            home.told[index, -1] = (Verdict.UNKNOWN, level) if away else (verdict, 0)
        if not away:
            home.out, home.lone = False, NEVER
            for index, rule in home.rules:
                if index in self.held and isinstance(rule, HeldTwin):
                    rule.begin_anew(at)
        return found

    def move(self, home: HomeTwin, at: int) -> None:
        """The state from the grid point `at` on."""
        holding = [(end, begin) for begin, end in self.spans if begin <= at < end]
        if holding and max(holding) != (self.end, self.begin):
            self.state, (self.end, self.begin) = AWAY, max(holding)
        elif not holding and self.state != HOME:
            same = [end for begin, end in self.spans if begin == self.begin]
            by_hand = self.end not in same if same else self.end > at
            returns = self.awaits and bool(home.has - {"power"})
            self.state = AWAITED if returns and not by_hand else HOME
        if self.state != HOME and home.sign > max(self.end - self.early, self.begin + (self.end - self.begin) // 2):
            self.state = HOME


class OverdueTwin:
    """`kind = "overdue"`: how long somebody has been awaited."""

    every = MINUTE

    def __init__(self, rule: Rule, _: HomeTwin) -> None:
        assert isinstance(rule.condition, Overdue)
        self.after = [(int(LEVELS[priority]), span) for priority, span in rule.condition.after.items()]

    def judge(self, home: HomeTwin, at: int) -> Judged:
        awaited, end = home.absence.state == AWAITED, home.absence.end
        level = max((level for level, span in self.after if awaited and at - end >= span), default=0)
        verdict = Verdict.FIRING if level else Verdict.PENDING if awaited else Verdict.CLEAR
        return (verdict if home.spoken != NEVER else Verdict.UNKNOWN), level, end


class UnexpectedTwin:
    """`kind = "unexpected"`: the five minutes with a sign of life, newest first, and who gave one."""

    every = CELL

    def __init__(self, rule: Rule, _: HomeTwin) -> None:
        assert isinstance(rule.condition, Unexpected)
        self.spec, self.level = rule.condition, int(LEVELS[rule.priority])
        self.cells: list[bool] = []
        self.kinds: set[str] = set()
        self.firing = False

    def judge(self, home: HomeTwin, at: int) -> Judged:
        away = home.absence.state == AWAY and at - home.absence.begin >= self.spec.leaves_within
        self.cells = [bool(home.signs), *self.cells][: self.spec.window // CELL] if away else []
        self.kinds = self.kinds | home.signs if any(self.cells) else set()
        sure = "bed" in self.kinds or len(self.kinds) >= min(2, len(home.has - {"power"}))
        enough = sum(self.cells) >= self.spec.least // CELL and sure
        self.firing = away and (self.firing or enough)
        oldest = max((k + 1 for k, seen in enumerate(self.cells) if seen), default=0)
        verdict = Verdict.FIRING if self.firing else Verdict.PENDING if oldest else Verdict.CLEAR
        since = at - oldest * CELL if oldest else NEVER
        return (verdict if home.spoken != NEVER else Verdict.UNKNOWN), self.level * self.firing, since

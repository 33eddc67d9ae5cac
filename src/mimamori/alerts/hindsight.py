"""Alerts as they were beside alerts as they would have been: added, removed, which had been true, nurses' minutes.

May import model only. Pure values of alert lines (see alerts.book) and of the events in the ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.times import HOUR, MINUTE, NEVER, parse_instant

Truth = Literal["true", "false", "unknown"]
TRUE = frozenset({"true-emergency", "help-given"})
FALSE = frozenset({"false-alarm", "absence", "test", "device-fault", "no-action"})
NEAR = 30 * MINUTE
"""Two alerts of one household are the same event if they overlap, or lie no further apart than this."""
EARLIER = 6 * HOUR
"""An alert that would have come so long before one that was true, about the same household, would have been true."""
ENOUGH, USUAL_MINUTES, LONGEST = 10, 10.0, 2 * HOUR
"""Handling times that are needed to go by them; minutes for one alert without; what counts at most for one."""

Line = Mapping[str, Any]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One alert that differs. truth: by what nurses closed it, or a true alert near it, with."""

    household: str
    opened: str
    resolved: str | None
    priority: str
    why: str
    why_en: str
    truth: Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """One household's numbers of alerts."""

    household: str
    before: int
    after: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """What another value would have meant. minutes_each: a nurse's for one alert; measured: from how many alerts."""

    before: int
    after: int
    kept: int
    raised: int
    lowered: int
    added: tuple[Told, ...]
    removed: tuple[Told, ...]
    homes: tuple[Home, ...]
    minutes_each: float
    measured: int

    @property
    def truths(self) -> dict[str, dict[Truth, int]]:
        """How many of the added and of the removed ones were true, false, not known."""
        return {
            "added": dict(Counter(told.truth for told in self.added)),
            "removed": dict(Counter(told.truth for told in self.removed)),
        }

    @property
    def minutes(self) -> float:
        """Nurses' minutes more (or, below zero, fewer)."""
        return (self.after - self.before) * self.minutes_each


def look_back(before: Sequence[Line], after: Sequence[Line], events: Sequence[AlertEvent], alerts: Sequence[Alert]) -> Hindsight:  # fmt: skip  # noqa: E501
    """before, after: alert lines. alerts: what really was, of every rule; events: theirs, in order."""
    pairs, removed, added = _pair(before, after)
    real: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        real[alert.household].append(alert)
    minutes, measured = handling(events)
    homes: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for place, lines in enumerate((before, after, added, removed)):
        for line in lines:
            homes[line["household"]][place] += 1
    rank = {"low": 0, "medium": 1, "high": 2}
    change = [rank[b["priority"]] - rank[a["priority"]] for a, b in pairs]
    ordered = sorted(homes.items(), key=lambda item: (-item[1][2] - item[1][3], -item[1][1], item[0]))
    return Hindsight(
        before=len(before), after=len(after), kept=len(pairs), raised=sum(c > 0 for c in change),
        lowered=sum(c < 0 for c in change), added=tuple(_told(line, real) for line in added),
        removed=tuple(_told(line, real) for line in removed), minutes_each=minutes, measured=measured,
        homes=tuple(
            Home(household=h, before=n[0], after=n[1], added=n[2], removed=n[3]) for h, n in ordered
        ),
    )  # fmt: skip


def _pair(before: Sequence[Line], after: Sequence[Line]) -> tuple[list[tuple[Line, Line]], list[Line], list[Line]]:
    """(the same event under both, of before only, of after only); each line in one pair at most, the earliest first."""
    left: dict[str, list[Line]] = defaultdict(list)
    for line in before:
        left[line["household"]].append(line)
    pairs, added = [], []
    for line in after:
        mine, span = left[line["household"]], _span(line)
        same = next((other for other in mine if _meet(_span(other), span)), None)
        if same is None:
            added.append(line)
        else:
            mine.remove(same)
            pairs.append((same, line))
    gone = {id(line) for lines in left.values() for line in lines}
    return pairs, [line for line in before if id(line) in gone], added


def _span(line: Line) -> Span:
    opened = parse_instant(line["opened"])
    return opened, opened if line["resolved"] is None else parse_instant(line["resolved"])


def _meet(one: Span, other: Span) -> bool:
    return one[0] <= other[1] + NEAR and other[0] <= one[1] + NEAR


def _told(line: Line, real: Mapping[str, Sequence[Alert]]) -> Told:
    return Told(
        household=line["household"], opened=line["opened"], resolved=line["resolved"], priority=line["priority"],
        why=line["why"], why_en=line["why_en"], truth=_truth(line, real.get(line["household"], ())),
    )  # fmt: skip


def _truth(line: Line, alerts: Sequence[Alert]) -> Truth:
    """Of the household's alerts near it: true if one was, of any rule; false if one of its own rule was closed so."""
    span, found = _span(line), "unknown"
    for alert in alerts:
        ended = max(alert.resolved_at, alert.returned_at, alert.opened)
        if alert.outcome in TRUE and _meet((alert.opened - EARLIER, ended), span):
            return "true"
        if alert.rule == line["rule"] and alert.outcome in FALSE and _meet((alert.opened, ended), span):
            found = "false"
    return "false" if found == "false" else "unknown"


def handling(events: Sequence[AlertEvent]) -> tuple[float, int]:
    """(minutes for one alert, from how many): the median from taken to closed by a person; USUAL_MINUTES if too few."""
    taken: dict[str, int] = {}
    spans = []
    for event in events:
        if event.kind == "acknowledged":
            taken.setdefault(event.alert, event.at)
        elif event.kind == "resolved" and event.by not in {"engine", "policy"}:
            began = taken.pop(event.alert, NEVER)
            if began != NEVER and event.at >= began:
                spans.append(min(event.at - began, LONGEST))
    if len(spans) < ENOUGH:
        return USUAL_MINUTES, 0
    return round(median(spans) / MINUTE, 1), len(spans)

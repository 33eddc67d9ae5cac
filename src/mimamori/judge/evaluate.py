"""`mimamori evaluate`: what the alerts of a replay were worth against what happened, by kind of event and by rule.

May import everything below app. Reads no clock; the scoring itself is pure. scores.py makes the tables.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import chdtri

from mimamori.model.times import DAY, HOUR, parse_instant
from mimamori.simulator.truth import KINDS, OWN, TruthEvent

WATCH = "watch"  # a household in which nothing happens from start to end: every alert about the resident is false
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "no-breathing": ("no-breathing",),
    "apnoea": ("no-breathing", "respiration-rate", "breathing-pauses"),
    "tachycardia": ("heart-rate",),
    "bradycardia": ("heart-rate",),
    "fever": ("heart-rate", "respiration-rate"),
    "wandering": ("night-wandering", "bed-exit"),
    "night-walk": ("night-wandering", "bed-exit"),
    "night-fall": ("bed-exit", "inactivity"),
    "no-rise": ("not-up-yet", "stayed-in-bed", "inactivity"),
    "heater-failure": ("cold", "heater-failed"),
    "hot-room": ("heat",),
    "heat-stroke": ("heat", "heart-rate", "respiration-rate"),
    "slow-decline": ("drift",),
}
"""Beginnings of the names of the rules that may find a kind; the rules about inactivity find all others."""
NOTED = frozenset({"slow-decline"})
"""Kinds of which a note is enough; they go on for weeks, so they excuse no call."""
VITAL = (
    "heart-rate",
    "respiration-rate",
    "no-breathing",
    "breathing-pauses",
)  # likewise, of the rules about pulse and breath
CATEGORIES = ("resident", "environment", "technical")
SOON = HOUR  # after an event its alert may still come, and is not false then
SHIFT = 8 * HOUR
A_NURSE = 100  # households that one nurse watches, unless said


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How the events of one kind fared. delays: hours to the first right alert, or, missed, to the end of the event."""

    kind: str
    events: int
    found: int
    already_in_alarm: int  # at the beginning, and left out
    sensitivity: float | None
    sensitivity_95: tuple[float, float] | None
    delay_hours: dict[str, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How often one rule spoke after learning. A low alert is a note on the console, all others call somebody.

    false: calls where nothing happened that the rule should tell of; false_notes: notes likewise, never among `false`.
    An alert that was a note and became a call is one call. alerts_per_30_days: false calls and false notes together.
    """

    rule: str
    category: str
    calls: int
    notes: int
    false: int
    false_notes: int
    false_per_30_days: float | None
    false_per_30_days_95: tuple[float, float] | None
    alerts_per_30_days: float | None
    alerts_per_30_days_95: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls in a shift of eight hours, after learning, right ones and false ones.

    in_a_shift: mean of all households together. busiest: the most in one shift of the clock. for_a_nurse: mean for
    one who watches `households_a_nurse` of them.
    """

    shifts: float
    calls: int
    in_a_shift: float
    busiest: int
    households_a_nurse: int
    for_a_nurse: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything. Days are household-days, each household's own, after learning.

    household_days: of ordinary time, without that in which an emergency or a change excuses alerts. watched_days: all.
    missed: every event that no right call told of. vital_per_day: alerts about pulse and breath, right or false, notes
    too, by watched days.
    """

    households: int
    household_days: float
    watched_days: float
    emergencies: Found
    kinds: tuple[Found, ...]
    rules: tuple[Told, ...]
    resident: Told
    all_calls: Told
    load: Load | None
    vital_per_day: float | None
    missed: tuple[TruthEvent, ...] = ()
    unknown_kinds: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alert:
    """One alert line. opened: of a call, when it became one; it may have been a note before."""

    household: str
    rule: str
    category: str
    note: bool
    opened: int
    resolved: int


Spans = Mapping[str, tuple[int, int]]
"""First and last reading of each household, ns."""


def read_truth(path: Path) -> list[TruthEvent]:
    """The truth file. Raises ValueError with the line of every row that is none."""
    events, wrong = [], []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        missing = [c for c in ("household", "kind", "start", "end") if c not in (rows.fieldnames or ())]
        if missing:
            msg = f"{path.name}: has no column {', '.join(missing)}; the first line must be household,kind,start,end"
            raise ValueError(msg)
        for row in rows:
            try:
                start, end = parse_instant(row["start"] or ""), parse_instant(row["end"] or "")
            except ValueError as error:
                wrong.append(f"{path.name}:{rows.line_num}: {error}")
                continue
            if end <= start:
                wrong.append(f"{path.name}:{rows.line_num}: ends before it starts; give an end after {row['start']}")
            events.append(TruthEvent(household=row["household"], kind=row["kind"], start=start, end=end))
    if wrong:
        raise ValueError("\n".join(wrong))
    return events


def evaluate(
    lines: Iterable[Mapping[str, Any]], truth: Sequence[TruthEvent], *, spans: Spans, learn: int,
    households_a_nurse: int = A_NURSE, only: tuple[str, ...] = (),
) -> Evaluation:  # fmt: skip
    """Score alert lines (as `replay` writes them) against the truth.

    spans: of every household of the file. learn: ns from each one's own first reading on in which nothing counts as
    false and no load is reckoned. Where the truth has `watch` rows, those alone say which time is ordinary.
    only: names of rules; of the emergencies those that one of these may find.
    """
    alerts = sorted((_alert(line) for line in lines), key=lambda a: a.opened)
    mine: dict[str, list[_Alert]] = defaultdict(list)
    for alert in alerts:
        mine[alert.household].append(alert)
    events = [e for e in truth if e.kind != WATCH]
    ordinary = _ordinary(truth, spans, learn)
    days = sum(end - start for parts in ordinary.values() for start, end in parts) / DAY
    watched = sum(max(0, end - begin - learn) for begin, end in spans.values()) / DAY
    false = _false(alerts, events, ordinary, told=any(e.kind == WATCH for e in truth))
    late = [a for a in alerts if a.household in spans and a.opened >= spans[a.household][0] + learn]
    kinds = sorted({e.kind for e in events if _role(e) in {"emergency", "change"}})
    acute = [e for e in events if _role(e) == "emergency" and (not only or any(answers(e.kind, rule) for rule in only))]
    categories = {a.rule: a.category for a in alerts}
    vital = sum(a.rule.startswith(VITAL) for a in late)
    return Evaluation(
        households=len(spans), household_days=round(days, 2), watched_days=round(watched, 2),
        emergencies=_found("all emergencies", acute, mine)[0],
        kinds=tuple(_found(kind, [e for e in events if e.kind == kind], mine)[0] for kind in kinds),
        rules=tuple(
            _told(r, categories[r], _of(late, rule=r), _of(false, rule=r), days) for r in sorted(categories)
        ),
        resident=_told("all about the resident", "resident", _of(late, category="resident"),
                       _of(false, category="resident"), days),
        all_calls=_told("everything", "all", late, false, days),
        load=_load(late, watched, len(spans), households_a_nurse),
        vital_per_day=vital / watched if watched else None,
        missed=tuple(_found("", [e for e in events if e.kind in kinds], mine)[1]),
        unknown_kinds=dict(Counter(e.kind for e in events if e.kind not in {**KINDS, **OWN})),
    )  # fmt: skip


def _alert(line: Mapping[str, Any]) -> _Alert:
    return _Alert(
        household=line["household"], rule=line["rule"], category=line["category"], note=line["priority"] == "low",
        opened=parse_instant(line.get("called") or line["opened"]),
        resolved=parse_instant(line["resolved"]) if line["resolved"] else 2**62,
    )  # fmt: skip


def _role(event: TruthEvent) -> str:
    return {**KINDS, **OWN}.get(event.kind, "emergency")


def _of(alerts: Sequence[_Alert], *, rule: str = "", category: str = "") -> list[_Alert]:
    return [a for a in alerts if rule in {"", a.rule} and category in {"", a.category}]


def answers(kind: str, rule: str) -> bool:
    """Whether an alert of this rule finds an event of this kind."""
    return rule.startswith(ANSWERS.get(kind, ("inactivity",)))


def _found(
    kind: str, events: Sequence[TruthEvent], mine: Mapping[str, Sequence[_Alert]]
) -> tuple[Found, list[TruthEvent]]:
    delays, missed, left_out = [], [], 0
    for event in events:
        right = [
            a
            for a in mine.get(event.household, ())
            if answers(event.kind, a.rule) and (event.kind in NOTED or not a.note)
        ]
        if any(a.opened <= event.start < a.resolved for a in right):
            left_out += 1
            continue
        after = [a.opened for a in right if event.start < a.opened <= event.end]
        if not after:
            missed.append(event)
        delays.append(((after[0] if after else event.end) - event.start) / HOUR)
    found = len(delays) - len(missed)
    return Found(
        kind=kind, events=len(delays), found=found, already_in_alarm=left_out,
        sensitivity=found / len(delays) if delays else None,
        sensitivity_95=wilson(found, len(delays)) if delays else None,
        delay_hours=_spread(delays) if delays else None,
    ), missed  # fmt: skip


def _spread(delays: Sequence[float]) -> dict[str, float]:
    hours = np.array(delays)
    return {"median": float(np.median(hours)), "mean": float(hours.mean()), "p90": float(np.quantile(hours, 0.9)),
            "max": float(hours.max())}  # fmt: skip


def _ordinary(truth: Sequence[TruthEvent], spans: Spans, learn: int) -> dict[str, list[tuple[int, int]]]:
    """Stretches of ordinary time of each household, [start, end) ns, in order."""
    parts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    watched = [e for e in truth if e.kind == WATCH]
    for event in watched:
        parts[event.household].append((event.start, event.end))
    if watched:
        return parts
    excusing: dict[str, list[TruthEvent]] = defaultdict(list)
    for event in sorted(truth, key=lambda e: e.start):
        if _role(event) in {"emergency", "change"} and event.kind not in NOTED:
            excusing[event.household].append(event)
    for household, (begin, end) in spans.items():
        at = begin + learn
        for event in excusing[household]:
            if at < min(event.start, end):
                parts[household].append((at, min(event.start, end)))
            at = max(at, event.end + SOON)
        if at < end:
            parts[household].append((at, end))
    return parts


def _false(
    alerts: Sequence[_Alert], events: Sequence[TruthEvent], ordinary: Mapping[str, list[tuple[int, int]]], *, told: bool
) -> list[_Alert]:
    """Alerts in ordinary time that nothing excuses.

    A technical event excuses technical alerts and those about a room; a resident's own habit those that tell of it;
    ordinary life excuses none. told: the truth itself says which time is ordinary, and nothing else counts.
    """
    faults: dict[str, list[TruthEvent]] = defaultdict(list)
    habits: dict[str, list[TruthEvent]] = defaultdict(list)
    for event in events:
        if _role(event) in {"technical", "habit"}:
            (faults if _role(event) == "technical" else habits)[event.household].append(event)

    def excused(alert: _Alert) -> bool:
        if told:
            return False
        known = [e for e in habits[alert.household] if answers(e.kind, alert.rule)]
        known += faults[alert.household] if alert.category != "resident" else []
        return any(e.start <= alert.opened <= e.end + SOON for e in known)

    return [
        a for a in alerts
        if any(start <= a.opened < end for start, end in ordinary.get(a.household, ())) and not excused(a)
    ]  # fmt: skip


def _told(rule: str, category: str, alerts: Sequence[_Alert], false: Sequence[_Alert], days: float) -> Told:
    wrong = sum(not a.note for a in false)
    rate, interval = _rate(wrong, days)
    all_rate, all_interval = _rate(len(false), days)
    return Told(
        rule=rule, category=category, calls=sum(not a.note for a in alerts), notes=sum(a.note for a in alerts),
        false=wrong, false_notes=len(false) - wrong,
        false_per_30_days=rate, false_per_30_days_95=interval,
        alerts_per_30_days=all_rate, alerts_per_30_days_95=all_interval,
    )  # fmt: skip


def _rate(count: int, days: float) -> tuple[float | None, tuple[float, float] | None]:
    """So many in 30 days, with their 95 % interval; None without days."""
    if days <= 0:
        return None, None
    low, high = garwood(count)
    return 30 * count / days, (30 * low / days, 30 * high / days)


def _load(late: Sequence[_Alert], watched: float, households: int, households_a_nurse: int) -> Load | None:
    if not watched:
        return None
    calls = [a for a in late if not a.note]
    shifts = watched / households * (DAY / SHIFT)  # of the mean household
    return Load(
        shifts=round(shifts, 1), calls=len(calls), in_a_shift=len(calls) / shifts,
        busiest=max(Counter(a.opened // SHIFT for a in calls).values(), default=0),
        households_a_nurse=households_a_nurse, for_a_nurse=len(calls) / shifts * households_a_nurse / households,
    )  # fmt: skip


def garwood(count: int) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson mean of which `count` were seen (Garwood, Biometrika 28, 1936)."""
    low = 0.0 if count == 0 else float(chdtri(2 * count, 0.975) / 2)
    return low, float(chdtri(2 * count + 2, 0.025) / 2)


def wilson(found: int, events: int) -> tuple[float, float]:
    """95 % score interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927). events >= 1."""
    z = 1.959964
    middle = (found + z * z / 2) / (events + z * z)
    half = z / (events + z * z) * float(np.sqrt(found * (events - found) / events + z * z / 4))
    return max(0.0, middle - half), min(1.0, middle + half)

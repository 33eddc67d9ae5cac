"""`mimamori evaluate`: what the alerts of a replay were worth against what happened, by kind of event and by rule.

May import everything below app. Reads no clock; the scoring itself is pure.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2

from mimamori.model.times import DAY, HOUR, iso, parse_instant
from mimamori.simulator.truth import KINDS, TruthEvent

WATCH = "watch"  # a household in which nothing happens from start to end: every alert about the resident is false
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "no-breathing": ("no-breathing",),
    "apnoea": ("no-breathing", "respiration-rate"),
    "tachycardia": ("heart-rate",),
    "bradycardia": ("heart-rate",),
    "fever": ("heart-rate", "respiration-rate"),
    "wandering": ("night-wandering", "bed-exit"),
    "night-fall": ("bed-exit", "inactivity"),
    "no-rise": ("not-up-yet", "stayed-in-bed", "inactivity"),
    "heater-failure": ("cold", "heater-failed"),
    "hot-room": ("heat",),
}
"""Beginnings of the names of the rules that may find a kind; the rules about inactivity find all others."""
SOON = HOUR  # after an event its alert may still come, and is not false then
SHIFTS_A_DAY = 3


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
    """How often one rule spoke. false: where nothing happened that it should tell of."""

    rule: str
    category: str
    alerts: int
    false: int
    false_per_30_days: float | None
    false_per_30_days_95: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything: days are household-days of ordinary time after learning."""

    households: int
    household_days: float
    emergencies: Found
    kinds: tuple[Found, ...]
    rules: tuple[Told, ...]
    resident: Told
    alerts_per_shift: float | None  # of all households, after learning
    unknown_kinds: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alert:
    household: str
    rule: str
    category: str
    opened: int
    resolved: int


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
    lines: Iterable[Mapping[str, Any]], truth: Sequence[TruthEvent], *, households: int, begins: int, ends: int,
    learn: int,
) -> Evaluation:  # fmt: skip
    """Score alert lines (as `replay` writes them) against the truth.

    households: in the file. begins, ends: ns, its first and last reading. learn: ns from `begins` on in which alerts do
    not count as false. Where the truth has `watch` rows, those alone say which time is ordinary, and learning is over.
    """
    alerts = [_alert(line) for line in lines]
    mine: dict[str, list[_Alert]] = defaultdict(list)
    for alert in sorted(alerts, key=lambda a: a.opened):
        mine[alert.household].append(alert)
    events = [e for e in truth if e.kind != WATCH]
    watched = [e for e in truth if e.kind == WATCH]
    kinds = sorted({e.kind for e in events if KINDS.get(e.kind, "emergency") in {"emergency", "change"}})
    acute = [e for e in events if KINDS.get(e.kind, "emergency") == "emergency"]
    if watched:
        days = sum(e.end - e.start for e in watched) / DAY
        false = _false_in(watched, mine)
    else:
        days = max(0.0, (ends - begins - learn) / DAY) * households
        false = _false_outside(events, alerts, begins + learn)
    late = [a for a in alerts if a.opened >= begins + learn]
    shifts = (ends - begins - learn) / DAY * SHIFTS_A_DAY
    categories = {a.rule: a.category for a in alerts}
    wrong = Counter(a.rule for a in false)
    return Evaluation(
        households=households, household_days=round(days, 2),
        emergencies=_found("all emergencies", acute, mine),
        kinds=tuple(_found(kind, [e for e in events if e.kind == kind], mine) for kind in kinds),
        rules=tuple(
            _told(rule, categories[rule], sum(a.rule == rule for a in alerts), wrong[rule], days)
            for rule in sorted(categories)
        ),
        resident=_told("all about the resident", "resident", sum(a.category == "resident" for a in alerts),
                       sum(a.category == "resident" for a in false), days),
        alerts_per_shift=len(late) / shifts if shifts > 0 else None,
        unknown_kinds=dict(Counter(e.kind for e in events if e.kind not in KINDS)),
    )  # fmt: skip


def _alert(line: Mapping[str, Any]) -> _Alert:
    return _Alert(
        household=line["household"], rule=line["rule"], category=line["category"], opened=parse_instant(line["opened"]),
        resolved=parse_instant(line["resolved"]) if line["resolved"] else 2**62,
    )  # fmt: skip


def _answers(kind: str, rule: str) -> bool:
    return rule.startswith(ANSWERS.get(kind, ("inactivity",)))


def _found(kind: str, events: Sequence[TruthEvent], mine: Mapping[str, Sequence[_Alert]]) -> Found:
    delays, found, left_out = [], 0, 0
    for event in events:
        right = [a for a in mine.get(event.household, ()) if _answers(event.kind, a.rule)]
        if any(a.opened <= event.start < a.resolved for a in right):
            left_out += 1
            continue
        after = [a.opened for a in right if event.start < a.opened <= event.end]
        found += bool(after)
        delays.append(((after[0] if after else event.end) - event.start) / HOUR)
    return Found(
        kind=kind, events=len(delays), found=found, already_in_alarm=left_out,
        sensitivity=found / len(delays) if delays else None,
        sensitivity_95=wilson(found, len(delays)) if delays else None,
        delay_hours=_spread(delays) if delays else None,
    )  # fmt: skip


def _spread(delays: Sequence[float]) -> dict[str, float]:
    hours = np.array(delays)
    return {"median": float(np.median(hours)), "mean": float(hours.mean()), "p90": float(np.quantile(hours, 0.9)),
            "max": float(hours.max())}  # fmt: skip


def _false_in(watched: Sequence[TruthEvent], mine: Mapping[str, Sequence[_Alert]]) -> list[_Alert]:
    return [a for e in watched for a in mine.get(e.household, ()) if e.start <= a.opened < e.end]


def _false_outside(events: Sequence[TruthEvent], alerts: Sequence[_Alert], since: int) -> list[_Alert]:
    """Alerts after `since` that no event of their household excuses.

    An emergency or a change excuses every alert until an hour after it: help is on its way. A technical event excuses
    technical alerts only; ordinary life excuses none about the resident.
    """
    at: dict[str, list[TruthEvent]] = defaultdict(list)
    for event in events:
        at[event.household].append(event)

    def excused(alert: _Alert) -> bool:
        roles = {KINDS.get(e.kind, "emergency") for e in at[alert.household] if e.start <= alert.opened <= e.end + SOON}
        return bool(roles & {"emergency", "change"}) or (alert.category != "resident" and "technical" in roles)

    return [a for a in alerts if a.opened >= since and not excused(a)]


def _told(rule: str, category: str, alerts: int, false: int, days: float) -> Told:
    low, high = garwood(false)
    return Told(
        rule=rule, category=category, alerts=alerts, false=false,
        false_per_30_days=30 * false / days if days > 0 else None,
        false_per_30_days_95=(30 * low / days, 30 * high / days) if days > 0 else None,
    )  # fmt: skip


def garwood(count: int) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson mean of which `count` were seen (Garwood, Biometrika 28, 1936)."""
    low = 0.0 if count == 0 else float(chi2.ppf(0.025, 2 * count) / 2)
    return low, float(chi2.ppf(0.975, 2 * count + 2) / 2)


def wilson(found: int, events: int) -> tuple[float, float]:
    """95 % score interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927). events >= 1."""
    z = 1.959964
    middle = (found + z * z / 2) / (events + z * z)
    half = z / (events + z * z) * float(np.sqrt(found * (events - found) / events + z * z / 4))
    return max(0.0, middle - half), min(1.0, middle + half)


def as_json(made: Evaluation, *, begins: int, ends: int, zone: str) -> str:
    """One object."""
    return json.dumps(
        {"begins": iso(begins, zone), "ends": iso(ends, zone)} | asdict(made), ensure_ascii=False, indent=1
    )


def as_table(made: Evaluation) -> str:
    """For people: what was found and how soon, then how often each rule was wrong."""
    lines = [f"{made.households} households, {made.household_days:.1f} household-days of ordinary time after learning"]
    lines.append("\nkind              found        sensitivity (95 %)     delay h: median   p90    max")
    for kind in (*made.kinds, made.emergencies):
        if kind.sensitivity is None or kind.sensitivity_95 is None or kind.delay_hours is None:
            continue
        low, high = kind.sensitivity_95
        d = kind.delay_hours
        lines.append(
            f"{kind.kind:16}  {kind.found:4d}/{kind.events:<4d}    {kind.sensitivity:5.3f} ({low:.3f}-{high:.3f})"
            f"            {d['median']:6.2f} {d['p90']:6.2f} {d['max']:6.2f}"
        )
    lines.append("\nrule                    category     alerts  false   false per 30 household-days (95 %)")
    for told in (*made.rules, made.resident):
        if told.false_per_30_days is None or told.false_per_30_days_95 is None:
            rate = "no ordinary time after learning"
        else:
            low, high = told.false_per_30_days_95
            rate = f"{told.false_per_30_days:6.2f} ({low:.2f}-{high:.2f})"
        lines.append(f"{told.rule:22}  {told.category:11}  {told.alerts:6d} {told.false:6d}   {rate}")
    if made.alerts_per_shift is not None:
        lines.append(f"\n{made.alerts_per_shift:.2f} alerts in a shift of eight hours, of all households together")
    if made.unknown_kinds:
        names = ", ".join(f"{kind} ({n})" for kind, n in made.unknown_kinds.items())
        lines.append(f"kinds that simulator/README.md does not name, taken for emergencies of inactivity: {names}")
    return "\n".join(lines)

"""An evaluation as a table for people and as one JSON object. May import evaluate and model. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mimamori.judge.evaluate import Evaluation, Told
from mimamori.judge.sweep import AS_SHIPPED, Outing, Point
from mimamori.model.times import iso


def as_record(made: Evaluation, *, begins: int, ends: int, zone: str) -> dict[str, Any]:
    """JSON-ready; times in ISO 8601 with the offset of `zone`."""
    missed = [
        {"household": e.household, "kind": e.kind, "start": iso(e.start, zone), "end": iso(e.end, zone)}
        for e in made.missed
    ]
    return {"begins": iso(begins, zone), "ends": iso(ends, zone)} | asdict(made) | {"missed": missed}


def as_json(record: Mapping[str, Any]) -> str:
    """One object."""
    return json.dumps(record, ensure_ascii=False, indent=1)


def as_table(made: Evaluation, points: Sequence[Point] = (), outings: Sequence[Outing] = ()) -> str:
    """For people: what was found and how soon, how often each rule called or noted in vain, the load."""
    days = f"{made.household_days:.1f} household-days of ordinary time after learning (of {made.watched_days:.1f})"
    return "\n".join([
        f"{made.households} households, {days}",
        *_kinds(made), *_rules(made), *_load(made), *_doubts(made), *_curve(points),
        *_outings(outings),
    ])  # fmt: skip


def _kinds(made: Evaluation) -> Iterator[str]:
    yield "\nkind              found        sensitivity (95 %)     delay h: median   p90    max"
    for kind in (*made.kinds, made.emergencies):
        if kind.sensitivity is None or kind.sensitivity_95 is None or kind.delay_hours is None:
            continue
        low, high = kind.sensitivity_95
        d = kind.delay_hours
        yield (
            f"{kind.kind:16}  {kind.found:4d}/{kind.events:<4d}    {kind.sensitivity:5.3f} ({low:.3f}-{high:.3f})"
            f"            {d['median']:6.2f} {d['p90']:6.2f} {d['max']:6.2f}"
        )


def _rules(made: Evaluation) -> Iterator[str]:
    yield "\nfalse in 30 household-days (95 %)       calls  false   calls                notes  false   calls and notes"
    for told in (*made.rules, made.resident, made.all_calls):
        yield (
            f"{told.rule:24}  {told.category:11}  {told.calls:6d} {told.false:6d}   {rate(told):19} "
            f"{told.notes:6d} {told.false_notes:6d}   {rate_of_all(told)}"
        )


def rate(told: Told) -> str:
    """False calls per 30 household-days with their interval."""
    return _rate(told.false_per_30_days, told.false_per_30_days_95)


def rate_of_all(told: Told) -> str:
    """False calls and notes together, likewise."""
    return _rate(told.alerts_per_30_days, told.alerts_per_30_days_95)


def _rate(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "no ordinary time after learning"
    return f"{value:6.2f} ({interval[0]:.2f}-{interval[1]:.2f})"


def _load(made: Evaluation) -> Iterator[str]:
    load = made.load
    if load is not None:
        yield (
            f"\n{load.in_a_shift:.2f} calls in a shift of eight hours, of all households together (busiest "
            f"{load.busiest}); {load.for_a_nurse:.2f} for a nurse who watches {load.households_a_nurse}"
        )
    if made.vital_per_day is not None:
        yield f"{made.vital_per_day:.3f} alerts about pulse and breath a resident-day, right or false"


def _doubts(made: Evaluation) -> Iterator[str]:
    if made.unknown_kinds:
        names = ", ".join(f"{kind} ({n})" for kind, n in made.unknown_kinds.items())
        yield f"kinds that simulator/README.md does not name, taken for emergencies of inactivity: {names}"


def _curve(points: Sequence[Point]) -> Iterator[str]:
    if points:
        yield "\ninactivity: one false in (power alone)    false in 30 days   found     delay h: median   mean    p90"
    for p in points:
        if p.false_per_30_days is None or p.delay_hours is None:
            continue
        d = p.delay_hours
        yield (
            f"x{p.factor:<8g} {p.one_in_days:8.2f} d ({p.power_alone_one_in_days:.2f} d)            "
            f"{p.false_per_30_days:8.2f}       {p.found:4d}/{p.events:<4d}          "
            f"{d['median']:6.2f} {d['mean']:6.2f} {d['p90']:6.2f}"
        )


def _outings(points: Sequence[Outing]) -> Iterator[str]:
    if points:
        yield "\ninactivity: limit of an outing    false in 30 days   found     delay h: median   mean    p90"
    for p in points:
        if p.false_per_30_days is None or p.delay_hours is None:
            continue
        d, limit = p.delay_hours, "as shipped" if p.limit_hours == AS_SHIPPED else f"{p.limit_hours:.0f} h"
        yield (
            f"{limit:>28}  {p.false_per_30_days:8.2f} ({p.false})     {p.found:4d}/{p.events:<4d}          "
            f"{d['median']:6.2f} {d['mean']:6.2f} {d['p90']:6.2f}"
        )

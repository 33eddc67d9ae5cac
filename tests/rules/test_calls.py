"""When the rule about inactivity notes and when it calls: at home by how seldom such a quiet is, away by the hours."""

from __future__ import annotations

import numpy as np
import pytest

from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Evidence, Rule
from mimamori.site import load_site

SITE = load_site()
MIDNIGHT = parse_instant("2026-11-02T00:00:00+09:00")
DAYS = 10
MOTION, DOOR, BEAT, IN_BED = (SITE.metrics.index(name) for name in ("motion", "door_open", "heartbeat", "in_bed"))
Told = list[tuple[float, Level]]


@pytest.fixture(scope="module")
def rule() -> Rule:
    return next(r for r in SITE.rules if r.name == "inactivity")


def life(*, until: int, door: bool, bed: bool) -> ReadingBatch:
    """Motion by day at odd times, and beats; on the last day none from 09:00 on, after the door or not.

    bed: with a bed sensor, in which nobody ever lies.
    """
    dice, rows = np.random.default_rng(5), []
    for day in range(DAYS + 1):
        last = 9 if day == DAYS else 21
        at = 7 * HOUR + np.cumsum(dice.exponential(15 * MINUTE, 200)).astype(np.int64)
        rows += [(day * DAY + t, 0, MOTION) for t in at[at < last * HOUR].tolist()]
    rows += [(t, 0, BEAT) for t in range(0, DAYS * DAY + until, 10 * MINUTE)]
    rows += [(t, 1, BEAT) for t in range(0, DAYS * DAY + until, 10 * MINUTE)]
    if door:
        rows.append((DAYS * DAY + 9 * HOUR, 1, DOOR))
    if bed:
        rows += [(t, 2, IN_BED) for t in range(0, DAYS * DAY + until, 10 * MINUTE)]
    return reading_batch([
        (0, device, metric, float(metric != IN_BED), MIDNIGHT + t, MIDNIGHT + t, 0)
        for t, device, metric in sorted(rows)
    ])  # fmt: skip


def told(rule: Rule, *, until: int, door: bool = False, bed: bool = False) -> Told:
    """(hours after nine o'clock on the last day, level) of what fires then."""
    homes = Homes()
    for device in ("hall", "door", "bed"):
        homes.add_device("H1", device)
    engine = Engine(homes, [rule], SITE.metrics, SITE.zone)
    end = MIDNIGHT + DAYS * DAY + until
    findings = engine.step(life(until=until, door=door, bed=bed), end)
    nine = MIDNIGHT + DAYS * DAY + 9 * HOUR
    late = findings.take((findings.verdict == Verdict.FIRING) & (findings.at > nine))
    return [((at - nine) / HOUR, Level(level)) for at, level in zip(late.at.tolist(), late.level.tolist(), strict=True)]


def calling_after(rule: Rule, times: float, *, with_bed: float = 4.0) -> Rule:
    assert isinstance(rule.condition, Evidence)
    update = {"call_after": times, "call_after_with_bed": with_bed}
    return rule.model_copy(update={"condition": rule.condition.model_copy(update=update)})


def test_at_home_a_note_becomes_a_call(rule: Rule) -> None:
    (noted, first), (called, then) = told(rule, until=20 * HOUR)
    assert (first, then) == (Level.LOW, Level.HIGH)
    assert 1 <= noted < called < noted + 1.5
    assert told(calling_after(rule, 1.0), until=20 * HOUR) == [(noted, Level.HIGH)]
    (again, _), (later, _) = told(calling_after(rule, 8.0), until=20 * HOUR)
    assert again == noted
    assert later > called


def test_no_sign_for_a_day_calls_whatever_the_evidence(rule: Rule) -> None:
    (_, first), (called, then) = told(calling_after(rule, 1e30), until=40 * HOUR)
    assert (first, then) == (Level.LOW, Level.HIGH)
    assert called == pytest.approx(24, abs=0.3)


def test_away_from_home_a_note_comes_after_sixteen_hours_and_a_call_after_thirty_six(rule: Rule) -> None:
    (noted, first), (called, then) = told(rule, until=50 * HOUR, door=True)
    assert (first, then) == (Level.LOW, Level.HIGH)
    assert (noted, called) == pytest.approx((16, 36), abs=0.1)


def test_with_a_bed_sensor_beside_motion_no_note_comes_before_the_call(rule: Rule) -> None:
    ((called, level),) = told(rule, until=20 * HOUR, bed=True)
    ((sooner, _),) = told(calling_after(rule, 3.0, with_bed=1.0), until=20 * HOUR, bed=True)
    assert level == Level.HIGH
    assert 1 <= sooner < called < 12
    assert told(calling_after(rule, 1e30), until=20 * HOUR, bed=True) == [(called, Level.HIGH)]


def test_away_from_a_home_with_a_bed_sensor_is_a_call_after_thirty_six_hours_and_no_note(rule: Rule) -> None:
    assert told(rule, until=50 * HOUR, door=True, bed=True) == [(pytest.approx(36, abs=0.1), Level.HIGH)]

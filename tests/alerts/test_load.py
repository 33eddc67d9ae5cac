"""Alarm-load figures on logs small enough to count by hand, and against a naive count on random ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mimamori.alerts.load import load
from mimamori.model.alert import AlertEvent
from mimamori.model.notice import Notice
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant

BEGIN = parse_instant("2026-11-01T00:00:00+09:00")


def call(at: int, person: str = "N-01", **more: Any) -> Notice:
    notice = Notice(
        alert=f"A/inactivity/{at}", step=0, recipient=person, channel="sms", round=0, kind="first", priority="high",
        address="", text="", due=BEGIN + at, reason="",
    )  # fmt: skip
    return replace(notice, **more)


def event(alert: str, kind: Any, at: int, **more: Any) -> AlertEvent:
    household, rule, _ = alert.split("/")
    return AlertEvent(
        alert=alert, kind=kind, at=BEGIN + at, by="engine", reason="", household=household, rule=rule, **more
    )


def test_a_flood_by_hand() -> None:
    quiet = [call(i * HOUR) for i in range(1, 9)]
    burst = [call(10 * HOUR + i * MINUTE // 2) for i in range(11)] + [
        call(10 * HOUR + 10 * MINUTE + i) for i in range(5)
    ]
    after = [call(10 * HOUR + 20 * MINUTE + i) for i in range(4)]
    aside = [call(3 * HOUR, channel="console", recipient="console"), call(3 * HOUR, kind="taken"), call(2 * DAY)]
    (person,) = load([], [*quiet, *burst, *after, *aside], BEGIN, BEGIN + DAY).people
    assert (person.person, person.calls, person.peak) == ("N-01", 8 + 16 + 4, 11)
    (flood,) = person.floods
    assert (flood.begins, flood.ends) == (BEGIN + 10 * HOUR, BEGIN + 10 * HOUR + 20 * MINUTE)
    assert (flood.calls, flood.peak) == (16, 11)
    assert person.flooded == 2 / 144
    assert person.busy == 3 / 144
    assert math.isclose(person.mean, 28 / 144)


def test_false_alarms_by_rule_come_from_outcomes() -> None:
    ends = ["false-alarm", "help-given", "device-fault", "ended", "test", None]
    events = []
    for i, outcome in enumerate(ends):
        alert = f"H{i % 2}/inactivity/{i}"
        events.append(event(alert, "opened", i * HOUR, priority="high"))
        if outcome:
            events.append(event(alert, "resolved", i * HOUR + MINUTE, outcome=outcome))
    events.append(event("H9/room/1", "opened", 23 * HOUR, priority="low"))
    found = load(events, [], BEGIN, BEGIN + 3 * DAY)
    inactivity, room = found.rules
    assert (inactivity.rule, inactivity.alerts, inactivity.judged, inactivity.false) == ("inactivity", 6, 3, 2 / 3)
    assert (room.alerts, room.false) == (1, None)
    assert found.households[:2] == (("H0", 3, 3 / 7), ("H1", 3, 3 / 7))
    assert found.mix == {"high": 6 / 7, "medium": 0.0, "low": 1 / 7}
    assert found.stale == 2


def test_random_logs_against_counting() -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        times = np.sort(rng.integers(0, 3 * DAY, rng.integers(1, 400)))
        people = rng.choice(["N-01", "N-02"], len(times))
        notices = [call(int(t), str(p)) for t, p in zip(times, people, strict=True)]
        found = load([], notices, BEGIN, BEGIN + 3 * DAY)
        for person in found.people:
            mine = times[people == person.person]
            counts = [int(((mine >= s) & (mine < s + 10 * MINUTE)).sum()) for s in range(0, 3 * DAY, 10 * MINUTE)]
            assert (person.calls, person.peak) == (len(mine), max(counts))
            assert math.isclose(person.mean, sum(counts) / len(counts))
            assert math.isclose(person.busy, sum(c > 1 for c in counts) / len(counts))
            flooded, inside = 0, False
            for count in counts:
                inside = count > 10 or (inside and count >= 5)
                flooded += inside
            assert math.isclose(person.flooded, flooded / len(counts))


def test_an_empty_span_is_refused_and_an_empty_log_is_not() -> None:
    with pytest.raises(ValueError, match="empty"):
        load([], [], BEGIN, BEGIN)
    found = load([], [], BEGIN, BEGIN + DAY)
    assert (found.alerts, found.people, found.rules, found.stale) == (0, (), (), 0)

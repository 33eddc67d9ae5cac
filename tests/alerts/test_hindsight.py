"""Alerts as they were beside alerts as they would have been, from lines written by hand."""

from __future__ import annotations

from typing import Any

from mimamori.alerts.hindsight import USUAL_MINUTES, look_back
from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.times import HOUR, MINUTE, NEVER, iso, parse_instant

T = parse_instant("2026-11-20T02:00:00+09:00")


def line(opened: int, ended: int | None = None, home: str = "A", **more: Any) -> dict[str, Any]:
    resolved = None if ended is None else iso(ended, "Asia/Tokyo")
    told = {"household": home, "rule": "heart-rate", "priority": "high", "why": "", "why_en": ""}
    return told | {"opened": iso(opened, "Asia/Tokyo"), "resolved": resolved} | more


def real(opened: int, outcome: str, home: str = "A", rule: str = "heart-rate") -> Alert:
    return Alert(
        id=f"{home}/{rule}/{opened}", household=home, rule=rule, device="", priority="high", category="resident",
        state="resolved", opened=opened, since=opened, title_ja="", title_en="", why_ja="", why_en="", evidence={},
        resolved_at=opened + HOUR, outcome=outcome,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_same_event_is_one_under_both_and_the_rest_is_added_or_removed() -> None:
    before = [line(T, T + HOUR), line(T + 9 * HOUR, T + 10 * HOUR), line(T, T + HOUR, "B")]
    after = [line(T + 20 * MINUTE, T + HOUR, priority="medium"), line(T + 20 * HOUR), line(T, None, "C")]
    seen = look_back(before, after, [], [])
    assert (seen.before, seen.after, seen.kept, seen.raised, seen.lowered) == (3, 3, 1, 0, 1)
    assert [(t.household, t.opened) for t in seen.removed] == [("A", before[1]["opened"]), ("B", before[2]["opened"])]
    assert [(t.household, t.resolved) for t in seen.added] == [("A", None), ("C", None)]
    assert [(h.household, h.before, h.after, h.added, h.removed) for h in seen.homes] == [
        ("A", 2, 2, 1, 1), ("C", 0, 1, 1, 0), ("B", 1, 0, 0, 1)
    ]  # fmt: skip
    assert seen.minutes == 0


def test_each_line_is_paired_once() -> None:
    seen = look_back([line(T, T + HOUR)], [line(T, T + MINUTE), line(T + 10 * MINUTE, T + HOUR)], [], [])
    assert (seen.kept, len(seen.added), len(seen.removed)) == (1, 1, 0)


def test_what_nurses_said_tells_whether_it_was_true() -> None:
    fall = real(T + 3 * HOUR, "true-emergency", rule="inactivity")
    alerts = [real(T + 48 * HOUR, "false-alarm"), fall, real(T, "ended", "B"), real(T, "false-alarm", "C", "heat")]
    removed = [line(T + 48 * HOUR, T + 49 * HOUR), line(T + 4 * HOUR, T + 5 * HOUR), line(T, T + HOUR, "B")]
    seen = look_back(removed, [line(T, T + MINUTE), line(T, T + MINUTE, "C")], [], alerts)
    assert [t.truth for t in seen.removed] == ["false", "true", "unknown"]
    assert [t.truth for t in seen.added] == ["true", "unknown"]  # three hours before the fall was found
    assert seen.truths == {"added": {"true": 1, "unknown": 1}, "removed": {"false": 1, "true": 1, "unknown": 1}}


def test_minutes_come_from_real_handling_or_are_said_to_be_assumed() -> None:
    def event(number: int, kind: Any, at: int, by: str) -> AlertEvent:
        return AlertEvent(alert=f"A/x/{number}", kind=kind, at=at, by=by, reason="", household="A", rule="x")

    events = []
    for n in range(12):
        events += [event(n, "acknowledged", T, "N-01"), event(n, "resolved", T + (n + 1) * MINUTE, "N-01")]
    events += [event(99, "acknowledged", T, "N-01"), event(99, "resolved", T + 9 * HOUR, "engine")]
    seen = look_back([], [line(T), line(T, None, "B")], events, [])
    assert (seen.minutes_each, seen.measured, seen.minutes) == (6.5, 12, 13.0)
    few = look_back([line(T)], [], events[:4], [])
    assert (few.minutes_each, few.measured, few.minutes) == (USUAL_MINUTES, 0, -USUAL_MINUTES)
    assert NEVER < T

"""Who is on duty: the shipped plan on known days, and random plans against a naive twin that counts minutes."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimamori.alerts.roster import Roster, RosterContent, is_holiday
from mimamori.model.times import DAY, HOUR, MINUTE, from_datetime, parse_instant, to_datetime

TOKYO = ZoneInfo("Asia/Tokyo")
CALENDAR = set(holidays.country_holidays("JP", years=(2025, 2026, 2027, 2028)))


def at(text: str) -> int:
    return parse_instant(text + ":00+09:00")


@pytest.mark.parametrize(
    ("when", "people"),
    [
        ("2026-11-24T08:30", ("N-01",)),  # Tuesday, 327 days after 1 January
        ("2026-11-23T12:00", ("N-02",)),  # Labour Thanksgiving, a Monday: the holiday rotation
        ("2026-11-21T12:00", ("N-02",)),  # Saturday
        ("2026-11-22T12:00", ("N-04",)),
        ("2027-01-01T12:00", None),  # New Year
        ("2028-02-29T12:00", None),  # leap day, a Tuesday
    ],
)
def test_the_shipped_plan(content: Any, when: str, people: Any) -> None:
    on_duty = content.roster.on_call("on-call", at(when))
    day = date.fromisoformat(when[:10])
    free = day.weekday() >= 5 or is_holiday(day)
    turns = ["N-02", "N-04"] if free else ["N-01", "N-02", "N-03"]
    assert on_duty == (turns[(day - date(2026, 1, 1)).days % len(turns)],)
    if people:
        assert on_duty == people


def test_a_shift_over_midnight_belongs_to_the_day_it_began(content: Any) -> None:
    before, after = at("2026-11-24T23:59"), at("2026-11-25T00:29")
    assert content.roster.on_call("on-call", before) == content.roster.on_call("on-call", after)
    assert content.roster.on_call("on-call", at("2026-11-25T00:30")) != content.roster.on_call("on-call", before)


def test_the_shipped_plan_has_no_hole_for_two_years(content: Any) -> None:
    begin = at("2026-11-23T00:00")
    for role in content.roster.content.role:
        assert content.roster.holes(role, begin, begin + 2 * 366 * DAY) == []


def test_an_override_replaces_and_a_dead_phone_is_a_hole(raw: Any) -> None:
    raw["roster"]["override"] = [
        {"role": "on-call", "from": datetime(2026, 12, 31, 16, 30, tzinfo=TOKYO),
         "until": datetime(2027, 1, 1, 8, 30, tzinfo=TOKYO), "people": ["N-09"]},
    ]  # fmt: skip
    roster = Roster(RosterContent.model_validate(raw["roster"]))
    assert roster.on_call("on-call", at("2027-01-01T00:00")) == ("N-09",)
    (hole,) = roster.holes("on-call", at("2026-12-31T00:00"), at("2027-01-02T00:00"), {f"N-0{i}" for i in range(1, 7)})
    assert (hole.begins, hole.ends, hole.people) == (at("2026-12-31T16:30"), at("2027-01-01T08:30"), ("N-09",))


def test_holidays_are_those_of_the_library() -> None:
    calendar = holidays.country_holidays("JP", years=range(2024, 2031))
    assert len(calendar) > 100
    for day in calendar:
        assert is_holiday(day)
    assert is_holiday(date(2026, 9, 22))  # a day between two holidays


def test_a_zone_with_summer_time() -> None:
    table = {
        "zone": "Europe/Berlin", "fallback": ["N-1"],
        "shift": {"night": {"title": {"ja": "夜", "en": "night"}, "between": "22:00-06:00"}},
        "role": {"r": {"title": {"ja": "役", "en": "r"}}},
        "rotation": [{"role": "r", "shifts": ["night"], "people": ["N-1"], "from": "2026-01-01"}],
    }  # fmt: skip
    roster = Roster(RosterContent.model_validate(table))
    zone = ZoneInfo("Europe/Berlin")
    begin = from_datetime(datetime(2026, 3, 28, 12, tzinfo=zone))
    holes = roster.holes("r", begin, begin + 30 * HOUR)
    assert [to_datetime(h.ends, "Europe/Berlin").hour for h in holes] == [22, 19]
    assert holes[1].begins - holes[0].ends == 7 * HOUR  # the night in which an hour is missing


TIMES = st.integers(0, 47).map(lambda half: f"{half // 2:02d}:{half % 2 * 30:02d}")
DATES = st.sampled_from(
    [date(2027, 12, 28), date(2028, 2, 27), date(2026, 9, 19), date(2026, 4, 28), date(2026, 11, 21), date(2026, 6, 1)]
)
PEOPLE = st.lists(st.sampled_from(["N-1", "N-2", "N-3", "N-4"]), min_size=1, max_size=4, unique=True)


@st.composite
def rosters(draw: st.DrawFn) -> tuple[dict[str, Any], date]:
    first = draw(DATES)
    shifts = {
        f"s{i}": {"title": {"ja": "勤", "en": "s"}, "between": f"{draw(TIMES)}-{draw(TIMES)}"}
        for i in range(draw(st.integers(1, 3)))
    }
    rotations = []
    for _ in range(draw(st.integers(1, 4))):
        begins = first + timedelta(days=draw(st.integers(-40, 3)))
        rotation = {
            "role": draw(st.sampled_from(["a", "b"])), "people": draw(PEOPLE), "from": begins,
            "shifts": draw(st.lists(st.sampled_from(sorted(shifts)), min_size=1, max_size=3, unique=True)),
            "days": draw(st.sampled_from(["every-day", "working-days", "weekends-and-holidays"])),
            "turn": draw(st.sampled_from(["day", "week", "month"])), "together": draw(st.integers(1, 2)),
        }  # fmt: skip
        if draw(st.booleans()):
            rotation["until"] = begins + timedelta(days=draw(st.integers(0, 45)))
        rotations.append(rotation)
    overrides = []
    for _ in range(draw(st.integers(0, 2))):
        start = datetime.combine(first, datetime.min.time(), TOKYO) + timedelta(minutes=draw(st.integers(0, 7200)))
        end = start + timedelta(minutes=draw(st.integers(1, 2000)))
        overrides.append(
            {"role": draw(st.sampled_from(["a", "b"])), "from": start, "until": end, "people": draw(PEOPLE)}
        )
    role = {"title": {"ja": "役", "en": "role"}}
    table = {"fallback": ["N-1"], "shift": shifts, "role": {"a": role, "b": role}, "rotation": rotations,
             "override": overrides}  # fmt: skip
    return table, first


def naive(table: dict[str, Any], role: str, moment: datetime) -> set[str]:
    """Who is on duty, straight from the words of the file."""
    for override in reversed(table["override"]):
        if override["role"] == role and override["from"] <= moment < override["until"]:
            return set(override["people"])
    found = set()
    for rotation in table["rotation"]:
        for day in (moment.date() - timedelta(days=1), moment.date()):
            free = day.weekday() in {5, 6} or day in CALENDAR
            if rotation["role"] != role or day < rotation["from"] or day > rotation.get("until", day):
                continue
            if (rotation["days"], free) in {("working-days", True), ("weekends-and-holidays", False)}:
                continue
            for name in rotation["shifts"]:
                left, right = (
                    datetime.combine(day, time.fromisoformat(t), TOKYO)
                    for t in table["shift"][name]["between"].split("-")
                )
                if right <= left:
                    right += timedelta(days=1)
                if left <= moment < right:
                    days = (day - rotation["from"]).days
                    months = 12 * (day.year - rotation["from"].year) + day.month - rotation["from"].month
                    turn = {"day": days, "week": days // 7, "month": months}[rotation["turn"]]
                    people = rotation["people"]
                    found |= {people[(turn + k) % len(people)] for k in range(rotation["together"])}
    return found


@settings(max_examples=60, deadline=None)
@given(drawn=rosters(), reachable=st.sets(st.sampled_from(["N-1", "N-2", "N-3", "N-4"]), min_size=2))
def test_random_plans_have_no_undetected_hole(drawn: tuple[dict[str, Any], date], reachable: set[str]) -> None:
    table, first = drawn
    roster = Roster(RosterContent.model_validate(table))
    begin = datetime.combine(first, datetime.min.time(), TOKYO)
    begins, ends = from_datetime(begin), from_datetime(begin) + 5 * DAY
    for role in ("a", "b"):
        open_hours = roster.holes(role, begins, ends)
        dead_hours = roster.holes(role, begins, ends, reachable)
        edges = {t + e for h in (*open_hours, *dead_hours) for t in (h.begins, h.ends) for e in (0, -MINUTE)}
        grid = {begins + minutes * MINUTE for minutes in range(0, 5 * 24 * 60, 47)}
        for now in sorted(t for t in edges | grid if begins <= t < ends):
            people = naive(table, role, to_datetime(now, "Asia/Tokyo"))
            assert set(roster.on_call(role, now)) == people
            assert any(h.begins <= now < h.ends for h in open_hours) == (not people)
            assert any(h.begins <= now < h.ends for h in dead_hours) == (not people & reachable)

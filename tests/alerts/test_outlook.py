"""Holes in the roster against a naive reading of the same roster, minute by minute where it matters.

MIMAMORI_ROUNDS=10000 pytest tests/alerts/test_outlook.py     the big run
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

import holidays
import numpy as np
import pytest

from mimamori.alerts.outlook import AHEAD, look_ahead, reachable, roles_called, why
from mimamori.alerts.plan import Person
from mimamori.alerts.roster import Roster, RosterContent
from mimamori.model.findings import Level
from mimamori.model.notice import Reach
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND, from_datetime, parse_instant

ROUNDS = int(os.environ.get("MIMAMORI_ROUNDS", "150"))
TOKYO = timezone(timedelta(hours=9))
JAPAN = holidays.country_holidays("JP")
EDGES = ("2026-12-20", "2027-01-01", "2027-04-20", "2028-02-10", "2028-02-29", "2026-09-12", "2027-12-31")
STAFF = [f"N-{i}" for i in range(6)]
SHIFTS = (
    {"day": "08:30-16:30", "evening": "16:30-00:30", "night": "00:30-08:30"},
    {"day": "08:00-20:00", "night": "20:00-08:00"},
    {"early": "07:00-15:00", "late": "15:00-23:00", "night": "22:30-07:15"},
)


def random_roster(rng: np.random.Generator, start: date) -> dict[str, Any]:
    """A roster as people write them, with mistakes as people make them: shifts left out, rotations that end."""
    hours = SHIFTS[rng.integers(len(SHIFTS))]
    rotations = []
    for _ in range(rng.integers(1, 5)):
        begins = start + timedelta(days=int(rng.integers(-400, 20)))
        rotation = {
            "role": "on-call", "shifts": [s for s in hours if rng.random() < 0.8] or [next(iter(hours))],
            "days": ["every-day", "working-days", "weekends-and-holidays"][rng.integers(3)],
            "people": list(rng.choice(STAFF, size=rng.integers(1, 4), replace=False)),
            "turn": ["day", "week", "month"][rng.integers(3)], "together": int(rng.integers(1, 3)), "from": begins,
        }  # fmt: skip
        if rng.random() < 0.4:
            rotation["until"] = begins + timedelta(days=int(rng.integers(0, 450)))
        rotations.append(rotation)
    overrides = []
    for _ in range(rng.integers(0, 3)):
        begin = datetime.combine(start, datetime.min.time(), TOKYO) + timedelta(minutes=int(rng.integers(0, 43_000)))
        overrides.append({
            "role": "on-call", "from": begin, "until": begin + timedelta(minutes=int(rng.integers(1, 3000))),
            "people": [str(rng.choice(STAFF))],
        })  # fmt: skip
    words = {"ja": "x", "en": "x"}
    return {
        "fallback": ["N-0"], "shift": {n: {"title": words, "between": b} for n, b in hours.items()},
        "role": {"on-call": {"title": words}}, "rotation": rotations, "override": overrides,
    }  # fmt: skip


def naive(raw: dict[str, Any], at: datetime) -> set[str]:
    """Who is on duty at this moment, read straight off the table."""
    for override in reversed(raw["override"]):
        if override["from"] <= at < override["until"]:
            return set(override["people"])
    found: set[str] = set()
    for r in raw["rotation"]:
        for back in (0, 1):
            day = (at - timedelta(days=back)).date()
            free = day.weekday() in {5, 6} or day in JAPAN
            if day < r["from"] or ("until" in r and day > r["until"]):
                continue
            if r["days"] == ("working-days" if free else "weekends-and-holidays"):
                continue
            for shift in r["shifts"]:
                first, last = raw["shift"][shift]["between"].split("-")
                begin = datetime.fromisoformat(f"{day}T{first}:00+09:00")
                end = datetime.fromisoformat(f"{day}T{last}:00+09:00")
                if begin <= at < (end if end > begin else end + timedelta(days=1)):
                    months = (day.year - r["from"].year) * 12 + day.month - r["from"].month
                    days = (day - r["from"]).days
                    turn = {"day": days, "week": days // 7, "month": months}[r["turn"]]
                    people = r["people"]
                    found |= {people[(turn + k) % len(people)] for k in range(min(r["together"], len(people)))}
    return found


def moments(raw: dict[str, Any], start: datetime, rng: np.random.Generator) -> Sequence[datetime]:
    """Just before, at and after each time at which anything may change, and some at random."""
    times = sorted({t for s in raw["shift"].values() for t in s["between"].split("-")})
    edges = [
        datetime.fromisoformat(f"{start.date() + timedelta(days=d)}T{t}:00+09:00") for d in range(31) for t in times
    ]
    edges += [o[k] for o in raw["override"] for k in ("from", "until")]
    picked = [edges[i] for i in rng.integers(0, len(edges), 40)] + edges[-2 * len(raw["override"]) or len(edges) :]
    near = [e + timedelta(seconds=s) for e in picked for s in (-1, 0, 1)]
    end = start + timedelta(days=30)
    anywhere = [start + timedelta(seconds=int(s)) for s in rng.integers(0, 30 * 86_400, 40)]
    return [t for t in near + anywhere if start <= t < end]


@pytest.mark.parametrize("part", range(5))
def test_no_hole_stays_hidden_and_none_is_invented(part: int) -> None:
    rng = np.random.default_rng([2026, part])
    with_holes = 0
    for _ in range(ROUNDS // 5):
        day = date.fromisoformat(str(rng.choice(EDGES))) + timedelta(days=int(rng.integers(-10, 10)))
        raw = random_roster(rng, day)
        start = datetime.combine(day, datetime.min.time(), TOKYO) + timedelta(minutes=int(rng.integers(0, 1440)))
        can = frozenset(s for s in STAFF if rng.random() < 0.8)
        roster = Roster(RosterContent.model_validate(raw))
        now = from_datetime(start)
        holes = roster.holes("on-call", now, now + AHEAD, can)
        (outlook,) = look_ahead(roster, ["on-call"], can, now)
        assert (outlook.first is None) == (not holes)
        with_holes += bool(holes)
        for moment in moments(raw, start, rng):
            at = from_datetime(moment)
            inside = any(h.begins <= at < h.ends for h in holes)
            assert inside == (not naive(raw, moment) & can), (part, raw, moment.isoformat(), sorted(can))
    assert with_holes > 0


def test_how_near_a_hole_is_makes_its_level(content: Any) -> None:
    roster, now = content.roster, parse_instant("2026-11-24T10:00:00+09:00")
    roles = roles_called(content.policies.values())
    assert roles == ("lead", "on-call", "second")
    everybody = frozenset(f"N-{i:02d}" for i in range(1, 7))
    assert {o.level for o in look_ahead(roster, roles, everybody, now)} == {Level.NONE}
    without = everybody - {"N-04", "N-05", "N-06"}  # the evenings and nights of the nurse on call
    evening = {o.role: o for o in look_ahead(roster, ["on-call"], without, now)}["on-call"]
    assert evening.first is not None
    assert evening.first.begins - now == 6 * HOUR + 30 * MINUTE
    assert evening.level is Level.HIGH
    ja, en = why(evening, roster)
    assert "11/24(火) 16:30から" in ja
    assert "当番看護師" in ja
    assert "cannot be reached" in en
    assert why(look_ahead(roster, ["lead"], everybody, now)[0], roster)[1] == "no hole in the next 30 days"


def test_a_telephone_whose_last_test_failed_reaches_nobody() -> None:
    people = {n: Person(id=n, role="nurse", phone="+819000000001") for n in ("N-1", "N-2", "N-3")}
    people["N-4"] = Person(id="N-4", role="nurse")
    seen: tuple[tuple[str, Any, int, int], ...] = (
        ("N-1", "sms", 5, 9), ("N-1", "voice", NEVER, 9), ("N-2", "sms", 9, 5), ("N-3", "sms", NEVER, 9),
    )  # fmt: skip
    reaches = [Reach(recipient=r, channel=c, reached_at=well, failed_at=ill) for r, c, well, ill in seen]
    assert reachable(people, reaches) == {"N-2", "N-3"}, "N-3 has a voice that was never tried; N-4 has nothing"


def test_an_alert_about_the_roster_comes_ends_and_worsens(ward: Any) -> None:
    from mimamori.service.duties import Duties

    duties = Duties(people={}, homes={})
    roster = ward.content.roster
    everybody = frozenset(f"N-{i:02d}" for i in range(1, 7))
    kinds = []
    for can in (everybody, everybody - {"N-01"}, everybody - {"N-01"}, everybody):
        (outlook,) = look_ahead(roster, ["lead"], can, ward.now)
        events = ward._took(duties._tell(outlook, ward.book, ward.now))
        kinds.append([e.kind for e in events])
        ward.wait(SECOND)
    assert kinds[0] == []
    assert kinds[1][0] == "opened"
    assert kinds[2] in ([], ["note"])
    assert kinds[3] == ["returned", "resolved"]
    alert = ward.book.alerts()[0]
    assert (alert.household, alert.rule, alert.category) == ("ward", "roster-hole", "technical")
    assert "師長" in alert.why_ja
    text = next(n.text for n in ward.sms())
    assert "当番表 当番に空きがあります" in text

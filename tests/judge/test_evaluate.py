"""Scoring alerts against the truth: by hand-made alerts with figures worked out on paper, and as a command."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mimamori.cli import main
from mimamori.judge.evaluate import Evaluation, evaluate, garwood, read_truth, wilson
from mimamori.judge.scores import as_table
from mimamori.judge.sweep import AS_SHIPPED, curve, outing_curve, replay_outings, replay_swept
from mimamori.model.times import DAY, HOUR, MINUTE, iso, parse_instant
from mimamori.replay import replay
from mimamori.rules.spec import Condition, Evidence, Rule
from mimamori.simulator.truth import TruthEvent
from mimamori.site import Site, load_site

T0 = parse_instant("2026-01-01T00:00:00+09:00")


def alert(
    household: str,
    rule: str,
    opened: float,
    resolved: float | None = None,
    *,
    category: str = "resident",
    priority: str = "high",
) -> dict[str, Any]:
    """An alert line; opened and resolved in hours after T0."""
    return {
        "household": household, "rule": rule, "category": category, "priority": priority,
        "opened": iso(T0 + int(opened * HOUR)),
        "resolved": None if resolved is None else iso(T0 + int(resolved * HOUR)),
    }  # fmt: skip


def event(household: str, kind: str, start: float, end: float) -> TruthEvent:
    return TruthEvent(household=household, kind=kind, start=T0 + int(start * HOUR), end=T0 + int(end * HOUR))


def score(lines: list[dict[str, Any]], truth: list[TruthEvent], days: int = 30, learn: int = 10) -> Evaluation:
    span = (T0, T0 + days * DAY)
    return evaluate(lines, truth, spans={"a": span, "b": span}, learn=learn * DAY, households_a_nurse=50)


class TestScore:
    def test_delay_is_to_the_first_right_alert_and_a_missed_event_counts_its_whole_length(self) -> None:
        truth = [event("a", "collapse", 300, 320), event("b", "collapse", 400, 412)]
        lines = [alert("a", "heart-rate", 301), alert("a", "inactivity-cap", 304), alert("a", "inactivity", 303)]
        (found,) = score(lines, truth).kinds
        assert (found.events, found.found, found.sensitivity) == (2, 1, 0.5)
        assert found.delay_hours == {"median": 7.5, "mean": 7.5, "p90": pytest.approx(11.1), "max": 12.0}

    def test_already_in_alarm_is_left_out_and_an_alert_after_the_end_finds_nothing(self) -> None:
        truth = [event("a", "collapse", 300, 320), event("b", "no-breathing", 300, 301)]
        lines = [alert("a", "inactivity", 290, 310), alert("b", "no-breathing", 301.5)]
        made = score(lines, truth)
        assert [(k.kind, k.events, k.found, k.already_in_alarm) for k in made.kinds] == [
            ("collapse", 0, 0, 1), ("no-breathing", 1, 0, 0),
        ]  # fmt: skip
        assert (made.emergencies.events, made.emergencies.sensitivity) == (1, 0.0)

    @pytest.mark.parametrize(
        ("kind", "category", "hour", "false"),
        [
            pytest.param("outing", "resident", 305, 1, id="ordinary life excuses nothing about the resident"),
            pytest.param("wifi-out", "resident", 305, 1, id="nor does a fault"),
            pytest.param("wifi-out", "technical", 305, 0, id="which a technical alert rightly tells of"),
            pytest.param(
                "night-walk", "resident", 305, 0, id="a resident's own walk excuses the rule that tells of it"
            ),
            pytest.param("collapse", "resident", 305, 0, id="an emergency excuses every alert"),
            pytest.param("collapse", "resident", 320.5, 0, id="until an hour after it"),
            pytest.param("collapse", "resident", 322, 1, id="and no longer"),
            pytest.param("collapse", "resident", 200, 0, id="nothing is false while habits are learned"),
        ],
    )
    def test_what_excuses_an_alert(self, kind: str, category: str, hour: float, false: int) -> None:
        made = score([alert("a", "bed-exit", hour, category=category)], [event("a", kind, 300, 320)])
        (told,) = made.rules
        days = 40.0 - (21 / 24 if kind == "collapse" else 0)  # nothing can be false while help is on its way
        assert (told.calls, told.false) == (int(hour >= 240), false)
        assert made.household_days == pytest.approx(days, abs=0.01)
        assert told.false_per_30_days == pytest.approx(30 * false / days)
        assert made.resident.false == (false if category == "resident" else 0)

    def test_an_own_walk_is_not_asked_for_and_excuses_no_other_rule(self) -> None:
        made = score([alert("a", "inactivity", 305)], [event("a", "night-walk", 300, 320)])
        assert (made.resident.false, made.kinds, made.missed, made.unknown_kinds) == (1, (), (), {})

    def test_rows_of_watch_alone_say_where_alerts_are_false_and_for_how_many_days(self) -> None:
        truth = [event("a", "watch", 24, 24 * 16), event("copy", "collapse", 100, 120)]
        lines = [alert("a", "inactivity", 23), alert("a", "inactivity", 30), alert("copy", "inactivity", 50, 60)]
        made = score(lines, truth)
        assert (made.household_days, made.resident.false) == (15.0, 1)
        assert made.resident.false_per_30_days == 2.0

    def test_a_household_that_begins_late_counts_its_own_days_and_learns_its_own_while(self) -> None:
        spans = {"a": (T0, T0 + 30 * DAY), "late": (T0 + 20 * DAY, T0 + 30 * DAY), "short": (T0, T0 + DAY)}
        lines = [alert("late", "inactivity", 20 * 24 + 1), alert("late", "inactivity", 29 * 24)]
        made = evaluate(lines, [], spans=spans, learn=8 * DAY)
        assert (made.households, made.household_days, made.watched_days) == (3, 24.0, 24.0)
        assert (made.resident.false, made.resident.calls) == (1, 1)

    def test_a_note_is_listed_apart_and_is_no_call(self) -> None:
        lines = [alert("a", "cold", 300 + i, category="environment", priority="low") for i in range(3)]
        made = score([*lines, alert("b", "cold", 300, category="environment", priority="medium")], [])
        (told,) = made.rules
        assert (told.calls, told.false, told.notes, told.false_notes) == (1, 1, 3, 3)
        assert (made.all_calls.false, made.resident.false) == (1, 0)
        low, high = garwood(4)
        assert told.alerts_per_30_days_95 == pytest.approx((30 * low / 40, 30 * high / 40))
        assert (told.false_per_30_days, told.alerts_per_30_days) == (0.75, 3.0)
        row = next(line for line in as_table(made).splitlines() if line.startswith("cold")).split()
        assert (row[2:4], row[6:8], row[8]) == (["1", "1"], ["3", "3"], "3.00")

    def test_the_load_of_a_shift_counts_calls_right_or_false(self) -> None:
        truth = [event("a", "collapse", 300, 320)]
        lines = [alert("a", "inactivity", 301), alert("b", "heart-rate", 300), alert("b", "bed-exit", 500),
                 alert("b", "cold", 400, category="environment", priority="low")]  # fmt: skip
        load = score(lines, truth).load
        assert load is not None
        assert (load.shifts, load.calls, load.busiest) == (60.0, 3, 2)
        assert (load.in_a_shift, load.for_a_nurse) == (pytest.approx(0.05), pytest.approx(1.25))
        assert score(lines, truth).vital_per_day == pytest.approx(1 / 40)
        assert [e.kind for e in score(lines[1:], truth).missed] == ["collapse"]

    def test_intervals_hold_the_values_of_the_tables(self) -> None:
        assert garwood(0) == (0.0, pytest.approx(-log(0.025)))
        assert garwood(10) == (pytest.approx(4.795, abs=1e-3), pytest.approx(18.390, abs=1e-3))
        assert wilson(10, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
        assert wilson(5, 10) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))

    def test_the_table_tells_kinds_rules_and_what_it_does_not_know(self) -> None:
        text = as_table(score([alert("a", "inactivity", 303)], [event("a", "slipped", 300, 320)]))
        assert "slipped" in text
        assert "1/1" in text
        assert "taken for emergencies of inactivity: slipped (1)" in text


def write_quiet_days(path: Path) -> None:
    """Six days of motion every ten minutes, in the last of which it ends at nine; the sensor lives on."""
    rows = ["time,household,device,metric,value"]
    for minute in range(0, 6 * 1440 + 12 * 60, 10):
        day, hour = divmod(minute / 60, 24)
        seen = 7 <= hour < 21 and not (day == 5 and hour >= 9) and day < 6
        rows += [f"{iso(T0 + minute * MINUTE)},a,hall,{m},1" for m in ("heartbeat", *("motion",) * seen)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def stricter(condition: Condition) -> Condition:
    assert isinstance(condition, Evidence)
    return condition.model_copy(update={
        "one_false_alarm_in": condition.one_false_alarm_in // 16,
        "power_alone_false_alarm_in": condition.power_alone_false_alarm_in // 16,
    })  # fmt: skip


def at_outing(rule: Rule, hours: float) -> Rule:
    if hours == AS_SHIPPED or not isinstance(rule.condition, Evidence):
        return rule
    limit = {"out_at_least": int(hours * HOUR), "out_at_most": int(hours * HOUR)}
    return rule.model_copy(update={"condition": rule.condition.model_copy(update=limit)})


class TestTruthFile:
    def test_every_bad_row_is_named_with_its_line(self, tmp_path: Path) -> None:
        file = tmp_path / "truth.csv"
        file.write_text(
            "household,kind,start,end\na,collapse,yesterday,2026-01-01T00:00:00+09:00\n"
            "a,collapse,2026-01-02T00:00:00+09:00,2026-01-01T00:00:00+09:00\n",
            encoding="utf-8",
        )
        with pytest.raises(ValueError, match=r"(?s)truth.csv:2: .*truth.csv:3: ends before it starts"):
            read_truth(file)

    def test_another_file_is_refused_with_the_line_that_is_wanted(self, tmp_path: Path) -> None:
        file = tmp_path / "x.csv"
        file.write_text("time,value\n", encoding="utf-8")
        with pytest.raises(ValueError, match="no column household, kind, start, end; the first line must be"):
            read_truth(file)


def inactivity_alone() -> Site:
    """The shipped site with one rule, so that days of minutes pass quickly."""
    whole = load_site()
    kept = [k for k, rule in enumerate(whole.rules) if rule.name == "inactivity"]
    infos = tuple(whole.rule_infos[k] for k in kept)
    return replace(whole, rules=tuple(whole.rules[k] for k in kept), rule_infos=infos)


class TestCommand:
    def test_a_simulated_month_is_scored_and_counts_as_replay_does(self, tmp_path: Path) -> None:
        run, out, truth, lines = CliRunner(), tmp_path / "r.parquet", tmp_path / "t.csv", tmp_path / "a.jsonl"
        made = ["simulate", "--households", "3", "--days", "3", "--bed-every", "2m", "--seed", "3"]
        assert run.invoke(main, [*made, "--out", str(out), "--truth", str(truth)]).exit_code == 0
        assert run.invoke(main, ["replay", str(out), "--alerts", str(lines)]).exit_code == 0
        page = tmp_path / "report.html"
        asked = ["--truth", str(truth), "--learn-days", "1", "--json", "--report", str(page)]
        done = run.invoke(main, ["evaluate", str(out), *asked])
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout[done.stdout.index("{\n") :])
        written = [json.loads(line)["rule"] for line in lines.read_text(encoding="utf-8").splitlines()]
        assert {r["rule"] for r in told["rules"]} == set(written)
        assert told["households"] == 3
        assert told["watched_days"] == pytest.approx(6, abs=0.1)
        assert told["household_days"] <= told["watched_days"]
        html = page.read_text(encoding="utf-8")
        assert html.count("<svg") >= 2
        for wide in (
            "<svg",
            "<table><thead><tr><th>規則",
        ):  # a telephone moves them sideways by themselves, not the page
            assert html.count(f'<div class="wide" tabindex="0">{wide}') == html.count(wide)
        assert "http" not in html.replace("http://www.w3.org/2000/svg", "")

    def test_each_budget_of_the_curve_acts_as_if_it_were_the_only_one(self, tmp_path: Path) -> None:
        readings = tmp_path / "r.csv"
        write_quiet_days(readings)
        site = inactivity_alone()
        result, lines = replay_swept(readings, site, (1 / 16, 1.0))
        assert [e["id"] for e in lines[1.0]] == [e["id"] for e in replay(readings, site).lines]
        own = [
            r.model_copy(update={"condition": stricter(r.condition)}) if r.name == "inactivity" else r
            for r in site.rules
        ]
        alone = replay(readings, replace(site, rules=tuple(own))).lines
        assert [(e["id"], e["resolved"]) for e in lines[1 / 16]] == [(e["id"], e["resolved"]) for e in alone]
        assert lines[1 / 16][0]["opened"] < lines[1.0][0]["opened"]
        truth = [TruthEvent(household="a", kind="collapse", start=T0 + 5 * DAY + 9 * HOUR, end=result.spans["a"][1])]
        soon, late = curve(lines, truth, site, spans=result.spans, learn=3 * DAY)
        assert (soon.found, late.found, soon.one_in_days) == (1, 1, late.one_in_days / 16)
        assert soon.delay_hours is not None
        assert late.delay_hours is not None
        assert soon.delay_hours["median"] < late.delay_hours["median"]

    def test_each_limit_of_an_outing_acts_as_if_it_were_the_only_one(self, tmp_path: Path) -> None:
        readings, door = tmp_path / "r.csv", T0 + 5 * DAY + 9 * HOUR
        write_quiet_days(readings)
        header, *rows = readings.read_text(encoding="utf-8").splitlines()
        rows.append(f"{iso(door)},a,entrance,door_open,1")
        for minute in range(0, 48 * 60, 10):
            rows += [f"{iso(door + minute * MINUTE)},a,{d},heartbeat,1" for d in ("entrance", "hall")]
        readings.write_text("\n".join([header, *sorted(rows)]) + "\n", encoding="utf-8")
        site = inactivity_alone()
        lines = replay_outings(readings, site, (10.0, 20.0))
        told = {limit: [e["opened"] for e in mine if e["rule"] == "inactivity"] for limit, mine in lines.items()}
        assert told[10.0][-1] < told[20.0][-1]
        for limit in (AS_SHIPPED, 10.0, 20.0):
            alone = replay(readings, replace(site, rules=tuple(at_outing(r, limit) for r in site.rules)))
            assert told[limit] == [e["opened"] for e in alone.lines if e["rule"] == "inactivity"]
        truth = [TruthEvent(household="a", kind="collapse", start=door, end=door + 48 * HOUR)]
        points = outing_curve(lines, truth, site, spans=alone.spans, learn=3 * DAY)
        assert [p.limit_hours for p in points] == [AS_SHIPPED, 10.0, 20.0]
        delays = [p.delay_hours["median"] for p in points if p.delay_hours]
        assert delays[1:] == pytest.approx([10.0, 20.0], abs=0.3)

    def test_a_truth_that_is_none_ends_with_status_one_and_its_mend(self, tmp_path: Path) -> None:
        bad = tmp_path / "t.csv"
        bad.write_text("a,b\n", encoding="utf-8")
        done = CliRunner().invoke(main, ["evaluate", str(bad), "--truth", str(bad)])
        assert (done.exit_code, "the first line must be" in done.output) == (1, True)

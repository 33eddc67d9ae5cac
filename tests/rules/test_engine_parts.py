"""Columns, rules as staff write them, sentences made of facts, and rules that have nothing to say."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimamori.model.findings import FACTS, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import no_readings, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND, parse_instant, zone_table
from mimamori.rules.columns import Column, Columns, Once
from mimamori.rules.engine import Engine
from mimamori.rules.explain import explain_of
from mimamori.rules.kinds import facts_of
from mimamori.rules.spec import SIGNS, Rule, TimeOfDay, read_rules

METRICS, ZONE = Metrics(), zone_table("Asia/Tokyo")
T0 = parse_instant("2026-11-24T02:40:00+09:00")
TABLES = {
    path.stem: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[2] / "rules").glob("*.toml"))
}
RULES = read_rules(TABLES, METRICS)[0]
DECLARED = [
    Column("a", "f8", np.nan, "W"), Column("b", "i4", 7, "", (2,)), Column("d", "?", 0, "", axis="device"),
]  # fmt: skip


class TestColumns:
    def test_growth_doubles_keeps_rows_and_fills_new_ones(self) -> None:
        columns = Columns(DECLARED, capacity=1)
        room = []
        for homes in range(1, 10):
            columns.fit(homes=homes, devices=2 * homes)
            columns["b"][:, homes - 1] = homes
            room.append(columns._whole["b"].shape[-1])
        assert room == [1, 2, 4, 4, 8, 8, 8, 8, 16]
        assert columns["b"].tolist() == [[*range(1, 10)]] * 2
        columns.fit(homes=12, devices=0)
        assert (columns["b"].shape, columns["d"].shape) == ((2, 12), (18,))
        assert (columns["b"][:, 9:] == 7).all()
        assert np.isnan(columns["a"]).all()

    def test_a_snapshot_is_a_copy_and_comes_back(self) -> None:
        one, two = Columns(DECLARED), Columns(DECLARED, capacity=100)
        one.fit(homes=3, devices=5)
        one["a"][:] = [1, 2, 3]
        saved = one.snapshot()
        one["a"][:] = 0
        two.restore(saved)
        assert (two["a"].tolist(), two["d"].shape, two.rows) == ([1, 2, 3], (5,), {"home": 3, "device": 5})
        two.fit(homes=4, devices=5)
        two.restore(saved)
        assert np.isnan(two["a"][3])

    @pytest.mark.parametrize("array", [np.zeros((3, 4), "i4"), np.zeros(4, "i4"), np.zeros((2, 4), "i8")])
    def test_another_shape_or_type_is_refused(self, array: Any) -> None:
        with pytest.raises(ValueError, match=r"snapshot column b is .* declared i4\(2,\)"):
            Columns(DECLARED).restore({"b": array})

    def test_of_a_snapshot_that_is_refused_nothing_is_taken_over(self) -> None:
        columns = Columns(DECLARED)
        columns.fit(homes=2, devices=0)
        with pytest.raises(ValueError, match="snapshot column b"):
            columns.restore({"a": np.ones(3), "b": np.zeros((2, 3), "i8")})
        assert columns.rows["home"] == 2
        assert np.isnan(columns["a"]).all()

    def test_a_column_is_declared_once_and_counted(self) -> None:
        with pytest.raises(ValueError, match="declared twice"):
            Columns([*DECLARED, DECLARED[0]])
        assert Columns(DECLARED).bytes_per_home() == 8 + 2 * 4

    def test_what_is_made_of_columns_is_made_anew_when_rows_come_or_are_replaced(self) -> None:
        columns = Columns(DECLARED, capacity=1)
        sizes = Once(columns, lambda: [len(columns.room()), len(columns.room("device"))])
        first = sizes()
        assert sizes() is first == [0, 0]
        columns.fit(homes=3, devices=2)
        assert sizes() == [3, 2]
        before = sizes()
        columns.restore(columns.snapshot())
        assert sizes() is not before
        before = sizes()
        sizes.drop()
        assert sizes() is not before


class TestTimeOfDay:
    @pytest.mark.parametrize(
        ("text", "inside", "outside"),
        [("22:00-06:00", [22, 23.99, 0, 5.99], [6, 12, 21.99]), ("09:00-17:30", [9, 17.49], [8.99, 17.5, 0]),
         ("18:00-24:00", [18, 23.99], [0, 17.99])],
    )  # fmt: skip
    def test_holds(self, text: str, inside: list[float], outside: list[float]) -> None:
        part = TimeOfDay.model_validate(text)
        assert all(part.holds(int(h * HOUR)) for h in inside)
        assert not any(part.holds(int(h * HOUR)) for h in outside)

    @pytest.mark.parametrize("text", ["", "22-06", "25:00-06:00", "22:60-06:00", "22:00 to 06:00", "22:00-06:00 "])
    def test_what_is_none_is_refused_with_a_mend(self, text: str) -> None:
        with pytest.raises(ValueError, match='write it as "22:00-06:00"'):
            TimeOfDay.model_validate(text)


BAND, AWAY = TABLES["heart-rate"], TABLES["bed-exit"]


def without(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in table.items() if k != key}


class TestSpec:
    def test_the_shipped_rules_are_good_and_in_order_of_name(self) -> None:
        rules, errors = read_rules(TABLES, METRICS)
        assert errors == []
        assert [r.name for r in rules] == sorted(TABLES)

    @pytest.mark.parametrize(
        ("table", "key", "words"),
        [
            (without(BAND, "priority"), "priority", "is missing; add it"),
            (BAND | {"priority": "urgent"}, "priority", "correct the value"),
            (BAND | {"priorty": "high"}, "priorty", "unknown key; did you mean priority?"),
            (BAND | {"title": {"ja": "あ"}}, "title.en", "is missing; add it"),
            (BAND | {"condition": BAND["condition"] | {"kind": "bend"}}, "condition", "correct the value"),
            (BAND | {"condition": BAND["condition"] | {"hold": 5}}, "hold", 'such as "35m"'),
            (BAND | {"condition": BAND["condition"] | {"hold": "9m"}}, "condition", "hold must be at most out_of"),
            (BAND | {"condition": BAND["condition"] | {"hold": "20s"}}, "condition", "at least 1m"),
            (BAND | {"condition": without(without(BAND["condition"], "low"), "high")}, "condition", "add one, such as"),
            (BAND | {"condition": BAND["condition"] | {"metric": "pulse"}}, "metric", "use a metric of"),
            (BAND | {"condition": BAND["condition"] | {"holdd": "5m"}}, "holdd", "did you mean hold?"),
            (AWAY | {"condition": AWAY["condition"] | {"between": "night"}}, "between", 'write it as "22:00-06:00"'),
            (AWAY | {"condition": AWAY["condition"] | {"high_after": 0.5}}, "high_after", "correct the value"),
            (without(BAND, "example"), "example", "needs one example that fires and one that does not"),
            (TABLES["inactivity"], "condition.kind", "rename the file to inactivity-odd.toml"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_told_with_file_key_and_mend(self, table: dict[str, Any], key: str, words: str) -> None:
        _, errors = read_rules({"odd": table}, METRICS)
        (error,) = errors
        assert error.file == "rules/odd.toml"
        assert error.key.endswith(key)
        assert words in str(error)
        assert error.mend

    def test_mistakes_of_all_files_come_together_and_good_rules_stay(self) -> None:
        rules, errors = read_rules({**TABLES, "a": {}, "b": without(BAND, "why")}, METRICS)
        assert [r.name for r in rules] == sorted(TABLES)
        assert {e.key for e in errors if e.file == "rules/a.toml"} == {
            "title", "why", "category", "priority", "condition",
        }  # fmt: skip
        assert [e.key for e in errors if e.file == "rules/b.toml"] == ["why"]


def facts(rule: Rule, **some: float) -> dict[str, float]:
    names = facts_of(rule)
    assert len(names) <= FACTS
    assert some.keys() <= set(names)
    return dict.fromkeys(names, 0.0) | some


def say(name: str, since: int, **some: float) -> tuple[str, str]:
    rule = next(r for r in RULES if r.name == name)
    return explain_of(rule, ZONE, METRICS)(facts(rule, **some), since, T0)


def check(sentences: tuple[str, str], *numbers: str) -> None:
    for text in sentences:
        assert [n for n in numbers if n not in text] == [], text
        assert "nan" not in text


class TestExplain:
    def test_evidence(self) -> None:
        numbers = dict(zip(SIGNS, (1.3, 5.2, 0.0, 2.4, 0.01), strict=True))
        both = say("inactivity", T0 - 4 * HOUR, evidence=8.9, threshold=7.7, expected=16.7, **numbers)
        check(both, "22:40", "17", "8.9", "7.7", "1.3", "5.2", "2.4")
        assert "玄関" not in both[0]
        assert "door" not in both[1]
        assert "昨日" in both[0]
        assert "yesterday" in both[1]

    def test_a_register_that_stands_still_is_told_by_the_longest_time_alone(self) -> None:
        ja, en = say("inactivity", T0 - 30 * HOUR, threshold=7.7, limit_hours=24)
        assert "上限時間" in ja
        assert "longest time" in en
        assert "about 0" not in en

    def test_out(self) -> None:
        both = say("inactivity", T0 - 30 * HOUR, out=1, limit_hours=28.5)
        check(both, "30", "28", "20:40")

    def test_band(self) -> None:
        check(say("heart-rate", T0 - 7 * MINUTE, value=138.2, low=40, high=120, minutes=7), "138", "40", "120", "02:33")
        both = say("heart-rate", NEVER, value=138.2, low=-np.inf, high=120, minutes=7)
        check(both, "138", "120", "7")
        assert "inf" not in "".join(both)

    def test_away(self) -> None:
        both = say("bed-exit", T0 - 45 * MINUTE, minutes=45, usual_minutes=8, limit_minutes=35, no_sign_minutes=44)
        check(both, "01:55", "45", "8", "35")

    def test_silent(self) -> None:
        check(say("device-silent", T0 - 2 * DAY, minutes=2880, limit_minutes=90), "48", "02:40", "2")
        check(say("device-silent", T0 - 90 * MINUTE, minutes=90, offline=1), "01:10")


class TestIdle:
    def test_a_rule_about_a_metric_nobody_sends_says_nothing_until_somebody_does(self) -> None:
        homes = Homes()
        bed = homes.add_device("A-01", "bed")
        engine = Engine(homes, RULES, METRICS, ZONE)
        pulse = next(i for i, r in enumerate(RULES) if r.name == "heart-rate")

        def tell(metric: str, minutes: range, value: float) -> Any:
            at = [T0 + m * MINUTE for m in minutes]
            batch = reading_batch((0, bed, METRICS.index(metric), value, t, t, 0) for t in at)
            return engine.step(batch, at[-1])

        found = tell("in_bed", range(30), 1.0)
        assert pulse not in found.rule.tolist()
        tell("heart_rate", range(30, 60), 60.0)
        now = engine.current()
        assert now.verdict[now.rule == pulse].tolist() == [Verdict.CLEAR]

    def test_an_engine_without_readings_says_nothing(self) -> None:
        homes = Homes()
        homes.add("A-01")
        engine = Engine(homes, RULES, METRICS, ZONE)
        assert len(engine.step(no_readings(), T0)) == 0
        assert set(engine.current().verdict.tolist()) <= {Verdict.UNKNOWN}

    def test_a_snapshot_of_another_format_or_of_more_homes_is_refused(self) -> None:
        homes = Homes()
        homes.add("A-01")
        saved = Engine(homes, RULES, METRICS, ZONE).snapshot()
        with pytest.raises(ValueError, match="does not fit; start without it"):
            Engine(Homes(), RULES, METRICS, ZONE).restore(saved)
        saved["engine"] = saved["engine"] + np.array([1, 0, 0, 0])
        with pytest.raises(ValueError, match="does not fit"):
            Engine(homes, RULES, METRICS, ZONE).restore(saved)


class TestFold:
    @pytest.mark.parametrize(("home", "device"), [(1, 0), (0, 1), (-1, 0), (0, -1)])
    def test_a_reading_of_nobody_known_is_refused_before_it_can_write_beside_the_columns(
        self, home: int, device: int
    ) -> None:
        homes = Homes()
        homes.add_device("a", "bed")
        engine = Engine(homes, RULES, METRICS, ZONE)
        batch = reading_batch([(home, device, METRICS.index("in_bed"), 1.0, T0, T0, 0)])
        with pytest.raises(IndexError, match="not among the 1 and 1 known"):
            engine.step(batch, T0 + MINUTE)

    def test_a_thousand_readings_of_one_home_in_one_cell_come_in_the_order_of_their_time(self) -> None:
        homes, rng = Homes(), np.random.default_rng(1)
        homes.add_device("a", "bed")
        taken = T0 + rng.permutation(1000) * 1_000_000
        kinds = [METRICS.index(m) for m in ("heart_rate", "respiration_rate", "in_bed")]
        rows = [(0, 0, kinds[i % 3], float(i), int(t), T0 + SECOND, 0) for i, t in enumerate(taken)]
        engine = Engine(homes, RULES, METRICS, ZONE)
        engine.step(reading_batch(rows), T0 + MINUTE)
        for k, metric in enumerate(kinds):
            mine = [(t, v) for _, _, m, v, t, _, _ in rows if m == metric]
            assert engine.view("value")[metric, 0] == max(mine)[1], k
            assert engine.view("taken")[metric, 0] == max(mine)[0]


def test_a_clock_that_is_ahead_shows_nothing_before_it_was_heard() -> None:
    told = [(0, 0, METRICS.index("motion"), 1.0, T0 + i * MINUTE, T0 + i * MINUTE, 0) for i in range(5)]
    ahead = [(h, d, m, v, taken + 5 * MINUTE, got, flags) for h, d, m, v, taken, got, flags in told]
    states = []
    for rows in (told, ahead):
        homes = Homes()
        homes.add_device("h", "hall")
        engine = Engine(homes, RULES, METRICS, ZONE)
        engine.step(reading_batch(rows), T0 + 6 * MINUTE)
        states.append(engine.snapshot())
    assert all(column.tobytes() == states[1][name].tobytes() for name, column in states[0].items())


def test_what_was_heard_just_before_an_hour_unwatched_is_not_an_hour_old_after_it() -> None:
    """The last readings were still waiting for the end of their ten seconds when the service was stopped."""
    homes = Homes()
    homes.add_device("h", "hall")
    engine = Engine(homes, RULES, METRICS, ZONE)
    beat = METRICS.index("heartbeat")
    engine.step(reading_batch([(0, 0, beat, 1.0, t, t, 0) for t in range(T0, T0 + HOUR, 10 * MINUTE)]), T0 + HOUR)
    last = T0 + HOUR + 33 * SECOND
    engine.step(reading_batch([(0, 0, beat, 1.0, last, last, 0)]), last)
    engine.resume(last + HOUR)
    found = engine.step(no_readings(), last + HOUR + 20 * MINUTE)
    assert not (found.verdict == Verdict.FIRING).any(), "nobody watched for an hour, and then 20 minutes were quiet"
    found = engine.step(no_readings(), last + HOUR + 45 * MINUTE)
    assert (found.verdict == Verdict.FIRING).any()


def test_a_view_has_the_rows_of_households_that_came_since_the_last_step() -> None:
    homes = Homes()
    engine = Engine(homes, RULES, METRICS, ZONE)
    engine.step(no_readings(), T0)
    homes.add_device("H001", "bed1", "bed-sensor")
    assert engine.view("last_sign").tolist() == [NEVER]
    assert engine.view("device_home").tolist() == [0]

"""Profiles: the shipped ones are right, and each kind of mistake is named with file, key and mend."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from mimamori.model.content import Content
from mimamori.model.metrics import BASE
from mimamori.model.times import MINUTE, SECOND
from mimamori.sensors.profile import Profile, declared_metrics, read_profiles, topic_filters
from mimamori.sensors.senml import UNITS

README = (Path(__file__).parents[2] / "sensors" / "README.md").read_text(encoding="utf-8")

GOOD: dict[str, Any] = {
    "title": {"ja": "試験機", "en": "Test device"},
    "period": "10s",
    "silent_after": "5m",
    "metrics": {"heart_rate": {"unit": "1/min"}, "body_movement": {"unit": "1"}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    table = copy.deepcopy(GOOD)
    here: Any = table
    *parts, last = path.split(".")
    for part in parts:
        here = here.setdefault(part, {})
    if value is None:
        del here[last]
    else:
        here[last] = value
    return table


def test_every_shipped_profile_is_right(profiles: tuple[Profile, ...]) -> None:
    assert {p.name for p in profiles} >= {
        "bed-sensor", "power-meter", "smart-meter", "motion-sensor", "door-sensor", "room-climate", "radar60", "button",
        "gateway",
    }  # fmt: skip
    by_name = {p.name: p for p in profiles}
    assert by_name["bed-sensor"].period == 10 * SECOND
    assert by_name["smart-meter"].period == 30 * MINUTE
    assert by_name["radar60"].backing is not None
    assert by_name["radar60"].backing.share == 0.6
    assert [m.name for m in declared_metrics(profiles)] == ["co2"]
    assert "bedco/+/+/vitals" in topic_filters(profiles)
    assert len(set(topic_filters(profiles))) == len(topic_filters(profiles))


def test_the_readme_names_every_key_and_metric_and_unit() -> None:
    missing = [key for key in keys(Profile) if f"`{key}`" not in README]
    assert missing == []
    assert [m.name for m in BASE if f"| `{m.name}` | {m.unit} |" not in README] == []
    assert [u for units in UNITS.values() for u in units if f"`{u}`" not in README] == []


def keys(record: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in record.model_fields.items():
        if prefix == "" and name == "name":  # the file's name, not a key
            continue
        key = f"{prefix}{name}"
        found.append(key)
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, Content) and inner.__name__ != "Text":
                star = ".*." if "dict" in str(field.annotation) else "."
                found += keys(inner, f"{key}{star}")
    return found


def test_the_key_walk_sees_the_inner_records() -> None:
    assert {
        "metrics.*.no_data",
        "declare.*.nature",
        "backing.within",
        "mapping.time_unit",
        "mapping.values.*.words",
    } <= set(keys(Profile))


MAPPING: dict[str, Any] = {"topic": "a/{household}/{device}", "values": {"heart_rate": {"path": "hr"}}}


@pytest.mark.parametrize(
    ("path", "value", "key", "says"),
    [
        ("perid", "10s", "perid", "did you mean period?"),
        ("name", "x", "name", "remove it"),
        ("period", None, "period", "is missing"),
        ("period", 10, "period", "as text with a unit"),
        ("period", "0s", "period", "longer than nothing"),
        ("silent_after", "10s", "silent_after", 'such as "30s"'),
        ("title", {"ja": "試験機"}, "title.en", "is missing"),
        ("metrics.heart_rat", {"unit": "1/min"}, "metrics.heart_rat", "did you mean heart_rate?"),
        ("metrics.heart_rate", {"unit": "Hz"}, "metrics.heart_rate.unit", 'the scale from "Hz" to "1/min"'),
        ("metrics.heart_rate", {"unit": "1/min", "scale": 0}, "metrics.heart_rate.scale", "zero"),
        ("metrics.heart_rate", {"unit": "1/min", "scale": float("nan")}, "metrics.heart_rate.scale", "finite"),
        ("metrics.heart_rate", {"unit": "1/min", "low": 90, "high": 50}, "metrics.heart_rate.low", "not below high"),
        ("metrics.heart_rate", {"unit": "1/min", "high": 999}, "metrics.heart_rate.high", "20 to 300"),
        ("metrics.heart_rate", {"unit": "1/min", "no_dta": [0]}, "metrics.heart_rate.no_dta", "did you mean no_data?"),
        ("declare.power", {"title": GOOD["title"], "unit": "W", "nature": "level", "low": 0, "high": 1},
         "declare.power", "is a base metric"),
        ("declare.CO2", {"title": GOOD["title"], "unit": "ppm", "nature": "level", "low": 0, "high": 1},
         "declare.CO2", "small letters"),
        ("declare.co2", {"title": GOOD["title"], "unit": "ppm", "nature": "level", "low": 2, "high": 1},
         "declare.co2.low", "not below high"),
        ("declare.co2", {"title": GOOD["title"], "unit": "ppm", "nature": "vague", "low": 0, "high": 1},
         "declare.co2.nature", "got 'vague'"),
        ("backing", {"metrics": ["heart_rate"], "by": "body_movment", "at_least": 1, "within": "1m"},
         "backing.by", "did you mean body_movement?"),
        ("backing", {"metrics": ["spo2"], "by": "body_movement", "at_least": 1, "within": "1m"},
         "backing.metrics.spo2", "not among the metrics"),
        ("backing", {"metrics": ["heart_rate"], "by": "body_movement", "at_least": 1, "within": "0s"},
         "backing.within", "longer than nothing"),
        ("backing", {"metrics": ["heart_rate"], "by": "in_bed", "at_least": 1, "share": 0.5, "within": "1m"},
         "backing.share", "leave share out"),
        ("backing", {"metrics": ["heart_rate"], "by": "body_movement", "at_least": 1, "share": 1.5, "within": "1m"},
         "backing.share", "less than or equal to 1"),
        ("mapping", [{**MAPPING, "topic": "a/{device}"}], "mapping.0.topic", "{household} once"),
        ("mapping", [{**MAPPING, "topic": "a/{household}/{device}/#"}], "mapping.0.topic", "no + or #"),
        ("mapping", [{**MAPPING, "topic": "a/{household}{device}"}], "mapping.0.topic", "touch"),
        ("mapping", [{**MAPPING, "topic": "mimamori/{household}/{device}"}], "mapping.0.topic", "read already"),
        ("mapping", [{**MAPPING, "values": {}}], "mapping.0.values", "maps nothing"),
        ("mapping", [{**MAPPING, "values": {"hart_rate": {"path": "hr"}}}], "mapping.0.values.hart_rate", "heart_rate"),
        ("mapping", [{**MAPPING, "values": {"heart_rate": {"pth": "hr"}}}], "mapping.0.values.heart_rate.pth", "path"),
        ("mapping", [{**MAPPING, "time_unit": "us"}], "mapping.0.time_unit", "got 'us'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(path: str, value: Any, key: str, says: str) -> None:
    found, errors = read_profiles({"test": changed(path, value), "good": GOOD})
    assert [p.name for p in found] == ["good"]
    assert "sensors/test.toml" in {e.file for e in errors}
    told = [str(e) for e in errors if e.key == key]
    assert told, f"nothing about {key} in {[str(e) for e in errors]}"
    assert says in " ".join(told)


def test_all_mistakes_of_all_files_at_once() -> None:
    bad = changed("metrics.heart_rate", {"unit": "Hz"}) | {"silent_after": "1s"}
    _, errors = read_profiles({"one": bad, "two": changed("perid", "1s")})
    assert [(e.file, e.key) for e in errors] == [
        ("sensors/one.toml", "silent_after"),
        ("sensors/one.toml", "metrics.heart_rate.unit"),
        ("sensors/two.toml", "perid"),
    ]


def test_two_profiles_may_share_a_declaration_but_not_contradict_it() -> None:
    co2 = {"title": GOOD["title"], "unit": "ppm", "nature": "level", "low": 0, "high": 5000}
    same = read_profiles({"a": changed("declare.co2", co2), "b": changed("declare.co2", co2)})
    assert len(same[0]) == 2
    other = read_profiles({"a": changed("declare.co2", co2), "b": changed("declare.co2", co2 | {"unit": "%"})})
    assert [(e.file, e.key) for e in other[1]] == [("sensors/b.toml", "declare.co2")]

"""The files of alerts/: what staff may get wrong is named with file, key and mend; every key is documented."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from mimamori.alerts.policy import Limits, Policy, read_alerts
from mimamori.alerts.roster import RosterContent
from mimamori.alerts.text import PLACEHOLDERS, Texts

README = (Path(__file__).parents[2] / "alerts" / "README.md").read_text(encoding="utf-8")


def test_the_shipped_content_is_right(content: Any) -> None:
    assert len(content.policies) == 9
    assert content.policies["high", "resident"].step[0].after == 0


def keys(model: Any) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name
        yield from inner(field.annotation)


def inner(annotation: Any) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from keys(annotation)
    for part in get_args(annotation):
        yield from inner(part)


@pytest.mark.parametrize("record", [Policy, Limits, RosterContent, Texts])
def test_every_key_stands_in_the_readme(record: Any) -> None:
    named = sorted(set(keys(record)))
    assert len(named) >= 6
    for key in named:
        found = any(form in README for form in (f"`{key}`", f"`[{key}]`", f"`[[{key}]]`", f"`[{key}.NAME]`"))
        assert found, f"{record.__name__}: {key} is not in alerts/README.md"


def test_every_placeholder_stands_in_the_readme() -> None:
    for word in set().union(*PLACEHOLDERS.values()):
        assert f"{{{word}}}" in README


def spoil(raw: dict[str, Any], path: str, value: Any) -> None:
    file, *parts = path.split("/")
    here = raw[file]
    steps: list[Any] = [int(p) if p.isdecimal() else p for p in parts]
    for part in steps[:-1]:
        here = here[part]
    if value is None:
        del here[steps[-1]]
    else:
        here[steps[-1]] = value


CASES = [
    # path of what is spoiled, value (None: removed), file, key, part of reason or mend
    ("policy-high/acknowledged_for", 20, "policy-high.toml", "acknowledged_for", '"35m"'),
    ("policy-high/acknowledged_for", "5s", "policy-high.toml", "acknowledged_for", "shorter than a minute"),
    ("policy-high/acknowleged_for", "5m", "policy-high.toml", "acknowleged_for", "did you mean acknowledged_for?"),
    ("policy-high/repeat", None, "policy-high.toml", "repeat.then_every", "until a human answers"),
    ("policy-high/quiet", "22:00-06:00", "policy-high.toml", "quiet", "no quiet hours"),
    ("policy-low/quiet", "25:00-06:00", "policy-low.toml", "quiet", "00:00 to 24:00"),
    ("policy-low/quiet", "evening", "policy-low.toml", "quiet", "16:30-00:30"),
    ("policy-high/step/1/tell", ["doctor"], "policy-high.toml", "step.1.tell", "known: lead, on-call, second"),
    ("policy-high/step/1/tell", [], "policy-high.toml", "step.1.tell", "needs somebody"),
    ("policy-high/step/1/by", ["console"], "policy-high.toml", "step.1.by", "tells no role"),
    ("policy-medium/step/1", {"after": "20m", "tell": [], "by": ["console"]}, "policy-medium.toml", "step.1",
     "reaches no human"),
    ("policy-medium/step/0/by", ["pigeon"], "policy-medium.toml", "step.0.by.0", "pigeon"),
    ("policy-medium/categories", ["resident"], "policy-medium.toml", "categories", "no policy for medium technical"),
    ("policy-low-technical/categories", ["technical", "resident"], "policy-low-technical.toml", "categories",
     "both hold for low resident"),
    ("texts/sms/first/ja", "【見守り】{name} {place}", "texts.toml", "sms.first.ja", "{name} cannot be filled in"),
    ("texts/sms/first/ja", "【見守り】{place!r}", "texts.toml", "sms.first.ja", "cannot be filled in"),
    ("texts/sms/first/ja", "【見守り】{place", "texts.toml", "sms.first.ja", "braces do not match"),
    ("texts/sms/first/ja", "【見守り】{title}{title}{title}{title}{title}", "texts.toml", "sms.first.ja", "66 units"),
    ("texts/sms/taken/en", "{who} — {place}", "texts.toml", "sms.taken.en", "UCS-2"),
    ("texts/language", "fr", "texts.toml", "language", "fr"),
    ("texts/sms/first/en", None, "texts.toml", "sms.first.en", "missing"),
    ("limits/sms", [], "limits.toml", "sms", "no limit"),
    ("limits/area/gather", "10m", "limits.toml", "area.gather", "five minutes"),
    ("roster/rotation/0/role", "nurse", "roster.toml", "rotation.0.role", 'no role "nurse"'),
    ("roster/rotation/0/shifts", ["noon"], "roster.toml", "rotation.0.shifts", 'no shift "noon"'),
    ("roster/rotation/0/people", [], "roster.toml", "rotation.0.people", "at least 1"),
    ("roster/role/porter", {"title": {"ja": "守衛", "en": "porter"}}, "roster.toml", "role.porter",
     "nobody takes turns"),
    ("roster/zone", "Asia/Aomori", "roster.toml", "zone", "Asia/Tokyo"),
    ("roster/fallback", [], "roster.toml", "fallback", "at least 1"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "file", "key", "words"), CASES)
def test_a_mistake_is_named(raw: Any, *, path: str, value: Any, file: str, key: str, words: str) -> None:
    spoil(raw, path, value)
    content, errors = read_alerts(raw)
    assert content is None
    found = [e for e in errors if (e.file, e.key) == (file, key) and words in str(e)]
    assert found, [str(e) for e in errors]


def test_all_mistakes_come_at_once(raw: Any) -> None:
    for path, value, *_ in (CASES[0], CASES[7], CASES[14], CASES[21], CASES[23]):
        spoil(raw, path, value)
    _, errors = read_alerts(raw)
    assert {e.file for e in errors} == {"policy-high.toml", "texts.toml", "limits.toml", "roster.toml"}


@pytest.mark.parametrize("stem", ["limits", "texts", "roster"])
def test_a_missing_file(raw: Any, stem: str) -> None:
    del raw[stem]
    content, errors = read_alerts(raw)
    assert content is None
    assert [(e.file, e.reason) for e in errors] == [(f"{stem}.toml", "the file is missing")]


def test_an_unknown_file_and_an_override_that_runs_backwards(raw: Any) -> None:
    raw["polcy"] = {}
    raw["roster"]["override"] = [
        {
            "role": "on-call",
            "from": "2026-12-31T10:00:00+09:00",
            "until": "2026-12-31T09:00:00+09:00",
            "people": ["N-1"],
        },
        {"role": "on-call", "from": "2026-12-31T10:00:00", "until": "2026-12-31T11:00:00+09:00", "people": ["N-1"]},
    ]
    _, errors = read_alerts(raw)
    text = "\n".join(map(str, errors))
    assert "polcy.toml — no such file" in text
    assert "exchange them" in text
    assert "has no offset" in text


def test_a_console_only_policy_is_for_low_technical_alone(raw: Any) -> None:
    raw["policy-low-technical"]["categories"] = ["technical", "environment"]
    raw["policy-low"]["categories"] = ["resident"]
    _, errors = read_alerts(raw)
    assert ["reaches no human" in e.reason for e in errors] == [True]


def test_a_mistake_in_the_roster_hides_no_mistake_in_a_policy(raw: Any) -> None:
    spoil(raw, "roster/fallback", [])
    spoil(raw, "policy-high/step/1/tell", ["doctor"])
    _, errors = read_alerts(raw)
    assert {(e.file, e.key) for e in errors} == {("roster.toml", "fallback"), ("policy-high.toml", "step.1.tell")}

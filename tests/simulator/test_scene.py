"""The content of simulator/: complete, documented, and every mistake in it named."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mimamori.model.content import Content
from mimamori.simulator.households import households
from mimamori.simulator.scene import House, Kit, Noise, Persona, Scene, read_simulator
from mimamori.simulator.truth import KINDS, OWN

README = (Path(__file__).parents[2] / "simulator" / "README.md").read_text(encoding="utf-8")
Tables = dict[str, dict[str, Any]]


def keys_of(model: type[Content], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        parts = [inner, *getattr(inner, "__args__", ())]
        nested = next((p for p in parts if isinstance(p, type) and issubclass(p, Content)), None)
        if nested is None or nested.__name__ == "Text":
            yield prefix + name
        else:
            yield from keys_of(nested, f"{prefix}{name}.")


@pytest.mark.parametrize("model", [Persona, House, Kit, Noise])
def test_every_key_is_documented_with_its_own_row(model: type[Content]) -> None:
    missing = [key for key in keys_of(model) if f"| `{key}` |" not in README]
    assert missing == []


def test_every_truth_kind_is_documented_and_no_other() -> None:
    told = set(re.findall(r"^\| `([a-z-]+)` \|", README.split("## Truth")[1], re.MULTILINE))
    assert told == {*KINDS, *OWN}


def test_shipped_content_covers_the_people_it_should(scene: Scene) -> None:
    assert len(scene.personas) >= 8
    assert any(p.outing.day_service for p in scene.personas.values())
    assert any(p.sleep.wander_chance for p in scene.personas.values())
    assert {p.body.rhythm for p in scene.personas.values()} == {"steady", "fibrillation", "paced"}
    assert len(scene.houses) >= 3


def test_a_dozen_households_meet_most_personas_and_the_seed_decides(scene: Scene) -> None:
    homes = households(scene, count=16, seed=1)
    assert {h.persona_name for h in homes} == set(scene.personas)
    assert [h.id for h in homes][:2] == ["home-001", "home-002"]
    assert homes == households(scene, count=16, seed=1)
    assert homes != households(scene, count=16, seed=2)
    assert "meter-only" not in {h.kit_name for h in households(scene, count=60, seed=1)}


@pytest.mark.parametrize(
    ("stem", "change", "key", "words"),
    [
        ("persona-frail", {"sleep": {"bedd": "22:00"}}, "sleep.bedd", "did you mean bed"),
        ("persona-frail", {"sleep": {"bed": "22.00"}}, "sleep.bed", "HH:MM"),
        ("persona-frail", {"sleep": {"nap_length": 40}}, "sleep.nap_length", "unit"),
        ("persona-frail", {"body": {"heart_rate": 300}}, "body.heart_rate", "110"),
        ("persona-frail", {"outing": {"day_service": ["Monday"]}}, "outing.day_service.0", "mon"),
        ("home-kotatsu", {"outside": [1.0]}, "outside", "12"),
        ("home-kotatsu", {"appliance": [{"name": "x", "watt": 5, "runs": "during"}]}, "appliance.0.acts", "cook"),
        ("home-kotatsu", {"appliance": [{"name": "x", "runs": "always"}]}, "appliance.0.watt", "add it"),
        ("sensors-full", {"bed": {"every": "0s"}}, "bed.every", "1s"),
        ("sensors-full", {"meter": {"evry": "60s"}}, "meter.evry", "did you mean every"),
    ],
)
def test_a_mistake_names_file_key_and_mend(
    tables: Tables, stem: str, change: dict[str, Any], key: str, words: str
) -> None:
    broken = copy.deepcopy(tables)
    for name, value in change.items():
        old = broken[stem].get(name)
        broken[stem][name] = {**old, **value} if isinstance(old, dict) else value
    _, errors = read_simulator(broken)
    assert [(e.file, e.key) for e in errors] == [(f"simulator/{stem}.toml", key)]
    assert words in str(errors[0])
    assert errors[0].mend


def test_all_mistakes_are_told_at_once(tables: Tables) -> None:
    broken = {**tables, "persona-frail": {"weight": -1}, "zoo": {}, "sensors-full": {"title": 3}}
    scene, errors = read_simulator(broken)
    assert {e.file for e in errors} == {
        "simulator/persona-frail.toml",
        "simulator/zoo.toml",
        "simulator/sensors-full.toml",
    }
    assert len(errors) == 4  # frail lacks its title as well
    assert "frail" not in scene.personas
    assert "active" in scene.personas


def test_nothing_to_deal_is_a_mistake_and_dealing_it_an_error() -> None:
    scene, errors = read_simulator({"sensors-a": {"title": {"ja": "a", "en": "a"}}})
    assert [e.reason for e in errors] == ["no persona can be drawn", "no home can be drawn"]
    with pytest.raises(ValueError, match="lacks a persona"):
        households(scene, count=1, seed=1)

"""Levels of noise: the same people in the same homes, with more or less loss, error, phantoms and variation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mimamori.model.times import DAY
from mimamori.simulator.households import SimulatedHome, households
from mimamori.simulator.life import day_of, hours_of
from mimamori.simulator.scene import Scene

LEVELS = ("low", "default", "high")


@pytest.fixture(scope="module")
def levels(scene: Scene) -> dict[str, tuple[SimulatedHome, ...]]:
    return {name: households(scene, count=16, seed=1, noise=name) for name in LEVELS}


def test_the_default_is_what_persona_and_kit_say(scene: Scene, levels: dict[str, Any]) -> None:
    assert levels["default"] == households(scene, count=16, seed=1)
    for home in levels["default"]:
        assert home.kit == scene.kits[home.kit_name]
        assert home.persona == scene.personas[home.persona_name]


def test_a_level_deals_the_same_people_homes_and_devices(levels: dict[str, Any]) -> None:
    def dealt(name: str) -> list[Any]:
        return [(h.id, h.persona_name, h.house_name, h.kit_name, h.devices) for h in levels[name]]

    assert dealt("low") == dealt("default") == dealt("high")


def test_loss_error_and_phantoms_grow_with_the_level_and_stay_shares(levels: dict[str, Any]) -> None:
    told = 0
    for low, middle, high in zip(*(levels[name] for name in LEVELS), strict=True):
        assert low.kit.lost < middle.kit.lost < high.kit.lost <= 0.6
        if middle.kit.bed is None:
            continue
        told += 1
        for field in ("lost", "phantom", "heart_noise"):
            assert getattr(low.kit.bed, field) < getattr(middle.kit.bed, field) < getattr(high.kit.bed, field)
        assert high.kit.bed.phantom <= 0.6
    assert told > 5


def test_days_vary_more_at_a_higher_level(levels: dict[str, Any]) -> None:
    def spread(name: str) -> float:
        first = day_of(20_000 * DAY)
        rises = [
            [hours_of(home.persona, seed=1, home=home.number, day=day)[0] % DAY for day in range(first, first + 60)]
            for home in levels[name]
        ]
        return float(np.mean([np.subtract(*np.quantile(each, (0.75, 0.25))) for each in rises]))

    assert spread("low") < spread("default") < spread("high")


def test_an_unknown_level_is_refused_with_those_there_are(scene: Scene) -> None:
    with pytest.raises(ValueError, match="choose one of default, high, low"):
        households(scene, count=1, seed=1, noise="loud")

"""Electricity: compiled appliances draw what a plain look at each minute says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimamori.model.times import MINUTE
from mimamori.simulator.electricity import after_start, cycle


@pytest.mark.parametrize(("on", "off"), [(15, 35), (20, 30), (1, 2)])
def test_a_compressor_runs_and_rests_in_turn(on: int, off: int) -> None:
    chance = np.random.default_rng(on).random(1441, np.float32)
    total = np.zeros(1440)
    cycle(on * MINUTE, off * MINUTE, chance, 120.0, total)
    spans = np.empty(1440)
    spans[0::2], spans[1::2] = on * (0.8 + 0.4 * chance[0:1440:2]), off * (0.8 + 0.4 * chance[1:1440:2])
    edges = np.cumsum(spans) - chance[1439] * (on + off)  # minutes
    quarters = np.arange(5760) / 4
    runs = (edges[:, None] <= quarters[None, :]).sum(axis=0) % 2 == 0
    assert np.allclose(total, 120 * runs.reshape(1440, 4).mean(axis=1))
    assert total.mean() == pytest.approx(120 * on / (on + off), rel=0.1)


@settings(deadline=None, max_examples=50)
@given(
    begins=st.lists(st.integers(-100, 1500), max_size=6), length=st.integers(1, 90), lucky=st.floats(0, 1),
    duty=st.floats(0, 1),
)  # fmt: skip
def test_what_runs_after_an_act_runs_its_length(begins: list[int], length: int, lucky: float, duty: float) -> None:
    chance = np.random.default_rng(5).random((2, 1441), np.float32)
    total, at = np.zeros(1440), [b * MINUTE + 7 for b in sorted(begins)]
    after_start(np.array(at, np.int64), length * MINUTE, chance, (lucky, duty, 500.0), total)
    kept = [b for b in at if 0 <= b < 1440 * MINUTE and float(chance[1, b // MINUTE]) < lucky]
    for minute in range(1440):
        runs = any(b <= minute * MINUTE < b + length * MINUTE for b in kept)
        assert total[minute] == (500.0 if runs and float(chance[0, minute]) < duty else 0.0)

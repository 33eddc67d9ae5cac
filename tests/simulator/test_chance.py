"""Chance: what hangs on the moment alone is normal, uniform and independent, and bouts are what a plain look finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mimamori.model.times import HOUR, MINUTE
from mimamori.simulator.dice import Use, generator, shares, stream
from mimamori.simulator.loops import apart, bell, compiled, hashed, share, within_bouts

N = 40_000


@compiled
def _draws(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    bells, shares = np.empty((5, n)), np.empty((2, n))
    for i in range(n):
        dice = hashed(i * 10_000_000_000, 1000, seed)
        for k in range(5):
            bells[k, i] = bell(dice, k)
        for k in range(2):
            shares[k, i] = share(dice, k)
    return bells, shares


def test_what_hangs_on_the_moment_is_normal_and_independent() -> None:
    bells, shares = _draws(N, 7)
    assert np.abs(bells.mean(axis=1)).max() < 4 / np.sqrt(N)
    assert np.abs(bells.std(axis=1) - 1).max() < 0.015
    for deviations, below in (
        (-3.09, 0.001),
        (-1.995, 0.023),
        (-0.9986, 0.159),
        (0.0, 0.5),
        (1.995, 0.977),
        (3.09, 0.999),
    ):
        assert np.abs((bells < deviations).mean(axis=1) - below).max() < 4 * np.sqrt(below * (1 - below) / N) + 0.0005
    with_the_next = np.corrcoef(np.vstack([bells, np.roll(bells, 1, axis=1)]))
    assert np.abs(with_the_next - np.eye(10)).max() < 4.5 / np.sqrt(N)
    assert np.abs(np.histogram(shares[0], 20, (0, 1))[0] - N / 20).max() < 5 * np.sqrt(N / 20)
    assert abs(np.corrcoef(shares)[0, 1]) < 4 / np.sqrt(N)
    assert not np.array_equal(bells, _draws(N, 8)[0])


words = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(seed=st.integers(0, 2**40), use=st.sampled_from(Use), home=words, day=words)
def test_generators_are_those_that_numpy_makes_of_the_same_numbers(seed: int, use: Use, home: int, day: int) -> None:
    plain = np.random.PCG64([seed, int(use), home, day])
    assert generator(seed, use, home, day).bit_generator.state == plain.state


def test_shares_are_those_that_numpy_draws() -> None:
    told, plain = shares(generator(1, Use.POWER), (7, 2, 11)), generator(1, Use.POWER).random((7, 2, 11), np.float32)
    assert told.dtype == plain.dtype
    assert (told == plain).all()


def test_a_stream_of_chance_is_its_gaps_summed_up() -> None:
    rate, length = 8 / MINUTE, 3 * HOUR
    plain = np.cumsum(generator(1, Use.MOTION).standard_exponential(2000)) / rate
    told = stream(generator(1, Use.MOTION), length, rate)
    assert told.tolist() == plain[plain < length].astype(np.int64).tolist()


moments = st.lists(st.integers(0, 60), max_size=12)


@settings(deadline=None)
@given(at=moments, spans=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=8))
def test_within_bouts_is_within_any_of_them(at: list[int], spans: list[tuple[int, int]]) -> None:
    begins, ends = (np.array(sorted(edge), np.int64) for edge in ([b for b, _ in spans], [b + n for b, n in spans]))
    now = np.array(sorted(at), np.int64)
    plain = [any(b <= t < b + n for b, n in spans) for t in sorted(at)]
    assert within_bouts(now, (begins, ends)).tolist() == plain


@settings(deadline=None)
@given(seen=st.lists(st.tuples(st.integers(0, 60), st.integers(-1, 5)), max_size=30), hold_off=st.integers(0, 20))
def test_each_room_s_sensor_is_blind_after_its_own_report(seen: list[tuple[int, int]], hold_off: int) -> None:
    seen.sort()
    last: dict[int, int] = {}
    plain = []
    for at, room in seen:
        plain.append(room >= 0 and at - last.get(room, -100) >= hold_off)
        if plain[-1]:
            last[room] = at
    times, rooms = (np.array([s[k] for s in seen], np.int64) for k in (0, 1))
    assert apart(times, rooms, hold_off).tolist() == plain

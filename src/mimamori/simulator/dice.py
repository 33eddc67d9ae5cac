"""Chance, seeded by what it is for: the same seed, household, day and purpose give the same numbers on every run.

May import model. The only place where generators are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import MINUTE, Nanos


class Use(IntEnum):
    """What a generator is for. Numbers are part of the seed: never change them, only add."""

    HOMES = 0
    HOURS = 1  # when the day begins and ends
    LIFE = 2
    BED = 3
    MOTION = 4
    POWER = 5
    CLIMATE = 6
    BEATS = 7
    FAULTS = 8
    WEATHER = 9
    PLAN = 10
    DEMO = 11
    HABITS = 12


def generator(seed: int, use: Use, home: int = 0, day: int = 0) -> np.random.Generator:
    """A generator of its own for each (seed, use, home, day)."""
    return np.random.Generator(np.random.PCG64([seed, int(use), home, day]))


class Dice:
    """Single draws in plain Python, some five times faster than a call of the generator for each."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._uniform: Iterator[float] = iter(())
        self._normal: Iterator[float] = iter(())

    def share(self) -> float:
        """Uniform in [0, 1)."""
        for value in self._uniform:
            return value
        self._uniform = iter(self._rng.random(128).tolist())
        return self.share()

    def bell(self) -> float:
        """Standard normal."""
        for value in self._normal:
            return value
        self._normal = iter(self._rng.standard_normal(128).tolist())
        return self.bell()

    def happens(self, chance: float) -> bool:
        """True with this chance."""
        return self.share() < chance

    def span(self, median: int, sigma: float = 0.45) -> int:
        """A log-normal duration in ns, at most six times its median."""
        return int(median * min(math.exp(sigma * self.bell()), 6.0))

    def around(self, middle: int, spread: int) -> int:
        """A normal time in ns, at most three spreads away."""
        return middle + int(spread * max(-3.0, min(3.0, self.bell())))

    def between(self, low: int, high: int) -> int:
        """Uniform in [low, high)."""
        return low + int(self.share() * max(high - low, 0))

    def count(self, mean: float) -> int:
        """Poisson, for small means."""
        rest, number = self.share(), 0
        term = math.exp(-mean)
        while rest > term and number < 20:
            rest -= term
            number += 1
            term *= mean / number
        return number

    def pick(self, weights: dict[str, float]) -> str:
        """A key, by weight (not all zero)."""
        rest = self.share() * sum(weights.values())
        for name, weight in weights.items():
            rest -= weight
            if rest < 0:
                return name
        return next(iter(weights))


def wave(rng: np.random.Generator, at: Nanos, begin: int, length: int, step: int = 3 * MINUTE) -> NDArray[np.float64]:
    """(n,) smooth noise, standard deviation about 0.8, at times `at` in [begin, begin + length]: knots every `step`."""
    knots = rng.standard_normal(length // step + 2)
    return np.interp(at - begin, np.arange(len(knots)) * step, knots)


def bouts(rng: np.random.Generator, begin: int, length: int, share: float, mean: int) -> tuple[Nanos, Nanos]:
    """Starts and ends (each (k,) ascending) of intervals that cover about `share` of a stretch of time."""
    count = rng.poisson(length * -math.log1p(-min(share, 0.99)) / mean)
    starts = begin + (rng.random(count) * length).astype(np.int64)
    ends = starts + (rng.exponential(mean, count)).astype(np.int64)
    return np.sort(starts), np.sort(ends)


def inside(at: Nanos, starts: Nanos, ends: Nanos) -> NDArray[np.bool_]:
    """(n,) whether each of the ascending times lies in any of the intervals [start, end), which may overlap."""
    change = np.zeros(len(at) + 1, np.int32)
    np.add.at(change, np.searchsorted(at, starts), 1)
    np.subtract.at(change, np.searchsorted(at, ends), 1)
    return np.asarray(np.cumsum(change[:-1]) > 0)


def lots(at: Nanos, salt: NDArray[np.int32] | Nanos | int, seed: int) -> NDArray[np.float64]:
    """(n,) uniform numbers in [0, 1) that hang on the moment and the salt alone, not on how many came before.

    The finisher of SplitMix64 (Steele, Lea and Flood 2014).
    """
    with np.errstate(over="ignore"):
        x = at.astype(np.uint64) + np.uint64((seed * 0x9E3779B9 + 1) & 0xFFFFFFFF) * np.uint64(0x9E3779B97F4A7C15)
        x = x + np.asarray(salt).astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53
